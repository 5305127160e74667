"""HTTP to one base address: one client per process, shared by its threads.

Public reads go through `Connection.get` and `.post` and load nothing of the official
client; its authenticated transports are built over the same `Connection.client()`.
HTTP/1.1 on purpose: over HTTP/2 all threads would share one TCP connection, and its loss
would make the outcome of every order in flight unknown at once.
"""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from exchange.per_process import PerProcess
from exchange.polymarket.failures import Trouble
from exchange.polymarket.settings import Timeouts

if TYPE_CHECKING:
    import httpx

_last_answer = threading.local()


class Connection:
    """A pooled HTTP client for one service, made after any fork."""

    def __init__(self, base_url: str, timeouts: Timeouts) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeouts = timeouts
        self._client = PerProcess(self._make_client)

    def client(self) -> "httpx.Client":
        """Return this process's client (httpx clients are safe to share between threads)."""
        return self._client.get()

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Return the JSON answer of a public read; raises `Trouble`."""
        return self._request("GET", path, params, None)

    def post(self, path: str, body: object) -> Any:
        """Return the JSON answer of a public read that takes a body; raises `Trouble`."""
        return self._request("POST", path, None, body)

    def _request(
        self, method: str, path: str, params: Mapping[str, str] | None, body: object
    ) -> Any:
        import httpx

        try:
            # an empty path would get a slash appended, which an RPC address does not know
            answer = self.client().request(method, path or self.base_url, params=params, json=body)
        except httpx.HTTPError as error:
            raise unanswered(error) from None
        try:
            data = answer.json()
        except ValueError:
            raise Trouble("the answer is not JSON", status=answer.status_code) from None
        if not answer.is_success:
            text = data.get("error") if isinstance(data, dict) else None
            raise Trouble(
                str(text or f"{method} {path} was refused"),
                status=answer.status_code,
                is_json=isinstance(data, dict),
                retry_after=_seconds(answer.headers.get("Retry-After")),
            )
        return data

    def _make_client(self) -> "httpx.Client":
        import httpx

        times = self._timeouts
        return httpx.Client(
            base_url=self.base_url,
            timeout=httpx.Timeout(
                connect=times.connect, read=times.read, write=times.write, pool=times.pool
            ),
            limits=httpx.Limits(
                max_connections=100, max_keepalive_connections=20, keepalive_expiry=30
            ),
            event_hooks={"response": [_note_answer]},
        )


def unanswered(error: BaseException | None) -> Trouble:
    """Return the trouble of an httpx exception: did the request leave or not?"""
    import httpx

    never_sent = (
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.UnsupportedProtocol,
    )
    return Trouble(
        f"{type(error).__name__}: {error}" if str(error) else type(error).__name__,
        sent=not isinstance(error, never_sent),
    )


def last_answer_was_json() -> bool:
    """Tell whether the last answer this thread got was JSON; the client's errors do not say."""
    return "json" in getattr(_last_answer, "content_type", "")


def last_answer_was_empty() -> bool:
    """Tell whether the last answer this thread got had no body at all."""
    return getattr(_last_answer, "is_empty", False)


def _note_answer(answer: "httpx.Response") -> None:
    _last_answer.content_type = answer.headers.get("content-type", "").lower()
    _last_answer.is_empty = not answer.read()


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
