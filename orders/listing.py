"""Listing: what the venue as a whole says of the wallet, compared with the book.

Open orders, trades, balances and the clock; every half minute, and before the first order
after a start. What is in flight is asked about one by one in `reconciling.py`.
"""

import threading
from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from exchange.errors import ExchangeError
from exchange.types import OpenOrder
from orders import answering, balances, hand_trades, instruments, reconciling
from orders.hand_trades import spelled
from orders.models import Fill, ForeignOrder, Instrument, Order, Position, VenueState
from orders.venues import venue
from polytrader.alerts import raise_alert, resolve_alert

log = structlog.get_logger()

EVERY = timedelta(seconds=28)
_sweeping = threading.Lock()

LARGEST_CLOCK_DIFFERENCE = timedelta(seconds=3)
"""The venue tells whole seconds; beyond this signed requests begin to be refused."""


def answers(venue_name: str) -> bool:
    """Whether a venue answers anything at all: its clock or, should that be broken, a price."""
    exchange = venue(venue_name)
    try:
        exchange.server_time()
    except ExchangeError as error:
        log.warning("venue_does_not_answer", venue=venue_name, error=str(error))
    else:
        return True
    symbols = Instrument.objects.filter(venue=venue_name).values_list("symbol", flat=True)[:1]
    try:
        return bool(exchange.quotes(list(symbols)))
    except ExchangeError:
        return False


def look_at_all_in_flight(venue_name: str) -> None:
    """Ask about every order and trade that is not final, resting ones by the venue's list."""
    now = timezone.now()
    orders = Order.objects.filter(instrument__venue=venue_name)
    flying = orders.filter(Q(status__in=["sent", "open"]) | Q(is_late=True))
    flying.update(next_look_at=now)
    unsettled = Fill.objects.filter(order__instrument__venue=venue_name, status="matched")
    unsettled.update(next_look_at=now)
    rounds = 1 + (flying.count() + unsettled.count()) // reconciling.BATCH
    for _ in range(rounds):
        if not reconciling.look_at_due() + reconciling.settle_due():
            return


def sweep() -> int:
    """Refresh what is known of every venue that we have a position at, where it is due.

    One thread of a process at a time: a slow venue must not take all of them.
    """
    if not _sweeping.acquire(blocking=False):
        return 0
    try:
        return _sweep()
    finally:
        _sweeping.release()


def _sweep() -> int:
    done = 0
    for name in Position.objects.values_list("venue", flat=True).distinct().order_by("venue"):
        state, _ = VenueState.objects.get_or_create(venue=name)
        if state.reconciled_at is None or state.reconciled_at < timezone.now() - EVERY:
            done += refresh(name)
    balances.sweep()
    return done


def refresh(venue_name: str) -> bool:
    """Read the venue's lists and its clock; `False`, with the reason noted, when it does not answer."""
    VenueState.objects.get_or_create(venue=venue_name)
    try:
        read_clock(venue_name)
        read_open_orders(venue_name)
        hand_trades.read(venue_name)
    except ExchangeError as error:
        log.warning("not_reconciled", venue=venue_name, error=str(error))
        VenueState.objects.filter(venue=venue_name).update(reason=str(error))
        return False
    VenueState.objects.filter(venue=venue_name).update(reconciled_at=timezone.now(), reason="")
    return True


def read_clock(venue_name: str) -> timedelta:
    """Compare the venue's clock with ours and alarm when they differ; raises `Unavailable`."""
    asked_at = timezone.now()
    told = venue(venue_name).server_time()
    now = timezone.now()
    offset = told - (asked_at + (now - asked_at) / 2)
    VenueState.objects.filter(venue=venue_name).update(clock_offset=offset, clock_at=now)
    subject = f"clock of {venue_name}"
    if abs(offset) > LARGEST_CLOCK_DIFFERENCE:
        raise_alert(
            "clock_skew",
            subject,
            f"the venue's clock is {offset.total_seconds():+.1f} s from ours; signed requests may"
            " be refused: set this machine's clock (NTP)",
        )
    else:
        resolve_alert("clock_skew", subject)
    return offset


def read_open_orders(venue_name: str) -> None:
    """Note which orders rest that are not ours, and look again at ours that should not rest."""
    listed = {spelled(order.order_id): order for order in venue(venue_name).open_orders()}
    ours = Order.objects.filter(order_id__in=listed)
    for order in ours.filter(status__in=["filled", "cancelled", "rejected"], is_late=False):
        # Closed between the two questions, as a rule; otherwise it is late, and looked after.
        if order.closed_at is not None and order.closed_at < timezone.now() - reconciling.IN_FLIGHT:
            order.note(is_late=True, next_look_at=timezone.now())
            answering.tell_late(order)
    known = set(ours.values_list("order_id", flat=True))
    for order_id in listed.keys() - known:
        _note_foreign(venue_name, listed[order_id])
    gone = ForeignOrder.objects.filter(venue=venue_name, closed_at=None)
    for row in gone.exclude(order_id__in=listed):
        row.note(closed_at=timezone.now(), reserved=0)
        resolve_alert("unknown_order", f"order {row.order_id}", "it no longer rests")


def _note_foreign(venue_name: str, order: OpenOrder) -> None:
    try:
        instrument = instruments.known(order.symbol)
    except ExchangeError as error:
        log.warning("foreign_order_not_described", order=order.order_id, error=str(error))
        return
    left = order.quantity - order.matched_quantity
    is_sale = order.side == "sell"
    with transaction.atomic():
        _, is_new = ForeignOrder.objects.update_or_create(
            order_id=order.order_id,
            defaults={
                "venue": venue_name,
                "symbol": order.symbol,
                "asset": instrument.base_asset if is_sale else instrument.quote_asset,
                "side": order.side,
                "quantity": order.quantity,
                "matched_quantity": order.matched_quantity,
                "price": order.price,
                "reserved": left if is_sale else left * order.price,
                "closed_at": None,
                "updated_at": timezone.now(),
            },
        )
        if is_new:
            raise_alert(
                "unknown_order",
                f"order {order.order_id}",
                f"an order to {order.side} {order.quantity.normalize():f} at"
                f" {order.price.normalize():f} rests on this wallet and is not ours; it is left"
                " alone, and what it reserves is not sold",
            )
