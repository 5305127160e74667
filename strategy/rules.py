"""The position manager's decisions: one pure function from all that is known of a leg to what to do.

A leg is wanted by somebody (or added as a remedy), its orders come and go. `decide` is asked
whenever something has changed or a wait is over; asking it again changes nothing by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Literal, cast

from exchange.quantising import limit_price, quantise_quantity, spot_limit_price, within_worst
from exchange.types import RejectionCode, Side
from orders.reasons import HELD_AT_LIMIT

ZERO = Decimal(0)
LIVE = ("planned", "sent", "open")
RESTING_TYPES = ("GTC", "GTD")
BELOW_MINIMUM = "less than the venue's minimum order"
NO_MORE_HELD = "no more is held"
TICK_HAS_CHANGED = "the tick size has changed; asking the venue"
TAKES_NO_ORDERS = "the market takes no orders now"
CANCELLED_AT_THE_VENUE = "cancelled at the venue"

FINAL_REFUSALS = (RejectionCode.BLOCKED,)
"""Refusals that no repetition can change: they need a person."""

PATIENT_REFUSALS = (
    RejectionCode.NOT_ENOUGH_BALANCE,
    RejectionCode.TICK_SIZE,
    RejectionCode.NOT_ALLOWED,
    RejectionCode.MARKET_CLOSED,
)
"""Refusals that often pass: a balance, a tick or a clock that is behind, a market that pauses.

They are counted in attempts alone, and an exit is never given up for them. A market
that has closed for good says so itself (`MarketState.is_closed`).
"""

Kind = Literal[
    "wait",  # something is under way, or it is too early
    "place",  # plan an order for what remains
    "resend",  # plan an order again for what failed to settle
    "cancel",  # withdraw the resting order
    "withdraw",  # withdraw the other legs' orders before undoing them
    "free",  # withdraw our own resting sales, whose shares an exit needs
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
    """Orders in a row, up to the latest, whose refusals count."""
    pauses: int = 0
    """Orders in a row, up to the latest, whose refusals often pass."""
    order: OrderState | None = None
    expires_at: datetime | None = None
    is_cancel_requested: bool = False
    worst_price: Decimal | None = None
    """How far an exit may follow the market; `None`: as far as it goes."""
    is_freed: bool = False
    """It was withdrawn because a stop's exit needs its shares, not by a person."""
    idle_since: datetime | None = None
    """When its latest order ended, or the leg was made."""
    covered: Decimal = ZERO
    """Of a hedge: what the leg that it stands in for has done by itself."""
    id: int = 0

    @property
    def remaining(self) -> Decimal:
        """What is still to be matched."""
        return self.quantity - self.matched

    @property
    def is_exit(self) -> bool:
        """Whether it follows the market until it is done."""
        return self.price is None

    @property
    def share(self) -> Decimal:
        """The part that is done of what was wanted; of nothing, all is done."""
        wanted = self.covered + self.quantity
        return (self.covered + self.matched) / wanted if wanted else Decimal(1)


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
    resting: Decimal = ZERO
    """How much of it our own resting sales reserve that nobody has withdrawn yet."""
    fee_per_unit: Decimal = ZERO
    """The most that a purchase pays per unit on top of its price."""
    is_quoted: bool = True
    """Whether the venue has told its prices now."""
    is_closed: bool = False
    accepting_orders: bool = True
    is_outcome: bool = True
    """An outcome token, whose price lies between 0 and 1."""
    complement_ask: Decimal | None = None
    """What the other outcome costs."""
    complement_fee_per_unit: Decimal = ZERO
    collateral: Decimal = ZERO
    """Sellable collateral, for a hedge."""


