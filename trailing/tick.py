"""The tick: one set of observations evaluates every stop it concerns, in one transaction.

The cost does not grow with the number of stops: a price moves the watermarks
they share, and range probes return only the stops that activate or fire.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from django.db import connection, transaction
from django.utils import timezone

from orders import planning
from polytrader.points import point
from trailing.models import STALE_AFTER, StopEvent, TrailingStop
from trailing.sql import ACTIVATE, CLAIM, END_TRIGGERED, FIND_TRIGGERED, PIN_THE_PLAN, RATCHET

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Observation:
    """The best prices of one instrument as received at a moment; an empty side is `None`."""

    instrument_id: int
    bid: Decimal | None
    ask: Decimal | None
    received_at: datetime


@dataclass(slots=True)
class TickResult:
    """What a tick did; `order_ids` are the planned exits, to be sent after the commit."""

    claimed: int = 0
    activated: int = 0
    triggered: int = 0
    order_ids: list[int] = field(default_factory=list)


def tick(observations: Iterable[Observation]) -> TickResult:
    """Evaluate all stops of the observed instruments: activate, trigger, then ratchet.

    Safe to call with the same or older observations at any time and from any
    number of processes: an observation that is not younger than the last one of
    its instrument loses and is skipped.
    """
    wanted = sorted(observations, key=lambda o: o.instrument_id)
    if not wanted:
        return TickResult()
    result = TickResult()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PIN_THE_PLAN)
        claimed = _claim(cursor, wanted)
        result.claimed = len(claimed)
        if claimed:
            arguments = _arrays(claimed)
            result.activated = _activate(cursor, arguments)
            fired = _trigger(cursor, arguments)
            result.triggered, result.order_ids = _plan_exits(fired)
            cursor.execute(RATCHET, arguments)
            point("ticked")
    point("tick_committed")
    return result


def _arrays(observations: Sequence[Observation]) -> dict[str, Any]:
    return {
        "ids": [o.instrument_id for o in observations],
        "bids": [o.bid for o in observations],
        "asks": [o.ask for o in observations],
        "moments": [o.received_at for o in observations],
    }


def _claim(cursor: Any, wanted: Sequence[Observation]) -> list[Observation]:
    cursor.execute(CLAIM, {**_arrays(wanted), "oldest": STALE_AFTER})
    won = {row[0] for row in cursor.fetchall()}
    return [o for o in wanted if o.instrument_id in won]


def _activate(cursor: Any, arguments: dict[str, Any]) -> int:
    cursor.execute(ACTIVATE, arguments)
    rows = cursor.fetchall()
    StopEvent.objects.bulk_create(
        StopEvent(
            stop_id=stop_id,
            kind="activated",
            price=price,
            text="the activation price was reached; the best price starts from here",
        )
        for stop_id, price in rows
    )
    return len(rows)


@dataclass(frozen=True, slots=True)
class _Fired:
    stop_id: int
    price: Decimal
    watermark: Decimal
    trigger: Decimal


def _trigger(cursor: Any, arguments: dict[str, Any]) -> list[_Fired]:
    cursor.execute(FIND_TRIGGERED, arguments)
    return [_Fired(*row) for row in cursor.fetchall()]


def _plan_exits(fired: Sequence[_Fired]) -> tuple[int, list[int]]:
    """End each fired stop and plan its exit; both commit together with the tick.

    Locking the stops waits for a cancel that is under way: whoever it leaves
    `active` is ours.
    """
    if not fired:
        return 0, []
    by_id = {f.stop_id: f for f in fired}
    stops = list(
        TrailingStop.objects.select_for_update(of=("self",))
        .filter(pk__in=by_id, status="active")
        .select_related("instrument")
        .order_by("pk")
    )
    planning.lock_positions([stop.instrument for stop in stops])
    stops = _largest_first(stops)
    exits = planning.open_exits(
        [
            planning.ExitRequest(
                stop.instrument,
                stop.side,
                stop.quantity,
                by_id[stop.pk].price,
                strategy=stop.strategy,
                mint_after_sell=stop.mint_after_sell,
            )
            for stop in stops
        ]
    )
    point("exits_planned")
    hits = [by_id[stop.pk] for stop in stops]
    _end(hits, [trade.pk for trade, _ in exits])
    log.info("stops_triggered", stops=[stop.state_key for stop in stops])
    return len(stops), [order.pk for _, order in exits if order is not None]


def _largest_first(stops: list[TrailingStop]) -> list[TrailingStop]:
    """Largest exposure first, so that the worst case is on the wire first."""
    return sorted(stops, key=lambda s: -(s.quantity or Decimal(10) ** 18) * s.entry_price)


def _end(hits: Sequence[_Fired], trade_ids: Sequence[int]) -> None:
    """Move all fired stops to `triggered` with their trade, watermark and trigger price."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            END_TRIGGERED,
            {
                "ids": [hit.stop_id for hit in hits],
                "trades": list(trade_ids),
                "watermarks": [hit.watermark for hit in hits],
                "triggers": [hit.trigger for hit in hits],
                "prices": [hit.price for hit in hits],
                "now": now,
            },
        )
        if cursor.rowcount != len(hits):
            raise RuntimeError("a fired stop left its state under the tick's lock")
    StopEvent.objects.bulk_create(
        StopEvent(
            stop_id=hit.stop_id,
            kind="triggered",
            price=hit.price,
            trigger_price=hit.trigger,
            text="the price reached the trigger; the exit is planned",
            at=now,
        )
        for hit in hits
    )
