"""What holds of every stop on every path: pure, by the model that the tick agrees with (`test_agreement.py`)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from exchange.market_news import Heard, PricesChanged, Snapshot, Traded
from exchange.types import Book
from tests.trailing.model import Market, Stop, Terms
from tests.trailing.test_agreement import HELD, Frame, frames, guards, terms, ticks
from trailing.books import Books
from trailing.conflating import Needs
from trailing.executable import Depth
from trailing.line import Watched
from trailing.maths import Trail
from trailing.tick import Observation
from trailing.waiting import Waiting

START = datetime(2026, 11, 22, tzinfo=UTC)
ONE = Decimal(1)
waits = st.sampled_from([1, 1, 1, 400, 1000, 10_000, 10_001]).map(lambda ms: timedelta(0, 0, 0, ms))
paths = st.lists(st.tuples(waits, frames()), min_size=1, max_size=12)


def observed(path: Sequence[tuple[timedelta, Frame]]) -> list[Observation]:
    """The path as observations, without what no market can quote."""
    now, seen = START, []
    for wait, frame in path:
        now += wait
        each = _observation(frame, now)
        if each.spread is None or each.spread >= 0:
            seen.append(each)
    return seen


def _observation(frame: Frame, at: datetime) -> Observation:
    told = frame.prices
    if not isinstance(told, Book):
        return Observation(1, told.bid, told.ask, at)
    bid, ask = (side[0][0] if side else None for side in (told.bids, told.asks))
    return Observation(1, bid, ask, at, told.last, Depth(told.bids, told.asks))


def after(stops: Iterable[Terms], seen: Iterable[Observation]) -> Market:
    market = Market([Stop(each, START, HELD) for each in stops])
    for each in seen:
        market.observe(each, each.received_at)
    return market


@given(terms(), paths)
def test_the_trigger_never_loosens_unless_a_gap_policy_says_so(wanted: Terms, path):
    market, best = Market([Stop(wanted, START, HELD)]), None
    (stop,) = market.stops
    for each in observed(path):
        market.observe(each, each.received_at)
        if stop.status == "active":
            has_rearmed = bool(stop.told) and stop.told[-1][0] == "rearmed"
            now = stop.trigger if wanted.side == "sell" else -stop.trigger
            assert best is None or now >= best or has_rearmed
            best = now


def mirrored(price: Decimal | None) -> Decimal | None:
    """What the other outcome of the market costs."""
    return None if price is None else ONE - price


def mirrored_terms(wanted: Terms) -> Terms:
    sides = {"sell": "buy", "buy": "sell"}
    references = {"bid": "ask", "ask": "bid"}
    return replace(
        wanted,
        side=sides[wanted.side],
        entry=ONE - wanted.entry,
        reference=references.get(wanted.reference, wanted.reference),
        activation=mirrored(wanted.activation),
        floor=mirrored(wanted.floor),
        take_profit=mirrored(wanted.take_profit),
    )


def mirrored_sight(seen: Observation) -> Observation:
    """A bid for one outcome is an offer of the other: sides change places."""
    depth = seen.depth
    if depth is not None:
        sides = [tuple((ONE - p, q) for p, q in side) for side in (depth.asks, depth.bids)]
        depth = Depth(*sides)
    return replace(
        seen, bid=mirrored(seen.ask), ask=mirrored(seen.bid), last=mirrored(seen.last), depth=depth
    )


@given(terms(), ticks(1, 10), paths)
def test_a_buy_is_the_mirrored_sell_with_all_that_it_may_have(wanted: Terms, amount, path):
    wanted = replace(wanted, trail=Trail(amount=amount))
    seen = observed(path)
    (stop,) = after([wanted], seen).stops
    (mirror,) = after([mirrored_terms(wanted)], map(mirrored_sight, seen)).stops
    assert mirror.status == stop.status
    assert mirror.trigger == ONE - stop.trigger
    assert (mirror.breach, mirror.asks) == (stop.breach, stop.asks)
    assert mirror.told == [(kind, mirrored(p), mirrored(t)) for kind, p, t in stop.told]


class Process:
    """What the stream keeps in memory about one token, and what it makes of what it is told."""

    def __init__(self, now: datetime, needs: Needs) -> None:
        self.books, self.waiting = Books(), Waiting()
        self.books.watch([Watched(1, "token", False, needs)], now)
        self.waiting.expect({1: needs})

    def hears(self, news, at: datetime) -> None:
        self.waiting.put(self.books.hear(Heard(at, [news])))

    def takes(self) -> list[Observation]:
        return [each for part in self.waiting.take(0) for each in part]


tops = st.tuples(ticks(38, 62) | st.none(), ticks(0, 6), ticks(38, 62) | st.none())
stops = st.builds(
    Terms,
    st.sampled_from(["sell", "buy"]),
    ticks(1, 10).map(lambda amount: Trail(amount=amount)),
    ticks(45, 55),
    st.sampled_from(["bid", "ask", "mid", "last"]),
    activation=st.none() | ticks(40, 60),
    guard=guards.map(lambda guard: replace(guard, time=None)),
)


@given(
    st.lists(stops, min_size=1, max_size=6),
    st.lists(st.tuples(tops, st.booleans(), st.booleans()), min_size=1, max_size=20),
)
def test_a_restart_at_any_point_changes_nothing(terms, path):
    """Where it takes, everything is ticked; where it restarts then, the new process hears a snapshot."""
    needs = Needs(
        max(each.guard.updates or 1 for each in terms),
        tuple({each.guard.max_spread for each in terms} - {None}),
    )
    markets = [Market([Stop(each, START, HELD) for each in terms]) for _ in range(3)]
    processes = [Process(START, needs) for _ in markets]
    now, last = START, None
    book = Snapshot("token", (), (), None, 1)
    for process in processes:
        process.hears(book, now)
    for told_at, ((bid, width, trade), takes, restarts) in enumerate(path, start=2):
        now += timedelta(milliseconds=1)
        ask = None if bid is None else bid + width
        last = trade if trade is not None else last
        bids, asks = (() if price is None else ((price, ONE),) for price in (bid, ask))
        book = Snapshot("token", bids, asks, last, told_at)
        for process in processes:
            if trade is not None:
                process.hears(Traded("token", trade, told_at), now)
            process.hears(PricesChanged("token", bid, ask, told_at), now)
        plain, conflated, restarted = range(3)
        _evaluate(processes[plain], markets[plain], now)
        if takes:
            _evaluate(processes[conflated], markets[conflated], now)
            _evaluate(processes[restarted], markets[restarted], now)
            if restarts:
                now += timedelta(milliseconds=1)
                processes[restarted] = Process(now, needs)
                processes[restarted].hears(book, now)
    for process, market in zip(processes, markets, strict=True):
        _evaluate(process, market, now)
    outcomes = [[_outcome(stop) for stop in market.stops] for market in markets]
    assert outcomes[0] == outcomes[1] == outcomes[2]


def _evaluate(process: Process, market: Market, now: datetime) -> None:
    for each in process.takes():
        market.observe(each, now)


def _outcome(stop: Stop) -> tuple:
    """What was counted beyond what is wanted makes no difference."""
    is_held = stop.breach is not None and stop.is_live
    counted = min(stop.breach.updates, stop.terms.guard.updates or 1) if is_held else 0
    return stop.status, stop.state.watermark, stop.trigger, counted
