"""The venue's relayer, which sends a contract wallet's signed calls and pays their gas.

Source: docs.polymarket.com/api-reference/relayer and github.com/Polymarket/builder-relayer-client
issue 29 for the words of its refusals.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from exchange.errors import ExchangeError, OutcomeUnknown, Rejected, Unavailable
from exchange.per_process import PerProcess
from exchange.polymarket.connections import Connection
from exchange.polymarket.failures import Trouble
from exchange.polymarket.wallets import Wallet, WalletKind
from exchange.types import RejectionCode

if TYPE_CHECKING:
    from exchange.polymarket.internals import Transport

T = TypeVar("T")

BUSY_SECONDS = 2
"""About a block of Polygon: the wallet's other transaction may be through by then."""

_TYPES: dict[WalletKind, str] = {"deposit_wallet": "WALLET", "safe": "SAFE", "proxy": "PROXY"}
State = Literal["pending", "confirmed", "failed"]
_STATES: dict[str, State] = {
    "STATE_NEW": "pending",
    "STATE_EXECUTED": "pending",
    "STATE_MINED": "pending",
    "STATE_CONFIRMED": "confirmed",
    "STATE_FAILED": "failed",
    "STATE_INVALID": "failed",
}
_NONCE_MISMATCH = re.compile(r"nonce\s+(\d+)\s+does not match on-chain nonce\s+(\d+)", re.I)
_WALLET_BUSY = re.compile(r"wallet busy|wallet has in-flight action", re.I)


@dataclass(frozen=True, slots=True)
class Relayed:
    """What the relayer says of a transaction; the chain has the last word."""

    transaction_id: str
    state: State
    transaction_hash: str
    message: str


class Relayer:
    """The relayer, asked for one wallet; `key` is POLY_RELAYER_KEY, of `address` or the owner."""

    def __init__(self, connection: Connection, wallet: Wallet, key: str, address: str) -> None:
        self._connection = connection
        self._wallet = wallet
        self._key = key
        self._address = address or wallet.owner
        self._transports = PerProcess(self._make_transport)

    def next(self) -> tuple[int, str]:
        """Return the nonce of the wallet's next transaction, and for a proxy the relay to sign for."""
        is_proxy = self._wallet.kind == "proxy"
        path = "/relay-payload" if is_proxy else "/v1/account/transactions/params"
        params = {"address": self._wallet.owner, "type": _TYPES[self._wallet.kind]}
        data = self._get(path, params)
        return _understood(lambda: (int(str(data["nonce"])), str(data["address"])), "a nonce")

    def submit(self, envelope: object) -> str:
        """Send a signed envelope; return the relayer's transaction id.

        `Rejected('nonce')` says that it can execute no more, `expiration` that its deadline
        does not suit the relayer's clock; `Unavailable` covers a busy
        wallet, which may be busy with this very envelope.
        """
        try:
            data = self._transports.get().post("/submit", envelope)
            return _text(data["transactionID"])
        except Trouble as trouble:
            raise _of_submitting(trouble) from None
        except (KeyError, TypeError, ValueError):
            raise OutcomeUnknown("the relayer's answer names no transaction") from None

    def find(self, transaction_id: str) -> Relayed | None:
        """Look a transaction up by its id; `None` when the relayer does not know it."""
        try:
            data = self._transports.get().get(f"/v1/account/transactions/{transaction_id}")
        except Trouble as trouble:
            if trouble.status == 404 and trouble.is_json:
                return None
            raise trouble.of_asking_aside() from None
        return _understood(
            lambda: _read(
                transaction_id,
                _text(data["state"]),
                data.get("transaction_hash"),
                data.get("error_msg"),
            ),
            f"transaction {transaction_id}",
        )

    def find_signed(self, signatures: Collection[str]) -> list[Relayed]:
        """Look transactions up by their signatures among the wallet's recent ones.

        The same bytes sent twice may be listed twice, and execute once at most.
        Source: docs.polymarket.com/api-reference/relayer/get-recent-transactions-for-a-user.
        """
        rows = self._get("/transactions")
        return _understood(
            lambda: [
                _listed(row) for row in rows if str(row.get("signature")).lower() in signatures
            ],
            "its list of transactions",
        )

    def _get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        try:
            return self._transports.get().get(path, params)
        except Trouble as trouble:
            raise trouble.of_asking_aside() from None

    def _make_transport(self) -> "Transport":
        from exchange.polymarket import internals

        return internals.relayer_transport(self._connection, self._key, self._address)


def _listed(row: Mapping[str, Any]) -> Relayed:
    return _read(
        _text(row["transactionID"]),
        _text(row["state"]),
        row.get("transactionHash"),
        row.get("errorMsg"),
    )


def _read(transaction_id: str, state: str, transaction_hash: Any, message: Any) -> Relayed:
    """A state that a later relayer has added says nothing, so its transaction is pending."""
    told = str(message or "")
    if state not in _STATES:
        told = "; ".join(filter(None, (f"the relayer says {state}", told)))
    return Relayed(transaction_id, _STATES.get(state, "pending"), str(transaction_hash or ""), told)


def _of_submitting(trouble: Trouble) -> ExchangeError:
    text = f"Polymarket's relayer: {trouble}"
    if trouble.status in (401, 403) and trouble.is_json:
        return Rejected(
            RejectionCode.NOT_ALLOWED, f"{text}; check POLY_RELAYER_KEY and POLY_RELAYER_ADDRESS"
        )
    if trouble.status == 400 and trouble.is_json:
        return _of_refusal(text) or trouble.of_writing()
    return trouble.of_writing()


def _of_refusal(text: str) -> ExchangeError | None:
    lowered = text.lower()
    mismatch = _NONCE_MISMATCH.search(text)
    if mismatch is not None and int(mismatch[1]) > int(mismatch[2]):
        return Unavailable(text, retry_after=BUSY_SECONDS)
    if _WALLET_BUSY.search(text):
        return Unavailable(text, retry_after=BUSY_SECONDS)
    if "nonce" in lowered:
        return Rejected(RejectionCode.NONCE, text)
    if "deadline" in lowered:
        return Rejected(RejectionCode.EXPIRATION, text)
    if "call blocked" in lowered:
        return Rejected(RejectionCode.BLOCKED, text)
    return None


def _understood(read: Callable[[], T], about: str) -> T:
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError):
        raise Unavailable(f"the relayer answers unreadably about {about}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected text, found {value!r}")
    return value