@dataclass(frozen=True, slots=True)
class OtherLeg:
    """Another wanted leg of the same trade; `matched` less what was undone of it."""

    id: int
    quantity: Decimal
    matched: Decimal
    is_working: bool
    """It or its hedge."""
    min_quantity: Decimal
    quantity_step: Decimal
    hedged: Decimal = ZERO
    """What was bought of the other outcome in its place."""
    is_withdrawn: bool = False
    """Nothing new is planned for it: its cancellation was asked for."""
    is_by_a_person: bool = False
    """It was a person who asked."""

    @property
    def share(self) -> Decimal:
        """The part that is done of what was wanted; of nothing, all is done."""
        return (self.matched + self.hedged) / self.quantity if self.quantity else Decimal(1)

    @property
    def may_grow(self) -> bool:
        """Whether anything new may still be planned for it."""
        return self.is_working and not self.is_withdrawn


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a retry may go."""

    max_slippage: Decimal = ZERO
    """From the leg's own price, in price units."""
    edge_price: Decimal | None = None
    """The price past which the whole trade would lose, fees included; `None` where unknown."""
    max_attempts: int = 6
    max_rejections: int = 8
    max_failures: int = 10
    longest_hold: timedelta = timedelta(seconds=30)
    """How long a leg with a price of its own waits for prices, shares or a market."""
    wait_for_shares: timedelta = timedelta(seconds=2)
    settling: timedelta = timedelta(seconds=1)
    in_flight: timedelta = timedelta(seconds=2)
    first_retry: timedelta = timedelta(milliseconds=200)
    longest_retry: timedelta = timedelta(seconds=2)
    longest_pause: timedelta = timedelta(seconds=20)
    """Between two orders of an exit that is refused for what often passes."""


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
    if _has_unbooked_trades(leg):
        return Decision(
            "wait", "its order is filled, its trades are not booked", wait=limits.in_flight
        )
    if leg.remaining < max(market.min_quantity, market.quantity_step):
        return _with_nothing_left(leg, market, others, limits)
    if (ended := _ended(leg, market, others, limits, now)) is not None:
        return ended
    if (beyond := _beyond_its_budget(leg, limits)) is not None:
        return _remedy(leg, market, others, limits, beyond)
    if (short := _falling_short(leg, market, others)) is not None:
        return _beside(short, leg, market, others, limits)
    decision = _order(leg, market, limits, now)
    if decision.kind in ("place", "resend") and (pause := _pause(leg, limits, now)) is not None:
        return pause
    if decision.kind == "wait" and market.is_quoted and _has_held_too_long(leg, limits, now):
        why = f"nothing could be offered for {limits.longest_hold.total_seconds():.0f} s"
        return _remedy(leg, market, others, limits, f"{why}: {decision.reason}")
    if decision.kind == "give_up" and not leg.is_exit:
        return _remedy(leg, market, others, limits, NO_MORE_HELD)
    return decision


def _while_live(leg: LegState, order: OrderState, limits: Limits) -> Decision:
    if leg.is_cancel_requested and not order.is_cancel_requested:
        return Decision("cancel", "its cancellation was asked for")
    said = {
        "planned": "its order is about to be sent",
        "sent": "the venue has not said yet what became of its order",
        "open": "its order rests in the book",
    }[order.status]
    if order.venue_status.upper() == "DELAYED":
        said = "the venue delays its order; it can still match"
    return Decision("wait", said, wait=limits.in_flight)


def _has_unbooked_trades(leg: LegState) -> bool:
    """Whether it is said to be filled by nothing: never a reason to trade it again."""
    is_filled = leg.order is not None and leg.order.status == "filled"
    return is_filled and leg.matched <= 0 and leg.failures == 0


def _with_nothing_left(
    leg: LegState, market: MarketState, others: Sequence[OtherLeg], limits: Limits
) -> Decision:
    if leg.settling > 0:
        return Decision("wait", "settling", wait=limits.settling)
    if leg.quantity <= 0:
        return Decision("give_up", f"nothing was {_done(leg)}: {NO_MORE_HELD}")
    if leg.remaining <= 0:
        return Decision("finish", "")
    if leg.matched == 0:
        why = f"nothing was {_done(leg)}: {BELOW_MINIMUM}"
        return _remedy(leg, market, others, limits, why)
    return Decision("finish", f"{_plain(leg.remaining)} remain: {BELOW_MINIMUM}")


