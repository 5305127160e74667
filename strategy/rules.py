"""The position manager's decisions: one pure function from all that is known of a leg to what to do.

A leg is wanted by somebody (or added as a remedy), its orders come and go. `decide` is asked
whenever something has changed or a wait is over; asking it again changes nothing by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Literal

from exchange.quantising import limit_price, quantise_quantity, spot_limit_price
from exchange.types import RejectionCode, Side

ZERO = Decimal(0)
LIVE = ("planned", "sent", "open")
RESTING_TYPES = ("GTC", "GTD")
BASKET_SLIPPAGE = Decimal("0.02")
"""How far a retry of a basket's leg may move from its own price, where nothing else is said."""

BELOW_MINIMUM = "less than the venue's minimum order"
NO_MORE_HELD = "no more is held"

FINAL_REFUSALS = (RejectionCode.MARKET_CLOSED, RejectionCode.BLOCKED)
"""Refusals that no repetition can change: they need a person."""

PATIENT_REFUSALS = (
    RejectionCode.NOT_ENOUGH_BALANCE,
    RejectionCode.TICK_SIZE,
    RejectionCode.NOT_ALLOWED,
)
"""Refusals that often pass: a balance, a tick or a clock that is behind."""

Kind = Literal[
    "wait",  # something is under way, or it is too early
    "place",  # plan an order for what remains
    "resend",  # plan an order again for what failed to settle
    "cancel",  # withdraw the resting order
    "withdraw",  # withdraw the other legs' orders before undoing them
    "hedge",  # buy the other outcome instead of a sale that is impossible
    "unwind",  # undo what the other legs have too much
    "finish",  # nothing is left to do
    "stop",  # end it as it is, as somebody wished
    "give_up",  # end it and alarm
]


@dataclass(frozen=True, slots=True)
class OrderState:
    """The leg's latest order."""

    status: str
    """planned, sent, open, filled, cancelled or rejected."""
    venue_status: str = ""
    refusal: str = ""
    """A `RejectionCode`, empty where it was not refused."""
    is_cancel_requested: bool = False


@dataclass(frozen=True, slots=True)
class LegState:
    """What is known of a leg; quantities in units, `price` its own limit, `None` for an exit."""

    side: Side
    quantity: Decimal
    matched: Decimal = ZERO
    """Matched and not failed."""
    settling: Decimal = ZERO
    """The part of `matched` that is not CONFIRMED yet."""
    failures: int = 0
    """Trades that FAILED to settle."""
    price: Decimal | None = None
    order_type: str = "FAK"
    role: str = "wanted"
    attempts: int = 0
    """Orders planned so far."""
    rejections: int = 0
    order: OrderState | None = None
    expires_at: datetime | None = None
    is_cancel_requested: bool = False

    @property
    def remaining(self) -> Decimal:
        """What is still to be matched."""
        return self.quantity - self.matched

    @property
    def is_exit(self) -> bool:
        """Whether it follows the market until it is done."""
        return self.price is None


@dataclass(frozen=True, slots=True)
class MarketState:
    """The market of a leg as seen now."""

    price: Decimal | None
    """The best price it would trade at: the bid for a sale, the ask for a purchase."""
    tick_size: Decimal
    min_quantity: Decimal
    quantity_step: Decimal
    free: Decimal
    """How much of what the leg takes from is sellable (collateral for a purchase)."""
    held: Decimal
    """How much of it the wallet holds, settled or settling."""
    fee_per_unit: Decimal = ZERO
    """The most that a purchase pays per unit on top of its price."""
    is_closed: bool = False
    accepting_orders: bool = True
    is_outcome: bool = True
    """An outcome token, whose price lies between 0 and 1."""
    complement_ask: Decimal | None = None
    """What the other outcome costs."""
    collateral: Decimal = ZERO
    """Sellable collateral, for a hedge."""


