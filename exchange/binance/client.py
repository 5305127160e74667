"""Binance's official client, asked for JSON, with its errors told apart.

Uses the request engine that all of its products share (`binance_common`): the spot package
on top of it (binance-sdk-spot 13.3) takes another 2 s and 33 MB for models of three APIs
we do not use, turns amounts into floats, and its generic `SpotRestAPI.send_request` fails
on every call (`'function' object is not subscriptable`).
"""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from exchange.errors import ExchangeError, OutcomeUnknown, Rejected, Unavailable
from exchange.per_process import PerProcess
from exchange.types import RejectionCode

if TYPE_CHECKING:
    from requests import Response, Session

DEFAULT_BASE_URL = "https://api.binance.com"

_CODES: dict[int, RejectionCode] = {
    -1002: RejectionCode.NOT_ALLOWED,
    -1013: RejectionCode.PRECISION,
    -1022: RejectionCode.INVALID_SIGNATURE,
    -1111: RejectionCode.PRECISION,
    -1121: RejectionCode.UNKNOWN_INSTRUMENT,
    -2014: RejectionCode.NOT_ALLOWED,
    -2015: RejectionCode.NOT_ALLOWED,
}
"""github.com/binance/binance-spot-api-docs errors.md"""

_NEW_ORDER_REJECTED = -2010
_TEXTS: tuple[tuple[str, RejectionCode], ...] = (
    ("duplicate order", RejectionCode.DUPLICATED),
    ("immediately match and take", RejectionCode.POST_ONLY),
    ("insufficient balance", RejectionCode.NOT_ENOUGH_BALANCE),
    ("market is closed", RejectionCode.MARKET_CLOSED),
    ("not permitted", RejectionCode.NOT_ALLOWED),
    ("price_filter", RejectionCode.TICK_SIZE),
    ("notional", RejectionCode.MIN_SIZE),
    ("lot_size", RejectionCode.MIN_SIZE),
)
_NOT_EXECUTED = frozenset({-1003, -1008, -1015, -1021, -1034})
"""Rate limits, throttling and clock skew: refused before the matching engine saw it."""
_UNKNOWN_OUTCOME = frozenset({-1000, -1001, -1006, -1007})
NO_SUCH_ORDER = -2013
CANCEL_REJECTED = -2011


class Trouble(Exception):
    """A request that did not succeed: `status` is `None` without an answer, `code` Binance's."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: int = 0,
        sent: bool = True,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.sent = sent
        self.retry_after = retry_after

    def of_reading(self) -> ExchangeError:
        """Return the error of a request that changes nothing."""
        error = self.of_writing()
        if isinstance(error, OutcomeUnknown):
            return Unavailable(str(error), retry_after=self.retry_after)
        return error

    def of_writing(self) -> ExchangeError:
        """Return the error of a request that may have changed something."""
        text = f"Binance: {self.code or self.status or 'no answer'}: {self}"
        never_executed = (
            not self.sent
            or self.status in (418, 429)
            or self.code in _NOT_EXECUTED
            or (self.status == 503 and "service unavailable" in str(self).lower())
            or (self.status == 403 and self.code == 0)  # their firewall, not their engine
        )
        if never_executed:
            return Unavailable(text, retry_after=self.retry_after)
        if self.status is None or not 400 <= self.status < 500 or self.code in _UNKNOWN_OUTCOME:
            return OutcomeUnknown(text)
        if self.code == 0:
            return OutcomeUnknown(text)
        return Rejected(self._rejection(), text)

    def _rejection(self) -> RejectionCode:
        lowered = str(self).lower()
        if self.code in (_NEW_ORDER_REJECTED, -1013):
            for words, code in _TEXTS:
                if words in lowered:
                    return code
        return _CODES.get(self.code, RejectionCode.OTHER)


class BinanceClient:
    """Signed and public requests to one base address, a session per thread and process."""

    def __init__(self, base_url: str, api_key: str, api_secret: str, timeout_ms: int) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._api_secret = api_secret
        self._timeout_ms = timeout_ms
        self._threads = PerProcess(threading.local)

    def public(self, path: str, params: Mapping[str, object] | None = None) -> Any:
        """Return the JSON answer of a public GET; raises `Trouble`."""
        return self._ask("GET", path, params, is_signed=False)

    def signed(self, method: str, path: str, params: Mapping[str, object]) -> Any:
        """Return the JSON answer of a request signed for the account; raises `Trouble`."""
        if not self._api_secret:
            raise Rejected(RejectionCode.NOT_ALLOWED, "no Binance API key: spot can only be read")
        return self._ask(method, path, params, is_signed=True)

    def _ask(
        self, method: str, path: str, params: Mapping[str, object] | None, *, is_signed: bool
    ) -> Any:
        from binance_common import errors
        from binance_common.configuration import ConfigurationRestAPI
        from binance_common.utils import send_request

        configuration = ConfigurationRestAPI(
            api_key=self._api_key or None,
            api_secret=self._api_secret or None,
            base_path=self._base_url,
            timeout=self._timeout_ms,
            retries=0,  # theirs would repeat reads while a stop waits
            https_agent=None,
        )
        try:
            answer: Any = send_request(
                self._session(),
                configuration,
                method,
                path,
                dict(params or {}),
                is_signed=is_signed,
            )
            return answer.data()
        except errors.NetworkError as error:
            raise Trouble(type(error.__cause__).__name__, sent=_was_sent(error.__cause__)) from None
        except (errors.Error, ValueError) as error:
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> Trouble:
        # The client drops the body of a 5xx, which says whether the order was executed.
        answer: Response | None = getattr(self._threads.get(), "answer", None)
        if answer is None:
            return Trouble(type(error).__name__)
        try:
            body = answer.json()
        except ValueError:
            body = {}
        said = body if isinstance(body, dict) else {}
        return Trouble(
            str(said.get("msg") or answer.reason or type(error).__name__),
            status=answer.status_code,
            code=int(said.get("code") or 0),
            retry_after=getattr(error, "retry_after", None),
        )

    def _session(self) -> "Session":
        local = self._threads.get()
        local.answer = None
        if not hasattr(local, "session"):
            from requests import Session

            def remember(answer: "Response", *_: object, **__: object) -> None:
                local.answer = answer

            local.session = Session()
            local.session.hooks["response"].append(remember)
        session: Session = local.session
        return session


def _was_sent(cause: BaseException | None) -> bool:
    from requests import exceptions
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    if isinstance(cause, exceptions.ConnectTimeout):
        return False
    inner = cause.args[0] if cause is not None and cause.args else None
    return not (isinstance(inner, MaxRetryError) and isinstance(inner.reason, NewConnectionError))
