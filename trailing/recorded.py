"""A recorded market as a function of time: its best prices in order, and its book at any moment.

Nothing of ours is in it: the recorded book does not react to an exit.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from exchange.quantising import OUTCOME_TICK_SIZES, is_on_grid
from trailing.maths import Side
from trailing.recordings import Happening

Print = Literal["bid", "ask", "mid", "last", "any"]
"""What a stop refers to; `any` is each best bid and each trade as it is told, which ours never do."""

SPOT_TICK = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Seen:
    """A book state: the best prices and the last trade from a moment on."""

    at: datetime
    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None

    @property
    def spread(self) -> Decimal | None:
        """Between the best prices; `None` when a side is empty."""
        return None if self.bid is None or self.ask is None else self.ask - self.bid

    @property
    def is_crossed(self) -> bool:
        """Whether a bid above the ask tells that the book cannot be trusted."""
        return self.bid is not None and self.ask is not None and self.bid > self.ask

    def best(self, side: Side) -> Decimal | None:
        """What an exit of this side follows."""
        return self.bid if side == "sell" else self.ask

    def price_of(self, reference: str) -> Decimal | None:
        """The price that a stop refers to; what is not known is none."""
        if reference == "mid":
            return None if self.bid is None or self.ask is None else (self.bid + self.ask) / 2
        return {"bid": self.bid, "ask": self.ask, "last": self.last}[reference]


@dataclass(frozen=True, slots=True)
class View:
    """The market as a way of watching sees it by one reference: moments, states, prices, in step."""

    kind: Literal["states", "prints", "polls"]
    moments: Sequence[datetime]
    seen: Sequence[Seen]
    prices: Sequence[Decimal | None]

    def index_at(self, moment: datetime) -> int:
        """What a stop made at a moment looks at first: a state stands, a print is over."""
        if self.kind == "polls":
            return bisect_left(self.moments, moment)
        after = bisect_right(self.moments, moment)
        return max(after - 1, 0) if self.kind == "states" else after

    def is_new(self, index: int) -> bool:
        """Whether this is another book state than the one looked at before."""
        return index == 0 or self.seen[index] is not self.seen[index - 1]


class RecordedMarket:
    """One instrument's recording. `tick` is guessed from its prices unless given."""

    def __init__(self, happenings: Sequence[Happening], tick: Decimal | None = None) -> None:
        self.states = _states(happenings)
        self.moments = [state.at for state in self.states]
        self.ends_at = happenings[-1].at
        self.is_outcome = all(
            price < 1
            for state in self.states
            for price in (state.bid, state.ask, state.last)
            if price is not None
        )
        self.tick = tick or _tick_of(self.states, self.is_outcome)
        self._levels = _levels(happenings)
        self._by_phase = lru_cache(maxsize=128)(self._polled)
        self.streamed = lru_cache(maxsize=8)(self._streamed)

    def polled(self, reference: Print, every: timedelta, first: datetime) -> View:
        """What somebody sees who looks at `first` and every so often before and after."""
        return self._by_phase(reference, every, (first - self.moments[0]) % every)

    def at(self, moment: datetime) -> Seen | None:
        """The state that stands at a moment."""
        index = bisect_right(self.moments, moment) - 1
        return self.states[index] if index >= 0 else None

    def between(self, first: datetime, last: datetime) -> Sequence[Seen]:
        """The states from the one that stands at `first` to the one that stands at `last`."""
        begin = max(bisect_right(self.moments, first) - 1, 0)
        return self.states[begin : bisect_right(self.moments, last)]

    def fill(
        self,
        side: Side,
        quantity: Decimal,
        limit: Decimal,
        moment: datetime,
        taken: dict[tuple[Decimal, int], Decimal],
    ) -> list[tuple[Decimal, Decimal]]:
        """What a FAK arriving then would get: prices and quantities, best first.

        `taken` is what the same exit took before from a level as it still stands; it is
        added to. Levels better than the best price are left over from before the recording.
        """
        state = self.at(moment)
        best = state.best(side) if state is not None else None
        if best is None or not _is_within(side, best, limit):
            return []
        levels = self._levels.get(side)
        if levels is None:
            return [(best, quantity)]  # a recording without depth
        return levels.take(quantity, best, limit, moment, taken)

    def _streamed(self, reference: Print) -> View:
        if reference == "any":
            return _prints(self.states)
        prices = [state.price_of(reference) for state in self.states]
        return View("states", self.moments, self.states, prices)

    def _polled(self, reference: Print, every: timedelta, phase: timedelta) -> View:
        """The same seen every so often, from so long after the first moment."""
        moments, seen, index = [], [], -1
        moment = self.moments[0] + phase
        while moment <= self.ends_at:
            while index + 1 < len(self.moments) and self.moments[index + 1] <= moment:
                index += 1
            moments.append(moment)
            seen.append(self.states[index])
            moment += every
        return View("polls", moments, seen, [state.price_of(reference) for state in seen])