def _ended(
    leg: LegState,
    market: MarketState,
    others: Sequence[OtherLeg],
    limits: Limits,
    now: datetime,
) -> Decision | None:
    """What ends a leg whatever its market offers; what is settling is waited for first.

    What a person has cancelled is left as it is. What ends by itself, at the venue or for
    an exit that needs its shares, may leave the other legs with too much.
    """
    if leg.is_freed:
        why = "withdrawn: a stop's exit needs its shares"
        return _stopped(_remedy(leg, market, others, limits, why), why)
    if leg.is_cancel_requested:
        if leg.settling > 0:
            return Decision("wait", "settling", wait=limits.settling)
        return Decision("stop", "cancelled by request")
    if _has_expired(leg, now):
        decision = _remedy(leg, market, others, limits, "it has expired")
        return _stopped(decision, f"expired with {_plain(leg.remaining)} unmatched")
    if _was_cancelled_at_the_venue(leg):
        decision = _remedy(leg, market, others, limits, CANCELLED_AT_THE_VENUE)
        said = f"{CANCELLED_AT_THE_VENUE} with {_plain(leg.remaining)} unmatched"
        return _stopped(decision, said)
    if market.is_closed:
        return _remedy(leg, market, others, limits, "the market is closed")
    return None


def _stopped(decision: Decision, reason: str) -> Decision:
    """The same, but that a leg whose end was somebody's wish is not given up: it stops."""
    return Decision("stop", reason) if decision.kind == "give_up" else decision


def _was_cancelled_at_the_venue(leg: LegState) -> bool:
    """Whether its resting order was withdrawn by other hands than ours, on the website say."""
    order = leg.order
    return (
        order is not None
        and leg.role == "wanted"
        and leg.order_type in RESTING_TYPES
        and order.status == "cancelled"
        and not order.refusal
        and not order.is_cancel_requested
        and order.venue_status.upper() in ("CANCELED", "CANCELLED")
    )


def _has_expired(leg: LegState, now: datetime) -> bool:
    """By our clock or, where it is ahead, by the venue's word."""
    if leg.expires_at is None:
        return False
    return leg.expires_at <= now or (
        leg.order is not None and "EXPIRED" in leg.order.venue_status.upper()
    )


def _beyond_its_budget(leg: LegState, limits: Limits) -> str | None:
    """Why a leg may not try again by itself, `None` while it may.

    Refusals count in a row: an order that was taken, and one that found no match, makes
    good for all before it.
    """
    code = "" if leg.order is None else leg.order.refusal
    if code in FINAL_REFUSALS or (code == RejectionCode.EXPIRATION and leg.expires_at is not None):
        return f"the venue refuses it for good ({code})"
    if code == RejectionCode.MIN_SIZE and leg.matched > 0:
        return BELOW_MINIMUM
    if counts(code) and leg.rejections >= limits.max_rejections:
        return f"refused {leg.rejections} times in a row, last: {code}"
    if leg.failures >= limits.max_failures:
        return f"{leg.failures} of its trades failed to settle"
    if not leg.is_exit and leg.attempts >= limits.max_attempts:
        return f"{leg.attempts} orders did not fill it"
    return None


def counts(refusal: str) -> bool:
    """Whether a refusal's code counts against its leg: neither no match nor what often passes."""
    return bool(refusal) and refusal != RejectionCode.UNMATCHED and refusal not in PATIENT_REFUSALS


def _falling_short(
    leg: LegState, market: MarketState, others: Sequence[OtherLeg]
) -> OtherLeg | None:
    """Another leg for which nothing new is planned, and beside which this one would be naked.

    Less than an order's minimum of either leg is borne: it can be neither traded nor undone.
    """
    least = max(market.min_quantity, market.quantity_step)
    whole = leg.covered + leg.quantity
    for other in others:
        missing = 1 - other.share
        has_less = missing * other.quantity >= max(other.min_quantity, other.quantity_step)
        if not other.may_grow and has_less and missing * whole >= least:
            return other
    return None


