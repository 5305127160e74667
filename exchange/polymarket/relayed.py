"""`RelayedMinter`: conversions of a deposit wallet, a Safe or a proxy, sent by the venue's relayer.

Here each step is one method, and the same bytes may be submitted any number of times: each
kind of wallet has a nonce that lets them execute once.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from exchange.errors import Unavailable
from exchange.polymarket import calls
from exchange.polymarket.addresses import RELAY_HUB
from exchange.polymarket.chain import OnChain, call_at
from exchange.polymarket.failures import Trouble
from exchange.polymarket.judging import Case, Standing, judge
from exchange.polymarket.relayer import BUSY_SECONDS, Relayed, Relayer
from exchange.polymarket.rpc import NODE, NodeError, Rpc, reading
from exchange.polymarket.settings import CONFIRMATIONS, Account, Contracts
from exchange.polymarket.trial import gas_needed, is_revert
from exchange.polymarket.wallets import Wallet
from exchange.polymarket.words import question, words_of
from exchange.types import Approval, Conversion, SignedTransaction, TransactionReport

if TYPE_CHECKING:
    from exchange.polymarket.internals_minting import Call

DEADLINE_SECONDS = 600
"""As the official client has it, for a deposit wallet; the others know no deadline."""


class RelayedMinter(OnChain):
    """The minter of a contract wallet, gasless. Satisfies `exchange.port.Minter`."""

    approves_apart = False

    def __init__(
        self,
        relayer: Relayer,
        rpc: Rpc,
        account: Account,
        wallet: Wallet,
        contracts: Contracts,
        confirmations: int = CONFIRMATIONS,
    ) -> None:
        super().__init__(rpc, wallet.address, contracts, confirmations)
        self._relayer = relayer
        self._key = account.private_key
        self._owner = wallet
        self._nonce_is_told: bool | None = None

    def next_nonce(self) -> int:
        """Return which nonce the wallet's next transaction must carry, if relayer and chain agree."""
        told = self._relayer.next()[0]
        if not self._tells_nonce():
            return told
        method, params = self._nonce_at("latest")
        nonce = self._read_nonce(self._rpc.ask(method, *params))
        if told != nonce:
            raise Unavailable(
                f"the relayer says that the wallet's next nonce is {told}, the chain says {nonce}: "
                "one of them lags behind",
                retry_after=BUSY_SECONDS,
            )
        return nonce

    def sign(
        self, conversion: Conversion, nonce: int, approval: Approval | None = None
    ) -> SignedTransaction:
        """Sign a conversion and its approval as one batch; a proxy's asks for the relay, too."""
        batch = calls.batch(conversion, approval, self._contracts)
        block = self._latest_block()
        deadline = int(block.time.timestamp()) + DEADLINE_SECONDS
        has_deadline = self._owner.kind == "deposit_wallet"
        return SignedTransaction(
            wallet=self.wallet,
            nonce=nonce,
            deadline=datetime.fromtimestamp(deadline, UTC) if has_deadline else None,
            payload=json.dumps(self._envelope(batch, nonce, deadline), separators=(",", ":")),
            since_block=block.number,
        )

    def sign_approval(self, approval: Approval, nonce: int) -> SignedTransaction:
        """Refuse, as a mistake of the caller: an approval rides with its conversion here."""
        raise NotImplementedError("a relayed wallet approves in the batch of the conversion")

    def sign_replacement(self, signed: SignedTransaction) -> None:
        """Return nothing: the relayer pays, and bids for itself."""

    def submit(self, signed: SignedTransaction) -> str:
        """Send the signed bytes; returns the relayer's transaction id.

        `Unavailable` covers a busy wallet, which may be busy with these very bytes.
        """
        return self._relayer.submit(json.loads(signed.payload))

    def find(
        self, signed: Sequence[SignedTransaction], transaction_id: str
    ) -> TransactionReport | None:
        """Look it up by its id, by its signature among the wallet's recent ones, by its nonce.

        The nonce is read before the relayer is asked: whatever has used it by then it knows.
        """
        standing = self._standing()
        found = self._ask_relayer(signed, transaction_id)
        hashes = sorted({one.transaction_hash for one in found if one.transaction_hash})
        receipts = dict(zip(hashes, self._receipts(hashes), strict=True))
        return judge(
            Case(
                nonce=signed[-1].nonce,
                versions=len(signed),
                deadline=_last_deadline(signed),
                kind=self._owner.kind,
                confirmations=self._confirmations,
                standing=standing,
                found=[(one, receipts.get(one.transaction_hash)) for one in found],
            )
        )

    def _ask_relayer(
        self, signed: Sequence[SignedTransaction], transaction_id: str
    ) -> list[Relayed]:
        """Return what the relayer knows of any version; one it has given up may be listed anew."""
        found = self._relayer.find(transaction_id) if transaction_id else None
        if found is not None and found.state != "failed" and len(signed) == 1:
            return [found]
        listed = self._relayer.find_signed({_signature(one) for one in signed})
        others = [one for one in listed if one.transaction_id != transaction_id]
        return others if found is None else [*others, found]

    def _standing(self) -> Standing:
        """Ask about the wallet in a block by its number: a node that lags behind has no answer."""
        block = self._latest_block()
        deep = max(block.number - self._confirmations, 0)
        if not self._tells_nonce():
            told = self._relayer.next()[0]
            return Standing(block.number, block.time, told, told)
        answers = self._rpc.ask_many([self._nonce_at(hex(block.number)), self._nonce_at(hex(deep))])
        nonce, deep_nonce = (self._read_nonce(answer) for answer in answers)
        return Standing(block.number, block.time, nonce, deep_nonce)

    def _tells_nonce(self) -> bool:
        """Whether the wallet's contract tells its nonce; of a deposit wallet nobody documents it.

        One that reverts is believed for the life of the process: then the relayer tells it.
        """
        if self._nonce_is_told is None:
            method, params = self._nonce_at("latest")
            try:
                self._rpc.attempt(method, *params)
            except NodeError as error:
                if self._owner.kind != "deposit_wallet" or not is_revert(error):
                    raise Unavailable(f"{NODE} answers: {self._rpc.shown(error)}") from None
                self._nonce_is_told = False
            except Trouble as trouble:
                raise self._rpc.unavailable(trouble) from None
            else:
                self._nonce_is_told = True
        return self._nonce_is_told

    def _nonce_at(self, block: str) -> tuple[str, tuple[Any, ...]]:
        if self._owner.kind == "proxy":
            return call_at(RELAY_HUB, question("getNonce(address)", self._owner.owner), block)
        return call_at(self.wallet, question("nonce()"), block)

    def _read_nonce(self, answer: Any) -> int:
        """A wallet that is not deployed answers nothing, and has used no nonce; the hub always does."""
        if answer == "0x" and self._owner.kind != "proxy":
            return 0
        with reading("the wallet's nonce"):
            return words_of(answer)[0]

    def _envelope(self, batch: list["Call"], nonce: int, deadline: int) -> object:
        from exchange.polymarket import internals_minting as internals

        if self._owner.kind == "deposit_wallet":
            return internals.signed_batch(self._key, self.wallet, batch, nonce, deadline)
        if self._owner.kind == "safe":
            return internals.signed_safe_transaction(self._key, self.wallet, batch, nonce)
        call = internals.proxy_call(batch)
        gas = gas_needed(self._rpc, self._owner.owner, call.to, call.data)
        return internals.signed_proxy_transaction(
            self._key, self.wallet, call, nonce, self._relay(nonce), gas
        )

    def _relay(self, nonce: int) -> str:
        """Return the relay that a proxy's transaction is signed for; it may change at any time."""
        found, relay = self._relayer.next()
        if found != nonce:
            raise Unavailable(
                f"the wallet's nonce is {found} now, expected {nonce}", retry_after=BUSY_SECONDS
            )
        return relay


def _last_deadline(signed: Sequence[SignedTransaction]) -> datetime | None:
    """Return when the last version can execute no more; `None` where one always can."""
    deadlines = [one.deadline for one in signed if one.deadline is not None]
    return max(deadlines) if len(deadlines) == len(signed) else None


def _signature(signed: SignedTransaction) -> str:
    return str(json.loads(signed.payload)["signature"]).lower()
