"""The arithmetic of one trailing stop, pure: prices in, a trail out.

The tick does the same for all stops at once in SQL; both must agree.
Boundaries are inclusive, triggers are never rounded to a tick.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

Side = Literal["sell", "buy"]
ONE = Decimal(1)
HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Trail:
    """How far the trigger follows the watermark: a fraction of it, or an amount in price units."""

    fraction: Decimal | None = None
    amount: Decimal | None = None

    def __post_init__(self) -> None:
        if (self.fraction is None) == (self.amount is None):
            raise ValueError("a trail is either a fraction or an amount")

    @classmethod
    def of_percent(cls, percent: Decimal) -> "Trail":
        """A trail of so many percent of the watermark; 0 < percent < 100."""
        if not 0 < percent < HUNDRED:
            raise ValueError("the percentage must lie between 0 and 100")
        return cls(fraction=percent / HUNDRED)

    @classmethod
    def of_ticks(cls, ticks: int, tick_size: Decimal) -> "Trail":
        """A trail of whole ticks of the tick size at creation."""
        return cls(amount=ticks * tick_size)

    def distance(self, watermark: Decimal) -> Decimal:
        """The distance between a watermark and its trigger, in price units."""
        if self.fraction is not None:
            return watermark * self.fraction
        assert self.amount is not None
        return self.amount


def trigger_price(side: Side, watermark: Decimal, trail: Trail) -> Decimal:
    """T = W - d(W) for a sell, W + d(W) for a buy; exact, not on the tick grid."""
    distance = trail.distance(watermark)
    return watermark - distance if side == "sell" else watermark + distance


def is_hit_by(side: Side, price: Decimal, trigger: Decimal) -> bool:
    """Whether a price triggers, boundary included."""
    return price <= trigger if side == "sell" else price >= trigger


def activates(side: Side, price: Decimal, activation: Decimal) -> bool:
    """Whether a price activates: at or above for a sell, at or below for a buy."""
    return price >= activation if side == "sell" else price <= activation


def ratcheted(side: Side, watermark: Decimal, price: Decimal) -> Decimal:
    """The watermark after a price: the best seen, never loosened."""
    return max(watermark, price) if side == "sell" else min(watermark, price)


@dataclass(frozen=True, slots=True)
class StopState:
    """One stop between two observations."""

    side: Side
    trail: Trail
    watermark: Decimal
    activation: Decimal | None = None
    status: Literal["pending_activation", "active", "triggered"] = "active"

    @property
    def trigger(self) -> Decimal:
        """The trigger price now; while pending, the one from the entry price."""
        return trigger_price(self.side, self.watermark, self.trail)

    def after(self, price: Decimal) -> "StopState":
        """The stop after one observation: activation, then the trigger test, then the ratchet."""
        if self.status == "triggered":
            return self
        if self.status == "pending_activation":
            assert self.activation is not None
            if not activates(self.side, price, self.activation):
                return self
            return replace(self, status="active", watermark=price)
        if is_hit_by(self.side, price, self.trigger):
            return replace(self, status="triggered")
        return replace(self, watermark=ratcheted(self.side, self.watermark, price))
