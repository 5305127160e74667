"""What every minter asks of the chain: the contracts, approvals, balances, payouts, the time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from exchange.errors import Rejected, Unavailable
from exchange.polymarket.addresses import CHAIN_ID
from exchange.polymarket.receipts import COLLATERAL_ASSET, Receipt, read_receipt
from exchange.polymarket.rpc import NODE, Rpc, number, reading
from exchange.polymarket.settings import Contracts
from exchange.polymarket.words import Argument, array_at, question, words_of
from exchange.quantising import base_units, whole_units
from exchange.types import Approval, Conversion, RejectionCode, TransactionReport


class OnChain:
    """The half of `exchange.port.Minter` that is the same for every wallet: it only reads."""

    def __init__(self, rpc: Rpc, wallet: str, contracts: Contracts) -> None:
        self._rpc = rpc
        self._wallet = wallet
        self._contracts = contracts
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
            allowed = self._read(self._contracts.collateral, signature, self._wallet, adapter)
            enough = allowed[0] >= base_units(conversion.quantity)
            return None if enough else Approval(adapter, conversion.quantity)
        signature = "isApprovedForAll(address,address)"
        allowed = self._read(self._contracts.conditional_tokens, signature, self._wallet, adapter)
        return None if allowed[0] else Approval(adapter, None)

    def effects(self, conversion: Conversion, since_block: int) -> list[TransactionReport]:
        """What the chain's logs show to have done just what the conversion does."""
        raise Unavailable("the chain's logs are not read yet")

    def held(self, assets: Sequence[str]) -> dict[str, Decimal]:
        """What the wallet holds by the chain's latest block: `collateral`, token ids."""
        tokens = [asset for asset in assets if asset != COLLATERAL_ASSET]
        owners = [int(self._wallet, 16)] * len(tokens)
        batch = question(
            "balanceOfBatch(address[],uint256[])", owners, [int(token) for token in tokens]
        )
        collateral, balances = self._rpc.ask_many(
            [
                _call(self._contracts.collateral, question("balanceOf(address)", self._wallet)),
                _call(self._contracts.conditional_tokens, batch),
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
        block = self._rpc.ask("eth_getBlockByNumber", "latest", False)
        with reading("the latest block's time"):
            return datetime.fromtimestamp(number(block["timestamp"]), UTC)

    def _receipt(self, transaction_hash: str) -> Receipt | None:
        row = self._rpc.ask("eth_getTransactionReceipt", transaction_hash)
        return self._read_receipt(row)

    def _read_receipt(self, row: Any) -> Receipt | None:
        if row is None:
            return None
        with reading("a transaction's receipt"):
            return read_receipt(row, self._wallet, self._contracts)

    def _read(self, contract: str, signature: str, *arguments: Argument) -> list[int]:
        """Return the words a contract answers, one at least; raises `Unavailable`."""
        method, params = _call(contract, question(signature, *arguments))
        answer = self._rpc.ask(method, *params)
        with reading(f"{signature} of {contract}"):
            words = words_of(answer)
        if not words:
            raise Unavailable(f"{NODE} finds no contract at {contract}")
        return words


def _call(contract: str, data: str) -> tuple[str, tuple[Any, ...]]:
    return "eth_call", ({"to": contract, "data": data}, "latest")


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
