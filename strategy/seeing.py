"""Seeing: what the rules need to know of a leg, gathered from rows and prices."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import takewhile
from typing import Any, cast

from django.conf import settings
from django.db.models import Count, F, Q, Sum

from exchange.types import Quote, Side
from orders import fees, planning
from orders.models import Fill, Instrument, Leg, Order, Position
from strategy.models import Decision
from strategy.rules import (
    PATIENT_REFUSALS,
    RESTING_TYPES,
    LegState,
    Limits,
    MarketState,
    OrderState,
    OtherLeg,
    counts,
    edge_price,
)

ZERO = Decimal(0)
MATCHED = Q(status__in=["matched", "confirmed"])
ORDERS_IN_A_ROW = 50

WITHDRAWN, FREED = "withdrawn", "freed"
"""Kept as decisions of legs that the position manager itself had withdrawn, and why.

A leg whose cancellation was asked for without them was cancelled by a person.
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a decision is taken from."""

    leg: LegState
    market: MarketState
    others: tuple[OtherLeg, ...]
    limits: Limits

    def as_json(self) -> dict[str, Any]:
        """The same as plain JSON, to be kept with the decision."""
        return cast(dict[str, Any], _plain(asdict(self)))


def instruments_of(legs: Sequence[Leg]) -> set[Instrument]:
    """The instruments whose prices matter to these legs: of all their trades' legs, both outcomes."""
    family = Leg.objects.filter(trade__in={leg.trade_id for leg in legs}, trade__purpose="signal")
    found = {leg.instrument for leg in legs}
    found |= {leg.instrument for leg in family.select_related("instrument")}
    complements = {i.complement for i in found if i.complement}
    if any(leg.price is not None for leg in legs):
        found |= set(Instrument.objects.filter(symbol__in=complements))
    return found


def locked(leg: Leg) -> list[Leg]:
    """All legs of a leg's trade and the positions they touch, locked in a fixed order."""
    legs = list(
        Leg.objects.select_for_update(of=("self",))
        .select_related("instrument", "trade")
        .filter(trade=leg.trade_id)
        .order_by("pk")
    )
    planning.lock_positions(one.instrument for one in legs)
    return legs


def see(leg: Leg, family: Sequence[Leg], quotes: dict[str, Quote]) -> Seen:
    """Gather what is known of a leg whose trade's legs and positions are locked."""
    others: tuple[OtherLeg, ...] = ()
    if leg.role != "unwind":
        itself = (leg.pk, leg.of_id)
        wanted = (one for one in family if one.role == "wanted" and one.pk not in itself)
        others = tuple(_other(one, family) for one in wanted)
    return Seen(_leg(leg), _market(leg, quotes), others, _limits(leg, family))


def _leg(leg: Leg) -> LegState:
    latest = leg.orders.order_by("-pk").first()
    refusals = _latest_refusals(leg)
    fills = Fill.objects.filter(order__leg=leg).aggregate(
        matched=Sum("quantity", filter=MATCHED),
        settling=Sum("quantity", filter=Q(status="matched")),
        failures=Count("pk", filter=Q(status="failed")),
    )
    return LegState(
        side=cast(Side, leg.side),
        quantity=leg.quantity,
        matched=fills["matched"] or ZERO,
        settling=fills["settling"] or ZERO,
        failures=fills["failures"],
        price=leg.price,
        worst_price=leg.worst_price,
        order_type=leg.order_type,
        role=leg.role,
        attempts=leg.attempts,
        # The leg's own counter begins anew when a person has it tried again.
        rejections=min(leg.rejections, _in_a_row(refusals, counts)),
        pauses=min(leg.rejections, _in_a_row(refusals, PATIENT_REFUSALS.__contains__)),
        order=_order(latest),
        expires_at=leg.expires_at,
        is_cancel_requested=leg.cancel_requested_at is not None,
        is_freed=leg.decisions.filter(kind=FREED).exists(),
        idle_since=leg.created_at if latest is None else latest.closed_at,
        covered=leg.of.matched_quantity() if leg.role == "hedge" and leg.of else ZERO,
        id=leg.pk,
    )


def _latest_refusals(leg: Leg) -> list[str]:
    """How the venue refused the leg's latest orders, as codes, the last one first."""
    rows = leg.orders.order_by("-pk").values_list("status", "matched_quantity", "refusal")
    return [
        refusal if status in ("rejected", "cancelled") and not matched else ""
        for status, matched, refusal in rows[:ORDERS_IN_A_ROW]
    ]


def _in_a_row(refusals: Iterable[str], is_such: Callable[[str], bool]) -> int:
    return sum(1 for _ in takewhile(is_such, refusals))


def _order(order: Order | None) -> OrderState | None:
    if order is None:
        return None
    is_wished = order.cancel_requested_at is not None
    return OrderState(order.status, order.venue_status, order.refusal, is_wished)


