"""Evaluating: what waits is ticked as it comes, the exits it causes go out at once."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from itertools import chain

import structlog
from django.db import InterfaceError, OperationalError, close_old_connections, transaction
from django.utils import timezone

from orders import sending
from trailing import firing
from trailing.models import TrailingStop
from trailing.tick import Observation, tick_safely
from trailing.waiting import Waiting

log = structlog.get_logger()

TOO_OLD = timedelta(seconds=5)
"""A price of the stream older than this neither triggers nor ratchets (BEHAVIOUR 1.7)."""

JUDGE_EVERY = 0.1
TRY_AGAIN_AFTER = 0.1
_IDLE = 0.5
_REMEMBERED = 1000


class Evaluator(threading.Thread):
    """Ticks whatever waits. `ticks` and `exits` are counted, `reactions` are the latest, in seconds.

    A reaction is the time from receiving the message to handing its exits over for sending.
    """

    def __init__(self, waiting: Waiting) -> None:
        super().__init__(name="evaluator", daemon=True)
        self._waiting = waiting
        self._ended = threading.Event()
        self.ticks = 0
        self.exits = 0
        self.reactions: deque[float] = deque(maxlen=_REMEMBERED)

    def end(self) -> None:
        """Stop after the tick under way."""
        self._ended.set()
        self._waiting.end()

    def run(self) -> None:
        """Take and tick, again and again."""
        while not self._ended.is_set():
            rounds = self._waiting.take(_IDLE)
            if not rounds:
                close_old_connections()
            for at, each in enumerate(rounds):
                if not self._is_evaluated(each):
                    self._waiting.give_back(chain(*rounds[at:]))
                    self._ended.wait(TRY_AGAIN_AFTER)
                    break
        close_old_connections()

    def _is_evaluated(self, seen: Sequence[Observation]) -> bool:
        """Tick; `False` where it is worth another try: the database is away, or in a deadlock."""
        try:
            self._tick(seen)
        except Exception as error:
            log.exception("tick_failed", instruments=[each.instrument_id for each in seen][:20])
            close_old_connections()
            return not isinstance(error, OperationalError | InterfaceError)
        return True

    def _tick(self, seen: Sequence[Observation]) -> None:
        oldest = timezone.now() - TOO_OLD
        result = tick_safely([each for each in seen if each.received_at >= oldest])
        self.ticks += 1
        if result.orders:
            sending.send_at_once(result.orders)
            now = timezone.now()
            self.reactions.append((now - min(each.received_at for each in seen)).total_seconds())
            self.exits += len(result.orders)


class Judge(threading.Thread):
    """Judges the stops that wait for a confirmation: a quiet book sends no message."""

    def __init__(self) -> None:
        super().__init__(name="judge", daemon=True)
        self._ended = threading.Event()
        self.exits = 0

    def end(self) -> None:
        """Stop soon."""
        self._ended.set()

    def run(self) -> None:
        """Judge ten times a second."""
        looked_at = time.monotonic()
        while not self._ended.wait(JUDGE_EVERY):
            try:
                if time.monotonic() - looked_at > 1:
                    looked_at = time.monotonic()
                    close_old_connections()
                self.exits += judge_held()
            except Exception:
                log.exception("held_stops_not_judged")
                close_old_connections()
                self._ended.wait(1)
        close_old_connections()


def judge_held() -> int:
    """Judge held breaches whose time has run; how many exits that sent."""
    held = TrailingStop.objects.filter(
        status="active", breached_since__isnull=False, asking_since=None
    )
    if not held.exists():
        return 0
    with transaction.atomic():
        fired = firing.judge_held(timezone.now())
    sending.send_at_once(fired.orders)
    return len(fired.orders)
