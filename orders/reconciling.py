"""Reconciling: ask the venue what became of orders and trades until both are final.

Every question is asked by id, every answer may come late, twice or never.
Rows that are due are claimed by moving their next look ahead, so that any
number of workers share the work and a dead one delays it by seconds.
Locks are taken in one order: leg, order, fill, positions.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.db import connection, models, transaction
from django.db.models import Min, Q, Sum, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from exchange.errors import ExchangeError
from exchange.types import OrderReport, TradeReport
from orders import (
    answering,
    cancelling,
    ledger,
    planning,
    posting,
    sending,
    signing,
    starting,
    waits,
)
from orders.models import LIVE_ORDER_STATES, Fill, Leg, Order
from orders.venues import venue, venue_of
from polytrader.alerts import raise_alert
from polytrader.bells import ring
from polytrader.points import point

log = structlog.get_logger()

IN_FLIGHT = timedelta(seconds=2)
SETTLING = timedelta(seconds=1)
BATCH = 20
LARGE_BATCH = 500
"""Of rows that are asked about together."""

MANY = 5
"""From so many on, one list of all answers more quickly than a question each."""

LISTED_WITHIN = timedelta(seconds=60)
"""The trades of a match stand in the venue's list by then, or a person is told."""

SHORT_WAIT = timedelta(seconds=1)
LONGEST_SWEEP = timedelta(seconds=5)

_staying: defaultdict[Callable[[], int], threading.Lock] = defaultdict(threading.Lock)


def claim_due(
    rows: models.QuerySet[Any], column: str, ahead: timedelta, batch: int = BATCH
) -> list[Any]:
    """Claim up to a batch of due rows by moving `column` ahead; a row is claimed by one worker."""
    now = timezone.now()
    with transaction.atomic():
        due = list(
            rows.filter(**{f"{column}__lte": now})
            .select_for_update(skip_locked=True, of=("self",))
            .order_by(column)[:batch]
        )
        if due:
            table = connection.ops.quote_name(rows.model._meta.db_table)
            with connection.cursor() as cursor:  # an array takes a tenth of what so many names do
                cursor.execute(
                    f"UPDATE {table} SET {connection.ops.quote_name(column)} = %s"  # noqa: S608
                    " WHERE id = ANY(%s)",
                    [now + ahead, [row.pk for row in due]],
                )
    if due:
        point("rows_claimed")
    return due


def sweep() -> int:
    """Do whatever is due: send, look up, settle. Returns how many rows were touched."""
    return send_due() + post_due() + look_at_due() + settle_due()


def post_due() -> int:
    """Post a batch of signed orders that no process has begun to post: there is nothing to look up."""
    rows = Order.objects.filter(status="sent", posts=0, cancel_requested_at=None)
    due = claim_due(rows, "next_look_at", IN_FLIGHT, LARGE_BATCH)
    if due:
        _safely(_post_new, [order.pk for order in due])
    return len(due)


def _post_new(order_pks: Sequence[int]) -> None:
    rows = Order.objects.filter(pk__in=order_pks, status="sent", posts=0)
    orders = list(rows.select_related("instrument", "leg__trade").order_by("pk"))
    ready = {name: starting.may_send(name) for name in {o.instrument.venue for o in orders}}
    for order in orders:
        if signing.is_too_old(order):
            cancelling.end_unknown(order, "its signal had expired before it was posted")
    posting.post_all([o for o in orders if ready[o.instrument.venue]])


def send_due() -> int:
    """Send a batch of planned orders that nobody has sent yet."""
    rows = Order.objects.filter(status="planned").only("pk")
    planned = claim_due(rows, "next_look_at", IN_FLIGHT, LARGE_BATCH)
    if planned:
        _safely(sending.send_all, [order.pk for order in planned])
    return len(planned)


def look_at_due() -> int:
    """Ask about a batch of orders: in flight one by one, those that rest together."""
    # Whoever looks reads the row again. Instruments are few and shared: fetched apart.
    orders = Order.objects.prefetch_related("instrument").only(
        "instrument", "order_id", "matched_quantity", "cancel_requested_at"
    )
    begun = Q(status="sent") & (Q(posts__gt=0) | Q(cancel_requested_at__isnull=False))
    flying = orders.filter(begun | Q(is_late=True))
    flying_due = claim_due(flying, "next_look_at", IN_FLIGHT)
    _look_at(flying_due)
    resting = claim_due(
        orders.filter(status="open"), "next_look_at", waits.RESTING, LARGE_BATCH * 2
    )
    _look_at(_changed(resting))
    return len(flying_due) + len(resting)


