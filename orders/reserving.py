"""What can be sold of many assets at once; `Position.sellable` says the same of one."""

from collections import defaultdict
from collections.abc import Collection
from decimal import Decimal

from django.db.models import F, Sum

from orders.models import ForeignOrder, Order, Position

_left = F("quantity") - F("matched_quantity")


def reserved(positions: Collection[Position]) -> dict[str, Decimal]:
    """What orders, here or placed elsewhere, and the chain may still take, by asset: three queries."""
    assets = [position.asset for position in positions]
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
    for position in positions:
        taken[position.asset] += position.pending_outflow
    return dict(taken)


def sellable(positions: Collection[Position]) -> dict[str, Decimal]:
    """The most a new order may take, by asset."""
    taken = reserved(positions)
    return {position.asset: free(position, taken[position.asset]) for position in positions}


def free(position: Position, taken: Decimal) -> Decimal:
    """What is left of a position: min(matched, settled) - reserved, never negative."""
    return max(Decimal(0), min(position.matched, position.settled) - taken)
