"""Replaying: what a stop would have done in a recorded market, by the same pure arithmetic and guards.

A stop sees prices as its way of watching lets it (`Watching`), decides by `maths` and `guards`, and
its exit reaches the recorded book some time later, where it follows the market as a real one does.
Nothing of ours is in the recorded book: it does not react to the exit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from heapq import heapify, heappop, heappush
from typing import Literal

from exchange.quantising import limit_price, spot_limit_price
from trailing.guards import Breach, Guard, Sight, judge
from trailing.maths import StopState, Trail, is_hit_by, ratcheted
from trailing.recordings import Happening

RECOVERS_WITHIN = timedelta(seconds=10)
FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=0.2), timedelta(seconds=2)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Watching:
    """How prices reach a stop: at once or polled, by which price, and how fast its exit is out."""

    name: str
    guard: Guard
    reference: Literal["bid", "last", "any"] = "bid"
    """`any`: whatever print comes, best bid or trade."""
    every: timedelta | None = None
    """Between two polls; `None`: each change is seen."""
    delay: timedelta = timedelta(milliseconds=60)
    """From the decision to the exit in the book."""


@dataclass(frozen=True, slots=True)
class Sale:
    """A stop to replay: sells so much, its best price starting from the first price after `at`."""

    symbol: str
    at: datetime
    trail: Trail
    quantity: Decimal


@dataclass(slots=True)
class Outcome:
    """What became of a replayed stop. Prices per share; moments of the recording."""

    sale: Sale
    ideal_at: datetime | None = None
    """When the best bid first reached the trigger that follows each best bid."""
    ideal: Decimal | None = None
    decided_at: datetime | None = None
    trigger: Decimal | None = None
    done_at: datetime | None = None
    sold: Decimal = ZERO
    amount: Decimal = ZERO
    is_false: bool = False
    """Whether the price was back above its trigger, by two ticks, within ten seconds."""

    @property
    def got(self) -> Decimal | None:
        """The average price of what was sold."""
        return self.amount / self.sold if self.sold else None


@dataclass(slots=True)
class Market:
    """A recorded book as it stood at the latest happening."""

    tick: Decimal
    is_outcome: bool = True
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    version: int = 0

    def after(self, happening: Happening) -> None:
        """Take in what happened."""
        before = (self.bid, self.ask, self.last)
        if happening.traded is not None:
            self.last = happening.traded
        if happening.level is not None or happening.traded is None or happening.bid is not None:
            self.bid, self.ask = happening.bid, happening.ask
        if happening.level is not None and happening.level[0]:
            _, price, size = happening.level
            self.bids[price] = size
        self.version += (self.bid, self.ask, self.last) != before

    def sell(self, quantity: Decimal) -> list[tuple[Decimal, Decimal]]:
        """What a FAK sale would fill now, at most down to its sweep limit; the book is left as it is."""
        if self.bid is None:
            return []
        if not self.bids:
            return [(self.bid, quantity)]  # a recording without depth
        sweep = limit_price if self.is_outcome else spot_limit_price
        limit = sweep("sell", self.bid, self.tick)
        filled = []
        for price in sorted(self.bids, reverse=True):
            if price > self.bid or self.bids[price] <= 0:
                continue  # left over from before the recording began
            if price < limit or quantity <= 0:
                break
            taken = min(quantity, self.bids[price])
            filled.append((price, taken))
            quantity -= taken
        return filled


class Replayed:
    """One stop on its way through a recording."""

    def __init__(self, sale: Sale, watching: Watching) -> None:
        self.outcome = Outcome(sale)
        self._watching = watching
        self._state: StopState | None = None
        self._best: Decimal | None = None
        self._breach: Breach | None = None
        self._seen_version = -1
        self._next_look: datetime = sale.at
        self._exit_at: datetime | None = None
        self._retry = FIRST_RETRY
        self._is_sold_for_good = False

    @property
    def is_over(self) -> bool:
        """Whether nothing that comes can change its outcome."""
        return self._is_sold_for_good and self.outcome.ideal_at is not None

    @property
    def due(self) -> datetime | None:
        """When it wants to be looked after though nothing happens."""
        if self._exit_at is not None:
            return self._exit_at
        if self.outcome.decided_at is not None:
            return None
        if self._watching.every is not None:
            return self._next_look
        waits, breach = self._watching.guard.time, self._breach
        return None if waits is None or breach is None else breach.since + waits

    def step(self, market: Market, now: datetime) -> None:
        """Live through one moment of the market."""
        if now < self.outcome.sale.at:
            return
        self._follow_ideal(market, now)
        if self.outcome.decided_at is None:
            self._watch(market, now)
        self._note_recovery(market, now)
        if self._exit_at is not None and now >= self._exit_at:
            self._sell(market, now)

    def _follow_ideal(self, market: Market, now: datetime) -> None:
        outcome, bid = self.outcome, market.bid
        if outcome.ideal_at is not None or bid is None:
            return
        best = self._best if self._best is not None else bid
        trigger = best - outcome.sale.trail.distance(best)
        if is_hit_by("sell", bid, trigger):
            outcome.ideal_at, outcome.ideal = now, trigger
        self._best = ratcheted("sell", best, bid)

    def _watch(self, market: Market, now: datetime) -> None:
        """Evaluate the price that this way of watching sees, if it sees one now."""
        if self._watching.every is not None:
            if now < self._next_look:
                return
            self._next_look = now + self._watching.every
        for price in self._prices(market):
            self._evaluate(price, market, now)
            if self.outcome.decided_at is not None:
                break
        self._seen_version = market.version

    def _prices(self, market: Market) -> list[Decimal]:
        wanted = {
            "bid": [market.bid],
            "last": [market.last],
            "any": [market.bid, market.last],
        }[self._watching.reference]
        return [price for price in wanted if price is not None]

    def _evaluate(self, price: Decimal, market: Market, now: datetime) -> None:
        if self._state is None:
            self._state = StopState("sell", self.outcome.sale.trail, price)
        if not is_hit_by("sell", price, self._state.trigger):
            self._breach = None
            best = ratcheted("sell", self._state.watermark, price)
            self._state = replace(self._state, watermark=best)
            return
        spread = None if market.ask is None or market.bid is None else market.ask - market.bid
        is_new = market.version != self._seen_version
        verdict = judge(self._watching.guard, self._breach, Sight(now, spread, is_new))
        self._breach = verdict.breach
        if verdict.act == "fire":
            self.outcome.decided_at, self.outcome.trigger = now, self._state.trigger
            self._exit_at = now + self._watching.delay

    def _note_recovery(self, market: Market, now: datetime) -> None:
        at, trigger = self.outcome.decided_at, self.outcome.trigger
        if at is None or trigger is None or market.bid is None:
            return
        if now - at > RECOVERS_WITHIN:
            self._is_sold_for_good = self.outcome.done_at is not None
            return
        if market.bid >= trigger + 2 * market.tick:
            self.outcome.is_false = True

    def _sell(self, market: Market, now: datetime) -> None:
        outcome = self.outcome
        for price, quantity in market.sell(outcome.sale.quantity - outcome.sold):
            outcome.sold += quantity
            outcome.amount += quantity * price
        if outcome.sold >= outcome.sale.quantity:
            outcome.done_at, self._exit_at = now, None
        else:
            self._exit_at = now + self._retry
            self._retry = min(self._retry * 2, LONGEST_RETRY)


def replay(
    happenings: Sequence[Happening],
    sales: Iterable[Sale],
    watching: Watching,
    tick: Decimal,
    *,
    is_outcome: bool = True,
) -> list[Outcome]:
    """Send stops of one instrument through its recording; what became of each.

    Between two happenings time passes too: polls, exits and confirmations fall due then.
    """
    market = Market(tick, is_outcome)
    runs = [Replayed(sale, watching) for sale in sales]
    due = [(run.due, number) for number, run in enumerate(runs) if run.due is not None]
    heapify(due)
    for happening in happenings:
        _let_pass(runs, market, due, happening.at)
        version = market.version
        market.after(happening)
        if market.version == version:
            continue
        for number, run in enumerate(runs):
            if not run.is_over:
                _step(run, number, market, due, happening.at)
    return [run.outcome for run in runs]


def _let_pass(
    runs: Sequence[Replayed], market: Market, due: list[tuple[datetime, int]], until: datetime
) -> None:
    while due and due[0][0] < until:
        at, number = heappop(due)
        if runs[number].due == at:
            _step(runs[number], number, market, due, at)


def _step(
    run: Replayed, number: int, market: Market, due: list[tuple[datetime, int]], at: datetime
) -> None:
    before = run.due
    run.step(market, at)
    if run.due is not None and (run.due != before or run.due <= at):
        heappush(due, (run.due, number))
