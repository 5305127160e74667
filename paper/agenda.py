"""What is due when: one sleeping task for everything that happens later.

Holds no truth of its own; every entry is rebuilt from rows at the start.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Callable

log = logging.getLogger("paper")


def now_ms() -> int:
    """Give the time in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Agenda:
    """Calls what was put on it when its time has come."""

    def __init__(self) -> None:
        self._due: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0
        self._changed = asyncio.Event()

    def at(self, due_ms: int, call: Callable[[], object]) -> None:
        """Call something at a moment, in epoch milliseconds."""
        self._count += 1
        heapq.heappush(self._due, (due_ms, self._count, call))
        if self._due[0][1] == self._count:
            self._changed.set()

    def clear(self) -> None:
        """Forget everything."""
        self._due.clear()
        self._changed.set()

    async def run(self) -> None:
        """Keep the appointments until cancelled."""
        while True:
            self._changed.clear()
            while self._due and self._due[0][0] <= now_ms():
                _, _, call = heapq.heappop(self._due)
                try:
                    call()
                except Exception:
                    log.exception("an appointment failed")
            wait = (self._due[0][0] - now_ms()) / 1000 if self._due else None
            try:
                await asyncio.wait_for(self._changed.wait(), max(wait, 0) if wait else wait)
            except TimeoutError:
                continue