def _look_at(orders: Iterable[Order]) -> None:
    """Look at each; of a venue that has fallen silent the rest is left for the next time."""
    silent: set[str] = set()
    for order in orders:
        if order.instrument.venue in silent:
            continue
        if _safely(look, order) is False:
            silent.add(order.instrument.venue)


def _changed(resting: Sequence[Order]) -> Iterable[Order]:
    """Those of the resting orders that a list of the venue's does not show just as we know them."""
    by_venue = defaultdict(list)
    for order in resting:
        by_venue[order.instrument.venue].append(order)
    for name, orders in by_venue.items():
        listed: Mapping[str, Decimal] = {}
        if len(orders) > MANY:
            try:
                listed = {o.order_id: o.matched_quantity for o in venue(name).open_orders()}
            except ExchangeError as error:
                log.warning("orders_not_listed", venue=name, error=str(error))
                continue
        for order in orders:
            is_quiet = order.cancel_requested_at is None
            if not is_quiet or listed.get(order.order_id or "") != order.matched_quantity:
                yield order


def settle_due() -> int:
    """Ask about a batch of unsettled fills."""
    settling = Fill.objects.filter(status="matched").defer(
        "created_at", "updated_at", "closed_at", "next_look_at"
    )
    due = claim_due(settling, "next_look_at", SETTLING, LARGE_BATCH)
    # Not joined: to find the oldest few, the planner would read every order for each batch.
    orders = Order.objects.filter(pk__in={fill.order_id for fill in due})
    told = {
        pk: (name, order_id)
        for pk, name, order_id in orders.values_list("pk", "instrument__venue", "order_id")
    }
    by_venue: dict[str, list[Fill]] = defaultdict(list)
    for fill in due:
        by_venue[told[fill.order_id][0]].append(fill)
    for name, fills in by_venue.items():
        ids = {fill.pk: told[fill.order_id][1] or "" for fill in fills}
        left = _settled_by_list(name, fills, ids) if len(fills) > MANY else fills
        for order_pk in {fill.order_id for fill in left}:
            _safely(settle, order_pk)
    return len(due)


def _settled_by_list(name: str, fills: Sequence[Fill], ids: Mapping[int, str]) -> list[Fill]:
    """Settle what one list of the wallet's trades speaks of; the fills that it does not."""
    since = min(fill.matched_at for fill in fills) - timedelta(seconds=5)
    try:
        trades = venue(name).wallet_trades(since)
    except ExchangeError as error:
        log.warning("trades_not_listed", venue=name, error=str(error))
        return []
    told = {(trade.trade_id, trade.order_id.lower()): trade for trade in trades}
    unknown = []
    for fill in fills:
        trade = told.get((fill.trade_id, ids[fill.pk].lower()))
        if trade is None:
            unknown.append(fill)
        else:
            _safely(lambda pair: _settle_fill(*pair), (fill, trade))
    return unknown


def sweep_until_idle() -> int:
    """Sweep, and stay for whatever falls due within a second."""
    return until_idle(sweep, next_due)


def until_idle(work: Callable[[], int], next_due: Callable[[], datetime | None]) -> int:
    """Work, and stay for whatever falls due within a second: short waits need no message.

    One thread of a process stays for the same work; others that were rung do what is due
    now and go, so that no bell waits behind a row of sleepers.
    """
    touched = work()
    if not _staying[work].acquire(blocking=False):
        return touched
    try:
        return touched + _stay(work, next_due)
    finally:
        _staying[work].release()


def _stay(work: Callable[[], int], next_due: Callable[[], datetime | None]) -> int:
    started_at = timezone.now()
    touched = 0
    while (due_at := next_due()) is not None and due_at < started_at + SHORT_WAIT:
        if timezone.now() > started_at + LONGEST_SWEEP:
            break
        time.sleep(max(0.02, (due_at - timezone.now()).total_seconds()))
        touched += work()
    return touched


def next_due() -> datetime | None:
    """When the next order or fill falls due; `None` when nothing is going on."""
    moments = [
        Order.objects.filter(status__in=LIVE_ORDER_STATES).aggregate(at=Min("next_look_at"))["at"],
        Fill.objects.filter(status="matched").aggregate(at=Min("next_look_at"))["at"],
    ]
    return min((moment for moment in moments if moment is not None), default=None)


