"""The tick in SQL and the pure model of a stop come to the same, whatever is observed and when."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.types import Book, Quote
from orders.models import Instrument
from tests.rows import a_stop, a_watermark, an_instrument
from tests.trailing.model import Market, Stop, Terms
from trailing import ending, firing, monitor, watermarks
from trailing.guards import GAP_POLICIES, Guard
from trailing.maths import Trail
from trailing.models import StopEvent, TrailingStop
from trailing.tick import Observation, tick

HELD = Decimal(1_000_000)
TICK = timedelta(milliseconds=1)
NO_MOMENT = datetime(2026, 11, 22, tzinfo=UTC)
"""Frames are told at the moment of their step."""

WAITS = (1, 400, 600, 1000, 9000, 9999, 10_000, 10_001, 60_000)
"""Milliseconds between two observations: beside and at what confirmation, hold, gap and age end at."""


@dataclass(frozen=True)
class Frame:
    """What a venue says of one instrument; `late` is how long it was on its way."""

    prices: Quote | Book
    late: timedelta = timedelta()


@dataclass(frozen=True)
class Step:
    """Some time goes by, then these frames are ticked together, or something else is done."""

    wait: timedelta
    frames: dict[int, Frame] = field(default_factory=dict)
    act: str = "tick"


@dataclass(frozen=True)
class Scenario:
    """Stops on some instruments, and what happens."""

    stops: Sequence[Sequence[Terms]]
    steps: Sequence[Step]


# scenarios


def ticks(least: int, most: int) -> st.SearchStrategy[Decimal]:
    return st.integers(least, most).map(lambda count: Decimal(count) / 100)


prices = ticks(38, 62)
trails = st.one_of(
    st.sampled_from(["1", "2", "4", "5", "8.5", "10", "20"]).map(
        lambda text: Trail.of_percent(Decimal(text))
    ),
    ticks(1, 10).map(lambda amount: Trail(amount=amount)),
)
guards = st.one_of(
    st.just(Guard()),
    st.builds(
        Guard,
        st.none() | st.integers(1, 3),
        st.none() | st.sampled_from([400, 1000]).map(lambda ms: timedelta(milliseconds=ms)),
        st.none() | st.none() | ticks(0, 4),
        st.sampled_from(GAP_POLICIES),
    ),
)


@st.composite
def terms(draw: Any) -> Terms:
    """A stop of any kind; its floor lies on the bad side of its take-profit."""
    side = draw(st.sampled_from(["sell", "buy"]))
    low, high = draw(st.none() | ticks(35, 45)), draw(st.none() | ticks(55, 65))
    expiry = draw(st.sampled_from([None, None, None, 1000, 10_000]))
    return Terms(
        side,
        draw(trails),
        draw(st.sampled_from(["0.46", "0.50", "0.54"]).map(Decimal)),
        draw(st.sampled_from(["bid", "ask", "mid", "last", "executable"])),
        draw(st.sampled_from([Decimal(5), Decimal(10), Decimal(100)])),
        draw(st.none() | st.none() | prices),
        low if side == "sell" else high,
        high if side == "sell" else low,
        draw(guards),
        None if expiry is None else timedelta(milliseconds=expiry),
    )


sizes = st.sampled_from([8, 32, 1000]).map(Decimal)
"""With the quantities above every average price has few decimals, so both sides are exact."""


@st.composite
def frames(draw: Any) -> Frame:
    """Best prices or a book: whole, one-sided, empty or crossed; in time, late or stale."""
    bid = draw(prices)
    ask = bid + draw(ticks(-1, 6))
    bids = ((bid, draw(sizes)), (bid - Decimal("0.02"), draw(sizes)))
    asks = ((ask, draw(sizes)), (ask + Decimal("0.03"), draw(sizes)))
    has_bid, has_ask = (draw(st.sampled_from([True] * 7 + [False])) for _ in "ba")
    late = draw(st.sampled_from([0] * 12 + [1, 500, 3000, 15_000]))
    told: Quote | Book = Quote("", bid if has_bid else None, ask if has_ask else None, NO_MOMENT)
    if draw(st.booleans()):
        last = draw(st.none() | prices)
        told = Book("", bids if has_bid else (), asks if has_ask else (), last, NO_MOMENT)
    return Frame(told, timedelta(milliseconds=late))


@st.composite
def scenarios(draw: Any) -> Scenario:
    """Up to three instruments with some stops each, and a handful of steps."""
    stops = draw(st.lists(st.lists(terms(), min_size=1, max_size=8), min_size=1, max_size=3))
    step = st.builds(
        Step,
        st.sampled_from([1, 1, 1, *WAITS]).map(lambda ms: timedelta(milliseconds=ms)),
        st.dictionaries(st.integers(0, len(stops) - 1), frames(), min_size=1),
        st.sampled_from(["tick"] * 8 + ["judge", "expire", "tidy", "again"]),
    )
    return Scenario(stops, draw(st.lists(step, min_size=1, max_size=10)))


# both sides


@contextmanager
def discarded() -> Iterator[None]:
    """Whatever is written here is undone: each example begins with empty tables."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


