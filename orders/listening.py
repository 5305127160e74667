"""Listening: the venue's user stream as the fast source; each of its messages is a reason to look.

What a message says is not believed: it may be late, doubled, out of order or wrong. The orders
that it names are asked about at once, and after every (re)connection everything in flight is.
"""

import threading
import time

import structlog
from django.db import close_old_connections
from django.db.models import Q
from django.utils import timezone

from exchange.types import UserEvent
from orders import reconciling
from orders.models import LIVE_ORDER_STATES, Fill, Order, VenueState
from orders.venues import user_stream
from polytrader import heartbeats
from polytrader.bells import ring

log = structlog.get_logger()

TOGETHER = 0.02
"""Seconds; the messages of one match come together and are answered by one look."""


class Listener(threading.Thread):
    """Listens for as long as the process lives."""

    def __init__(self) -> None:
        super().__init__(name="listener", daemon=True)
        self._ended = threading.Event()
        self._heard: set[str] = set()
        self._something = threading.Event()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Take events off the stream; another thread looks, so that a slow venue loses none."""
        threading.Thread(target=self._look, name="listener looks", daemon=True).start()
        while not self._ended.is_set():
            try:
                for event in user_stream().events(self._ended):
                    self._take(event)
            except Exception:
                log.exception("listening_failed")
                self._ended.wait(5)

    def end(self) -> None:
        """Stop listening soon."""
        self._ended.set()
        self._something.set()

    def _take(self, event: UserEvent | None) -> None:
        with self._lock:
            self._heard.update(("*",) if event is None else event.order_ids)
        self._something.set()

    def _look(self) -> None:
        while not self._ended.is_set():
            self._something.wait()
            time.sleep(TOGETHER)
            self._something.clear()
            with self._lock:
                heard, self._heard = self._heard, set()
            try:
                close_old_connections()
                look_at(heard)
            except Exception:
                log.exception("heard_but_not_looked", orders=len(heard))
            finally:
                close_old_connections()


def look_at(heard: set[str]) -> None:
    """Look at the orders that were named; `*` names all that are in flight."""
    if "*" in heard:
        now = timezone.now()
        Order.objects.filter(Q(status__in=LIVE_ORDER_STATES) | Q(is_late=True)).update(
            next_look_at=now
        )
        Fill.objects.filter(status="matched").update(next_look_at=now)
        heartbeats.beat("listener", "connected to the user stream")
        ring("orders.sweep", queue="orders")
        return
    ours = reconciling.look_now(sorted(heard))
    heartbeats.beat("listener", f"heard of {len(heard)} orders, {ours} of them ours")
    if not ours:
        # By hand, or by another program on this wallet: read the lists soon.
        VenueState.objects.filter(venue="polymarket").update(reconciled_at=None)
        ring("orders.balances", queue="orders")
