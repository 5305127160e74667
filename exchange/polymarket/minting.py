"""`PolymarketMinter`: collateral into outcome tokens, signed first and sent second.

The official client's `split_position` fetches a nonce, signs, submits and, on a nonce
mismatch, signs anew in one call: a lost answer would mint twice. Here each step is one
method, and the same bytes may be submitted any number of times.
"""

import json
import re
import time
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from exchange.errors import ExchangeError, OutcomeUnknown, Rejected, Unavailable
from exchange.per_process import PerProcess
from exchange.polymarket.addresses import COLLATERAL, adapter_for
from exchange.polymarket.connections import Connection
from exchange.polymarket.failures import Trouble
from exchange.polymarket.settings import Account, Endpoints, Timeouts
from exchange.polymarket.wallets import Wallet, wallet_of
from exchange.quantising import base_units
from exchange.types import RejectionCode, SignedSplit, SplitReport

if TYPE_CHECKING:
    from exchange.polymarket.internals import Transport

DEADLINE_SECONDS = 600
"""As the official client has it."""

_NONCE_MISMATCH = re.compile(
    r"batch nonce\s+(\d+)\s+does not match on-chain nonce\s+(\d+)", re.IGNORECASE
)
_WALLET_BUSY = re.compile(r"wallet busy|wallet has in-flight action", re.IGNORECASE)
_STATES: dict[str, Literal["pending", "confirmed", "failed"]] = {
    "STATE_NEW": "pending",
    "STATE_EXECUTED": "pending",
    "STATE_MINED": "pending",
    "STATE_CONFIRMED": "confirmed",
    "STATE_FAILED": "failed",
    "STATE_INVALID": "failed",
}


