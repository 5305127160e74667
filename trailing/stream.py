"""The stream: the market's messages evaluate the stops within milliseconds of their arrival.

`shards.py` hears them, `books.py` knows which to trust, `waiting.py` conflates them while a tick
runs, `evaluating.py` ticks, `checking.py` compares with REST. One process holds the lease and
does all this, the others stand by. The monitor's sweep evaluates whatever is not heard here.
"""

import sys
import threading
import time

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone

from exchange.market_news import Heard
from exchange.port import Exchange
from orders import sending
from orders.venues import market_stream, venue
from polytrader import heartbeats
from trailing import lease
from trailing.books import Books
from trailing.checking import Checker
from trailing.evaluating import Evaluator, Judge
from trailing.shards import Shards
from trailing.waiting import Waiting
from trailing.watching import VENUE, watched

log = structlog.get_logger()

ROLE = "stream"
STAND_BY_EVERY = 0.5
FOLLOW_EVERY = 0.5
BEAT_EVERY = 2.0
SWITCH_EVERY = 0.0001
"""Seconds a thread may keep the others from running: the evaluator must not wait for a reader."""


class Following:
    """The acting part: connections, books and the threads around them."""

    def __init__(self) -> None:
        self.books = Books()
        self.waiting = Waiting()
        self.shards = Shards(market_stream, self._hear)
        self.evaluator = Evaluator(self.waiting)
        self.judge = Judge()
        self.checker = Checker(self.books, _exchange, self.waiting.put, self.shards.leave)
        self._follower = threading.Thread(target=self._follow, name="follower", daemon=True)
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to act."""
        for thread in (self._follower, self.evaluator, self.judge, self.checker):
            thread.start()

    def end(self) -> None:
        """Finish the tick under way and close the connections, within seconds."""
        self._ended.set()
        self.checker.end()
        self.judge.end()
        self.shards.end()
        self.evaluator.end()
        for thread in (self._follower, self.evaluator, self.judge, self.checker):
            thread.join(3)

    def did(self) -> str:
        """What it does, in words for the heartbeat."""
        lines, trusted = self.books.count()
        said = (
            f"follows {lines} instruments ({trusted} trusted) on {len(self.shards)} connections;"
            f" {self.evaluator.ticks} ticks, {self.evaluator.exits + self.judge.exits} exits"
        )
        reactions = sorted(self.evaluator.reactions)
        if reactions:
            middle, late = (reactions[int(len(reactions) * part)] for part in (0.5, 0.99))
            said += f"; reacted in {middle * 1000:.0f} ms (p99 {late * 1000:.0f} ms)"
        return said

    def follow_rows(self) -> None:
        """Follow what has a live stop now."""
        rows = watched()
        self.books.watch(rows, timezone.now())
        self.waiting.expect({row.instrument_id: row.needs for row in rows})
        self.shards.follow({row.symbol for row in rows})

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                close_old_connections()
                self.follow_rows()
            except Exception:
                log.exception("rows_not_followed")
            self._ended.wait(FOLLOW_EVERY)
        close_old_connections()

    def _hear(self, heard: Heard) -> None:
        seen = self.books.hear(heard)
        if seen:
            self.waiting.put(seen)


class Stream:
    """One process: holds the lease or stands by, and says so in its heartbeat."""

    def __init__(self) -> None:
        self.holder = lease.a_holder()
        self.following: Following | None = None
        self._renewed = float("-inf")
        self._beaten = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Act or stand by until `stop` is set."""
        sys.setswitchinterval(SWITCH_EVERY)
        try:
            while not stop.is_set():
                self.step()
                stop.wait(STAND_BY_EVERY if self.following is None else lease.RENEW_EVERY)
        finally:
            self._end()

    def step(self) -> None:
        """Take or renew the lease, and act accordingly."""
        try:
            close_old_connections()
            is_mine = lease.take(lease.STREAM, self.holder)
            self._renewed = time.monotonic() if is_mine else self._renewed
            self._act(is_mine)
            self._beat()
        except (DatabaseError, InterfaceError) as error:
            log.warning("lease_not_renewed", error=type(error).__name__)
            self._act(time.monotonic() - self._renewed < lease.LOST_AFTER.total_seconds())

    def _act(self, is_mine: bool) -> None:
        if is_mine and self.following is None:
            log.info("stream_acts", holder=self.holder)
            self.following = Following()
            self.following.start()
        elif not is_mine and self.following is not None:
            log.info("stream_acts_no_more", holder=self.holder)
            self.following.end()
            self.following = None

    def _beat(self) -> None:
        if time.monotonic() - self._beaten >= BEAT_EVERY:
            did = "stands by" if self.following is None else self.following.did()
            heartbeats.beat(ROLE, did)
            self._beaten = time.monotonic()

    def _end(self) -> None:
        self._act(is_mine=False)
        try:
            lease.release(lease.STREAM, self.holder)
            heartbeats.beat(ROLE, "has ended")
        except (DatabaseError, InterfaceError) as error:
            log.warning("lease_not_released", error=type(error).__name__)
        sending.finish()
        close_old_connections()


def _exchange() -> Exchange:
    return venue(VENUE)
