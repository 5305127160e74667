"""`RelayedMinter`: conversions of a deposit wallet, a Safe or a proxy, sent by the venue's relayer.

Here each step is one method, and the same bytes may be submitted any number of times: each
kind of wallet has a nonce that lets them execute once.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from exchange.errors import Unavailable
from exchange.polymarket import calls
from exchange.polymarket.chain import OnChain
from exchange.polymarket.relayer import BUSY_SECONDS, Relayed, Relayer
from exchange.polymarket.rpc import NODE, Rpc
from exchange.polymarket.settings import Account, Contracts
from exchange.polymarket.trial import gas_needed
from exchange.polymarket.wallets import Wallet
from exchange.types import Approval, Conversion, SignedTransaction, TransactionReport

if TYPE_CHECKING:
    from exchange.polymarket.internals_minting import Call

Status = Literal["pending", "confirmed", "reverted", "replaced", "unaccounted"]

DEADLINE_SECONDS = 600
"""As the official client has it, for a deposit wallet; the others know no deadline."""


class RelayedMinter(OnChain):
    """The minter of a contract wallet, gasless. Satisfies `exchange.port.Minter`."""

    approves_apart = False

    def __init__(
        self, relayer: Relayer, rpc: Rpc, account: Account, wallet: Wallet, contracts: Contracts
    ) -> None:
        super().__init__(rpc, wallet.address, contracts)
        self._relayer = relayer
        self._key = account.private_key
        self._owner = wallet

    def next_nonce(self) -> int:
        """Ask the relayer which nonce the wallet's next transaction must carry."""
        return self._relayer.next()[0]

    def sign(
        self, conversion: Conversion, nonce: int, approval: Approval | None = None
    ) -> SignedTransaction:
        """Sign a conversion and its approval as one batch; a proxy's asks for the relay, too."""
        batch = calls.batch(conversion, approval, self._contracts)
        deadline = int(time.time()) + DEADLINE_SECONDS
        has_deadline = self._owner.kind == "deposit_wallet"
        return SignedTransaction(
            wallet=self.wallet,
            nonce=nonce,
            deadline=datetime.fromtimestamp(deadline, UTC) if has_deadline else None,
            payload=json.dumps(self._envelope(batch, nonce, deadline), separators=(",", ":")),
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

        The nonce is read before the list: whatever has used it by then is listed.
        """
        found = self._relayer.find(transaction_id) if transaction_id else None
        if found is not None:
            return self._report(found)
        is_used = self.next_nonce() > signed[-1].nonce
        found = self._relayer.find_signed({_signature(one) for one in signed})
        if found is not None:
            return self._report(found)
        return _used(signed[-1].nonce) if is_used else None

    def _report(self, found: Relayed) -> TransactionReport:
        """Judge by the chain: the relayer's word alone is neither a success nor a failure."""
        if found.state == "pending":
            return _report(found, "pending")
        receipt = self._receipt(found.transaction_hash) if found.transaction_hash else None
        if receipt is not None and receipt.succeeded:
            if found.state == "confirmed" or receipt.moved:
                return replace(_report(found, "confirmed"), moved=receipt.moved)
            return _report(found, "reverted")
        if receipt is not None or found.state == "failed":
            return _report(found, "reverted", "it reverted on the chain")
        if found.transaction_hash:
            return _report(found, "pending", f"{NODE} does not have its receipt yet")
        return _report(found, "unaccounted", "the relayer names no hash of it")

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


def _report(found: Relayed, status: Status, message: str = "") -> TransactionReport:
    return TransactionReport(
        transaction_id=found.transaction_id,
        status=status,
        transaction_hash=found.transaction_hash,
        message=found.message or message,
    )


def _used(nonce: int) -> TransactionReport:
    return TransactionReport(
        transaction_id="",
        status="unaccounted",
        message=f"nonce {nonce} was used, by which transaction the relayer does not say",
    )


def _signature(signed: SignedTransaction) -> str:
    return str(json.loads(signed.payload)["signature"]).lower()
