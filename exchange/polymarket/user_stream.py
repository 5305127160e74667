"""The venue's user channel: it says at once that an order or a trade of ours has news.

Read `user_events.py` for what its frames say. A connection may fall silent while its socket
stays open (github.com/Polymarket/py-clob-client issue 292), so one that answers no PING is
left, and every one after a quarter of an hour. Nothing is told again after that: whoever
listens asks about everything whenever it gets `None`.
"""

import json
import logging
import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from exchange.errors import ExchangeError
from exchange.polymarket.connections import Connection
from exchange.polymarket.session import Session
from exchange.polymarket.settings import Account, Credentials, Endpoints, Timeouts
from exchange.polymarket.user_events import read_frame
from exchange.types import UserEvent

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

log = structlog.get_logger(__name__)

LARGEST_FRAME = 2**20
_QUEUED_FRAMES = 256
_REMEMBERED_KINDS = 50
_POLICY_VIOLATION = 1008
_wire_log = logging.getLogger(__name__ + ".wire")
_wire_log.setLevel(logging.INFO)
"""The client library's own log: on DEBUG it would print the subscription with its secrets."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds; the first three as the venue's pages and its official client have them."""

    ping: float = 10.0
    silence: float = 30.0
    """Without an answer to a PING a connection counts as dead."""
    life: float = 900.0
    """After which a connection is replaced, however well it looks."""
    first_wait: float = 0.5
    longest_wait: float = 30.0
    notice: float = 0.5
    """How long a stop may go unnoticed."""


class UserStream:
    """One account's user channel, for one thread at a time; satisfies `exchange.port.UserStream`.

    `heard_at` is when anything last arrived, `connections` and `skipped` count
    subscriptions made and frames (or parts of them) that could not be read.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        account: Account,
        timeouts: Timeouts | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._address = endpoints.user_ws
        self._session = Session(Connection(endpoints.clob, timeouts or Timeouts()), account)
        self._pace = pace or Pace()
        self._kinds: set[str] = set()
        self.heard_at: datetime | None = None
        self.connections = 0
        self.skipped = 0

    def events(self, stop: threading.Event) -> Iterator[UserEvent | None]:
        """Yield events until `stop` is set; blocks, and outlives every loss of the connection.

        `None` comes after each subscription, and again with the first answer after it,
        when the venue has surely read it: ask about everything both times.
        """
        from websockets.exceptions import ConnectionClosed, WebSocketException

        failures = 0
        while not stop.is_set():
            heard_before = self.heard_at
            try:
                with closing(self._subscribed()) as socket:
                    yield None
                    yield from self._listen(socket, stop)
                failures = 0
                continue
            except (WebSocketException, OSError, ExchangeError) as error:
                failures = 1 if self.heard_at != heard_before else failures + 1
                closed = error.rcvd if isinstance(error, ConnectionClosed) else None
                if closed is not None and closed.code == _POLICY_VIOLATION:
                    self._session.forget_credentials()
                wait = self._wait_after(failures)
                log.warning(
                    "user_stream_lost",
                    error=type(error).__name__,
                    code=closed.code if closed is not None else None,
                    failures=failures,
                    wait_s=round(wait, 1),
                )
            stop.wait(wait)

    def _subscribed(self) -> "ClientConnection":
        from websockets.sync.client import connect

        credentials = self._session.credentials()
        socket = connect(
            self._address,
            compression=None,
            max_size=LARGEST_FRAME,
            max_queue=_QUEUED_FRAMES,
            ping_interval=None,  # the venue wants text PINGs, and none before the subscription
            open_timeout=10,
            close_timeout=1,
            logger=_wire_log,
        )
        try:
            socket.send(_subscription(credentials))
        except BaseException:
            socket.close()
            raise
        self.connections += 1
        log.info("user_stream_connected", connections=self.connections)
        return socket

    def _listen(
        self, socket: "ClientConnection", stop: threading.Event
    ) -> Iterator[UserEvent | None]:
        """Yield what comes until `stop` or the end of the connection's life."""
        opened = pinged = time.monotonic()
        is_confirmed, quiet = False, 0.0
        while not stop.is_set():
            now = time.monotonic()
            if now - opened >= self._pace.life:
                return
            if now - pinged >= self._pace.ping:
                socket.send("PING")
                pinged = now
            try:
                frame: str | bytes | None = socket.recv(timeout=self._pace.notice)
                self.heard_at = datetime.now(UTC)
            except TimeoutError:
                frame = None
            # Waiting is counted, not time: a listener busy with an event must not look
            # like a silent venue, whose answer lies in the buffer meanwhile.
            quiet = 0.0 if frame == "PONG" else quiet + (time.monotonic() - now)
            if frame == "PONG" and not is_confirmed:
                is_confirmed = True
                yield None
            elif quiet >= self._pace.silence:
                raise ConnectionError(f"no PONG for {quiet:.0f} s")
            elif frame is not None and frame != "PONG":
                yield from self._read(frame)

    def _read(self, frame: str | bytes) -> list[UserEvent]:
        events, skipped = read_frame(frame)
        self.skipped += len(skipped)
        for kind in skipped:
            if kind not in self._kinds and len(self._kinds) < _REMEMBERED_KINDS:
                self._kinds.add(kind)
                log.warning("user_stream_frame_skipped", kind=kind)
        return events

    def _wait_after(self, failures: int) -> float:
        longest = min(self._pace.first_wait * 2.0 ** min(failures, 16), self._pace.longest_wait)
        return random.uniform(self._pace.first_wait, longest)  # noqa: S311 - no secret


def _subscription(credentials: Credentials) -> str:
    return json.dumps(
        {
            "type": "user",
            "auth": {
                "apiKey": credentials.key,
                "secret": credentials.secret,
                "passphrase": credentials.passphrase,
            },
        }
    )