def _beside(
    short: OtherLeg,
    leg: LegState,
    market: MarketState,
    others: Sequence[OtherLeg],
    limits: Limits,
) -> Decision:
    """Never complete one side of a trade whose other side has ended with less: remedy it."""
    if short.is_working and short.is_by_a_person:
        said = f"leg {short.id} was cancelled by a person; seeing what it has done"
        return Decision("wait", said, wait=limits.in_flight)
    return _remedy(leg, market, others, limits, f"leg {short.id} ended with less")


def _pause(leg: LegState, limits: Limits, now: datetime) -> Decision | None:
    """How long an exit holds its next order back, refused again and again for what often passes."""
    if not leg.is_exit or leg.order is None or leg.idle_since is None or leg.pauses < 2:
        return None
    pause = min(limits.wait_for_shares * 1.5 ** min(leg.pauses - 1, 10), limits.longest_pause)
    left = leg.idle_since + pause - now
    if left <= timedelta(0):
        return None
    code = leg.order.refusal
    said = f"the venue refused {leg.pauses} orders in a row ({code}); trying again"
    return Decision("wait", TAKES_NO_ORDERS if _is_paused(leg.order) else said, wait=left)


def _is_paused(order: OrderState) -> bool:
    return order.refusal == RejectionCode.MARKET_CLOSED


def _has_held_too_long(leg: LegState, limits: Limits, now: datetime) -> bool:
    """Whether a leg that may not follow the market has waited in vain; an exit never has."""
    if leg.is_exit or leg.idle_since is None:
        return False
    return now - leg.idle_since >= limits.longest_hold


def _order(leg: LegState, market: MarketState, limits: Limits, now: datetime) -> Decision:
    """Plan for what remains at a price within the limits, or say what is missing."""
    if not market.accepting_orders:
        return Decision("wait", TAKES_NO_ORDERS, wait=limits.wait_for_shares)
    price = _price(leg, market, limits)
    if isinstance(price, str):
        idle = timedelta(0) if leg.idle_since is None else now - leg.idle_since
        return Decision("wait", price, wait=retry_after(leg.attempts, limits, idle))
    per_unit = Decimal(1) if leg.side == "sell" else price + market.fee_per_unit
    can_take = market.free / per_unit
    quantity = quantise_quantity(min(leg.remaining, can_take), market.quantity_step)
    is_short = quantity <= leg.remaining - market.quantity_step and leg.order_type == "FOK"
    if quantity < market.min_quantity or quantity <= 0 or is_short:
        return _without_shares(leg, market, limits, can_take)
    kind: Kind = "resend" if leg.failures and leg.settling == 0 else "place"
    reason = "what failed to settle is sent again" if kind == "resend" else "the rest is offered"
    return Decision(kind, reason, quantity, price)


def _price(leg: LegState, market: MarketState, limits: Limits) -> Decimal | str:
    """The limit of the next order; in words why there is none now."""
    best = market.price
    if leg.price is None:
        if best is None:
            return _without_price(market)
        return _off_grid(best, market) or _exit_price(leg, best, market)
    own = _own_price(leg.side, leg.price, market)
    if isinstance(own, str) or leg.order_type in RESTING_TYPES:
        return own
    if best is None:
        return _without_price(market)
    if (complaint := _off_grid(best, market)) is not None:
        return complaint
    worst = worst_price(leg, market, limits)
    if leg.side == "sell":
        wanted = max(worst, min(own, best))
        return wanted if best >= wanted else _held(best, worst)
    wanted = min(worst, max(own, best))
    return wanted if best <= wanted else _held(best, worst)


def _exit_price(leg: LegState, best: Decimal, market: MarketState) -> Decimal | str:
    """An exit follows the market, but not beyond its worst price: there it holds."""
    to_limit = limit_price if market.is_outcome else spot_limit_price
    sweep = to_limit(leg.side, best, market.tick_size)
    limit = within_worst(leg.side, sweep, best, leg.worst_price, market.tick_size)
    if limit is None:
        return _held(best, cast(Decimal, leg.worst_price), HELD_AT_LIMIT)
    return limit


