"""What can be sold of positions: what is held, less what orders, trades and the chain still take."""

from collections import defaultdict
from collections.abc import Collection
from decimal import Decimal

from django.db.models import F, Sum

from orders.models import Fill, ForeignOrder, Order, Position

_left = F("quantity") - F("matched_quantity")


def reserved(positions: Collection[Position]) -> dict[str, Decimal]:
    """What is taken already of min(matched, settled), by asset: five queries for any number.

    Orders, here or placed elsewhere, and chain transactions may still take it. Besides,
    min(matched, settled) overstates what is there while sales and purchases of one asset
    settle at once: 1000 settled and all of them sold, 50 bought, are 50 matched and 1000
    settled, and yet nothing is there until the 50 are settled.
    """
    assets = [position.asset for position in positions]
    taken = _taken_by_orders(assets)
    leaving = _leaving(assets)
    for position in positions:
        there = position.settled - leaving[position.asset]
        made_up = max(Decimal(0), min(position.matched, position.settled) - there)
        taken[position.asset] += position.pending_outflow + made_up
    return dict(taken)


def sellable(positions: Collection[Position]) -> dict[str, Decimal]:
    """The most a new order may take, by asset."""
    taken = reserved(positions)
    return {position.asset: free(position, taken[position.asset]) for position in positions}


def free(position: Position, taken: Decimal) -> Decimal:
    """What is left of a position: min(matched, settled) - reserved, never negative."""
    return max(Decimal(0), min(position.matched, position.settled) - taken)


def _taken_by_orders(assets: Collection[str]) -> dict[str, Decimal]:
    taken: dict[str, Decimal] = defaultdict(Decimal)
    live = Order.objects.live().order_by()
    sells = live.filter(side="sell", instrument__base_asset__in=assets)
    buys = live.filter(side="buy", instrument__quote_asset__in=assets)
    elsewhere = ForeignOrder.objects.filter(asset__in=assets, closed_at=None).order_by()
    for rows in (
        sells.values_list("instrument__base_asset").annotate(total=Sum(_left)),
        buys.values_list("instrument__quote_asset").annotate(
            total=Sum(_left * (F("price") + F("fee_per_unit")))
        ),
        elsewhere.values_list("asset").annotate(total=Sum("reserved")),
    ):
        for asset, amount in rows:
            taken[asset] += amount or 0
    return taken


def _leaving(assets: Collection[str]) -> dict[str, Decimal]:
    """What trades that are matched and not settled will take, by asset."""
    leaving: dict[str, Decimal] = defaultdict(Decimal)
    unsettled = Fill.objects.filter(status="matched").order_by()
    sold = unsettled.filter(order__side="sell", order__instrument__base_asset__in=assets)
    bought = unsettled.filter(order__side="buy", order__instrument__quote_asset__in=assets)
    for rows in (
        sold.values_list("order__instrument__base_asset").annotate(total=Sum("quantity")),
        bought.values_list("order__instrument__quote_asset").annotate(
            total=Sum(F("quantity") * F("price") + F("fee"))
        ),
    ):
        for asset, amount in rows:
            leaving[asset] += amount or 0
    return leaving