class Rows:
    """The real rows. Time goes by as everything in them grows older; `begun` is the clock's zero."""

    def __init__(self, scenario: Scenario) -> None:
        self.begun = timezone.now()
        self.shift = timedelta()
        self.instruments = [an_instrument(held=str(HELD)) for _ in scenario.stops]
        self.marks: dict[tuple[Any, ...], Any] = {}
        self.stops = [
            [self._stop(instrument, each) for each in group]
            for instrument, group in zip(self.instruments, scenario.stops, strict=True)
        ]

    def wait(self, step: timedelta) -> None:
        """Let time go by: a millisecond of it on the clock, the rest by ageing the rows."""
        aged = step - TICK
        self.shift += aged
        if not aged:
            return
        watched = Instrument.objects.filter(observed_at__isnull=False)
        watched.update(observed_at=F("observed_at") - aged)
        TrailingStop.objects.update(
            breached_since=F("breached_since") - aged, expires_at=F("expires_at") - aged
        )

    def state(self) -> list[list[tuple[Any, ...]]]:
        """What can be seen of every stop."""
        rows = TrailingStop.objects.select_related("watermark").order_by("pk")
        found: dict[int, list[tuple[Any, ...]]] = {each.pk: [] for each in self.instruments}
        for row in rows:
            since = row.breached_since
            found[row.instrument_id].append(
                (
                    row.status,
                    row.watermark_price,
                    row.current_trigger_price,
                    (since and since + self.shift, row.breach_updates) if row.is_watched else None,
                    row.asking_since is not None,
                    (row.triggered_by, row.triggered_by_price),
                )
            )
        return list(found.values())

    def told(self) -> list[list[tuple[Any, ...]]]:
        """The events of every stop."""
        told: dict[int, list[tuple[Any, ...]]] = {}
        for row in StopEvent.objects.order_by("pk"):
            told.setdefault(row.stop_id, []).append((row.kind, row.price, row.trigger_price))
        return [[told.get(stop.pk, []) for stop in group] for group in self.stops]

    def _stop(self, instrument: Instrument, wanted: Terms) -> TrailingStop:
        """Stops that have seen the same best price share it, as creating has it."""
        mark = None
        if wanted.activation is None and wanted.reference != "executable":
            key = (instrument.pk, wanted.side, wanted.reference, wanted.entry)
            if key not in self.marks:
                self.marks[key] = a_watermark(instrument, wanted.side, key[3], wanted.reference)
            mark = self.marks[key]
        guard, after = wanted.guard, wanted.expires_after
        return a_stop(
            instrument,
            wanted.trail,
            str(wanted.entry),
            side=wanted.side,
            activation=None if wanted.activation is None else str(wanted.activation),
            quantity=str(wanted.quantity),
            watermark=mark,
            reference=wanted.reference,
            stop_price=wanted.floor,
            take_profit_price=wanted.take_profit,
            confirm_updates=guard.updates,
            confirm_ms=None if guard.time is None else guard.time / timedelta(milliseconds=1),
            max_spread=guard.max_spread,
            gap_policy=guard.gap_policy,
            expires_at=None if after is None else self.begun + after,
        )


