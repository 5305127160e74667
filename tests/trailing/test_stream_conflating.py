"""Conflation changes nothing for any stop: the pure state machine over all prices and over what is kept."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trailing.model import Market, Stop, Terms
from trailing.conflating import SPACING, Needs, bounded, rounds, turning_points
from trailing.executable import Depth
from trailing.guards import Guard
from trailing.maths import StopState, Trail, is_hit_by, ratcheted
from trailing.tick import Observation
from trailing.waiting import MOST, Waiting

START = datetime(2026, 11, 22, tzinfo=UTC)


def observation(bid, ask=None, last=None, *, at=0, instrument=1, depth=None) -> Observation:
    def price(ticks):
        return None if ticks is None else Decimal(ticks) / 100

    moment = START + timedelta(milliseconds=at)
    return Observation(instrument, price(bid), price(ask), moment, price(last), depth)


def series(*bids) -> list[Observation]:
    return [observation(bid, 99, at=at) for at, bid in enumerate(bids)]


def bids(seen) -> list[int]:
    return [int(each.bid * 100) for each in seen]


@pytest.mark.parametrize(
    ("prices", "updates", "kept"),
    [
        ([50, 51, 52, 53], 1, [50, 53]),
        ([50, 51, 52, 51, 50], 1, [50, 52, 50]),
        ([50, 48, 46, 44, 46, 48], 2, [50, 48, 46, 44, 46, 48]),
        ([50, 49, 48, 47, 46, 45, 44, 43], 2, [50, 49, 44, 43]),
        ([50, 50, 50], 1, [50, 50]),
        ([50, 40, 40, 60], 1, [50, 40, 60]),
        ([50], 1, [50]),
    ],
)
def test_only_turning_points_and_the_neighbours_that_are_counted_stay(prices, updates, kept):
    assert bids(turning_points(series(*prices), Needs(updates))) == kept


def test_what_was_evaluated_before_is_not_evaluated_again():
    before, *seen = series(50, 51, 52, 53)
    assert bids(turning_points(seen, Needs(), before)) == [53]


def test_the_last_observation_stays_although_it_repeats_the_one_before():
    seen = series(50, 50)
    assert turning_points(seen)[-1] is seen[-1]


def test_a_depth_that_says_nothing_new_to_the_quantities_wanted_is_left_out():
    depths = [Depth(((Decimal("0.5"), Decimal(at)),), ()) for at in (40, 50, 60, 70)]
    seen = [observation(50, 60, at=at, depth=depth) for at, depth in enumerate(depths)]
    assert turning_points(seen, Needs(quantities=[("sell", Decimal(40))])) == [seen[0], seen[-1]]
    assert turning_points(seen, Needs(quantities=None)) == seen


def test_a_thin_moment_of_a_book_stays_although_its_best_prices_stand():
    sizes = [(90, 90), (90, 90), (10, 90), (90, 90), (90, 90)]
    seen = [
        observation(50, 60, at=at, depth=Depth(((Decimal("0.5"), Decimal(first)), (Decimal("0.4"), Decimal(second))), ()))
        for at, (first, second) in enumerate(sizes)
    ]  # fmt: skip
    assert seen[2] in turning_points(seen, Needs(quantities=[("sell", Decimal(50))]))
    assert seen[2] not in turning_points(seen, Needs(quantities=[("sell", Decimal(10))]))


def test_the_only_narrow_quote_beyond_a_threshold_stays():
    """A stop at 0.45 that trusts spreads up to 0.12 fires by the third and by no other."""
    seen = [
        observation(*each, at=at)
        for at, each in enumerate([(50, 52), (40, 60), (44, 56), (48, 52)])
    ]
    assert seen[2] in turning_points(seen, Needs(spreads=[Decimal("0.12")]))
    assert seen[2] not in turning_points(seen, Needs())


def test_of_a_slow_slope_one_state_stays_in_a_tenth_of_a_second():
    seen = [observation(90 - at, 99, at=20 * at) for at in range(50)]
    times = [each.received_at for each in turning_points(seen)]
    assert len(times) <= 50 * 20 / 100 + 2
    assert all(b - a <= SPACING for a, b in pairwise(times))


@dataclass(frozen=True)
class Follower:
    """One stop with a confirmation of so many book states, as the tick does it."""

    state: StopState
    reference: str
    wanted: int
    breach: int = 0
    book: tuple = ()

    def after(self, seen: Observation) -> "Follower":
        price = {
            "bid": seen.bid,
            "ask": seen.ask,
            "last": seen.last,
            "mid": None if seen.bid is None or seen.ask is None else (seen.bid + seen.ask) / 2,
        }[self.reference]
        state, book = self.state, (seen.bid, seen.ask, seen.last)
        if price is None or state.status == "triggered":
            return Follower(state, self.reference, self.wanted, self.breach, book)
        if state.status == "active" and is_hit_by(state.side, price, state.trigger):
            breach = self.breach + (self.breach == 0 or book != self.book)
            status = "triggered" if breach >= self.wanted else "active"
            best = ratcheted(state.side, state.watermark, price)
            state = StopState(state.side, state.trail, best, state.activation, status)
            return Follower(state, self.reference, self.wanted, breach, book)
        return Follower(state.after(price), self.reference, self.wanted, 0, book)


tops = st.tuples(
    st.one_of(st.integers(30, 60), st.none()),
    st.one_of(st.integers(40, 70), st.none()),
    st.integers(35, 65),
)
followers = st.builds(
    Follower,
    st.builds(
        StopState,
        st.sampled_from(["sell", "buy"]),
        st.one_of(
            st.builds(Trail.of_percent, st.integers(1, 40).map(Decimal)),
            st.builds(Trail.of_ticks, st.integers(1, 15), st.just(Decimal("0.01"))),
        ),
        st.integers(40, 60).map(lambda ticks: Decimal(ticks) / 100),
        st.one_of(st.none(), st.integers(35, 65).map(lambda ticks: Decimal(ticks) / 100)),
    ).map(lambda s: s if s.activation is None else StopState(
        s.side, s.trail, s.watermark, s.activation, "pending_activation"
    )),
    st.sampled_from(["bid", "ask", "mid", "last"]),
    st.integers(1, 4),
)  # fmt: skip


def outcome(stop: Follower) -> tuple:
    if stop.state.status == "triggered":
        return "triggered", stop.state.watermark
    return stop.state.status, stop.state.watermark, min(stop.breach, stop.wanted)


@given(
    st.lists(st.lists(tops, min_size=1, max_size=12), min_size=1, max_size=6),
    st.lists(followers, min_size=1, max_size=8),
)
def test_the_outcome_of_every_stop_is_that_without_conflation(bursts, stops):
    every, kept, before, clock = list(stops), list(stops), None, 0
    for burst in bursts:
        seen = [observation(*top, at=clock + at) for at, top in enumerate(burst)]
        clock += len(seen)
        for each in seen:
            every = [stop.after(each) for stop in every]
        points = turning_points(seen, Needs(max(stop.wanted for stop in stops)), before)
        for each in points:
            kept = [stop.after(each) for stop in kept]
        assert points[-1] is seen[-1]
        before = points[-1]
    assert [outcome(stop) for stop in kept] == [outcome(stop) for stop in every]


def levels(top, step, *offered):
    """Two levels of a side, as far as it has any."""
    if top is None:
        return ()
    return tuple((Decimal(top + step * at) / 100, Decimal(size)) for at, size in enumerate(offered))


def a_book(top, offered):
    """Best prices, a trade, and the depth if it is known."""
    bid, ask, _ = top
    depth = None
    if offered is not None:
        depth = Depth(levels(bid, -4, *offered[:2]), levels(ask, 4, *offered[2:]))
    return *top, depth


books = st.builds(
    a_book, tops, st.none() | st.lists(st.sampled_from([5, 20, 500]), min_size=4, max_size=4)
)
quantities = st.sampled_from([Decimal(5), Decimal(25)])
guarded = st.builds(
    Terms,
    st.sampled_from(["sell", "buy"]),
    st.integers(1, 15).map(lambda count: Trail(amount=Decimal(count) / 100)),
    st.integers(40, 60).map(lambda count: Decimal(count) / 100),
    st.sampled_from(["bid", "ask", "mid", "last"]),
    activation=st.none() | st.none() | st.integers(35, 65).map(lambda count: Decimal(count) / 100),
    floor=st.none(),
    guard=st.builds(
        Guard,
        st.integers(1, 3),
        st.none(),
        st.none() | st.sampled_from([2, 5, 9]).map(lambda count: Decimal(count) / 100),
    ),
)
by_depth = st.builds(
    Terms,
    st.sampled_from(["sell", "buy"]),
    st.integers(1, 15).map(lambda count: Trail(amount=Decimal(count) / 100)),
    st.integers(40, 60).map(lambda count: Decimal(count) / 100),
    st.just("executable"),
    quantities,
    guard=st.builds(
        Guard,
        st.none(),
        st.none(),
        st.none() | st.sampled_from([2, 5, 9]).map(lambda count: Decimal(count) / 100),
    ),
)


def needs_of(stops) -> Needs:
    return Needs(
        max(stop.guard.updates or 1 for stop in stops),
        tuple({stop.guard.max_spread for stop in stops} - {None}),
        tuple({(stop.side, stop.quantity) for stop in stops if stop.reference == "executable"}),
    )


def outcome_of(stop: Stop) -> tuple:
    """Counted updates beyond those wanted are the same."""
    is_held = stop.breach is not None and stop.is_live
    counted = min(stop.breach.updates, stop.terms.guard.updates or 1) if is_held else 0
    trigger = stop.trigger if stop.firing is None else stop.firing.trigger
    return stop.status, stop.state.watermark, trigger, counted


@given(
    st.lists(st.lists(books, min_size=1, max_size=12), min_size=1, max_size=4),
    st.lists(guarded | by_depth, min_size=1, max_size=8),
)
def test_stops_with_a_largest_spread_or_a_quantity_end_as_without_conflation(bursts, terms):
    every, kept = (Market([Stop(each, START, Decimal(1)) for each in terms]) for _ in "ab")
    before, clock = None, 0
    for burst in bursts:
        seen = [
            observation(*top, at=clock + at, depth=depth) for at, (*top, depth) in enumerate(burst)
        ]
        clock += len(seen)
        for each in seen:
            every.observe(each, each.received_at)
        for each in turning_points(seen, needs_of(terms), before):
            kept.observe(each, each.received_at)
            before = each
    assert list(map(outcome_of, kept.stops)) == list(map(outcome_of, every.stops))
    fired = [stop for stop in kept.stops if stop.firing is not None]
    assert all(is_hit_by(s.terms.side, s.firing.price, s.firing.trigger) for s in fired)


@given(st.lists(tops, min_size=1, max_size=80), st.integers(10, 40))
def test_a_bounded_queue_keeps_order_the_last_and_its_size(burst, most):
    seen = [observation(*top, at=at) for at, top in enumerate(burst)]
    kept = bounded(seen, most)
    assert len(kept) <= max(most, 1)
    assert kept == sorted(kept, key=lambda each: each.received_at)
    assert kept[-1] is seen[-1]


def test_rounds_hold_one_observation_of_an_instrument_in_order():
    first, second = observation(50, at=0), observation(51, at=1)
    other = observation(40, at=0, instrument=2)
    assert list(rounds([[first, second], [other]])) == [[first, other], [second]]


def test_what_waits_is_taken_once_and_conflated():
    waiting = Waiting()
    waiting.put(series(50, 51, 52, 53, 40))
    assert [bids(each) for each in waiting.take(0)] == [[50], [53], [40]]
    assert waiting.take(0) == []


def test_what_is_taken_is_what_the_next_ones_are_compared_with():
    waiting = Waiting()
    waiting.put(series(50, 60))
    waiting.take(0)
    waiting.put(series(55, 58))
    assert [bids(each) for each in waiting.take(0)] == [[55], [58]]  # 60, 55, 58: it turned
    waiting.put(series(59, 61))
    assert [bids(each) for each in waiting.take(0)] == [[61]]


def test_what_is_given_back_comes_before_what_came_since():
    waiting = Waiting()
    seen = series(50, 40, 60, 45)
    waiting.put(seen[:2])
    taken = [each for part in waiting.take(0) for each in part]
    waiting.put(seen[2:])
    waiting.give_back(taken)
    assert [bids(each) for each in waiting.take(0)] == [[50], [40], [60], [45]]


def test_memory_is_bounded_while_nobody_takes():
    waiting = Waiting()
    for at in range(20 * MOST):
        waiting.put([observation(40 + at % 7 * (at % 2), 70 - at % 5, at=at)])
    taken = waiting.take(0)
    assert len(taken) <= MOST
    assert taken[-1][0].received_at == START + timedelta(milliseconds=20 * MOST - 1)
