"""What can be sold of positions: what is held, less what orders, trades and the chain still take."""

from collections.abc import Collection, Iterable
from decimal import Decimal

from orders.models import Position
from orders.models.instruments import ZERO
from polytrader import prepared

_TAKEN = """
SELECT asset, sum(taken), sum(leaving)
  FROM (
    SELECT CASE o.side WHEN 'sell' THEN i.base_asset ELSE i.quote_asset END AS asset,
           (o.quantity - o.matched_quantity)
           * CASE o.side WHEN 'sell' THEN 1 ELSE o.price + o.fee_per_unit END AS taken,
           0 AS leaving
      FROM orders_order o JOIN orders_instrument i ON i.id = o.instrument_id
     WHERE o.status IN ('planned', 'sent', 'open')
    UNION ALL
    SELECT asset, reserved, 0 FROM orders_foreignorder
     WHERE closed_at IS NULL AND asset = ANY(%(assets)s::text[])
    UNION ALL
    SELECT CASE o.side WHEN 'sell' THEN i.base_asset ELSE i.quote_asset END,
           0,
           CASE o.side WHEN 'sell' THEN f.quantity ELSE f.quantity * f.price + f.fee END
      FROM orders_fill f
      JOIN orders_order o ON o.id = f.order_id
      JOIN orders_instrument i ON i.id = o.instrument_id
     WHERE f.status = 'matched'
  ) t
 WHERE asset = ANY(%(assets)s::text[])
 GROUP BY asset
"""
"""What live orders, here and elsewhere, may still take of assets, and what trades that are matched
and not settled will. Reads what is under way, by the partial indexes of it, and no history."""


def reserved(positions: Collection[Position]) -> dict[str, Decimal]:
    """What is taken already of min(matched, settled), by asset: one query for any number.

    Orders, here or placed elsewhere, and chain transactions may still take it. Besides,
    min(matched, settled) overstates what is there while sales and purchases of one asset
    settle at once: 1000 settled and all of them sold, 50 bought, are 50 matched and 1000
    settled, and yet nothing is there until the 50 are settled.
    """
    (rows,) = prepared.run(taken_of([position.asset for position in positions]))
    return reserved_by(positions, rows)


def taken_of(assets: Collection[str]) -> prepared.Statement:
    """The statement that says what of these assets is under way, for `reserved_by`."""
    return _TAKEN, {"assets": list(assets)}


def reserved_by(
    positions: Collection[Position], rows: Iterable[tuple[str, Decimal, Decimal]]
) -> dict[str, Decimal]:
    """The same as `reserved`, of what `taken_of` has returned."""
    found = {asset: (taken, leaving) for asset, taken, leaving in rows}
    total = {}
    for position in positions:
        taken, leaving = found.get(position.asset, (ZERO, ZERO))
        there = position.settled - leaving
        made_up = max(ZERO, min(position.matched, position.settled) - there)
        total[position.asset] = taken + position.pending_outflow + made_up
    return total


def sellable(positions: Collection[Position]) -> dict[str, Decimal]:
    """The most a new order may take, by asset."""
    (rows,) = prepared.run(taken_of([position.asset for position in positions]))
    return sellable_by(positions, rows)


def sellable_by(
    positions: Collection[Position], rows: Iterable[tuple[str, Decimal, Decimal]]
) -> dict[str, Decimal]:
    """The same as `sellable`, of what `taken_of` has returned."""
    taken = reserved_by(positions, rows)
    return {position.asset: free(position, taken[position.asset]) for position in positions}


def free(position: Position, taken: Decimal) -> Decimal:
    """What is left of a position: min(matched, settled) - reserved, never negative."""
    return max(ZERO, min(position.matched, position.settled) - taken)