def look_now(order_ids: Sequence[str]) -> int:
    """Look at these orders of ours at once, by the venue's ids; how many of them are ours."""
    mine = Order.objects.filter(order_id__in=order_ids).select_related("instrument", "leg")
    count = 0
    for order in mine:
        count += 1
        if order.status in ("sent", "open") or order.is_late:
            _safely(look, order)
        _safely(settle, order.pk)
    return count


def _safely(action: Callable[[Any], object], argument: Any) -> object:
    """The rim of the loop over rows: one row's trouble is not the others'."""
    try:
        return action(argument)
    except Exception:
        pk = getattr(argument, "pk", argument)
        log.exception("reconciling_failed", action=action.__name__, row=pk)
        return None


_COLUMNS = [field.attname for field in Order._meta.concrete_fields]


def look(order: Order) -> bool:
    """Ask the venue about one `sent` or `open` order and write down what it says.

    `False` when the venue does not answer.
    """
    order.refresh_from_db(fields=_COLUMNS)  # its batch may have taken a while
    if order.status not in ("sent", "open") and not order.is_late:
        return True
    exchange = venue_of(order.instrument)
    assert order.order_id is not None
    try:
        report = exchange.find_order(order.order_id)
        trades = []
        if report is not None and report.matched_quantity > 0:
            trades = exchange.trades(order.order_id, report.trade_ids)
    except ExchangeError as error:
        order.note(reason=f"the venue does not answer: {error}")
        return False
    point("order_looked_up")
    if report is None:
        _unknown_to_the_venue(order)
        return True
    _apply(order, report, trades)
    is_unwanted = order.cancel_requested_at is not None or order.is_late
    if report.status == "open" and is_unwanted:
        cancelling.ask_the_venue(order)
    return True


def _unknown_to_the_venue(order: Order) -> None:
    is_unwanted = order.cancel_requested_at is not None or signing.is_too_old(order)
    if posting.may_post_again(order) and is_unwanted:
        if not answering.is_doubtful(order):
            wished = order.cancel_requested_at is not None
            why = "cancelled" if wished else "its signal had expired before the venue took it"
            cancelling.end_unknown(order, f"{why}; the venue never had it")
    elif order.posts == 0 and not starting.may_send(order.instrument.venue):
        return
    elif posting.may_post_again(order):
        log.info("order_posted_again", order=order.pk, id=order.order_id)
        posting.post(order)
    elif order.acknowledged_at is not None:
        log.error("order_not_listed", order=order.pk, id=order.order_id)
        order.note(reason="the venue took this order but does not list it; looking on")
        raise_alert(
            "unexplained_difference",
            f"order {order.pk}",
            "the venue acknowledged this order but does not list it; its reservation stands",
        )


def _apply(order: Order, report: OrderReport, trades: Sequence[TradeReport]) -> None:
    """Book the trades, then move the order; an order is closed only with all its trades booked."""
    for trade in trades:
        book(order, trade)
    point("trades_booked")
    with transaction.atomic():
        leg = Leg.objects.select_for_update().get(pk=order.leg_id)
        booked = order.fills.aggregate(total=Sum("quantity"))["total"] or Decimal(0)
        # Only what is booked frees its reservation: trades may be listed later than the match.
        order.note(
            matched_quantity=Greatest("matched_quantity", Value(booked)),
            venue_status=report.venue_status or report.status,
        )
        order.refresh_from_db(fields=["matched_quantity"])
        if not _is_over(order, report, booked):
            if report.status == "open":
                _rests(order)
            return
        if order.is_late:
            order.note(is_late=False, reason="taken by the venue after it was closed; booked")
            return
        _close(order, leg, report)
        point("order_closed")
    point("closing_committed")
    ring("strategy.sweep", queue="manage-position")


def _is_over(order: Order, report: OrderReport, booked: Decimal) -> bool:
    """Whether the book is done with an order and all of its trades are booked."""
    if booked <= report.matched_quantity - order.instrument.quantity_step:
        _tell_missing(order, report, booked)
        return False  # its trades are not all listed yet
    if report.status in ("cancelled", "invalid"):
        return True
    if report.status == "matched":
        return booked > 0
    # A delayed order that found nothing: of those that cannot rest, nothing is left.
    return report.venue_status.upper() == "UNMATCHED" and order.order_type in ("FAK", "FOK")