class PolymarketMinter:
    """Splits for a deposit wallet, through the venue's relayer (gasless).

    Raises `Rejected('not_allowed')` for every other kind of wallet. Satisfies
    `exchange.port.Minter`.
    """

    def __init__(
        self, endpoints: Endpoints, account: Account, timeouts: Timeouts | None = None
    ) -> None:
        timeouts = timeouts or Timeouts()
        self._account = account
        self._connection = Connection(endpoints.relayer, timeouts)
        self._rpc = Connection(endpoints.rpc, timeouts)
        self._transports = PerProcess(self._make_transport)

    @property
    def wallet(self) -> str:
        """The address that splits and receives the tokens."""
        return self._owned_wallet.address

    def next_nonce(self) -> int:
        """Ask the relayer which nonce the wallet's next batch must carry."""
        wallet = self._deposit_wallet()
        try:
            data = self._transports.get().get(
                "/v1/account/transactions/params", {"address": wallet.owner, "type": "WALLET"}
            )
            return int(str(data["nonce"]))
        except Trouble as trouble:
            raise trouble.of_asking_aside() from None
        except (KeyError, TypeError, ValueError):
            raise Unavailable("the relayer's answer names no nonce") from None

    def sign_split(
        self,
        condition_id: str,
        neg_risk: bool,
        quantity: Decimal,
        nonce: int,
        *,
        approve: bool = False,
    ) -> SignedSplit:
        """Sign a split of `quantity` collateral, good for ten minutes; makes no request.

        `approve` lets the adapter take exactly that amount in the same batch, for wallets
        that have not approved it before.
        """
        from exchange.polymarket import internals

        wallet, amount = self._deposit_wallet(), base_units(quantity)
        if amount <= 0:
            raise Rejected(RejectionCode.MIN_SIZE, f"expected a positive amount, found {quantity}")
        adapter = adapter_for(neg_risk)
        calls = [internals.split_call(adapter, COLLATERAL, condition_id, amount)]
        if approve:
            calls.insert(0, internals.approval_call(COLLATERAL, adapter, amount))
        deadline = int(time.time()) + DEADLINE_SECONDS
        envelope = internals.signed_batch(
            self._account.private_key, wallet.address, calls, nonce, deadline
        )
        return SignedSplit(
            wallet=wallet.address,
            nonce=nonce,
            deadline=datetime.fromtimestamp(deadline, UTC),
            payload=json.dumps(envelope, separators=(",", ":")),
        )

    def submit(self, signed: SignedSplit) -> str:
        """Send the signed bytes; returns the relayer's transaction id.

        `Rejected('nonce')` means that the wallet has moved on: these bytes can execute no
        more, but *may have executed already*. Ask `find_split` before signing anew.
        `Unavailable` covers a busy wallet, which may be busy with these very bytes.
        """
        try:
            data = self._transports.get().post("/submit", json.loads(signed.payload))
            return _text(data["transactionID"])
        except Trouble as trouble:
            raise _of_submitting(trouble) from None
        except (KeyError, TypeError, ValueError):
            raise OutcomeUnknown("the relayer's answer names no transaction") from None

    def find_split(self, signed: SignedSplit, transaction_id: str) -> SplitReport | None:
        """Look a split up by its transaction id or, without one, by its signature.

        The relayer's list of the owner's recent transactions carries their signatures
        (docs.polymarket.com/api-reference/relayer/get-recent-transactions-for-a-user), so a
        submission whose answer was lost is recognised for certain. `None` while the list
        does not have it and the wallet's nonce has not passed ours. Where it has passed
        without a trace of ours the report stays pending and says so: whether the tokens
        arrived must then be seen from the balances.
        """
        if transaction_id:
            return self._find_transaction(transaction_id)
        if (found := self._find_by_signature(signed)) is not None:
            return found
        if self.next_nonce() <= signed.nonce:
            return None
        return SplitReport(
            transaction_id="",
            status="pending",
            message=f"nonce {signed.nonce} was used, by which transaction the relayer does not say",
        )

    def now(self) -> datetime:
        """Return the time of the chain's latest block."""
        question = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "eth_getBlockByNumber",
            "params": ["latest", False],
        }
        try:
            block = self._rpc.post("", question)["result"]
            return datetime.fromtimestamp(int(block["timestamp"], 16), UTC)
        except Trouble as trouble:
            raise trouble.of_asking_aside() from None
        except (KeyError, TypeError, ValueError):
            raise Unavailable("the chain's answer has no block time") from None

    def _find_transaction(self, transaction_id: str) -> SplitReport | None:
        try:
            data = self._transports.get().get(f"/v1/account/transactions/{transaction_id}")
            return SplitReport(
                transaction_id=transaction_id,
                status=_STATES[_text(data["state"])],
                transaction_hash=str(data.get("transaction_hash") or ""),
                message=str(data.get("error_msg") or ""),
            )
        except Trouble as trouble:
            if trouble.status == 404 and trouble.is_json:
                return None
            raise trouble.of_asking_aside() from None
        except (AttributeError, KeyError, TypeError, ValueError):
            raise Unavailable(
                f"the relayer's answer about transaction {transaction_id} is unreadable"
            ) from None

    def _find_by_signature(self, signed: SignedSplit) -> SplitReport | None:
        signature = str(json.loads(signed.payload)["signature"]).lower()
        try:
            rows = self._transports.get().get("/transactions")
            reports = [
                SplitReport(
                    transaction_id=_text(row["transactionID"]),
                    status=_STATES[_text(row["state"])],
                    transaction_hash=str(row.get("transactionHash") or ""),
                    message=str(row.get("errorMsg") or ""),
                )
                for row in rows
                if str(row.get("signature")).lower() == signature
            ]
        except Trouble as trouble:
            raise trouble.of_asking_aside() from None
        except (AttributeError, KeyError, TypeError, ValueError):
            raise Unavailable("the relayer's list of transactions is unreadable") from None
        # The same bytes sent twice may be listed twice, and execute once at most.
        order = ("confirmed", "pending", "failed")
        return min(reports, key=lambda report: order.index(report.status), default=None)

    @cached_property
    def _owned_wallet(self) -> Wallet:
        return wallet_of(self._account)

    def _deposit_wallet(self) -> Wallet:
        wallet = self._owned_wallet
        if wallet.kind != "deposit_wallet":
            raise Rejected(
                RejectionCode.NOT_ALLOWED,
                f"minting needs a deposit wallet: {wallet.address} is of type {wallet.kind}, "
                "whose own transactions are not supported yet",
            )
        return wallet

    def _make_transport(self) -> "Transport":
        from exchange.polymarket import internals

        address = self._account.relayer_address or self._owned_wallet.owner
        return internals.relayer_transport(self._connection, self._account.relayer_key, address)


def _of_submitting(trouble: Trouble) -> ExchangeError:
    text = str(trouble)
    if trouble.status == 400 and trouble.is_json:
        if (mismatch := _NONCE_MISMATCH.search(text)) is not None:
            ours, wanted = int(mismatch[1]), int(mismatch[2])
            if ours < wanted:
                return Rejected(RejectionCode.NONCE, f"Polymarket's relayer: {text}")
            return Unavailable(f"Polymarket's relayer: {text}")
        if _WALLET_BUSY.search(text):
            return Unavailable(f"Polymarket's relayer: {text}")
        if "call blocked" in text.lower():
            return Rejected(RejectionCode.BLOCKED, f"Polymarket's relayer: {text}")
        if "deadline" in text.lower():
            return Rejected(RejectionCode.NONCE, f"Polymarket's relayer: {text}")
    return trouble.of_writing()


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected text, found {value!r}")
    return value
