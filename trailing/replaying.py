"""Replaying: what a stop would have done in a recorded market, by the arithmetic and guards of the tick.

A stop sees prices as its way of watching lets it (`Watching`) and decides in the order of
BEHAVIOUR 1.3, as `tick.py` does with rows; its exit reaches the recorded book some time later and
is planned again until all is done. `recorded.py` is the market. Pure: no database, no clock.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from exchange.quantising import limit_price, spot_limit_price, within_worst
from trailing.guards import LONGEST_HOLD, Breach, Guard, Sight, judge
from trailing.maths import Side, StopState, Trail, is_hit_by, ratcheted, trigger_price
from trailing.recorded import Print, RecordedMarket, Seen, View

RECOVERS_WITHIN = timedelta(seconds=10)
RECOVERS_BY_TICKS = 2
RECOVERS_BY_TRAIL = Decimal("0.1")
"""The margin of a recovery: so many ticks or this part of the trail, the larger."""

FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=0.2), timedelta(seconds=2)
ZERO = Decimal(0)
Cause = Literal["trail", "floor", "take_profit"]


@dataclass(frozen=True, slots=True)
class Watching:
    """How prices reach a stop, and how fast its exit is out."""

    every: timedelta | None = None
    """Between two polls; `None`: each change is seen."""
    delay: timedelta = timedelta(milliseconds=60)
    """From the decision to the exit in the book."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop to replay, made at a moment of the recording; prices per share or unit.

    Its best price starts from the entry price, without one from the price of that moment.
    """

    at: datetime
    trail: Trail
    quantity: Decimal
    side: Side = "sell"
    reference: Print = "bid"
    guard: Guard = field(default_factory=Guard)
    entry_price: Decimal | None = None
    activation_price: Decimal | None = None
    stop_price: Decimal | None = None
    take_profit_price: Decimal | None = None
    max_slippage: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """When a stop fired: because of which price, at what trigger, from which best price."""

    at: datetime
    price: Decimal
    trigger: Decimal
    watermark: Decimal
    cause: Cause


@dataclass(slots=True)
class Outcome:
    """What became of a replayed stop."""

    stop: Stop
    ideal: Decision | None = None
    """The first time that the best price reached the trigger that follows each best price."""
    decision: Decision | None = None
    done_at: datetime | None = None
    filled: Decimal = ZERO
    amount: Decimal = ZERO
    is_false: bool = False
    """Whether the best price was back beyond its trigger, by a margin, within ten seconds."""

    @property
    def got(self) -> Decimal | None:
        """The average price of what was sold or bought."""
        return self.amount / self.filled if self.filled else None

    @property
    def slippage(self) -> Decimal | None:
        """How much worse than the ideal exit it was; below zero: better."""
        if self.got is None or self.ideal is None:
            return None
        worse = self.ideal.trigger - self.got
        return worse if self.stop.side == "sell" else -worse

    @property
    def decided_after(self) -> timedelta | None:
        """From the moment of the ideal exit to the decision."""
        if self.ideal is None or self.decision is None:
            return None
        return self.decision.at - self.ideal.at

    @property
    def done_after(self) -> timedelta | None:
        """From the moment of the ideal exit until all was sold or bought."""
        if self.ideal is None or self.done_at is None:
            return None
        return self.done_at - self.ideal.at


def replay(market: RecordedMarket, stop: Stop, watching: Watching) -> Outcome:
    """Send one stop through its market; stops do not know of each other."""
    outcome = Outcome(stop)
    bare = replace(stop, guard=Guard(), reference="bid" if stop.side == "sell" else "ask")
    outcome.ideal = _streamed_decision(market, bare)
    outcome.decision = decide(market, stop, watching.every)
    if outcome.decision is not None:
        outcome.is_false = _recovers(market, stop, outcome.decision)
        _exit(market, outcome, outcome.decision, watching.delay)
    return outcome


@lru_cache(maxsize=10_000)
def _streamed_decision(market: RecordedMarket, stop: Stop) -> Decision | None:
    """Kept: the ideal exit is the same however a stop is watched."""
    return decide(market, stop, None)


def decide(market: RecordedMarket, stop: Stop, every: timedelta | None) -> Decision | None:
    """When a stop fires that sees each change, or the market every so often; `None`: never."""
    if every is None:
        view = market.streamed(stop.reference)
    else:
        view = market.polled(stop.reference, every, stop.at)
    return _decide(_Life(stop), view, view.index_at(stop.at), market.ends_at)


def _decide(life: "_Life", view: View, index: int, ends_at: datetime) -> Decision | None:
    while (index := life.pass_over(view, index)) < len(view.moments):
        at, seen, price = view.moments[index], view.seen[index], view.prices[index]
        at, is_new = max(at, life.stop.at), view.is_new(index)
        decision = life.observe(seen, price, at, is_new_state=is_new)
        index += 1
        if decision is None and price is not None and view.kind != "polls":
            until = view.moments[index] if index < len(view.moments) else ends_at
            decision = life.judge_held(seen, until)
        if decision is not None:
            return decision
    return None


class _Life:
    """One stop between two observations."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.state: StopState | None = None
        self.breach: Breach | None = None
        self._held: Decision | None = None

    def observe(
        self, seen: Seen, price: Decimal | None, at: datetime, *, is_new_state: bool
    ) -> Decision | None:
        """Activation, then the levels, then the trigger, then the ratchet."""
        if self.state is None and not self._begin(price):
            return None
        assert self.state is not None
        if price is not None and self.state.status == "pending_activation":
            self.state = self.state.after(price)
        reached = self._level(seen, at)
        if reached is not None or price is None or self.state.status == "pending_activation":
            return reached
        if is_hit_by(self.stop.side, price, self.state.trigger):
            return self._judge(price, Sight(at, seen.spread, is_new_state))
        best = ratcheted(self.stop.side, self.state.watermark, price)
        self.state, self.breach = replace(self.state, watermark=best), None
        return None

    def judge_held(self, seen: Seen, until: datetime) -> Decision | None:
        """Judge a held breach by the clock before the next observation comes."""
        if self.breach is None or self._held is None:
            return None
        guard = self.stop.guard
        for wait in sorted({LONGEST_HOLD if guard.time is None else guard.time, LONGEST_HOLD}):
            at = self.breach.since + wait
            if self._held.at < at < until:
                sight = Sight(at, seen.spread, is_new_state=False)
                if judge(guard, self.breach, sight).act == "fire":
                    return replace(self._held, at=at)
        return None

    def pass_over(self, view: View, index: int) -> int:
        """Skip to the next observation that does more than ratchet: the same, only faster."""
        state, stop = self.state, self.stop
        has_levels = stop.stop_price is not None or stop.take_profit_price is not None
        if state is None or state.status != "active" or self.breach is not None or has_levels:
            return index
        best, trigger, trail = state.watermark, state.trigger, state.trail
        is_sale, prices = stop.side == "sell", view.prices
        for at in range(index, len(prices)):
            price = prices[at]
            if price is None:
                continue
            if price <= trigger if is_sale else price >= trigger:
                break
            if price > best if is_sale else price < best:
                best = price
                trigger = trigger_price(stop.side, best, trail)
        else:
            at = len(prices)
        self.state = replace(state, watermark=best)
        return at

    def _begin(self, price: Decimal | None) -> bool:
        entry = self.stop.entry_price if self.stop.entry_price is not None else price
        if entry is None:
            return False
        activation = self.stop.activation_price
        status: Literal["active", "pending_activation"] = (
            "active" if activation is None else "pending_activation"
        )
        self.state = StopState(self.stop.side, self.stop.trail, entry, activation, status)
        return True

    def _level(self, seen: Seen, at: datetime) -> Decision | None:
        """A floor or a take-profit that the best price of its side has reached."""
        best, stop, other = seen.best(self.stop.side), self.stop, _OTHER[self.stop.side]
        assert self.state is not None
        if best is None:
            return None
        if stop.stop_price is not None and is_hit_by(stop.side, best, stop.stop_price):
            return Decision(at, best, stop.stop_price, self.state.watermark, "floor")
        profit = stop.take_profit_price
        if profit is not None and is_hit_by(other, best, profit):
            return Decision(at, best, profit, self.state.watermark, "take_profit")
        return None

    def _judge(self, price: Decimal, sight: Sight) -> Decision | None:
        assert self.state is not None
        reached = Decision(sight.at, price, self.state.trigger, self.state.watermark, "trail")
        verdict = judge(self.stop.guard, self.breach, sight)
        if verdict.act == "fire":
            return reached
        self.breach, self._held = verdict.breach, reached
        return None


