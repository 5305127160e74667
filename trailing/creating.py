"""Making stops: the first watermark taken, the row made, the price looked at again under the lock."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import fields
from decimal import Decimal

import structlog

from polytrader import prepared
from trailing import watermarks
from trailing.maths import activates
from trailing.models import StopEvent, TrailingStop, Watermark
from trailing.requests import Options, StopRequest, fresh_price

log = structlog.get_logger()

_OPTIONS = [field.name for field in fields(Options)]

_HOLD = """
SELECT id, bid, ask, last, observed_at, set_config('enable_seqscan', 'off', true)
  FROM orders_instrument WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR SHARE
"""
"""The commit checks foreign keys by plans that the connection keeps: made while a table is small, they
would read through all of it when it has grown, were they allowed to."""

_MARKS = "SELECT id, price FROM trailing_watermark WHERE id = ANY(%(ids)s::bigint[])"
"""Run after `_HOLD`, it sees what was committed while that one waited."""


def create(request: StopRequest) -> TrailingStop:
    """Make the stop. Call inside a transaction.

    An activation price that is satisfied already makes it active at once, with that price
    as its best.
    """
    return create_many([request])[0]


def create_many(requests: Sequence[StopRequest]) -> list[TrailingStop]:
    """Make stops in a handful of statements, however many they are. Call inside a transaction.

    They are inserted first and their instruments held last, so that ticks wait for
    nothing but the commit. Whatever a tick has overtaken in between is made once more
    under the lock: no stop begins with a best price that it has not seen.
    """
    stops, marks = _insert(requests)
    late = [
        place
        for place, (request, stop) in enumerate(zip(requests, stops, strict=True))
        if _is_overtaken(request, stop, marks)
    ]
    if late:
        _take_back([stops[place] for place in late])
        made, _ = _insert([requests[place] for place in late])
        for place, stop in zip(late, made, strict=True):
            stops[place] = stop
    log.info("stops_created", stops=[stop.state_key for stop in stops[:20]], count=len(stops))
    return stops


def _insert(requests: Sequence[StopRequest]) -> tuple[list[TrailingStop], dict[int, Decimal]]:
    """Make them at the prices that are known, in two round trips.

    Then the requests know the prices under the lock; the watermarks' are returned.
    """
    stops = [_stop(request) for request in requests]
    made = watermarks.take([(stop, _first_best(stop)) for stop in stops])
    return stops, _store(requests, stops, made)


def _store(
    requests: Sequence[StopRequest], stops: Sequence[TrailingStop], made: Sequence[Watermark]
) -> dict[int, Decimal]:
    """Insert all of it, keep ticks off the instruments until the commit, and only then read prices."""
    events = [_created(stop) for stop in stops]
    instruments = {request.instrument.pk for request in requests}
    marks = {stop.watermark_id for stop in stops if stop.watermark_id is not None}
    *_, held, found = prepared.run(
        *(prepared.insertion(rows) for rows in (made, stops, events) if rows),
        (_HOLD, {"ids": prepared.array(instruments)}),
        (_MARKS, {"ids": prepared.array(marks)}),
    )
    prices = {pk: seen for pk, *seen, _ in held}
    for request in requests:
        seen = request.instrument
        seen.bid, seen.ask, seen.last, seen.observed_at = prices[seen.pk]
    return dict(found)


def _is_overtaken(request: StopRequest, stop: TrailingStop, marks: dict[int, Decimal]) -> bool:
    """Whether it would be made otherwise at the prices of now, or its watermark has moved or is gone."""
    if _is_pending(request):
        return stop.status != "pending_activation"
    return stop.watermark_id is None or marks.get(stop.watermark_id) != _first_best(stop)


def _take_back(stops: Sequence[TrailingStop]) -> None:
    StopEvent.objects.filter(stop__in=stops).delete()
    TrailingStop.objects.filter(pk__in=[stop.pk for stop in stops]).delete()


def _is_pending(request: StopRequest) -> bool:
    price = fresh_price(request.instrument, request.reference, request.side)
    activation = request.activation_price
    return activation is not None and not (
        price is not None and activates(request.side, price, activation)
    )


def _stop(request: StopRequest) -> TrailingStop:
    return TrailingStop(
        state_key=_new_key(),
        instrument=request.instrument,
        side=request.side,
        reference=request.reference,
        status="pending_activation" if _is_pending(request) else "active",
        quantity=request.quantity,
        trailing_percent=request.percent,
        trail_fraction=request.trail.fraction,
        trail_amount=request.trail.amount,
        trailing_ticks=request.ticks,
        entry_price=request.entry_price,
        activation_price=request.activation_price,
        strategy=request.strategy,
        mint_after_sell=request.mint_after_sell,
        **{name: getattr(request.options, name) for name in _OPTIONS},
    )


def _first_best(stop: TrailingStop) -> Decimal | None:
    """The entry price; the price of now for a stop that its activation price made active at once.

    `None` while it waits for its activation price.
    """
    if stop.status == "pending_activation":
        return None
    price = fresh_price(stop.instrument, stop.reference, stop.side)
    return stop.entry_price if stop.activation_price is None or price is None else price


def _created(stop: TrailingStop) -> StopEvent:
    is_pending = stop.status == "pending_activation"
    return StopEvent(
        stop=stop,
        kind="created",
        price=fresh_price(stop.instrument, stop.reference, stop.side),
        trigger_price=stop.current_trigger_price,
        text="waiting for its activation price" if is_pending else "watching",
    )


def _new_key() -> str:
    return f"trailing_stop_{time.time_ns() // 1000}{secrets.randbelow(10**9):09d}"