def _tell_missing(order: Order, report: OrderReport, booked: Decimal) -> None:
    if order.sent_at is not None and order.sent_at < timezone.now() - LISTED_WITHIN:
        raise_alert(
            "unexplained_difference",
            f"order {order.pk}",
            f"the venue says that {report.matched_quantity.normalize():f} were matched, but lists"
            f" trades of {booked.normalize():f}; the order stays open in our book",
        )


def _rests(order: Order) -> None:
    now = timezone.now()
    at = now + waits.RESTING
    if order.status == "sent":
        order.move("open", next_look_at=at, acknowledged_at=order.acknowledged_at or now)
    else:
        order.note(next_look_at=at)


def _close(order: Order, leg: Leg, report: OrderReport) -> None:
    is_full = order.matched_quantity >= order.quantity
    reason = "" if is_full else _why_not_full(order, report)
    to = "filled" if is_full else "cancelled"
    if not order.move(to, closed_at=timezone.now(), reason=reason):
        return
    log.info("order_closed", order=order.pk, id=order.order_id, status=order.status)
    if is_full:
        leg.note(next_attempt_at=timezone.now(), reason="settling")
    elif order.cancel_requested_at is not None:
        leg.note(next_attempt_at=timezone.now())
    else:
        planning.retry_later(leg, "partly done; the rest is offered again")


def _why_not_full(order: Order, report: OrderReport) -> str:
    if order.cancel_requested_at is not None:
        return "cancelled by request"
    if order.order_type in ("FAK", "FOK"):
        return "the rest found no match and was killed"
    return f"the venue ended it: {report.venue_status or report.status}"


def book(order: Order, trade: TradeReport) -> None:
    """Record one trade of an order once, with its entries; later states through `settle`."""
    if trade.quantity <= 0:
        return
    with transaction.atomic():
        Order.objects.select_for_update().get(pk=order.pk)  # one booker at a time
        fill, is_new = Fill.objects.get_or_create(
            order=order,
            trade_id=trade.trade_id,
            defaults={
                "quantity": trade.quantity,
                "price": trade.price,
                "fee": trade.fee,
                "fee_asset": trade.fee_asset,
                "matched_at": trade.matched_at,
                "transaction_hash": trade.transaction_hash,
                "venue_status": trade.status,
            },
        )
        if is_new:
            point("fill_made")
            ledger.post_match(fill)
    point("match_committed")
    _settle_fill(fill, trade)


def settle(order_pk: int) -> None:
    """Ask about an order's unsettled trades until each is CONFIRMED or FAILED."""
    order = Order.objects.select_related("instrument", "leg").get(pk=order_pk)
    fills = {f.trade_id: f for f in order.fills.filter(status="matched")}
    if not fills:
        return
    assert order.order_id is not None
    try:
        trades = venue_of(order.instrument).trades(order.order_id, list(fills))
    except ExchangeError as error:
        log.warning("settlement_not_known", order=order.pk, error=str(error))
        return
    for trade in trades:
        if trade.trade_id in fills:
            _settle_fill(fills[trade.trade_id], trade)


def _settle_fill(fill: Fill, trade: TradeReport) -> None:
    if trade.status not in ("confirmed", "failed"):
        if trade.status != fill.venue_status and fill.status == "matched":
            fill.note(venue_status=trade.status)
        return
    if fill.status != "matched":
        return
    with transaction.atomic():
        leg_pk = fill.order.leg_id
        Leg.objects.select_for_update().get(pk=leg_pk)
        if not fill.move(
            trade.status,
            closed_at=timezone.now(),
            transaction_hash=trade.transaction_hash,
            venue_status=trade.status,
        ):
            return
        Leg.objects.filter(pk=leg_pk, status="working").update(next_attempt_at=timezone.now())
        point("fill_closed")
        if trade.status == "confirmed":
            ledger.post_settlement(fill)
        else:
            ledger.post_failure(fill)
            _failed(fill)
    point("settlement_committed")
    log.info("fill_closed", fill=fill.pk, trade=fill.trade_id, status=fill.status)
    ring("strategy.sweep", queue="manage-position")


def _failed(fill: Fill) -> None:
    """A trade that failed after its leg had ended has nobody left to repair it but a person."""
    leg = fill.order.leg
    leg.refresh_from_db(fields=["status"])
    end = "it is sent again" if leg.status == "working" else "its leg has ended: look into it"
    raise_alert(
        "settlement_failed",
        f"trade {fill.trade_id}",
        f"{fill.quantity.normalize():f} at {fill.price.normalize():f} failed to settle; {end}",
        order=fill.order_id,
    )
