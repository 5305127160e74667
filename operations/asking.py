"""Asking the venue about an order while somebody waits, for a moment only."""

import threading

import structlog
from django.db import close_old_connections

from orders import reconciling
from orders.models import Order

log = structlog.get_logger()

LOOKS = 2
"""The first has its cancellation asked for, the second sees what became of it."""


def look_for_a_moment(order: Order, seconds: float) -> None:
    """Ask the venue about an order in flight, and give up waiting after some seconds.

    The asking goes on without the caller; sweeps find out what it did not.
    """
    if order.status not in ("sent", "open"):
        return
    thread = threading.Thread(target=_look, args=(order.pk,), name="look", daemon=True)
    thread.start()
    thread.join(seconds)


def _look(pk: int) -> None:
    close_old_connections()
    try:
        for _ in range(LOOKS):
            order = Order.objects.select_related("instrument", "leg").get(pk=pk)
            reconciling.look(order)
            order.refresh_from_db()
            if order.status not in ("sent", "open"):
                return
    except Exception:
        log.exception("order_not_looked_up", order=pk)
    finally:
        close_old_connections()
