"""The venue's market channel: books, best prices and trades of chosen tokens, as they happen.

Read `market_events.py` for what its frames say. Data may stop while PING and PONG go on
(github.com/Polymarket/py-clob-client issue 292): that a stream is frozen only whoever compares
it with REST can tell, and calls `leave`. A connection that says nothing at all, not even
PONG, is left here, and every one after a quarter of an hour.
"""

import logging
import random
import threading
import time
from collections.abc import Iterator, Set
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import orjson
import structlog

from exchange.market_news import Heard, Lost
from exchange.polymarket.market_events import read_frame
from exchange.polymarket.settings import Endpoints
from exchange.polymarket.user_stream import Pace

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

log = structlog.get_logger(__name__)

LARGEST_FRAME = 2**25
"""The opening books of many deep markets come in one array."""

MOST_NAMED: Final = 450
"""Tokens ever named on one connection; beyond about 500 it is told nothing
(nautilus_trader pull request 2915)."""

PACE = Pace(ping=2.0, silence=5.0, notice=0.05, longest_wait=5.0)
"""The venue asks for a PING every 10 s at least; these tell a dead connection within 5 s."""

_QUEUED_FRAMES = 1024
_REMEMBERED_KINDS = 50
_wire_log = logging.getLogger(__name__ + ".wire")
_wire_log.setLevel(logging.INFO)


class MarketStream:
    """One connection's tokens, for one thread at a time; satisfies `exchange.port.MarketStream`.

    `follow` and `leave` may be called by any thread. `connections`, `frames` and `skipped`
    count subscriptions made, frames read, and parts of them that could not be.
    """

    most_symbols = 250

    def __init__(self, endpoints: Endpoints, pace: Pace = PACE) -> None:
        self._address = endpoints.market_ws
        self._pace = pace
        self._wanted: frozenset[str] = frozenset()
        self._followed: frozenset[str] = frozenset()
        self._named: set[str] = set()
        self._kinds: set[str] = set()
        self._left = threading.Event()
        self._changed = threading.Event()
        self.connections = 0
        self.frames = 0
        self.skipped = 0

    def follow(self, symbols: Set[str]) -> None:
        """Follow exactly these tokens from now on."""
        self._wanted = frozenset(symbols)
        self._changed.set()

    def leave(self) -> None:
        """Connect anew: this connection was found to be frozen."""
        self._left.set()

    def news(self, stop: threading.Event) -> Iterator[Heard]:
        """Yield what is heard until `stop` is set; blocks, and outlives every loss of the connection.

        `Lost` comes whenever a connection ends; after it each token's book comes anew.
        """
        from websockets.exceptions import WebSocketException

        failures = 0
        while not stop.is_set():
            if not self._wanted:
                self._changed.wait(self._pace.notice)
                self._changed.clear()
                continue
            frames_before, wait = self.frames, 0.0
            try:
                with closing(self._subscribed()) as socket:
                    yield from self._listen(socket, stop)
                failures = 0
            except (WebSocketException, OSError) as error:
                failures = 1 if self.frames != frames_before else failures + 1
                wait = self._wait_after(failures)
                self._tell_loss(error, failures, wait)
            yield Heard(datetime.now(UTC), (Lost(self._followed),))
            stop.wait(wait)

    def _subscribed(self) -> "ClientConnection":
        from websockets.sync.client import connect

        self._left.clear()
        self._followed = self._wanted
        self._named = set(self._followed)
        socket = connect(
            self._address,
            compression=None,
            max_size=LARGEST_FRAME,
            max_queue=_QUEUED_FRAMES,
            ping_interval=None,  # the venue wants text PINGs, and none before the subscription
            open_timeout=5,
            close_timeout=0.2,
            logger=_wire_log,
        )
        try:
            socket.send(_message(self._followed, type="market"))
        except BaseException:
            socket.close()
            raise
        self.connections += 1
        log.info("market_stream_connected", tokens=len(self._followed), times=self.connections)
        return socket

    def _listen(self, socket: "ClientConnection", stop: threading.Event) -> Iterator[Heard]:
        """Yield what comes until `stop`, a reason to leave, or the end of the connection's life."""
        opened = pinged = time.monotonic()
        quiet = 0.0
        while not stop.is_set() and not self._left.is_set() and self._keeps_up(socket):
            now = time.monotonic()
            if now - opened >= self._pace.life:
                return
            if now - pinged >= self._pace.ping:
                socket.send("PING")
                pinged = now
            try:
                frame = socket.recv(timeout=self._pace.notice)
            except TimeoutError:
                quiet += time.monotonic() - now  # waiting alone: the listener may have been busy
                if quiet >= self._pace.silence:
                    raise ConnectionError(f"not even a PONG for {quiet:.0f} s") from None
                continue
            at, quiet = datetime.now(UTC), 0.0
            if frame != "PONG":
                yield self._read(frame, at)

    def _keeps_up(self, socket: "ClientConnection") -> bool:
        """Follow what is wanted now; `False` where that takes a new connection."""
        wanted = self._wanted
        if wanted is self._followed:
            return True
        added, dropped = wanted - self._followed, self._followed - wanted
        if len(self._named | added) > MOST_NAMED or not wanted:
            return False
        if added:
            socket.send(_message(added, operation="subscribe"))
        if dropped:
            socket.send(_message(dropped, operation="unsubscribe"))
        self._named |= added
        self._followed = wanted
        return True

    def _read(self, frame: str | bytes, at: datetime) -> Heard:
        news, skipped = read_frame(frame)
        self.frames += 1
        self.skipped += len(skipped)
        for kind in skipped:
            if kind not in self._kinds and len(self._kinds) < _REMEMBERED_KINDS:
                self._kinds.add(kind)
                log.warning("market_stream_frame_skipped", kind=kind)
        return Heard(at, news)

    def _tell_loss(self, error: Exception, failures: int, wait: float) -> None:
        log.warning(
            "market_stream_lost",
            error=type(error).__name__,
            why=str(error)[:100],
            failures=failures,
            wait_s=round(wait, 1),
        )

    def _wait_after(self, failures: int) -> float:
        longest = min(self._pace.first_wait * 2.0 ** min(failures, 16), self._pace.longest_wait)
        return random.uniform(self._pace.first_wait / 2, longest)  # noqa: S311 - no secret


def _message(tokens: Set[str], **kind: str) -> str:
    """A subscription, or a change of it; the books come first, then what happens to them."""
    told: dict[str, object] = {**kind, "assets_ids": sorted(tokens)}
    if kind.get("operation") != "unsubscribe":
        told |= {"initial_dump": True, "level": 2, "custom_feature_enabled": True}
    return orjson.dumps(told).decode()