def _market(leg: Leg, quotes: dict[str, Quote]) -> MarketState:
    instrument = leg.instrument
    quote = quotes.get(instrument.symbol)
    price = None if quote is None else (quote.bid if leg.side == "sell" else quote.ask)
    complement = quotes.get(instrument.complement)
    return MarketState(
        price=price,
        tick_size=instrument.tick_size,
        min_quantity=instrument.min_quantity,
        quantity_step=instrument.quantity_step,
        free=_sellable(planning.asset_taken(instrument, leg.side)),
        held=planning.held(instrument, leg.side),
        resting=_resting(instrument) if leg.price is None and leg.side == "sell" else ZERO,
        fee_per_unit=fees.most_per_unit(instrument, leg.side, Decimal("0.5")),
        is_quoted=quote is not None,
        is_closed=instrument.is_closed,
        accepting_orders=instrument.accepting_orders,
        is_outcome=instrument.venue == "polymarket",
        complement_ask=None if complement is None else complement.ask,
        complement_fee_per_unit=fees.most_per_unit(instrument, "buy", Decimal("0.5")),
        collateral=_sellable(instrument.quote_asset),
    )


def _sellable(asset: str) -> Decimal:
    position = Position.objects.filter(asset=asset).first()
    return ZERO if position is None else position.sellable()


def _resting(instrument: Instrument) -> Decimal:
    return sum((reserved for _, reserved in resting_sales(instrument)), start=ZERO)


def resting_sales(instrument: Instrument) -> list[tuple[int, Decimal]]:
    """The legs of signals whose sales of this rest in the book, with what each reserves; largest first.

    Without those that are being withdrawn.
    """
    orders = Order.objects.live().filter(
        instrument__base_asset=instrument.base_asset,
        side="sell",
        order_type__in=RESTING_TYPES,
        cancel_requested_at=None,
        leg__status="working",
        leg__role="wanted",
        leg__price__isnull=False,
        leg__cancel_requested_at=None,
    )
    reserved = orders.annotate(reserved=F("quantity") - F("matched_quantity")).order_by("-reserved")
    return list(reserved.values_list("leg_id", "reserved"))


def _other(leg: Leg, family: Sequence[Leg]) -> OtherLeg:
    """Another wanted leg with its hedge, less what remedies have undone of it."""
    hedges = [one for one in family if one.of_id == leg.pk and one.role == "hedge"]
    is_withdrawn = leg.cancel_requested_at is not None
    is_hedging = any(one.status == "working" for one in hedges)
    return OtherLeg(
        id=leg.pk,
        quantity=leg.quantity,
        matched=_left(leg),
        is_working=leg.status == "working" or is_hedging,
        min_quantity=leg.instrument.min_quantity,
        quantity_step=leg.instrument.quantity_step,
        hedged=sum((_left(one) for one in hedges), start=ZERO),
        is_withdrawn=is_withdrawn and not is_hedging,
        is_by_a_person=is_withdrawn and not _was_withdrawn_by_us(leg),
    )


def _was_withdrawn_by_us(leg: Leg) -> bool:
    return Decision.objects.filter(leg=leg, kind__in=[WITHDRAWN, FREED]).exists()


def _left(leg: Leg) -> Decimal:
    """What a leg has matched, less what was undone of it."""
    undone = Fill.objects.filter(MATCHED, order__leg__of=leg, order__leg__role="unwind")
    return leg.matched_quantity() - (undone.aggregate(total=Sum("quantity"))["total"] or ZERO)


def _limits(leg: Leg, family: Sequence[Leg]) -> Limits:
    """How far a retry may go: remedies carry their furthest price as their own."""
    if leg.role != "wanted" or leg.price is None:
        return Limits()
    slippage = leg.trade.max_slippage
    if slippage is None:
        slippage = settings.CONFIGURATION.max_slippage if len(family) > 1 else ZERO
    return Limits(max_slippage=slippage, edge_price=_edge(leg, family))


def _edge(leg: Leg, family: Iterable[Leg]) -> Decimal | None:
    """The price past which a pair of both outcomes, traded on the same side, would lose.

    Baskets of three legs and more, such as one outcome of every market of an event, have
    an edge too; it is not computed. They are bounded by their slippage alone.
    """
    for other in family:
        is_pair = other.instrument.symbol == leg.instrument.complement
        if is_pair and other.side == leg.side and other.role == "wanted" and other.price:
            price = average_price(other) or other.price
            fee = fees.per_unit(other.instrument, price)
            fee += fees.per_unit(leg.instrument, cast(Decimal, leg.price))
            return edge_price(cast(Side, leg.side), cast(Decimal, leg.price), price, fee)
    return None


def average_price(leg: Leg) -> Decimal | None:
    """The volume-weighted price at which a leg was matched."""
    fills = list(Fill.objects.filter(MATCHED, order__leg=leg))
    quantity = sum((fill.quantity for fill in fills), start=ZERO)
    if not quantity:
        return None
    return sum((fill.quantity * fill.price for fill in fills), start=ZERO) / quantity


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return value if isinstance(value, int | str | None) else str(value)