@dataclass(frozen=True, slots=True)
class OtherLeg:
    """Another wanted leg of the same trade."""

    id: int
    quantity: Decimal
    matched: Decimal
    is_working: bool
    min_quantity: Decimal
    quantity_step: Decimal


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a retry may go."""

    max_slippage: Decimal = ZERO
    """From the leg's own price, in price units."""
    edge_price: Decimal | None = None
    """The price past which the whole trade would lose, fees included; `None` where unknown."""
    max_attempts: int = 6
    max_rejections: int = 8
    patience: int = 8
    """How many times longer a refusal that often passes is borne."""
    max_failures: int = 10
    wait_for_shares: timedelta = timedelta(seconds=2)
    settling: timedelta = timedelta(seconds=1)
    in_flight: timedelta = timedelta(seconds=2)
    first_retry: timedelta = timedelta(milliseconds=200)
    longest_retry: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about a leg; `wait` is when to ask again, `unwinds` other legs by id."""

    kind: Kind
    reason: str
    quantity: Decimal = ZERO
    price: Decimal | None = None
    wait: timedelta | None = None
    unwinds: tuple[tuple[int, Decimal], ...] = ()


def decide(
    leg: LegState,
    market: MarketState,
    others: Sequence[OtherLeg] = (),
    limits: Limits = Limits(),
    *,
    now: datetime,
) -> Decision:
    """Say what to do about a leg. Pure: the same arguments give the same decision."""
    if leg.order is not None and leg.order.status in LIVE:
        return _while_live(leg, leg.order, limits)
    if leg.remaining < max(market.min_quantity, market.quantity_step):
        return _with_nothing_left(leg, limits)
    if (ended := _ended(leg, market, limits, now)) is not None:
        return ended
    if (beyond := _beyond_its_budget(leg, limits)) is not None:
        return _remedy(leg, market, others, limits, beyond)
    return _order(leg, market, others, limits)


def _while_live(leg: LegState, order: OrderState, limits: Limits) -> Decision:
    if leg.is_cancel_requested and not order.is_cancel_requested and order.status != "sent":
        return Decision("cancel", "its cancellation was asked for")
    said = {
        "planned": "its order is about to be sent",
        "sent": "the venue has not said yet what became of its order",
        "open": "its order rests in the book",
    }[order.status]
    if order.venue_status.upper() == "DELAYED":
        said = "the venue delays its order; it can still match"
    return Decision("wait", said, wait=limits.in_flight)


def _with_nothing_left(leg: LegState, limits: Limits) -> Decision:
    if leg.settling > 0:
        return Decision("wait", "settling", wait=limits.settling)
    if leg.remaining <= 0:
        return Decision("finish", "")
    if leg.matched == 0:
        return Decision("give_up", f"nothing was {_done(leg)}: {BELOW_MINIMUM}")
    return Decision("finish", f"{_plain(leg.remaining)} remain: {BELOW_MINIMUM}")


def _ended(leg: LegState, market: MarketState, limits: Limits, now: datetime) -> Decision | None:
    """What ends a leg whatever its market offers; what is settling is waited for first."""
    why: Decision | None = None
    if leg.is_cancel_requested:
        why = Decision("stop", "cancelled by request")
    elif leg.expires_at is not None and leg.expires_at <= now:
        why = Decision("stop", f"expired with {_plain(leg.remaining)} unmatched")
    elif market.is_closed:
        why = Decision("give_up", f"{_plain(leg.remaining)} remain: the market is closed")
    if why is not None and leg.settling > 0:
        return Decision("wait", "settling", wait=limits.settling)
    return why


def _beyond_its_budget(leg: LegState, limits: Limits) -> str | None:
    """Why a leg may not try again by itself, `None` while it may."""
    code = "" if leg.order is None else leg.order.refusal
    if code in FINAL_REFUSALS:
        return f"the venue refuses it for good ({code})"
    if code == RejectionCode.MIN_SIZE and leg.matched > 0:
        return BELOW_MINIMUM
    budget = limits.max_rejections * (limits.patience if code in PATIENT_REFUSALS else 1)
    if leg.rejections >= budget:
        return f"refused {leg.rejections} times, last: {code or 'for another reason'}"
    if leg.failures >= limits.max_failures:
        return f"{leg.failures} of its trades failed to settle"
    if not leg.is_exit and leg.attempts >= limits.max_attempts:
        return f"{leg.attempts} orders did not fill it"
    return None


def _order(
    leg: LegState, market: MarketState, others: Sequence[OtherLeg], limits: Limits
) -> Decision:
    """Plan for what remains at a price within the limits, or say what is missing."""
    if not market.accepting_orders:
        return Decision("wait", "the market takes no orders now", wait=limits.wait_for_shares)
    price = _price(leg, market, limits)
    if isinstance(price, str):
        return Decision("wait", price, wait=retry_after(leg.attempts, limits))
    per_unit = Decimal(1) if leg.side == "sell" else price + market.fee_per_unit
    can_take = market.free / per_unit
    quantity = quantise_quantity(min(leg.remaining, can_take), market.quantity_step)
    is_short = quantity < leg.remaining - market.quantity_step and leg.order_type == "FOK"
    if quantity < market.min_quantity or quantity <= 0 or is_short:
        return _without_shares(leg, market, others, limits, can_take)
    kind: Kind = "resend" if leg.failures and leg.settling == 0 else "place"
    reason = "what failed to settle is sent again" if kind == "resend" else "the rest is offered"
    return Decision(kind, reason, quantity, price)


def _price(leg: LegState, market: MarketState, limits: Limits) -> Decimal | str:
    """The limit of the next order; in words why there is none now."""
    if leg.price is not None and leg.order_type in RESTING_TYPES:
        return leg.price
    best = market.price
    if best is None:
        return "no price on that side of the book; trying again"
    if best % market.tick_size:
        return "the tick size has changed; asking the venue"
    if leg.price is None:
        sweep = limit_price if market.is_outcome else spot_limit_price
        return sweep(leg.side, best, market.tick_size)
    worst = worst_price(leg, market, limits)
    if leg.side == "sell":
        wanted = max(worst, min(leg.price, best))
        return wanted if best >= wanted else _held(best, worst)
    wanted = min(worst, max(leg.price, best))
    return wanted if best <= wanted else _held(best, worst)


def _held(best: Decimal, worst: Decimal) -> str:
    return f"held: the best price is {_plain(best)}, the limit {_plain(worst)}; trying again"


def worst_price(leg: LegState, market: MarketState, limits: Limits) -> Decimal:
    """How far a leg with a price of its own may go: its slippage, and where the edge is gone.

    Never further than its own price where that is past the edge already: what the
    user stated stands.
    """
    assert leg.price is not None
    if leg.side == "sell":
        worst = leg.price - limits.max_slippage
        if limits.edge_price is not None:
            worst = max(worst, min(limits.edge_price, leg.price))
        worst = _to_grid(worst, market.tick_size, ROUND_CEILING)
        return max(worst, market.tick_size)
    worst = leg.price + limits.max_slippage
    if limits.edge_price is not None:
        worst = min(worst, max(limits.edge_price, leg.price))
    worst = _to_grid(worst, market.tick_size, ROUND_FLOOR)
    return min(worst, 1 - market.tick_size) if market.is_outcome else worst


def _without_shares(
    leg: LegState,
    market: MarketState,
    others: Sequence[OtherLeg],
    limits: Limits,
    can_take: Decimal,
) -> Decision:
    """Too little is free now: wait for what is settling, end what holds nothing."""
    if leg.side == "sell" and market.held < market.min_quantity:
        if leg.settling > 0:
            return Decision("wait", "settling", wait=limits.settling)
        if not leg.is_exit:
            return _remedy(leg, market, others, limits, NO_MORE_HELD)
        if leg.matched > 0:
            return Decision("finish", f"{_plain(leg.remaining)} remain: {NO_MORE_HELD}")
        return Decision("give_up", f"nothing was sold: {NO_MORE_HELD}")
    reason = (
        f"waiting: only {_plain(quantise_quantity(can_take, market.quantity_step))} free now,"
        " the rest is settling or reserved"
    )
    return Decision("wait", reason, wait=limits.wait_for_shares)


def _remedy(
    leg: LegState,
    market: MarketState,
    others: Sequence[OtherLeg],
    limits: Limits,
    why: str,
) -> Decision:
    """A leg that cannot be completed: protect the trade from what the other legs have done."""
    if leg.settling > 0:
        return Decision("wait", "settling", wait=limits.settling)
    if why == BELOW_MINIMUM:
        return Decision("finish", f"{_plain(leg.remaining)} remain: {why}")
    said = f"{_plain(leg.remaining)} remain: {why}"
    if leg.role == "unwind" or not any(other.matched > 0 for other in others):
        return Decision("give_up", said)
    if (hedge := _hedge(leg, market, limits, why)) is not None:
        return hedge
    if any(other.is_working for other in others):
        return Decision(
            "withdraw", f"{said}; the other legs are withdrawn first", wait=limits.in_flight
        )
    unwinds = _excess(leg, others)
    if not unwinds:
        return Decision("give_up", said)
    return Decision("unwind", f"{said}; the other legs are undone", unwinds=unwinds)


def _hedge(leg: LegState, market: MarketState, limits: Limits, why: str) -> Decision | None:
    """Buy the other outcome where shares are missing: at 1 - p it is worth a sale at p."""
    code = "" if leg.order is None else leg.order.refusal
    lacks_shares = why == NO_MORE_HELD or code == RejectionCode.NOT_ENOUGH_BALANCE
    ask = market.complement_ask
    if (
        leg.side != "sell"
        or leg.role != "wanted"
        or leg.price is None
        or not lacks_shares
        or not market.is_outcome
        or ask is None
    ):
        return None
    highest = 1 - worst_price(leg, market, limits)
    quantity = quantise_quantity(leg.remaining, market.quantity_step)
    if ask > highest or quantity * highest > market.collateral:
        return None
    reason = (
        f"{_plain(leg.remaining)} cannot be sold ({why}): the other outcome is bought instead,"
        f" at {_plain(ask)} with a limit of {_plain(highest)}; the pair can be merged later"
    )
    return Decision("hedge", reason, quantity, highest)


def _excess(leg: LegState, others: Sequence[OtherLeg]) -> tuple[tuple[int, Decimal], ...]:
    """What each other leg has beyond the share of the trade that all legs have."""
    shares = [other.matched / other.quantity for other in others] + [leg.matched / leg.quantity]
    common = min(shares)
    found = []
    for other in others:
        excess = quantise_quantity(other.matched - other.quantity * common, other.quantity_step)
        if excess >= max(other.min_quantity, other.quantity_step):
            found.append((other.id, excess))
    return tuple(found)


def retry_after(attempts: int, limits: Limits) -> timedelta:
    """How long to wait before the next try: 0.2 s growing to 2 s."""
    return min(limits.first_retry * 1.5 ** min(attempts, 10), limits.longest_retry)


def edge_price(
    side: Side, price: Decimal, complement_price: Decimal, fee_per_unit: Decimal
) -> Decimal:
    """The price at which a pair of both outcomes neither gains nor loses, its fees included.

    A pair is worth 1: two sales must bring more together, two purchases cost less.
    """
    if side == "sell":
        return 1 - complement_price + fee_per_unit
    return 1 - complement_price - fee_per_unit


def _to_grid(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return (value / step).to_integral_value(rounding=rounding) * step


def _done(leg: LegState) -> str:
    return "sold" if leg.side == "sell" else "bought"


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
