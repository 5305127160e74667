"""Stops as BEHAVIOUR 1.3 tells of them: one after the other, one observation at a time, nothing shared.

Slow and plain, over `trailing/maths.py` and `trailing/guards.py`: what the tick does to all
stops at once has to come to the same.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from trailing.executable import executable_price
from trailing.guards import Breach, Guard, Sight, judge
from trailing.maths import Side, StopState, Trail, activates, is_hit_by, ratcheted
from trailing.tick import Observation

POLLED_IS_STALE = timedelta(seconds=10)
UNWATCHED = timedelta(seconds=10)

Told = tuple[str, Decimal | None, Decimal | None]
"""An event: its kind, the price that caused it, the trigger it was compared with."""


@dataclass(frozen=True)
class Terms:
    """What a stop was created with."""

    side: Side
    trail: Trail
    entry: Decimal
    reference: str
    quantity: Decimal | None = Decimal(10)
    activation: Decimal | None = None
    floor: Decimal | None = None
    take_profit: Decimal | None = None
    guard: Guard = field(default_factory=Guard)
    expires_after: timedelta | None = None


@dataclass(frozen=True)
class Firing:
    """Why a stop has fired: by which price, at which trigger, from which best price."""

    cause: str
    price: Decimal
    trigger: Decimal


@dataclass
class Market:
    """What is known of an instrument, and the stops on it."""

    stops: list["Stop"]
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    at: datetime | None = None

    def observe(self, seen: Observation | None, now: datetime) -> bool:
        """Take an observation, unless it is refused; say whether it was taken."""
        if seen is None or seen.received_at <= now - POLLED_IS_STALE:
            return False
        if self.at is not None and seen.received_at <= self.at:
            return False
        sight = self._sight(seen)
        self.bid, self.ask, self.at = seen.bid, seen.ask, seen.received_at
        self.last = self.last if seen.last is None else seen.last
        for stop in self.stops:
            stop.observe(seen, sight)
        return True

    def judge_held(self, now: datetime) -> None:
        """Judge what waits for a confirmation at the prices that stand, while they are fresh."""
        if self.at is not None and now - self.at <= POLLED_IS_STALE:
            standing = Observation(0, self.bid, self.ask, now, self.last)
            for stop in self.stops:
                stop.judge_held(standing)

    def end_expired(self, now: datetime) -> None:
        """End the stops whose time has run."""
        for stop in self.stops:
            if stop.is_live and stop.has_expired(now):
                stop.end_expired(Observation(0, self.bid, self.ask, now, self.last))

    def _sight(self, seen: Observation) -> Sight:
        is_new = (seen.bid, seen.ask) != (self.bid, self.ask) or seen.last not in (None, self.last)
        is_after_gap = self.at is not None and seen.received_at - self.at > UNWATCHED
        return Sight(seen.received_at, seen.spread, is_new, is_after_gap)


@dataclass
class Stop:
    """One stop and what has happened to it."""

    terms: Terms
    created_at: datetime
    held: Decimal
    state: StopState = field(init=False)
    status: str = field(init=False)
    breach: Breach | None = None
    asks: bool = False
    firing: Firing | None = None
    told: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        terms = self.terms
        status = "active" if terms.activation is None else "pending_activation"
        self.state = StopState(terms.side, terms.trail, terms.entry, terms.activation, status)
        self.status = status

    @property
    def is_live(self) -> bool:
        return self.status in ("pending_activation", "active")

    @property
    def trigger(self) -> Decimal:
        """The trigger price, or the one that it fired at."""
        return self.state.trigger if self.firing is None else self.firing.trigger

    def has_expired(self, now: datetime) -> bool:
        after = self.terms.expires_after
        return after is not None and self.created_at + after <= now

    def price_in(self, seen: Observation) -> Decimal | None:
        """What it refers to, of an observation."""
        if self.terms.reference == "mid":
            return None if seen.spread is None else (seen.bid + seen.ask) / 2
        if self.terms.reference == "executable":
            return self._executable(seen)
        return {"bid": seen.bid, "ask": seen.ask, "last": seen.last}[self.terms.reference]

    def observe(self, seen: Observation, sight: Sight) -> None:
        """Activation, then levels and the trigger as they were, then the ratchet."""
        if not self.is_live:
            return
        price = self.price_in(seen)
        if self.status == "pending_activation" and price is not None:
            self._activate(price)
        if (level := self._level_reached(seen)) is not None and self._may_act(sight.at):
            self._fire(*level)
        if price is None or self.status != "active":
            return
        if is_hit_by(self.terms.side, price, self.state.trigger):
            self._hit(price, sight)
            return
        best = ratcheted(self.terms.side, self.state.watermark, price)
        self.state = replace(self.state, watermark=best)
        if self.breach is not None and (level is None or self.terms.reference == "executable"):
            self.breach = None
            self.told.append(("recovered", price, None))

    def judge_held(self, standing: Observation) -> None:
        """What an observation that says nothing new comes to, where it fires."""
        price = self.price_in(standing)
        if self.status != "active" or self.breach is None or price is None:
            return
        sight = Sight(standing.received_at, standing.spread, is_new_state=False)
        if self._may_act(sight.at) and judge(self.terms.guard, self.breach, sight).act == "fire":
            self._fire("trail", price, self.state.trigger)

    def end_expired(self, standing: Observation) -> None:
        """End it, its time has run; what is told of one by depth is the best price."""
        price = self.price_in(standing)
        if self.terms.reference == "executable":
            price = standing.bid if self.terms.side == "sell" else standing.ask
        self.status, self.asks = "cancelled", False
        self.told.append(("expired", price, self.trigger))

    def _executable(self, seen: Observation) -> Decimal | None:
        if seen.depth is None:
            return None
        levels = seen.depth.bids if self.terms.side == "sell" else seen.depth.asks
        return executable_price(levels, self.terms.quantity or self.held)

    def _activate(self, price: Decimal) -> None:
        assert self.terms.activation is not None
        if activates(self.terms.side, price, self.terms.activation):
            self.state = replace(self.state, status="active", watermark=price)
            self.status = "active"
            self.told.append(("activated", price, None))

    def _level_reached(self, seen: Observation) -> tuple[str, Decimal, Decimal] | None:
        """Floor or take-profit, which need no confirmation: the cause, the price, the level."""
        is_sell = self.terms.side == "sell"
        price, other = (seen.bid if is_sell else seen.ask), "buy" if is_sell else "sell"
        levels = (
            ("floor", self.terms.floor, self.terms.side),
            ("take_profit", self.terms.take_profit, other),
        )
        for cause, level, side in levels:
            if price is not None and level is not None and is_hit_by(side, price, level):
                return cause, price, level
        return None

    def _may_act(self, at: datetime) -> bool:
        return not self.asks and not self.has_expired(at)

    def _hit(self, price: Decimal, sight: Sight) -> None:
        if not self._may_act(sight.at):
            return
        verdict = judge(self.terms.guard, self.breach, sight)
        if verdict.act == "fire":
            self._fire("trail", price, self.state.trigger)
        elif verdict.act == "hold":
            if self.breach is None:
                self.told.append(("breached", price, self.state.trigger))
            self.breach = verdict.breach
        elif verdict.act == "rearm":
            self.told.append(("rearmed", price, self.state.trigger))
            self.state, self.breach = replace(self.state, watermark=price), None
        else:
            self.told.append(("asked", price, self.state.trigger))
            self.asks = True

    def _fire(self, cause: str, price: Decimal, trigger: Decimal) -> None:
        self.firing = Firing(cause, price, trigger)
        self.status = "triggered"
        self.asks = False
        self.told.append(("triggered", price, trigger))
