"""Posting to positions: each change once, with what caused it, both sides of a trade together."""

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

from django.db.models import F
from django.utils import timezone

from orders.models import Entry, Fill, Instrument, Position

BASE_UNIT = Decimal("0.000001")


def lock(assets: Iterable[str], venue: str) -> dict[str, Position]:
    """Lock the positions of these assets in a fixed order, making those that do not exist.

    Call inside a transaction. Whoever reserves or posts holds these locks, so
    that two orders cannot both count on the same shares.
    """
    names = sorted(set(assets))
    Position.objects.bulk_create(
        [Position(asset=name, venue=venue) for name in names], ignore_conflicts=True
    )
    rows = Position.objects.select_for_update().filter(asset__in=names).order_by("asset")
    return {row.asset: row for row in rows}


def post(
    position: Position, kind: str, reference: str, *, matched: Decimal, settled: Decimal
) -> bool:
    """Post one entry and move the position by it; `False` when it is posted already.

    The caller holds the position's lock.
    """
    _, is_new = Entry.objects.get_or_create(
        position=position,
        kind=kind,
        reference=reference,
        defaults={"matched_change": matched, "settled_change": settled},
    )
    if is_new:
        Position.objects.filter(pk=position.pk).update(
            matched=F("matched") + matched,
            settled=F("settled") + settled,
            updated_at=timezone.now(),
        )
    return is_new


def amount_of(side: str, quantity: Decimal, price: Decimal) -> Decimal:
    """The collateral of a trade: quantity times price in the chain's base units of 6 decimals.

    A buy that spends a round amount gets its shares rounded down, so that shares
    times price fall short of the amount by a fraction of a unit: hence upwards.
    """
    return (quantity * price).quantize(
        BASE_UNIT, ROUND_HALF_UP if side == "sell" else ROUND_CEILING
    )


def _changes(instrument: Instrument, fill: Fill) -> dict[str, Decimal]:
    """What a fill moves, per asset; the fee is always taken in the quote asset."""
    notional = amount_of(fill.order.side, fill.quantity, fill.price)
    if fill.order.side == "sell":
        return {
            instrument.base_asset: -fill.quantity,
            instrument.quote_asset: notional - fill.fee,
        }
    return {
        instrument.base_asset: fill.quantity,
        instrument.quote_asset: -notional - fill.fee,
    }


def post_match(fill: Fill) -> None:
    """A trade was matched: it counts as matched, not yet as settled."""
    _post_fill(fill, "match", matched=1, settled=0)


def post_settlement(fill: Fill) -> None:
    """A trade is CONFIRMED: now it counts as settled too."""
    _post_fill(fill, "settle", matched=0, settled=1)


def post_failure(fill: Fill) -> None:
    """A matched trade FAILED to settle: take the match back."""
    _post_fill(fill, "fail", matched=-1, settled=0)


def _post_fill(fill: Fill, kind: str, *, matched: int, settled: int) -> None:
    instrument = fill.order.instrument
    changes = _changes(instrument, fill)
    positions = lock(changes, instrument.venue)
    reference = f"{fill.order.order_id}/{fill.trade_id}"
    for asset, change in changes.items():
        post(
            positions[asset],
            kind,
            reference,
            matched=change * matched,
            settled=change * settled,
        )