def _without_price(market: MarketState) -> str:
    if not market.is_quoted:
        return "the venue does not tell its prices; trying again"
    return "no price on that side of the book; trying again"


def _off_grid(best: Decimal, market: MarketState) -> str | None:
    return TICK_HAS_CHANGED if best % market.tick_size else None


def _own_price(side: Side, price: Decimal, market: MarketState) -> Decimal | str:
    """A leg's own limit on the grid of now, never beyond it; in words where that has no place."""
    tick = market.tick_size
    own = _to_grid(price, tick, ROUND_CEILING if side == "sell" else ROUND_FLOOR)
    if own < tick or (market.is_outcome and own > 1 - tick):
        return f"its limit {_plain(price)} has no place on the grid of {_plain(tick)}"
    return own


def _held(best: Decimal, worst: Decimal, where: str = "held") -> str:
    return f"{where}: the best price is {_plain(best)}, the limit {_plain(worst)}; trying again"


def worst_price(leg: LegState, market: MarketState, limits: Limits) -> Decimal:
    """How far a leg with a price of its own may go: its slippage, and where the edge is gone.

    Never further than its own price where that is past the edge already: what the
    user stated stands.
    """
    assert leg.price is not None
    worst = furthest_price(
        leg.side,
        leg.price,
        limits.max_slippage,
        market.tick_size,
        is_outcome=market.is_outcome,
    )
    if limits.edge_price is None:
        return worst
    if leg.side == "sell":
        edge = _to_grid(min(limits.edge_price, leg.price), market.tick_size, ROUND_CEILING)
        return max(worst, edge)
    edge = _to_grid(max(limits.edge_price, leg.price), market.tick_size, ROUND_FLOOR)
    return min(worst, edge)


def furthest_price(
    side: Side, price: Decimal, max_slippage: Decimal, tick: Decimal, *, is_outcome: bool
) -> Decimal:
    """The price on the grid that is so far from another one, or a little nearer.

    An outcome token's is never the last one above 0 or below 1, unless it starts there: a
    sale at 0.001 and a purchase at 0.999 give everything away.
    """
    if side == "sell":
        start = max(_to_grid(price, tick, ROUND_CEILING), tick)
        moved = _to_grid(price - max_slippage, tick, ROUND_CEILING)
        return max(moved, min(start, 2 * tick if is_outcome else tick))
    moved = _to_grid(price + max_slippage, tick, ROUND_FLOOR)
    if not is_outcome:
        return moved
    start = min(_to_grid(price, tick, ROUND_FLOOR), 1 - tick)
    return min(moved, max(start, 1 - 2 * tick))


def _without_shares(
    leg: LegState, market: MarketState, limits: Limits, can_take: Decimal
) -> Decision:
    """Too little is free now: wait for what is settling, end what holds nothing.

    An exit goes before our own resting sales: what they reserve is freed for it.
    """
    if leg.side == "sell" and market.held < market.min_quantity:
        if leg.settling > 0:
            return Decision("wait", "settling", wait=limits.settling)
        if leg.is_exit and leg.matched > 0:
            return Decision("finish", f"{_plain(leg.remaining)} remain: {NO_MORE_HELD}")
        return Decision("give_up", f"nothing was sold: {NO_MORE_HELD}")
    if leg.is_exit and leg.side == "sell" and market.resting > 0:
        short = min(leg.remaining - can_take, market.resting)
        said = f"{_plain(short)} of its shares are freed from resting sales"
        return Decision("free", said, short, wait=limits.wait_for_shares)
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
    """A leg that cannot be completed: protect the trade from what the other legs have done.

    Not once a person has cancelled one of them: then the trade is that person's. Nothing
    is withdrawn or undone by surprise, and no new order adds to one side; the leg is given
    up as it is, with an alarm that says so.
    """
    if leg.settling > 0:
        return Decision("wait", "settling", wait=limits.settling)
    said = f"{_plain(leg.remaining)} remain: {why}"
    if why == BELOW_MINIMUM:
        return Decision("finish", said)
    if leg.role == "unwind" or not others:
        return Decision("give_up", said)
    if (left := _left_to_a_person(leg, market, others)) is not None:
        return Decision(
            "give_up",
            f"{said}; leg {left.id} was cancelled by a person: nothing is undone by itself",
        )
    if (hedge := _hedge(leg, market, others, limits, why)) is not None:
        return hedge
    # Also those that have matched nothing yet: nobody would undo what they match later.
    if any(other.is_working for other in others):
        return Decision(
            "withdraw", f"{said}; the other legs are withdrawn first", wait=limits.in_flight
        )
    if unwinds := _excess(leg, market, others):
        return Decision("unwind", f"{said}; what the legs have unevenly is undone", unwinds=unwinds)
    return Decision("give_up", said)