def expected(market: Market) -> list[tuple[Any, ...]]:
    """What the model says can be seen of a market's stops."""
    return [
        (
            stop.status,
            stop.state.watermark,
            stop.trigger,
            (stop.breach and stop.breach.since, stop.breach.updates if stop.breach else 0)
            if stop.is_live
            else None,
            stop.asks,
            ("", None) if stop.firing is None else (stop.firing.cause, stop.firing.price),
        )
        for stop in market.stops
    ]


def compare(markets: Sequence[Market], found: Sequence[Any], wanted: Sequence[Any]) -> None:
    """Fail where rows and model say different things, with what either says of which stop."""
    for market, *both in zip(markets, found, wanted, strict=True):
        for stop, is_so, should_be in zip(market.stops, *both, strict=True):
            if is_so != should_be:
                pytest.fail(f"{stop.terms}\n  is        {is_so}\n  should be {should_be}")


def observations(
    rows: Rows, step: Step, moment: Callable[[Frame], datetime]
) -> dict[int, Observation | None]:
    """What the frames say, read as the monitor reads them: `None` for what no market can quote."""
    return {
        at: monitor.observed(rows.instruments[at], replace(frame.prices, received_at=moment(frame)))
        for at, frame in step.frames.items()
    }


def run(scenario: Scenario, *, together: bool) -> None:
    """Do the same to the rows and to the model, and compare after each step.

    All instruments of a step are ticked `together`, or one after the other.
    """
    rows = Rows(scenario)
    markets = [Market([Stop(each, rows.begun, HELD) for each in group]) for group in scenario.stops]
    now, before = rows.begun, Step(TICK)
    for step in scenario.steps:
        step = Step(step.wait, before.frames, "tick") if step.act == "again" else step
        now += step.wait
        rows.wait(step.wait)
        _do(step, rows, markets, now, together=together)
        compare(markets, rows.state(), list(map(expected, markets)))
        before = step
    told = [[stop.told for stop in market.stops] for market in markets]
    compare(markets, rows.told(), told)


def _do(
    step: Step, rows: Rows, markets: Sequence[Market], now: datetime, *, together: bool
) -> None:
    on_the_clock = now - rows.shift
    if step.act == "judge":
        firing.judge_held(on_the_clock)
        for market in markets:
            market.judge_held(now)
    elif step.act == "expire":
        ending.end_expired(on_the_clock)
        for market in markets:
            market.end_expired(now)
    elif step.act == "tidy":
        watermarks.tidy()
    else:
        real = observations(rows, step, lambda frame: on_the_clock - frame.late)
        seen = [each for each in real.values() if each is not None]
        claimed = [tick(seen)] if together else [tick([each]) for each in seen]
        ideal = observations(rows, step, lambda frame: now - frame.late)
        taken = sum(markets[at].observe(each, now) for at, each in ideal.items())
        assert sum(each.claimed for each in claimed) == taken


@pytest.mark.django_db
@settings(max_examples=30)
@given(scenarios(), st.booleans())
def test_the_tick_and_the_model_agree_after_every_step(scenario: Scenario, together: bool):
    with discarded():
        run(scenario, together=together)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.django_db
@settings(max_examples=2000)
@given(scenarios(), st.booleans())
def test_the_tick_and_the_model_agree_on_many_more_paths(scenario: Scenario, together: bool):
    with discarded():
        run(scenario, together=together)
