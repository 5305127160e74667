"""The replay decides as the real tick does: the same recording, once through rows, once pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import transaction
from django.utils import timezone

from exchange.market_news import PricesChanged, Traded
from orders.models import Instrument, Order
from tests.recorded_data import recorded_file
from tests.rows import a_stop, an_instrument
from trailing import firing
from trailing.conflating import Needs, turning_points
from trailing.guards import Guard
from trailing.line import Line, Watched
from trailing.maths import Trail
from trailing.models import TrailingStop
from trailing.recorded import RecordedMarket
from trailing.recordings import Happening, read_recording
from trailing.replaying import Decision, Stop, decide, planned_limit
from trailing.tick import Observation, tick

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unhurried")]

SECOND = timedelta(seconds=1)
SPAN = 3 * SECOND
"""An excerpt is short and ends now: a price from the future is of a wrong clock."""


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tick refuses by the wall clock what is ten seconds old; a busy machine may take longer."""
    monkeypatch.setattr("trailing.tick.STALE_AFTER", timedelta(hours=1))


@dataclass
class Twin:
    """A stop of rows and the same stop to replay."""

    row: TrailingStop
    stop: Stop
    fired_at: datetime | None = None


def an_excerpt(seed: int, now: datetime) -> list[Happening]:
    """A token's messages: best prices that wander, now and then a wide book, a side gone, a trade."""
    chance, bid, happenings = random.Random(seed), 50, []
    at = now - SPAN
    while at < now:
        if chance.random() < 0.2:
            price = Decimal(bid + chance.randint(-2, 3)) / 100
            happenings.append(Happening("x", at, traded=price))
        else:
            bid = min(max(bid + chance.choice((-3, -2, -1, 0, 1, 1, 2)), 20), 80)
            ask = Decimal(bid + chance.choice((1, 1, 2, 7))) / 100
            is_gone = chance.random() < 0.05
            happenings.append(Happening("x", at, None if is_gone else Decimal(bid) / 100, ask))
        at += timedelta(milliseconds=chance.choice((1, 40, 90, 250, 700)))
    return [
        Happening("x", happenings[0].at, Decimal("0.50"), Decimal("0.51"), Decimal("0.50")),
        *happenings[1:],
        Happening("x", now, *best_of(happenings)),
    ]


def best_of(happenings: Sequence[Happening]) -> tuple[Decimal | None, Decimal | None]:
    told = next(each for each in reversed(happenings) if each.ask is not None)
    return told.bid, told.ask


def seeded_twins(
    instrument: Instrument, market: RecordedMarket, seed: int, count: int
) -> list[Twin]:
    """Stops of every kind, each as a row and to be replayed, from the first moment on."""
    chance, first = random.Random(seed), market.states[0]
    twins = []
    for _ in range(count):
        side = chance.choice(("sell", "buy"))
        reference = chance.choice(("bid", "ask", "mid", "last"))
        entry = first.price_of(reference) or first.bid
        trail = chance.choice((Trail.of_percent(Decimal(4)), Trail(amount=Decimal("0.03"))))
        better = Decimal("0.01") if side == "sell" else Decimal("-0.01")
        updates, seconds = chance.choice(((None, None), (2, 1), (3, 1), (None, 1), (1, None)))
        width = chance.choice((None, None, Decimal("0.03")))
        activation = chance.choice((None, None, entry + 2 * better))
        levels = {
            "stop_price": chance.choice((None, first.bid - 4 * better)),
            "take_profit_price": chance.choice((None, first.ask + 5 * better)),
        }
        slippage = chance.choice((None, Decimal("0.01")))
        row = a_stop(
            instrument,
            trail,
            str(entry),
            side=side,
            activation=None if activation is None else str(activation),
            reference=reference,
            confirm_updates=updates,
            confirm_ms=None if seconds is None else seconds * 1000,
            max_spread=width,
            max_slippage=slippage,
            **levels,
        )
        guard = Guard(updates, None if seconds is None else seconds * SECOND, width)
        stop = Stop(
            first.at,
            trail,
            Decimal(10),
            side,
            reference,
            guard,
            entry,
            activation,
            max_slippage=slippage,
            **levels,
        )
        twins.append(Twin(row, stop))
    return twins


def observations(instrument: Instrument, happenings: Sequence[Happening]) -> list[Observation]:
    """What the stream makes of these messages: through the same line."""
    line = Line(Watched(instrument.pk, instrument.symbol), doubted_at=None)
    seen = []
    for happening in happenings:
        told_at = int(happening.at.timestamp() * 1000)
        news: list[Observation | None] = []
        if happening.traded is not None:
            news.append(line.trade(Traded("x", happening.traded, told_at), happening.at))
        if happening.ask is not None:
            change = PricesChanged("x", happening.bid, happening.ask, told_at)
            news.append(line.change(change, happening.at))
        seen += [each for each in news if each is not None]
    return seen


def drive(twins: Sequence[Twin], seen: Sequence[Observation], until: datetime) -> None:
    """Through the rows: tick each observation, and judge what is held when its second is over."""
    ripe = {each.received_at + SECOND for each in seen}
    events = [(at, None) for at in ripe if at < until] + [(o.received_at, o) for o in seen]
    for at, each in sorted(events, key=lambda event: (event[0], event[1] is None)):
        if each is not None:
            done = tick([each])
            assert done.claimed == 1
            fired = done.triggered
        else:
            with transaction.atomic():
                fired = firing.judge_held(at).count
        if fired:
            note(twins, at)


