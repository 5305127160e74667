"""The tick: one set of observations evaluates every stop it concerns, in one transaction.

The cost does not grow with the number of stops: a price moves the watermarks
they share, and range probes return only the stops that activate or fire.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from orders.models import Order
from polytrader import prepared
from polytrader.points import point
from polytrader.prepared import array
from trailing import executable, firing
from trailing.executable import Depth, note_activations
from trailing.firing import Candidate
from trailing.guards import Sight
from trailing.models import STALE_AFTER, StopEvent
from trailing.sql import CLAIM, DURABLE, EVALUATE, RESET_BREACHES

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
    """What a tick did; `orders` are the exits, to be sent after the commit."""

    claimed: int = 0
    activated: int = 0
    triggered: int = 0
    orders: list[Order] = field(default_factory=list)

    def add(self, other: "TickResult") -> None:
        """Count what another tick did, too."""
        self.claimed += other.claimed
        self.activated += other.activated
        self.triggered += other.triggered
        self.orders += other.orders


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
    with transaction.atomic():
        before, found = _look(wanted)
        result = TickResult(claimed=len(before))
        if before:
            _act([o for o in wanted if o.instrument_id in before], before, found, result)
            point("ticked")
    point("tick_committed")
    if result.orders:
        point("exits_committed")
    return result


def tick_safely(observations: Sequence[Observation]) -> TickResult:
    """Tick; where a row makes it stumble, tick one instrument after the other, without that one's.

    Raises `OperationalError` and `InterfaceError`: the database is away, or in a deadlock, and all of it
    is worth another try.
    """
    try:
        return tick(observations)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("tick_failed", instruments=[o.instrument_id for o in observations][:20])
    result = TickResult()
    if len(observations) > 1:
        for observation in observations:
            result.add(tick_safely([observation]))
    return result


@dataclass(slots=True)
class _Found:
    """What one look at the stops has found; `ratcheted` counts watermarks."""

    activated: list[tuple[int, Decimal]] = field(default_factory=list)
    reached: list[Candidate] = field(default_factory=list)
    in_breach: dict[int, Decimal] = field(default_factory=dict)
    ratcheted: int = 0

    @property
    def is_nothing(self) -> bool:
        """Whether no stop and no watermark is concerned."""
        return not (self.activated or self.reached or self.in_breach or self.ratcheted)


def _look(wanted: Sequence[Observation]) -> tuple[dict[int, _Before], _Found]:
    """Claim, activate, ratchet and look for what is reached: two statements, one round trip."""
    arguments = {**_arrays(wanted), "oldest": STALE_AFTER}
    claimed, found = prepared.run((CLAIM, arguments), (EVALUATE, arguments))
    return {pk: _Before(*seen) for pk, *seen in claimed if pk is not None}, _sorted_out(found)


def _sorted_out(rows: Iterable[tuple[Any, ...]]) -> _Found:
    found = _Found()
    for what, number, price, watermark, trigger, cause in rows:
        if what == "activated":
            found.activated.append((number, price))
        elif what == "in_breach":
            found.in_breach[number] = price
        elif what == "ratcheted":
            found.ratcheted = number
        else:
            found.reached.append(Candidate(number, price, watermark, trigger, cause))
    return found


def _act(
    claimed: Sequence[Observation],
    before: Mapping[int, _Before],
    found: _Found,
    result: TickResult,
) -> None:
    depths = {o.instrument_id: o.depth for o in claimed if o.depth}
    if found.is_nothing and not depths:
        return
    if depths or ((found.activated or found.in_breach) and not found.reached):
        prepared.run((DURABLE, {}))  # a ratchet says so itself, and so does whoever judges
    by_depth = executable.evaluate(depths)
    note_activations(found.activated)
    result.activated = len(found.activated) + by_depth.activated
    reached = [*found.reached, *by_depth.candidates]
    sights = {o.instrument_id: _sight(o, before[o.instrument_id]) for o in claimed}
    fired = firing.judge_all(reached, sights)
    result.triggered, result.orders = fired.count, fired.orders
    _reset(found.in_breach, {candidate.stop_id for candidate in reached})


def _arrays(observations: Sequence[Observation]) -> dict[str, str]:
    return {
        "ids": array(o.instrument_id for o in observations),
        "bids": array(o.bid for o in observations),
        "asks": array(o.ask for o in observations),
        "lasts": array(o.last for o in observations),
        "moments": array(o.received_at.isoformat() for o in observations),
    }


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


def _reset(in_breach: Mapping[int, Decimal], reached: Container[int]) -> None:
    """What was in breach and is not any more begins anew."""
    recovered = [stop_id for stop_id in in_breach if stop_id not in reached]
    if not recovered:
        return
    with connection.cursor() as cursor:
        cursor.execute(RESET_BREACHES, {"ids": recovered})
        ids = [stop_id for (stop_id,) in cursor.fetchall()]
    StopEvent.objects.bulk_create(
        StopEvent(
            stop_id=stop_id,
            kind="recovered",
            price=in_breach[stop_id],
            text="the price recovered before it was confirmed",
        )
        for stop_id in ids
    )