@dataclass(frozen=True, slots=True)
class _Levels:
    """One side's levels over time: at each price when its size changed, and to what."""

    side: Side
    prices: Sequence[Decimal]
    """Best first."""
    moments: dict[Decimal, list[datetime]]
    sizes: dict[Decimal, list[Decimal]]

    def take(
        self,
        quantity: Decimal,
        best: Decimal,
        limit: Decimal,
        moment: datetime,
        taken: dict[tuple[Decimal, int], Decimal],
    ) -> list[tuple[Decimal, Decimal]]:
        filled = []
        for price in self.prices:
            if quantity <= 0 or not _is_within(self.side, price, limit):
                break
            version = bisect_right(self.moments[price], moment) - 1
            if version < 0 or not _is_within(self.side, best, price):
                continue
            before = taken.get((price, version), Decimal(0))
            got = min(quantity, self.sizes[price][version] - before)
            if got > 0:
                taken[price, version] = before + got
                filled.append((price, got))
                quantity -= got
        return filled


def _is_within(side: Side, price: Decimal, limit: Decimal) -> bool:
    return price >= limit if side == "sell" else price <= limit


def _states(happenings: Sequence[Happening]) -> list[Seen]:
    """Each distinct book state; a crossed one is no observation (BEHAVIOUR 1.3)."""
    states: list[Seen] = []
    bid = ask = last = None
    for happening in happenings:
        if happening.traded is not None:
            last = happening.traded
        if not _is_trade_alone(happening):
            bid, ask = happening.bid, happening.ask
        state = Seen(happening.at, bid, ask, last)
        is_new = not states or _prices(state) != _prices(states[-1])
        if is_new and not state.is_crossed and (bid, ask) != (None, None):
            states.append(state)
    return states


def _prices(state: Seen) -> tuple[Decimal | None, ...]:
    return state.bid, state.ask, state.last


def _is_trade_alone(happening: Happening) -> bool:
    told = (happening.bid, happening.ask, happening.level)
    return happening.traded is not None and told == (None, None, None)


def _prints(states: Sequence[Seen]) -> View:
    """Each best bid and each trade for itself, when it is told."""
    moments, seen, prices = [], [], []
    before = Seen(states[0].at, None, None, None)
    for state in states:
        for price, old in ((state.bid, before.bid), (state.last, before.last)):
            if price is not None and price != old:
                moments.append(state.at)
                seen.append(state)
                prices.append(price)
        before = state
    return View("prints", moments, seen, prices)


def _levels(happenings: Sequence[Happening]) -> dict[Side, _Levels]:
    found: dict[Side, _Levels] = {}
    for happening in happenings:
        if happening.level is None:
            continue
        is_bid, price, size = happening.level
        side: Side = "sell" if is_bid else "buy"  # a sale takes bids
        levels = found.setdefault(side, _Levels(side, [], {}, {}))
        levels.moments.setdefault(price, []).append(happening.at)
        levels.sizes.setdefault(price, []).append(size)
    return {
        side: _Levels(side, sorted(each.sizes, reverse=side == "sell"), each.moments, each.sizes)
        for side, each in found.items()
    }


def _tick_of(states: Sequence[Seen], is_outcome: bool) -> Decimal:
    """The coarsest grid of the venue on which all best prices are."""
    if not is_outcome:
        return SPOT_TICK
    prices = {price for state in states for price in (state.bid, state.ask) if price is not None}
    grids = sorted(OUTCOME_TICK_SIZES, reverse=True)
    usual = [tick for tick in grids if tick <= SPOT_TICK]
    return next((t for t in usual if all(is_on_grid(p, t) for p in prices)), usual[-1])