def note(twins: Sequence[Twin], at: datetime) -> None:
    waiting = {twin.row.pk: twin for twin in twins if twin.fired_at is None}
    ended = TrailingStop.objects.filter(pk__in=waiting, status="triggered")
    for pk in ended.values_list("pk", flat=True):
        waiting[pk].fired_at = at


def decided(twin: Twin) -> Decision | None:
    """What the row says of its end, as the replay says it."""
    row = TrailingStop.objects.get(pk=twin.row.pk)
    if row.status != "triggered":
        assert twin.fired_at is None
        return None
    return Decision(
        twin.fired_at,
        row.triggered_by_price,
        row.final_trigger_price,
        row.final_watermark_price,
        row.triggered_by,
    )


def disagreements(
    twins: Sequence[Twin], market: RecordedMarket
) -> list[tuple[Stop, Decision | None, Decision | None]]:
    told = [(twin.stop, decided(twin), decide(market, twin.stop, None)) for twin in twins]
    return [each for each in told if each[1] != each[2]]


@pytest.mark.parametrize("seed", range(4))
def test_the_replay_fires_when_the_tick_fires_at_the_same_trigger_from_the_same_best_price(seed):
    now = timezone.now()
    instrument, happenings = an_instrument(), an_excerpt(seed, now)
    market = RecordedMarket(happenings)
    twins = seeded_twins(instrument, market, seed, 60)
    drive(twins, observations(instrument, happenings), market.ends_at)
    assert disagreements(twins, market) == []
    assert 10 < sum(twin.fired_at is not None for twin in twins) < 60


def test_an_exit_is_planned_as_far_as_the_replay_says():
    now = timezone.now()
    instrument, happenings = an_instrument(), an_excerpt(5, now)
    market = RecordedMarket(happenings)
    twins = seeded_twins(instrument, market, 5, 40)
    drive(twins, observations(instrument, happenings), market.ends_at)
    compared = 0
    for twin in twins:
        row = TrailingStop.objects.get(pk=twin.row.pk)
        if row.status != "triggered":
            continue
        order = Order.objects.filter(leg__trade=row.trade).first()
        limit = planned_limit(market, twin.stop, row.final_trigger_price, twin.fired_at)
        assert (order.price if order is not None else None) == limit
        compared += 1
    assert compared > 5


def test_conflating_a_burst_changes_no_decision():
    """Who fires, from which best price and at what trigger; a state further down the slope may do it.

    Of stops that wait for no clock: that goes on meanwhile, whatever is conflated.
    """
    now = timezone.now()
    instrument, happenings = an_instrument(), an_excerpt(7, now)
    market = RecordedMarket(happenings)
    twins = [
        twin
        for twin in seeded_twins(instrument, market, 7, 80)
        if twin.stop.guard.time is None and twin.stop.guard.max_spread is None
    ]
    seen, before = observations(instrument, happenings), None
    for start in range(0, len(seen), 8):
        batch = turning_points(seen[start : start + 8], Needs(updates=2), before)
        before = seen[min(start + 8, len(seen)) - 1]
        for each in batch:
            done = tick([each])
            assert done.claimed == 1
            if done.triggered:
                note(twins, each.received_at)
    for twin in twins:
        rows, pure = decided(twin), decide(market, twin.stop, None)
        assert _what(rows) == _what(pure)
    assert sum(twin.fired_at is not None for twin in twins) > 5


def _what(decision: Decision | None) -> tuple[Decimal, Decimal, str] | None:
    return decision and (decision.trigger, decision.watermark, decision.cause)


def test_the_replay_agrees_with_the_tick_on_a_real_market():
    recorded = read_recording(recorded_file("clob-ticks/polymarket_20260607_0130.csv.gz"))
    fired = 0
    for seed, rows in enumerate(sorted(recorded.values(), key=_changes)[-2:]):
        instrument = an_instrument()
        happenings = shifted(liveliest_span(rows), timezone.now())
        market = RecordedMarket(happenings)
        twins = seeded_twins(instrument, market, seed, 25)
        drive(twins, observations(instrument, happenings), market.ends_at)
        assert disagreements(twins, market) == []
        fired += sum(twin.fired_at is not None for twin in twins)
    assert fired > 10


def _changes(rows: Sequence[Happening]) -> int:
    return sum(before.bid != after.bid for before, after in pairwise(rows))


def liveliest_span(rows: Sequence[Happening]) -> list[Happening]:
    """The seconds in which the best bid moves most."""
    market = RecordedMarket(rows)

    def moves(begin: datetime) -> Decimal:
        bids = [seen.bid for seen in market.between(begin, begin + SPAN) if seen.bid is not None]
        return max(bids, default=Decimal(0)) - min(bids, default=Decimal(0))

    begin = max(market.moments, key=moves)
    return [row for row in rows if begin <= row.at <= begin + SPAN]


def shifted(rows: Sequence[Happening], now: datetime) -> list[Happening]:
    """The same, ending now; its first state is told with the first best prices there are."""
    by = now - rows[-1].at
    quoted = [row for row in rows if row.ask is not None]
    first = quoted[0]
    begun = [row for row in rows if row.at >= first.at and (row.ask or row.traded) is not None]
    return [
        Happening(row.symbol, row.at + by, row.bid, row.ask, row.traded, row.level) for row in begun
    ]
