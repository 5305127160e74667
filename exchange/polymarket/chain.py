"""What every minter asks of the chain: the contracts, approvals, balances, payouts, the time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from exchange.errors import Rejected, Unavailable
from exchange.polymarket import effects
from exchange.polymarket.addresses import CHAIN_ID
from exchange.polymarket.receipts import COLLATERAL_ASSET, Receipt, read_receipt
from exchange.polymarket.rpc import NODE, SOON, Rpc, number, reading
from exchange.polymarket.settings import CONFIRMATIONS, Contracts
from exchange.polymarket.words import Argument, array_at, question, words_of
from exchange.quantising import base_units, whole_units
from exchange.types import Approval, Conversion, RejectionCode, TransactionReport


@dataclass(frozen=True, slots=True)
class Block:
    """The latest block: its number and its time."""

    number: int
    time: datetime


class OnChain:
    """The half of `exchange.port.Minter` that is the same for every wallet: it only reads."""

    def __init__(
        self,
        rpc: Rpc,
        wallet: str,
        contracts: Contracts,
        confirmations: int = CONFIRMATIONS,
    ) -> None:
        self._rpc = rpc
        self._wallet = wallet
        self._contracts = contracts
        self._confirmations = confirmations
        self._is_checked = False

    @property
    def wallet(self) -> str:
        """The address whose collateral and tokens are converted."""
        return self._wallet

    def check(self) -> None:
        """Make sure of the chain's id and of code at every contract used, once found right."""
        if self._is_checked:
            return
        named = self._contracts.named()
        answers = self._rpc.ask_many(
            [
                ("eth_chainId", ()),
                *(("eth_getCode", (address, "latest")) for address in named.values()),
            ]
        )
        with reading("its chain and the contracts' code"):
            _require_chain(number(answers[0]))
            for (name, address), code in zip(named.items(), answers[1:], strict=True):
                _require_code(name, address, code)
        self._is_checked = True

    def missing_approval(self, conversion: Conversion) -> Approval | None:
        """What the adapter may not take yet, exactly as much as the conversion needs."""
        adapter = self._contracts.adapter_for(conversion.neg_risk)
        if conversion.kind == "split":
            signature = "allowance(address,address)"
            units = self._read(self._contracts.collateral, signature, self._wallet, adapter)[0]
            if units >= base_units(conversion.quantity):
                return None
            return Approval(adapter, conversion.quantity, whole_units(units))
        signature = "isApprovedForAll(address,address)"
        allowed = self._read(self._contracts.conditional_tokens, signature, self._wallet, adapter)
        return None if allowed[0] else Approval(adapter, None)

    def effects(self, conversion: Conversion, since_block: int) -> list[TransactionReport]:
        """What the chain's logs show to have done just what the conversion does, oldest first.

        Raises `Unavailable` while such a one has too few blocks above it, so that an empty
        list means that there is none.
        """
        head = self._height()
        effects.require_range(since_block, head)
        logs: list[Mapping[str, Any]] = []
        for first, last in effects.pieces(since_block, head):
            logs += self._logs(conversion, first, last)
        with reading("its logs of token transfers"):
            found = effects.matching(logs, conversion)
        for block, transaction_hash in found:
            self._require_depth(transaction_hash, head - block)
        hashes = [transaction_hash for _, transaction_hash in found]
        return [self._effect(one) for one in self._receipts(hashes)]

    def held(self, assets: Sequence[str]) -> dict[str, Decimal]:
        """What the wallet holds by the chain's latest block: `collateral`, token ids."""
        tokens = [asset for asset in assets if asset != COLLATERAL_ASSET]
        owners = [int(self._wallet, 16)] * len(tokens)
        batch = question(
            "balanceOfBatch(address[],uint256[])", owners, [int(token) for token in tokens]
        )
        collateral, balances = self._rpc.ask_many(
            [
                call_at(self._contracts.collateral, question("balanceOf(address)", self._wallet)),
                call_at(self._contracts.conditional_tokens, batch),
            ]
        )
        with reading("balances"):
            units = dict(zip(tokens, array_at(words_of(balances), 0), strict=True))
            units[COLLATERAL_ASSET] = words_of(collateral)[0]
            return {asset: whole_units(units[asset]) for asset in assets}

    def payouts(self, condition_id: str) -> tuple[Decimal, Decimal] | None:
        """What one token of outcome 0 and of 1 pays, once the condition is resolved."""
        tokens = self._contracts.conditional_tokens
        denominator = self._read(tokens, "payoutDenominator(bytes32)", condition_id)[0]
        if not denominator:
            return None
        yes, no = (
            Decimal(self._read(tokens, "payoutNumerators(bytes32,uint256)", condition_id, index)[0])
            for index in (0, 1)
        )
        return yes / denominator, no / denominator

    def now(self) -> datetime:
        """Return the time of the chain's latest block."""
        return self._latest_block().time

    def _latest_block(self) -> Block:
        row = self._rpc.ask("eth_getBlockByNumber", "latest", False)
        with reading("the latest block"):
            moment = datetime.fromtimestamp(number(row["timestamp"]), UTC)
            return Block(number(row["number"]), moment)

    def _height(self) -> int:
        answer = self._rpc.ask("eth_blockNumber")
        with reading("the chain's height"):
            return number(answer)

    def _logs(self, conversion: Conversion, first: int, last: int) -> list[Mapping[str, Any]]:
        """Return the logs of the conversion's transfers, from a node that has all these blocks."""
        wanted = effects.log_filter(conversion, self._wallet, self._contracts, first, last)
        logs, block = self._rpc.ask_many(
            [("eth_getLogs", (wanted,)), ("eth_getBlockByNumber", (hex(last), False))]
        )
        if block is None or not isinstance(logs, list):
            raise Unavailable(f"{NODE} does not have the logs to block {last} yet")
        return logs

    def _require_depth(self, transaction_hash: str, above: int) -> None:
        if above < self._confirmations:
            raise Unavailable(
                f"{transaction_hash} did the same, {above} of {self._confirmations} blocks above it",
                retry_after=SOON,
            )

    def _effect(self, receipt: Receipt | None) -> TransactionReport:
        if receipt is None or not receipt.succeeded:
            raise Unavailable(f"{NODE} has a transaction's logs, but not its receipt")
        return TransactionReport(
            transaction_id="",
            status="confirmed",
            transaction_hash=receipt.transaction_hash,
            moved=receipt.moved,
        )

    def _receipts(self, hashes: Sequence[str]) -> list[Receipt | None]:
        rows = self._rpc.ask_many([("eth_getTransactionReceipt", (one,)) for one in hashes])
        return [self._read_receipt(row) for row in rows]

    def _read_receipt(self, row: Any) -> Receipt | None:
        if row is None:
            return None
        with reading("a transaction's receipt"):
            return read_receipt(row, self._wallet, self._contracts)

    def _read(self, contract: str, signature: str, *arguments: Argument) -> list[int]:
        """Return the words a contract answers, one at least; raises `Unavailable`."""
        method, params = call_at(contract, question(signature, *arguments))
        answer = self._rpc.ask(method, *params)
        with reading(f"{signature} of {contract}"):
            words = words_of(answer)
        if not words:
            raise Unavailable(f"{NODE} finds no contract at {contract}")
        return words


def call_at(contract: str, data: str, block: str = "latest") -> tuple[str, tuple[Any, ...]]:
    """Return the question what a contract answers in a block."""
    return "eth_call", ({"to": contract, "data": data}, block)


def _require_chain(found: int) -> None:
    if found != CHAIN_ID:
        raise Rejected(
            RejectionCode.WRONG_CHAIN,
            f"POLYGON_RPC_URL leads to chain {found}, expected Polygon's {CHAIN_ID}",
        )


def _require_code(name: str, address: str, code: Any) -> None:
    if not isinstance(code, str):
        raise TypeError("expected code")
    if not code.removeprefix("0x"):
        raise Rejected(
            RejectionCode.NO_CODE,
            f"there is no contract at {address} ({name}) on the chain of POLYGON_RPC_URL: "
            "whatever is sent there would succeed and do nothing",
        )
