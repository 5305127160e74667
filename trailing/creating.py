"""Making stops: the price is looked at again under the lock, the first watermark taken, the row made."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal

import structlog
from django.db import connection

from orders.models import Instrument
from trailing.maths import activates
from trailing.models import StopEvent, TrailingStop, Watermark
from trailing.requests import StopRequest, fresh_price
from trailing.sql import HOLD_INSTRUMENT

log = structlog.get_logger()


def create(request: StopRequest) -> TrailingStop:
    """Make the stop. Call inside a transaction; ticks of its instrument wait until the commit.

    The price is looked at again under the lock: an activation price that is
    satisfied already makes the stop active at once, with that price as its best.
    """
    return create_many([request])[0]


def create_many(requests: Sequence[StopRequest]) -> list[TrailingStop]:
    """Make stops in a handful of statements, however many they are. Call inside a transaction."""
    instruments = {request.instrument.pk: request.instrument for request in requests}
    with connection.cursor() as cursor:
        for pk in sorted(instruments):
            cursor.execute(HOLD_INSTRUMENT, [pk])
    for instrument in instruments.values():
        instrument.refresh_from_db(fields=["bid", "ask", "last", "observed_at"])
    stops = [_stop(request, instruments[request.instrument.pk]) for request in requests]
    _give_watermarks(stops)
    TrailingStop.objects.bulk_create(stops)
    StopEvent.objects.bulk_create(_created(stop) for stop in stops)
    log.info("stops_created", stops=[stop.state_key for stop in stops[:20]], count=len(stops))
    return stops


def _stop(request: StopRequest, instrument: Instrument) -> TrailingStop:
    price = fresh_price(instrument, request.reference, request.side)
    activation = request.activation_price
    is_pending = activation is not None and not (
        price is not None and activates(request.side, price, activation)
    )
    return TrailingStop(
        state_key=_new_key(),
        instrument=instrument,
        side=request.side,
        reference=request.reference,
        status="pending_activation" if is_pending else "active",
        quantity=request.quantity,
        trailing_percent=request.percent,
        trail_fraction=request.trail.fraction,
        trail_amount=request.trail.amount,
        trailing_ticks=request.ticks,
        entry_price=request.entry_price,
        activation_price=activation,
        strategy=request.strategy,
        mint_after_sell=request.mint_after_sell,
        **asdict(request.options),
    )


def _give_watermarks(stops: Sequence[TrailingStop]) -> None:
    """Give each active stop the watermark of its first best price, shared where it can be."""
    found: dict[tuple[int, str, str, Decimal], Watermark] = {}
    for stop in stops:
        if stop.status != "active":
            continue
        best = _first_best(stop)
        key = (stop.instrument_id, stop.side, stop.reference, best)
        if key not in found or stop.reference == "executable":
            found[key] = Watermark.at(stop, best)
        stop.watermark = found[key]


def _first_best(stop: TrailingStop) -> Decimal:
    """The entry price; the price of now for a stop that its activation price made active at once."""
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
    return f"trailing_stop_{time.time_ns() // 1000}{secrets.randbelow(1_000_000):06d}"
