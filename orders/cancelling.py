"""Cancelling: the wish is committed first, then the venue is asked until it has answered.

A cancel that comes too late is no failure: what was matched is booked as ever.
"""

from datetime import timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from exchange.errors import ExchangeError
from orders.models import Leg, Order
from orders.venues import venue_of
from polytrader.bells import ring
from polytrader.points import point

log = structlog.get_logger()


TRY_AGAIN_AFTER = timedelta(seconds=2)
"""After the venue said that an order cannot be cancelled (now)."""


class NotCancellable(Exception):
    """The order has ended, or it is an exit; the text says which."""


def request(order: Order) -> None:
    """Note that a person wants an order withdrawn; its leg ends with what is matched by then.

    A leg between two orders counts too: its last order stands for it. The caller is
    in a transaction. Raises `NotCancellable`.
    """
    leg = Leg.objects.select_for_update().get(pk=order.leg_id)
    order.refresh_from_db()
    if leg.price is None:
        raise NotCancellable("the order is the exit of a stop; an exit is never withdrawn")
    if leg.role != "wanted":
        raise NotCancellable("the order repairs another leg of its trade; it is not withdrawn")
    is_wanted = leg.status == "working" and leg.cancel_requested_at is None
    is_between = is_wanted and not leg.orders.filter(pk__gt=order.pk).exists()
    if order.status not in ("planned", "sent", "open") and not is_between:
        raise NotCancellable(f"the order is {order.status} and can no longer be cancelled")
    withdraw(leg)


def withdraw(leg: Leg) -> None:
    """Wish a working leg ended: its order is withdrawn, nothing new is planned for it."""
    now = timezone.now()
    leg.note(cancel_requested_at=leg.cancel_requested_at or now, next_attempt_at=now)
    live = leg.orders.live()
    live.filter(cancel_requested_at=None).update(cancel_requested_at=now, next_look_at=now)
    planned = live.filter(status="planned")
    for order in planned:
        order.move("cancelled", reason="cancelled before it was sent", closed_at=now)
    point("cancel_wished")
    ring("orders.sweep", queue="orders")
    ring("strategy.sweep", queue="manage-position")


def request_all() -> int:
    """Wish every leg ended that is still working, but for exits and repairs; how many."""
    wanted = Leg.objects.filter(
        status="working", price__isnull=False, role="wanted", cancel_requested_at=None
    )
    count = 0
    for pk in wanted.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            leg = Leg.objects.select_for_update().get(pk=pk)
            if leg.status == "working" and leg.cancel_requested_at is None:
                withdraw(leg)
                count += 1
    return count


def end_unknown(order: Order, reason: str) -> None:
    """End a `sent` order that nobody wants any more and that the venue does not know.

    The caller has made sure that no post of it is under way; nothing happens if
    somebody has posted it since. One that counts after all is found resting, as
    late, and cancelled there.
    """
    now = timezone.now()
    with transaction.atomic():
        leg = Leg.objects.select_for_update().get(pk=order.leg_id)
        held = Order.objects.select_for_update().get(pk=order.pk)
        if held.posts != order.posts or held.acknowledged_at is not None:
            return
        if held.move("cancelled", closed_at=now, reason=reason):
            expires_at = leg.expires_at if leg.cancel_requested_at else leg.trade.valid_until
            leg.note(next_attempt_at=now, expires_at=expires_at)
    ring("strategy.sweep", queue="manage-position")


def ask_the_venue(order: Order) -> None:
    """Ask the venue to withdraw an order that rests; the next look says what became of it."""
    assert order.order_id is not None
    try:
        done = venue_of(order.instrument).cancel(order.order_id)
    except ExchangeError as error:
        order.note(reason=f"to be cancelled, no clear answer yet: {error}")
        return
    point("cancel_posted")
    log.info("order_cancelled", order=order.pk, id=order.order_id, done=done)
    wait = timedelta(0) if done else TRY_AGAIN_AFTER
    order.note(next_look_at=timezone.now() + wait, reason="its cancellation was asked for")
