"""The tick: one set of observations evaluates every stop it concerns, in one transaction.

The cost does not grow with the number of stops: a price moves the watermarks
they share, and range probes return only the stops that activate or fire.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.db import connection, transaction

from polytrader.points import point
from trailing import executable, firing
from trailing.executable import Depth
from trailing.firing import Candidate
from trailing.guards import Sight
from trailing.models import STALE_AFTER, StopEvent
from trailing.sql import (
    ACTIVATE,
    CLAIM,
    FIND_LEVELS,
    FIND_TRIGGERED,
    LOCK,
    PIN_THE_PLAN,
    RATCHET,
    RESET_BREACHES,
)

log = structlog.get_logger()

GAP = timedelta(seconds=10)
"""Longer without an observation, and a trigger may have been passed unseen."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The prices of one instrument as received at a moment; what is not known is `None`.

    `depth` is the book, where a stop of its own quantity needs it.
    """

    instrument_id: int
    bid: Decimal | None
    ask: Decimal | None
    received_at: datetime
    last: Decimal | None = None
    depth: Depth | None = None

    @property
    def spread(self) -> Decimal | None:
        """Between the best prices; `None` when a side is empty."""
        return None if self.bid is None or self.ask is None else self.ask - self.bid


@dataclass(slots=True)
class TickResult:
    """What a tick did; `order_ids` are the planned exits, to be sent after the commit."""

    claimed: int = 0
    activated: int = 0
    triggered: int = 0
    order_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Before:
    """What was known of an instrument before the observation that claimed it."""

    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    observed_at: datetime | None


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
        before = _claim(cursor, wanted)
        claimed = [o for o in wanted if o.instrument_id in before]
        result.claimed = len(claimed)
        if claimed:
            _evaluate(cursor, claimed, before, result)
            point("ticked")
    point("tick_committed")
    return result


def _evaluate(
    cursor: Any,
    claimed: Sequence[Observation],
    before: Mapping[int, _Before],
    result: TickResult,
) -> None:
    arguments = _arrays(claimed)
    by_depth = executable.evaluate({o.instrument_id: o.depth for o in claimed if o.depth})
    result.activated = _activate(cursor, arguments) + by_depth.activated
    candidates = [*_levels(cursor, arguments), *_triggered(cursor, arguments), *by_depth.candidates]
    sights = {o.instrument_id: _sight(o, before[o.instrument_id]) for o in claimed}
    fired = firing.judge_all(candidates, sights)
    result.triggered, result.order_ids = fired.count, fired.order_ids
    cursor.execute(RATCHET, arguments)
    _reset(cursor, arguments, [c.stop_id for c in candidates])


def _arrays(observations: Sequence[Observation]) -> dict[str, Any]:
    return {
        "ids": [o.instrument_id for o in observations],
        "bids": [o.bid for o in observations],
        "asks": [o.ask for o in observations],
        "lasts": [o.last for o in observations],
        "moments": [o.received_at for o in observations],
    }


def _claim(cursor: Any, wanted: Sequence[Observation]) -> dict[int, _Before]:
    arguments = {**_arrays(wanted), "oldest": STALE_AFTER}
    cursor.execute(LOCK, arguments)
    before = {row[0]: _Before(*row[1:]) for row in cursor.fetchall()}
    cursor.execute(CLAIM, arguments)
    return {pk: before[pk] for (pk,) in cursor.fetchall()}


def _sight(observation: Observation, before: _Before) -> Sight:
    is_same = (observation.bid, observation.ask) == (before.bid, before.ask) and (
        observation.last in (None, before.last)
    )
    seen_at = before.observed_at
    return Sight(
        at=observation.received_at,
        spread=observation.spread,
        is_new_state=not is_same,
        is_after_gap=seen_at is not None and observation.received_at - seen_at > GAP,
    )


def _activate(cursor: Any, arguments: dict[str, Any]) -> int:
    cursor.execute(ACTIVATE, arguments)
    rows = cursor.fetchall()
    executable.note_activations(rows)
    return len(rows)


def _triggered(cursor: Any, arguments: dict[str, Any]) -> list[Candidate]:
    cursor.execute(FIND_TRIGGERED, arguments)
    return [Candidate(*row) for row in cursor.fetchall()]


def _levels(cursor: Any, arguments: dict[str, Any]) -> list[Candidate]:
    cursor.execute(FIND_LEVELS, arguments)
    return [
        Candidate(stop_id, price, None, level, cause)
        for stop_id, price, level, cause in cursor.fetchall()
    ]


def _reset(cursor: Any, arguments: dict[str, Any], reached: Sequence[int]) -> None:
    """What was in breach and is not any more begins anew."""
    cursor.execute(RESET_BREACHES, {**arguments, "reached": list(reached)})
    StopEvent.objects.bulk_create(
        StopEvent(
            stop_id=stop_id,
            kind="recovered",
            price=price,
            text="the price recovered before it was confirmed",
        )
        for stop_id, price in cursor.fetchall()
    )
