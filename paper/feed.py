"""Who listens on the WebSocket, and what reaches them when.

Nothing is kept for those who are not there: after a reconnect there is no replay.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from paper.faults import USER_CHANNEL, Fault, Faults

Event = dict[str, object]

LONGEST_QUEUE = 1_000
"""So many events may wait for one reader; then it is cut off."""
COPIES = 3
HANDFUL = 5
HANDFUL_SECONDS = 0.3
"""Events are shuffled this many at a time, or those of this long."""


class Listener:
    """One subscribed connection: whose events it gets, of which conditions (none named: all)."""

    def __init__(self, signer: str, conditions: set[str], cut: Callable[[], None]) -> None:
        self.conditions = conditions
        self._signer = signer
        self._cut = cut
        self._waiting: deque[Event] = deque()
        self._ready = asyncio.Event()

    def wants(self, signer: str, condition_id: str) -> bool:
        """Say whether an event is for this connection."""
        return signer == self._signer and (not self.conditions or condition_id in self.conditions)

    def put(self, event: Event) -> None:
        """Queue an event; a reader too slow for that is cut off."""
        if len(self._waiting) >= LONGEST_QUEUE:
            self._cut()
            return
        self._waiting.append(event)
        self._ready.set()

    async def next(self) -> list[Event]:
        """Wait for events and give all that are there."""
        await self._ready.wait()
        self._ready.clear()
        events = list(self._waiting)
        self._waiting.clear()
        return events


class Feed:
    """The WebSocket's state, its connections and their listeners."""

    def __init__(self, faults: Faults) -> None:
        self.state = "live"
        self._faults = faults
        self._listeners: set[Listener] = set()
        self._connections: set[Callable[[], None]] = set()
        self._handful: list[Callable[[], None]] = []
        self._deal: asyncio.TimerHandle | None = None

    def switch(self, state: str) -> None:
        """Be `live`, `frozen` (nothing is sent, connections stay) or `dropped` (they break)."""
        self.state = state
        if state == "dropped":
            self.break_off()

    def break_off(self) -> None:
        """Break every connection."""
        for cut in list(self._connections):
            cut()

    @contextmanager
    def connected(self, cut: Callable[[], None]) -> Iterator[None]:
        """Know of a connection while it is open, and how to break it."""
        self._connections.add(cut)
        try:
            yield
        finally:
            self._connections.discard(cut)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Send events to a listener for a while."""
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)

    @property
    def is_heard(self) -> bool:
        """Say whether anybody listens at all."""
        return bool(self._listeners)

    def has_listener(self, signer: str | None, condition_id: str) -> bool:
        """Say whether anybody would get such an event now."""
        return (
            signer is not None
            and self.state == "live"
            and any(listener.wants(signer, condition_id) for listener in self._listeners)
        )

    def publish(self, signer: str, condition_id: str, event: Event) -> None:
        """Send an event to its owner's connections, as well or badly as arranged."""
        if not self.has_listener(signer, condition_id):
            return
        fault = self._faults.take_for_event(USER_CHANNEL)
        self.misdeliver(partial(self._deliver, signer, condition_id, event), fault)

    def misdeliver(self, deliver: Callable[[], None], fault: Fault | None) -> None:
        """Deliver an event of either channel, as well or badly as arranged."""
        if fault is None:
            deliver()
        elif fault.slow_ms:
            asyncio.get_running_loop().call_later(fault.slow_ms / 1000, deliver)
        elif fault.has("shuffle"):
            self._shuffle(deliver)
        else:
            for _ in range(COPIES):
                deliver()

    def _deliver(self, signer: str, condition_id: str, event: Event) -> None:
        if self.state != "live":
            return
        for listener in list(self._listeners):
            if listener.wants(signer, condition_id):
                listener.put(event)

    def _shuffle(self, deliver: Callable[[], None]) -> None:
        """Hold an event until a handful is together, then send them last first."""
        self._handful.append(deliver)
        if len(self._handful) >= HANDFUL:
            self._deal_out()
        elif self._deal is None:
            self._deal = asyncio.get_running_loop().call_later(HANDFUL_SECONDS, self._deal_out)

    def _deal_out(self) -> None:
        if self._deal is not None:
            self._deal.cancel()
            self._deal = None
        held, self._handful = self._handful, []
        for deliver in reversed(held):
            deliver()
