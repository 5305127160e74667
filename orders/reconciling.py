"""Reconciling: ask the venue what became of orders and trades until both are final.

Every question is asked by id, every answer may come late, twice or never.
Rows that are due are claimed by moving their next look ahead, so that any
number of workers share the work and a dead one delays it by seconds.
Locks are taken in one order: leg, order, fill, positions.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.db import models, transaction
from django.db.models import Min, Q, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from exchange.errors import ExchangeError
from exchange.types import OrderReport, Quote, TradeReport
from orders import instruments, ledger, planning, sending
from orders.models import LIVE_ORDER_STATES, Fill, Instrument, Leg, Order
from orders.venues import venue, venue_of

log = structlog.get_logger()

IN_FLIGHT = timedelta(seconds=2)
RESTING = timedelta(seconds=5)
SETTLING = timedelta(seconds=1)
BATCH = 20
SHORT_WAIT = timedelta(seconds=1)
LONGEST_SWEEP = timedelta(seconds=5)


def claim_due(rows: models.QuerySet[Any], column: str, ahead: timedelta) -> list[Any]:
    """Claim up to a batch of due rows by moving `column` ahead; a row is claimed by one worker."""
    now = timezone.now()
    with transaction.atomic():
        due = list(
            rows.filter(**{f"{column}__lte": now})
            .select_for_update(skip_locked=True, of=("self",))
            .order_by(column)[:BATCH]
        )
        model = rows.model
        model._base_manager.filter(pk__in=[row.pk for row in due]).update(**{column: now + ahead})
    return due


def sweep() -> int:
    """Do whatever is due: send, look up, settle, plan again. Returns how many rows were touched."""
    planned = claim_due(Order.objects.filter(status="planned"), "next_look_at", IN_FLIGHT)
    for order in planned:
        _safely(sending.send, order.pk)
    flying = Order.objects.filter(Q(status__in=["sent", "open"]) | Q(is_late=True))
    flying = flying.select_related("instrument", "leg")
    flying_due = claim_due(flying, "next_look_at", IN_FLIGHT)
    for order in flying_due:
        _safely(look, order)
    settling = Fill.objects.filter(status="matched").select_related("order__instrument")
    settling_due = claim_due(settling, "next_look_at", SETTLING)
    for order_pk in {fill.order_id for fill in settling_due}:
        _safely(settle, order_pk)
    legs = claim_due(
        Leg.objects.filter(status="working").select_related("instrument"),
        "next_attempt_at",
        IN_FLIGHT,
    )
    for order_pk in advance(legs):
        _safely(sending.send, order_pk)
    return len(planned) + len(flying_due) + len(settling_due) + len(legs)


def sweep_until_idle() -> int:
    """Sweep, and stay for whatever falls due within a second: retries after 0.2 s need no message."""
    started_at = timezone.now()
    ends_at = started_at + SHORT_WAIT
    touched = sweep()
    while (due_at := next_due()) is not None and due_at < ends_at:
        if timezone.now() > started_at + LONGEST_SWEEP:
            break
        time.sleep(max(0.02, (due_at - timezone.now()).total_seconds()))
        touched += sweep()
    return touched


def next_due() -> datetime | None:
    """When the next row of ours falls due; `None` when nothing is going on."""
    moments = [
        Order.objects.filter(status__in=LIVE_ORDER_STATES).aggregate(at=Min("next_look_at"))["at"],
        Fill.objects.filter(status="matched").aggregate(at=Min("next_look_at"))["at"],
        Leg.objects.filter(status="working").aggregate(at=Min("next_attempt_at"))["at"],
    ]
    return min((moment for moment in moments if moment is not None), default=None)


def _safely(action: Any, argument: Any) -> None:
    """The rim of the loop over rows: one row's trouble is not the others'."""
    try:
        action(argument)
    except Exception:
        pk = getattr(argument, "pk", argument)
        log.exception("reconciling_failed", action=action.__name__, row=pk)


def look(order: Order) -> None:
    """Ask the venue about one `sent` or `open` order and write down what it says."""
    order.refresh_from_db()  # the batch it was claimed with may have taken a while
    if order.status not in ("sent", "open") and not order.is_late:
        return
    exchange = venue_of(order.instrument)
    assert order.order_id is not None
    try:
        report = exchange.find_order(order.order_id)
        trades = []
        if report is not None and report.matched_quantity > 0:
            trades = exchange.trades(order.order_id, report.trade_ids)
    except ExchangeError as error:
        order.note(reason=f"the venue does not answer: {error}")
        return
    if report is None:
        _unknown_to_the_venue(order)
        return
    _apply(order, report, trades)


def _unknown_to_the_venue(order: Order) -> None:
    if sending.may_post_again(order):
        log.info("order_posted_again", order=order.pk, id=order.order_id)
        sending.post(order)
    elif order.acknowledged_at is not None:
        log.error("order_not_listed", order=order.pk, id=order.order_id)
        order.note(reason="the venue took this order but does not list it; looking on")


def _apply(order: Order, report: OrderReport, trades: Sequence[TradeReport]) -> None:
    """Book the trades, then move the order; an order is closed only with all its trades booked."""
    for trade in trades:
        book(order, trade)
    booked = sum((t.quantity for t in trades), start=Decimal(0))
    with transaction.atomic():
        leg = Leg.objects.select_for_update().get(pk=order.leg_id)
        # Only what is booked frees its reservation: trades may be listed later than the match.
        order.note(matched_quantity=Greatest("matched_quantity", Value(booked)))
        order.refresh_from_db(fields=["matched_quantity"])
        if report.status == "open" and order.status == "sent":
            order.move("open", next_look_at=timezone.now() + RESTING)
        elif report.status == "open":
            order.note(next_look_at=timezone.now() + RESTING)
        is_settled_matter = report.status in ("cancelled", "invalid") or booked > 0
        if report.status in ("open", "delayed") or not is_settled_matter:
            return
        if booked < report.matched_quantity:
            return  # its trades are not all listed yet
        if order.is_late:
            order.note(is_late=False, reason="taken by the venue after it was closed; booked")
            return
        is_full = order.matched_quantity >= order.quantity
        reason = "" if is_full else "the rest found no match and was killed"
        if order.move(
            "filled" if is_full else "cancelled", closed_at=timezone.now(), reason=reason
        ):
            log.info("order_closed", order=order.pk, id=order.order_id, status=order.status)
            if order.matched_quantity < order.quantity:
                planning.retry_later(leg, "partly sold; the rest is offered again")
            else:
                leg.note(next_attempt_at=timezone.now() + SETTLING, reason="settling")


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
                "matched_at": trade.matched_at,
                "transaction_hash": trade.transaction_hash,
            },
        )
        if is_new:
            ledger.post_match(fill)
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
        return
    with transaction.atomic():
        moved = (
            fill.move(
                trade.status, closed_at=timezone.now(), transaction_hash=trade.transaction_hash
            )
            if fill.status == "matched"
            else False
        )
        if not moved:
            return
        Leg.objects.filter(pk=fill.order.leg_id, status="working").update(
            next_attempt_at=timezone.now()
        )
        if trade.status == "confirmed":
            ledger.post_settlement(fill)
        else:
            ledger.post_failure(fill)
    log.info("fill_closed", fill=fill.pk, trade=fill.trade_id, status=fill.status)


def advance(legs: Sequence[Leg]) -> list[int]:
    """Take each due leg one step: done, waiting, or a new order planned at the then best price.

    Returns the orders planned, to be sent.
    """
    if not legs:
        return []
    quotes = _quotes({leg.instrument for leg in legs})
    planned = []
    for leg in legs:
        try:
            order = _advance(leg, quotes.get(leg.instrument.symbol))
        except Exception:
            log.exception("leg_not_advanced", leg=leg.pk)
            continue
        if order is not None:
            planned.append(order.pk)
    return planned


def _advance(leg: Leg, quote: Quote | None) -> Order | None:
    with transaction.atomic():
        leg = (
            Leg.objects.select_for_update(of=("self",)).select_related("instrument").get(pk=leg.pk)
        )
        planning.lock_positions([leg.instrument])
        if leg.status != "working" or leg.orders.live().exists():
            return None
        remaining = leg.quantity - leg.matched_quantity()
        if remaining < max(leg.instrument.min_quantity, leg.instrument.quantity_step):
            _finish(leg, remaining)
            return None
        if leg.instrument.is_closed:
            planning.end_with_remainder(leg, remaining, "the market is closed")
            return None
        price = None if quote is None else (quote.bid if leg.side == "sell" else quote.ask)
        if price is None:
            planning.retry_later(leg, "no price on that side of the book; trying again")
            return None
        if price % leg.instrument.tick_size:
            planning.retry_later(leg, "the tick size has changed; asking the venue")
            leg.instrument.note(updated_at=timezone.now() - instruments.FRESH_FOR)
            return None
        return planning.plan_next(leg, price)


def _finish(leg: Leg, remaining: Decimal) -> None:
    """All is matched: done once all is settled too."""
    if leg.orders.filter(fills__status="matched").exists():
        leg.note(next_attempt_at=timezone.now() + SETTLING, reason="settling")
    elif remaining > 0:
        planning.end_with_remainder(leg, remaining, planning.BELOW_MINIMUM)
    else:
        leg.move("done", reason="", next_attempt_at=None)


def _quotes(instruments: set[Instrument]) -> dict[str, Quote]:
    """Fresh best prices of these instruments; those of a silent venue are left out."""
    quotes: dict[str, Quote] = {}
    for name in {i.venue for i in instruments}:
        try:
            quotes.update(venue(name).quotes([i.symbol for i in instruments if i.venue == name]))
        except ExchangeError as error:
            log.warning("no_prices", venue=name, error=str(error))
    return quotes