def _left_to_a_person(
    leg: LegState, market: MarketState, others: Sequence[OtherLeg]
) -> OtherLeg | None:
    by_a_person = [other for other in others if other.is_by_a_person]
    return _falling_short(leg, market, by_a_person)


def _hedge(
    leg: LegState, market: MarketState, others: Sequence[OtherLeg], limits: Limits, why: str
) -> Decision | None:
    """Buy the other outcome where shares are missing: at 1 - p it is worth a sale at p."""
    ask = market.complement_ask
    if (
        leg.side != "sell"
        or leg.role != "wanted"
        or leg.price is None
        or not _lacks_shares(leg, market)
        or not any(other.share > 0 for other in others)
        or not market.is_outcome
        or not market.accepting_orders
        or market.is_closed
        or ask is None
    ):
        return None
    highest = 1 - worst_price(leg, market, limits)
    quantity = quantise_quantity(leg.remaining, market.quantity_step)
    cost = quantity * (highest + market.complement_fee_per_unit)
    if ask > highest or cost > market.collateral:
        return None
    reason = (
        f"{_plain(leg.remaining)} cannot be sold ({why}): the other outcome is bought instead,"
        f" at {_plain(ask)} with a limit of {_plain(highest)}; the pair can be merged later"
    )
    return Decision("hedge", reason, quantity, highest)


def _lacks_shares(leg: LegState, market: MarketState) -> bool:
    """Whether a sale is impossible, by our book or by the venue's word."""
    if leg.order is not None and leg.order.refusal == RejectionCode.NOT_ENOUGH_BALANCE:
        return True
    return market.free < max(market.min_quantity, market.quantity_step)


def _excess(
    leg: LegState, market: MarketState, others: Sequence[OtherLeg]
) -> tuple[tuple[int, Decimal], ...]:
    """What each leg, this one too, has beyond the share of the trade that all legs have."""
    common = min(leg.share, *(other.share for other in others))
    found = []
    for other in (*others, _as_other(leg, market)):
        too_much = other.matched + other.hedged - common * other.quantity
        excess = quantise_quantity(min(too_much, other.matched), other.quantity_step)
        if excess >= max(other.min_quantity, other.quantity_step):
            found.append((other.id, excess))
    return tuple(found)


def _as_other(leg: LegState, market: MarketState) -> OtherLeg:
    return OtherLeg(
        id=leg.id,
        quantity=leg.covered + leg.quantity,
        matched=leg.matched,
        is_working=True,
        min_quantity=market.min_quantity,
        quantity_step=market.quantity_step,
        hedged=leg.covered,
    )


def retry_after(attempts: int, limits: Limits, idle: timedelta = timedelta(0)) -> timedelta:
    """How long to wait before the next try: 0.2 s growing to 2 s with the tries and in between."""
    wait = max(limits.first_retry * 1.5 ** min(attempts, 10), idle / 4)
    return min(wait, limits.longest_retry)


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
