"""Firing: what becomes of stops whose price is at or beyond a trigger, floor or take-profit.

All of it commits with the tick: a stop that fires is `triggered` together with its planned exit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import structlog
from django.db import connection
from django.utils import timezone

from orders import planning, sending, signing
from orders.models import Instrument, Order
from polytrader import prepared
from polytrader.alerts import raise_alert
from polytrader.points import point
from polytrader.prepared import Columns, array
from trailing.guards import Breach, Sight, Verdict, judge
from trailing.models import StopEvent, TrailingStop, Watermark, is_fresh
from trailing.sql import DURABLE, END_TRIGGERED, HOLD_BREACHES, HOLD_INSTRUMENT

log = structlog.get_logger()

_CERTAIN = {
    "floor": "the price reached the hard floor; the exit is planned",
    "take_profit": "the price reached the take-profit; the exit is planned",
    "person": "a person decided to sell; the exit is planned",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stop that a price has reached: which price, from which best one, and at what trigger."""

    stop_id: int
    price: Decimal
    watermark: Decimal | None
    """`None` for a level, which has nothing to do with it."""
    trigger: Decimal
    cause: str = "trail"


@dataclass(slots=True)
class Fired:
    """How many stops fired, and their exits, to be sent after the commit."""

    count: int = 0
    orders: list[Order] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Hit:
    stop: TrailingStop
    candidate: Candidate
    verdict: Verdict


def judge_all(candidates: Sequence[Candidate], sights: Mapping[int, Sight]) -> Fired:
    """Judge each reached stop by its guards, and carry the verdicts out.

    Locking the stops waits for a cancel that is under way: whoever it leaves alive is
    ours. A level goes before the trail, whatever comes first in `candidates` before the rest.
    """
    if not candidates:
        return Fired()
    by_stop: dict[int, Candidate] = {}
    for candidate in candidates:
        by_stop.setdefault(candidate.stop_id, candidate)
    hits = [
        _Hit(stop, by_stop[stop.pk], _verdict(stop, by_stop[stop.pk], sights[stop.instrument_id]))
        for stop in _lock(by_stop)
        if _may_act(stop, sights[stop.instrument_id].at)
    ]
    _hold([hit for hit in hits if hit.verdict.act == "hold"])
    for hit in hits:
        if hit.verdict.act == "rearm":
            _rearm(hit)
        elif hit.verdict.act == "ask":
            _ask(hit)
    return fire([hit for hit in hits if hit.verdict.act == "fire"])


def judge_held(now: datetime) -> Fired:
    """Judge the held stops again at the price last seen: a quiet book sends no message.

    Call inside a transaction. That price stands, a later one would have reset the breach;
    one that is stale, or that depends on the depth, waits for the next observation.
    """
    held = TrailingStop.objects.filter(
        status="active", breached_since__isnull=False, asking_since=None
    ).exclude(reference="executable")
    ripe = [stop for stop in held.select_related("instrument") if _is_ripe(stop, now)]
    if not ripe:
        return Fired()
    with connection.cursor() as cursor:  # nobody resets a breach meanwhile
        for pk in sorted({stop.instrument_id for stop in ripe}):
            cursor.execute(HOLD_INSTRUMENT, [pk])
    again = held.filter(pk__in=[stop.pk for stop in ripe]).order_by("pk")
    locked = again.select_for_update(of=("self",))  # or somebody amends it meanwhile
    stops = [s for s in locked.select_related("instrument", "watermark") if _is_ripe(s, now)]
    candidates = [
        Candidate(stop.pk, price, stop.watermark_price, stop.current_trigger_price)
        for stop in stops
        if (price := stop.last_price) is not None
    ]
    return judge_all(candidates, {stop.instrument_id: _sight(stop, now) for stop in stops})


def _is_ripe(stop: TrailingStop, now: datetime) -> bool:
    is_fresh_enough = is_fresh(stop.instrument.observed_at, now)
    return is_fresh_enough and judge(stop.guard, stop.breach, _sight(stop, now)).act != "hold"


def _sight(stop: TrailingStop, now: datetime) -> Sight:
    return Sight(now, stop.instrument.spread, is_new_state=False)


def fire(hits: Sequence[_Hit]) -> Fired:
    """End these stops and plan their exits; both commit together with the tick."""
    if not hits:
        return Fired()
    hits = sorted(hits, key=_exposure, reverse=True)  # the worst case is on the wire first
    exits = planning.plan_exits([_exit(hit) for hit in hits])
    signing.sign_new(exits.planned[: sending.SIGNED_AT_ONCE])
    *_, ended, _ = prepared.run(
        *exits.insertions(),
        _end(hits, [trade.pk for trade in exits.trades]),
        _events([(hit, "triggered") for hit in hits]),
    )
    if len(ended) != len(hits):
        raise RuntimeError("a fired stop left its state under the tick's lock")
    point("exits_planned")
    log.info("stops_triggered", stops=[hit.stop.state_key for hit in hits])
    return Fired(len(hits), exits.planned)


