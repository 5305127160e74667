"""Replaying: when a stop would have fired in a recorded market, what its exit would have got."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.recorded_data import recorded_file
from trailing.guards import Breach, Guard, Sight, judge
from trailing.maths import Trail, trigger_price
from trailing.recorded import RecordedMarket
from trailing.recordings import Happening, read_recording
from trailing.replaying import Decision, Stop, Watching, decide, replay

T0 = datetime(2026, 11, 22, 12, tzinfo=UTC)
STEP = timedelta(milliseconds=100)
SECOND = timedelta(seconds=1)
TEN_PERCENT = Trail.of_percent(Decimal(10))
STREAM = Watching(delay=timedelta(0))


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def quotes(*told: tuple[float, str | None, str | None]) -> list[Happening]:
    return [
        Happening("x", at(when), *(None if price is None else Decimal(price) for price in prices))
        for when, *prices in told
    ]


def falling(*bids: str, end: float = 60) -> RecordedMarket:
    """A bid a second, the ask a tick above, the last one standing until the end."""
    told = [(float(i), bid, str(Decimal(bid) + Decimal("0.01"))) for i, bid in enumerate(bids)]
    return RecordedMarket(quotes(*told, (end, *told[-1][1:])))


def a_sale(**changes: object) -> Stop:
    return Stop(**{"at": T0, "trail": TEN_PERCENT, "quantity": Decimal(10), **changes})


def test_a_sale_follows_the_best_price_and_fires_at_its_trigger():
    outcome = replay(falling("0.50", "0.60", "0.55", "0.54", "0.50"), a_sale(), STREAM)
    assert outcome.decision == Decision(
        at(3), Decimal("0.54"), Decimal("0.54"), Decimal("0.60"), "trail"
    )
    assert (outcome.ideal, outcome.done_at, outcome.got) == (
        outcome.decision,
        at(3),
        Decimal("0.54"),
    )
    assert outcome.slippage == 0


def test_a_purchase_is_the_mirrored_sale():
    told = [(0, "0.49", "0.50"), (1, "0.39", "0.40"), (2, "0.42", "0.44"), (3, "0.47", "0.48")]
    buy = a_sale(side="buy", reference="ask")
    outcome = replay(
        RecordedMarket(quotes(*told, (9, "0.47", "0.48"))), buy, Watching(delay=SECOND)
    )
    assert (outcome.decision.at, outcome.decision.trigger) == (at(2), Decimal("0.44"))
    assert outcome.got is None or outcome.done_at is not None
    # planned at 0.44 it may go up to 0.47: 0.48 is beyond it, so it is planned again
    assert (outcome.got, outcome.slippage) == (Decimal("0.48"), Decimal("0.04"))
    assert outcome.done_at == at(3) + 0.3 * SECOND + SECOND


def test_activation_waits_and_starts_from_the_activating_price():
    stop = a_sale(activation_price=Decimal("0.60"))
    assert replay(falling("0.50", "0.40", "0.59", "0.10"), stop, STREAM).decision is None
    decision = replay(falling("0.50", "0.40", "0.61", "0.55", "0.54"), stop, STREAM).decision
    assert (decision.at, decision.trigger) == (at(4), Decimal("0.549"))


def test_a_floor_needs_no_confirmation_and_holds_while_waiting_for_activation():
    stop = a_sale(
        activation_price=Decimal("0.90"), stop_price=Decimal("0.45"), guard=Guard(5, SECOND)
    )
    decision = replay(falling("0.50", "0.45", "0.50"), stop, STREAM).decision
    assert (decision.at, decision.cause, decision.trigger) == (at(1), "floor", Decimal("0.45"))


def test_a_take_profit_ends_the_trail_and_is_not_false_though_the_price_stays_up():
    outcome = replay(
        falling("0.50", "0.71", "0.75"), a_sale(take_profit_price=Decimal("0.70")), STREAM
    )
    assert (outcome.decision.cause, outcome.decision.at) == ("take_profit", at(1))
    assert outcome.slippage == Decimal("-0.01")
    assert not outcome.is_false


def test_a_quiet_book_confirms_by_the_clock_and_a_recovery_begins_anew():
    guard = Guard(3, SECOND)
    quiet = replay(falling("0.50", "0.40"), a_sale(guard=guard), STREAM)
    assert quiet.decision.at == at(2)
    wick = RecordedMarket(
        quotes((0, "0.50", "0.51"), (1, "0.40", "0.41"), (1.5, "0.50", "0.51"), (9, "0.50", "0.51"))
    )
    assert replay(wick, a_sale(guard=guard), STREAM).decision is None
    assert replay(wick, a_sale(), STREAM).is_false


def test_a_wide_quote_is_held_back_for_ten_seconds_at_most():
    wide = RecordedMarket(
        quotes((0, "0.50", "0.51"), (1, "0.40", "0.60"), (20, "0.40", "0.61"), (30, "0.4", "0.6"))
    )
    stop = a_sale(guard=Guard(max_spread=Decimal("0.05")))
    assert replay(wide, stop, STREAM).decision.at == at(11)


def test_without_a_price_nothing_fires_by_the_clock():
    gone = RecordedMarket(
        quotes((0, "0.50", "0.51"), (1, "0.40", "0.41"), (1.5, None, "0.51"), (9, None, "0.52"))
    )
    assert replay(gone, a_sale(guard=Guard(3, SECOND)), STREAM).decision is None


def test_a_crossed_quote_is_no_observation():
    crossed = RecordedMarket(
        quotes((0, "0.50", "0.51"), (1, "0.40", "0.30"), (2, "0.50", "0.51"), (3, "0.5", "0.51"))
    )
    assert replay(crossed, a_sale(), STREAM).decision is None


def test_who_polls_misses_what_lies_between_and_is_late():
    market = falling("0.50", "0.40", "0.50", "0.50", "0.40", "0.40", "0.40")
    assert decide(market, a_sale(), 2 * SECOND).at == at(4)
    assert decide(market, a_sale(), 3 * SECOND).at == at(6)
    assert decide(market, a_sale(), None).at == at(1)


def test_any_print_counts_trades_as_they_are_told_and_not_what_stands():
    told = [
        Happening("x", at(0), traded=Decimal("0.10")),
        *quotes((1, "0.50", "0.52"), (2, "0.49", "0.52")),
        Happening("x", at(3), traded=Decimal("0.40")),
        *quotes((9, "0.49", "0.52")),
    ]
    stop = a_sale(at=at(1), reference="any", entry_price=Decimal("0.50"))
    assert decide(RecordedMarket(told), stop, None).at == at(3)


def levels(*told: tuple[float, str, int]) -> list[Happening]:
    """Bids at 0.50 and their sizes at moments; the best prices stand."""
    best = (Decimal("0.50"), Decimal("0.60"))
    return [
        Happening("x", at(when), *best, None, (True, Decimal(price), Decimal(size)))
        for when, price, size in told
    ]


def test_an_exit_takes_the_levels_within_its_sweep_and_what_it_took_is_gone():
    """45 are offered down to 0.47; the rest waits until 0.50 is offered anew. 0.70 is left over."""
    market = RecordedMarket(
        levels(
            (0, "0.70", 99),
            (0, "0.50", 20),
            (0, "0.48", 25),
            (0, "0.30", 500),
            (5, "0.50", 30),
            (9, "0.50", 30),
        )
    )
    stop = a_sale(at=at(1), quantity=Decimal(60), stop_price=Decimal("0.50"))
    outcome = replay(market, stop, STREAM)
    assert outcome.decision.at == at(1)
    assert outcome.amount == 20 * Decimal("0.50") + 25 * Decimal("0.48") + 15 * Decimal("0.50")
    assert at(5) <= outcome.done_at < at(7)


def test_an_exit_never_goes_beyond_its_slippage():
    market = falling("0.50", "0.40", end=30)
    outcome = replay(market, a_sale(max_slippage=Decimal("0.02")), STREAM)
    assert (outcome.decision.at, outcome.got, outcome.done_at) == (at(1), None, None)


def test_the_tick_is_the_grid_of_the_prices():
    assert falling("0.50", "0.40").tick == Decimal("0.01")
    assert falling("0.50", "0.401").tick == Decimal("0.001")
    assert not falling("50.5", "40").is_outcome


def simple(market: RecordedMarket, stop: Stop) -> Decision | None:
    """The same, spelt out: every state, and the clock ten times a second."""
    best, is_waiting, breach = None, stop.activation_price is not None, None
    entry = market.at(stop.at) or market.states[0]
    now, seen = max(stop.at, entry.at), None
    sign = 1 if stop.side == "sell" else -1
    while now <= market.ends_at:
        before, seen = seen, market.at(now)
        price, exit_price = seen.price_of(stop.reference), seen.best(stop.side)
        if best is None:
            best = price
        if best is not None:
            if is_waiting and price is not None and (price - stop.activation_price) * sign >= 0:
                is_waiting, best = False, price
            for level, cause, way in (
                (stop.stop_price, "floor", -1),
                (stop.take_profit_price, "take_profit", 1),
            ):
                if None not in (level, exit_price) and (exit_price - level) * sign * way >= 0:
                    return Decision(now, exit_price, level, best, cause)
            trigger = trigger_price(stop.side, best, stop.trail)
            if not is_waiting and price is not None:
                if (price - trigger) * sign <= 0:
                    sight = Sight(now, seen.spread, seen is not before)
                    verdict = judge(stop.guard, breach, sight)
                    if verdict.act == "fire":
                        return Decision(now, price, trigger, best, "trail")
                    breach = verdict.breach
                else:
                    breach, best = None, max(best * sign, price * sign) * sign
        now += STEP
    return None


def a_walk(chance: random.Random) -> list[Happening]:
    """Best prices and trades that wander, now and then a wide book, an empty side, a long quiet."""
    told, now, bid = [], T0, 40
    for _ in range(60):
        now += chance.choice((1, 1, 1, 2, 5, 12, 30)) * STEP
        bid = min(max(bid + chance.choice((-2, -1, -1, 0, 1, 1, 2)), 10), 80)
        ask = Decimal(bid + chance.choice((1, 1, 2, 6))) / 100
        traded = Decimal(bid + chance.randint(-2, 3)) / 100 if chance.random() < 0.3 else None
        is_gone = chance.random() < 0.05
        told.append(Happening("x", now, None if is_gone else Decimal(bid) / 100, ask, traded))
    return [*told, Happening("x", now + 120 * STEP, told[-1].bid, told[-1].ask)]


def a_seeded_stop(chance: random.Random) -> Stop:
    level = lambda low, high: Decimal(chance.randint(low, high)) / 100  # noqa: E731
    return Stop(
        T0 + chance.randint(0, 40) * STEP,
        chance.choice((TEN_PERCENT, Trail(amount=Decimal("0.02")))),
        Decimal(10),
        chance.choice(("sell", "buy")),
        chance.choice(("bid", "ask", "mid", "last")),
        Guard(
            chance.choice((None, 1, 2, 3, 4)),
            chance.choice((None, SECOND / 2, SECOND, 2 * SECOND)),
            chance.choice((None, None, Decimal("0.03"))),
        ),
        activation_price=chance.choice((None, None, level(35, 45))),
        stop_price=chance.choice((None, None, level(20, 35))),
        take_profit_price=chance.choice((None, None, level(45, 60))),
    )


def test_passing_over_what_only_ratchets_changes_no_decision():
    chance, causes = random.Random(1), Counter()
    for _ in range(60):
        market = RecordedMarket(a_walk(chance))
        for _ in range(5):
            stop = a_seeded_stop(chance)
            decision = decide(market, stop, None)
            assert decision == simple(market, stop)
            causes[decision and decision.cause] += 1
    assert min(causes[cause] for cause in ("trail", "floor", "take_profit", None)) > 10


def test_a_purchase_in_the_mirrored_market_fires_with_the_sale():
    """By an amount: a percentage of the mirrored price is another one."""
    chance, fired = random.Random(2), 0
    for _ in range(60):
        walk = a_walk(chance)
        straight = [Happening("x", told.at, told.bid, told.ask) for told in walk]
        mirrored = [
            Happening("x", told.at, 1 - told.ask, None if told.bid is None else 1 - told.bid)
            for told in walk
        ]
        sale = replace(
            a_sale(trail=Trail(amount=Decimal("0.02"))), guard=a_seeded_stop(chance).guard
        )
        sold = decide(RecordedMarket(straight), sale, None)
        buy = replace(sale, side="buy", reference="ask")
        bought = decide(RecordedMarket(mirrored), buy, None)
        assert (sold and (sold.at, 1 - sold.trigger)) == (bought and (bought.at, bought.trigger))
        fired += sold is not None
    assert fired > 30


def test_passing_over_changes_nothing_in_a_real_market():
    path = recorded_file("reference-prices/chainlink_btcusd_1hz_20260724.csv.gz")
    [happenings] = read_recording(path).values()
    market = RecordedMarket(happenings[:3000])
    for percent in ("0.05", "0.1", "0.2"):
        for hour in range(3):
            stop = Stop(
                market.moments[0] + hour * 450 * SECOND,
                Trail.of_percent(Decimal(percent)),
                Decimal(1),
                guard=Guard(2, SECOND),
            )
            assert decide(market, stop, None) == simple_at_states(market, stop)


def simple_at_states(market: RecordedMarket, stop: Stop) -> Decision | None:
    """Every state of a market that never goes quiet: the clock is the states' own."""
    best, breach = None, None
    for index in range(market.moments.index(stop.at), len(market.states)):
        seen = market.states[index]
        best = best if best is not None else seen.bid
        trigger = trigger_price("sell", best, stop.trail)
        if seen.bid > trigger:
            best, breach = max(best, seen.bid), None
            continue
        verdict = judge(stop.guard, breach, Sight(seen.at, seen.spread))
        if verdict.act == "fire":
            return Decision(seen.at, seen.bid, trigger, best, "trail")
        breach = verdict.breach or Breach(seen.at)
        following = market.states[min(index + 1, len(market.states) - 1)].at
        if breach.since + SECOND < following:
            return Decision(breach.since + SECOND, seen.bid, trigger, best, "trail")
    return None


def test_a_stop_made_before_the_recording_begins_with_it():
    market = falling("0.50", "0.40")
    assert decide(market, a_sale(at=T0 - SECOND), None).at == at(1)
    assert decide(market, a_sale(at=T0 - SECOND / 2), SECOND).at == at(1.5)


def test_a_stop_made_after_the_end_never_fires():
    assert decide(falling("0.50", "0.40"), a_sale(at=at(99)), SECOND) is None


@pytest.mark.parametrize("price", ["0.56", "0.561"])
def test_a_sale_is_false_when_the_price_comes_back_by_the_margin(price: str):
    """A trail of 0.06 from 0.60: two ticks are more than a tenth of it."""
    recovers = falling("0.60", "0.54", price)
    assert replay(recovers, a_sale(), STREAM).is_false == (recovers.tick <= Decimal("0.01"))
    late = RecordedMarket(
        quotes((0, "0.60", "0.61"), (1, "0.54", "0.55"), (11.5, price, "0.60"), (20, "0.5", "0.6"))
    )
    assert not replay(late, a_sale(), STREAM).is_false