_OTHER: dict[Side, Side] = {"sell": "buy", "buy": "sell"}


def _recovers(market: RecordedMarket, stop: Stop, decision: Decision) -> bool:
    """Whether the best price comes back beyond the trigger soon, which a take-profit's should."""
    if decision.cause == "take_profit":
        return False
    margin = max(
        RECOVERS_BY_TICKS * market.tick,
        RECOVERS_BY_TRAIL * stop.trail.distance(decision.watermark),
    )
    back = decision.trigger + margin if stop.side == "sell" else decision.trigger - margin
    return any(
        best is not None and is_hit_by(_OTHER[stop.side], best, back)
        for seen in market.between(decision.at, decision.at + RECOVERS_WITHIN)
        for best in [seen.best(stop.side)]
    )


def _exit(market: RecordedMarket, outcome: Outcome, decision: Decision, delay: timedelta) -> None:
    """Plan at the best price, arrive some time later, and plan again what remains."""
    stop, planned_at, attempts = outcome.stop, decision.at, 1
    taken: dict[tuple[Decimal, int], Decimal] = {}
    while planned_at + delay <= market.ends_at:
        limit = planned_limit(market, stop, decision.trigger, planned_at)
        planned_at += delay
        if limit is not None:
            left = stop.quantity - outcome.filled
            for price, quantity in market.fill(stop.side, left, limit, planned_at, taken):
                outcome.filled += quantity
                outcome.amount += quantity * price
        if outcome.filled >= stop.quantity:
            outcome.done_at = planned_at
            return
        planned_at += min(FIRST_RETRY * 1.5 ** min(attempts, 10), LONGEST_RETRY)
        attempts += 1


def planned_limit(
    market: RecordedMarket, stop: Stop, trigger: Decimal, planned_at: datetime
) -> Decimal | None:
    """How far an exit planned then may go, as `orders.planning` says; `None`: it holds."""
    seen = market.at(planned_at)
    best = seen.best(stop.side) if seen is not None else None
    if best is None:
        return None
    sweep = limit_price if market.is_outcome else spot_limit_price
    worst = None
    if stop.max_slippage is not None:
        further = -stop.max_slippage if stop.side == "sell" else stop.max_slippage
        worst = trigger + further
    limit = sweep(stop.side, best, market.tick)
    return within_worst(stop.side, limit, best, worst, market.tick)