_STOPS, _INSTRUMENTS = Columns(TrailingStop, "s"), Columns(Instrument, "i")
_WATERMARKS = Columns(Watermark, "w")
_LOCK = f"""
SELECT {_STOPS.sql} FROM trailing_trailingstop s
 WHERE id = ANY(%(ids)s::bigint[]) AND status IN ('pending_activation', 'active')
 ORDER BY id FOR UPDATE
"""  # noqa: S608 - names of columns
_THEIR_INSTRUMENTS = f"""
SELECT {_INSTRUMENTS.sql} FROM orders_instrument i
 WHERE id IN (SELECT instrument_id FROM trailing_trailingstop WHERE id = ANY(%(ids)s::bigint[]))
"""  # noqa: S608 - names of columns
_THEIR_WATERMARKS = f"""
SELECT {_WATERMARKS.sql} FROM trailing_watermark w
 WHERE id IN (SELECT watermark_id FROM trailing_trailingstop WHERE id = ANY(%(ids)s::bigint[]))
"""  # noqa: S608 - names of columns


def _lock(ids: Iterable[int]) -> list[TrailingStop]:
    """Lock those of these stops that still live, and read what they point to."""
    told = {"ids": array(ids)}
    _, stops, instruments, watermarks = prepared.run(
        (DURABLE, {}), (_LOCK, told), (_THEIR_INSTRUMENTS, told), (_THEIR_WATERMARKS, told)
    )
    of = {row.pk: row for row in map(_INSTRUMENTS.read, instruments)}
    best = {row.pk: row for row in map(_WATERMARKS.read, watermarks)}
    live = [_STOPS.read(row) for row in stops]
    for stop in live:
        stop.instrument = of[stop.instrument_id]
        if stop.watermark_id is not None:
            stop.watermark = best[stop.watermark_id]
    return live


def _may_act(stop: TrailingStop, at: datetime) -> bool:
    """Whether it neither waits for a person nor has expired, which the sweep notes."""
    has_expired = stop.expires_at is not None and stop.expires_at <= at
    return stop.asking_since is None and not has_expired


def _verdict(stop: TrailingStop, candidate: Candidate, sight: Sight) -> Verdict:
    if candidate.cause in _CERTAIN:
        return Verdict("fire", _CERTAIN[candidate.cause], stop.breach or Breach(sight.at))
    return judge(stop.guard, stop.breach, sight)


def _exposure(hit: _Hit) -> Decimal:
    return (hit.stop.quantity or Decimal(10) ** 18) * hit.stop.entry_price


def _exit(hit: _Hit) -> planning.ExitRequest:
    stop, candidate = hit.stop, hit.candidate
    return planning.ExitRequest(
        stop.instrument,
        stop.side,
        stop.quantity,
        _best_price(hit),
        strategy=stop.strategy,
        mint_after_sell=stop.mint_after_sell,
        worst_price=stop.worst_price(candidate.trigger),
    )


def _best_price(hit: _Hit) -> Decimal | None:
    """What an exit follows is the best price of its side, whatever the stop refers to."""
    reference = "bid" if hit.stop.side == "sell" else "ask"
    if hit.stop.reference == reference:
        return hit.candidate.price
    return hit.stop.instrument.price_of(reference, hit.stop.side)


def _end(hits: Sequence[_Hit], trade_ids: Sequence[int]) -> prepared.Statement:
    """Move all fired stops to `triggered` with their trade, watermark and trigger price."""
    return END_TRIGGERED, {
        "ids": array(hit.stop.pk for hit in hits),
        "trades": array(trade_ids),
        "watermarks": array(_watermark_of(hit) for hit in hits),
        "triggers": array(hit.candidate.trigger for hit in hits),
        "prices": array(hit.candidate.price for hit in hits),
        "causes": array(hit.candidate.cause for hit in hits),
        "now": timezone.now(),
    }


def _watermark_of(hit: _Hit) -> Decimal:
    watermark = hit.candidate.watermark
    return hit.stop.watermark_price if watermark is None else watermark


def _hold(hits: Sequence[_Hit]) -> None:
    """Note since when and in how many updates; told once, when it begins."""
    hits = [hit for hit in hits if hit.verdict.breach != hit.stop.breach]
    if not hits:
        return
    told = {
        "ids": array(hit.stop.pk for hit in hits),
        "since": array(hit.verdict.breach.since.isoformat() for hit in hits),
        "updates": array(hit.verdict.breach.updates for hit in hits),
    }
    prepared.run((HOLD_BREACHES, told))
    _tell([(hit, "breached") for hit in hits if hit.stop.breached_since is None])


def _rearm(hit: _Hit) -> None:
    """Follow the price from here: a watermark of this price, as at creation."""
    hit.stop.note(
        watermark=Watermark.at(hit.stop, hit.candidate.price),
        breached_since=None,
        breach_updates=0,
    )
    _tell([(hit, "rearmed")])


def _ask(hit: _Hit) -> None:
    """Wait for a person: nothing fires until somebody decides."""
    hit.stop.note(asking_since=timezone.now())
    _tell([(hit, "asked")])
    raise_alert("stop_asks", f"stop {hit.stop.state_key}", hit.verdict.reason)


def _tell(told: Sequence[tuple[_Hit, str]]) -> None:
    if told:
        prepared.run(_events(told))


def _events(told: Sequence[tuple[_Hit, str]]) -> prepared.Statement:
    """The statement that tells of what was decided."""
    now = timezone.now()
    return prepared.insertion(
        [
            StopEvent(
                stop_id=hit.stop.pk,
                kind=kind,
                price=hit.candidate.price,
                trigger_price=hit.candidate.trigger,
                text=hit.verdict.reason,
                at=now,
            )
            for hit, kind in told
        ]
    )
