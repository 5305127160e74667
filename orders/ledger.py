"""Posting to positions: each change once, with what caused it, in entries that balance.

What the wallet gains in an asset, the venue, the fees, the chain or the outside
lose: over all accounts every posting adds up to nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

from django.db.models import F
from django.utils import timezone

from orders.models import Entry, Fill, Instrument, Position
from polytrader import prepared
from polytrader.prepared import Columns

BASE_UNIT = Decimal("0.000001")


def lock(assets: Iterable[str], venue: str) -> dict[str, Position]:
    """Lock the positions of these assets in a fixed order, making those that do not exist.

    Call inside a transaction. Whoever reserves or posts holds these locks, so
    that two orders cannot both count on the same shares.
    """
    names = set(assets)
    found = locked(prepared.run(locking(names))[0])
    if missing := names - found.keys():
        Position.objects.bulk_create(
            [Position(asset=name, venue=venue) for name in sorted(missing)], ignore_conflicts=True
        )
        found = locked(prepared.run(locking(names))[0])
    return found


_POSITIONS = Columns(Position, "p")
_LOCK = f"""
SELECT {_POSITIONS.sql} FROM orders_position p
 WHERE asset = ANY(%(assets)s::text[]) ORDER BY venue, asset FOR UPDATE
"""  # noqa: S608 - names of columns


def locking(assets: Iterable[str]) -> prepared.Statement:
    """The statement that locks those of these positions that exist, for `locked`; see `lock`."""
    return _LOCK, {"assets": list(assets)}


def locked(rows: Iterable[Sequence[object]]) -> dict[str, Position]:
    """The positions that `locking` has returned, by asset."""
    return {position.asset: position for position in map(_POSITIONS.read, rows)}


@dataclass(frozen=True, slots=True)
class Change:
    """What the wallet gains (or loses, below 0) of an asset, and the account it comes from."""

    asset: str
    amount: Decimal
    against: str


def post(
    positions: Mapping[str, Position],
    kind: str,
    reference: str,
    changes: Sequence[Change],
    *,
    matched: int = 1,
    settled: int = 1,
) -> bool:
    """Post these changes together and move the positions by them; `False` when posted already.

    `matched` and `settled` say how often the amounts count for each of the two: 1, 0
    or -1. The caller holds the positions' locks (`lock`).
    """
    amounts: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for change in changes:
        amounts[change.asset, "wallet"] += change.amount
        amounts[change.asset, change.against] -= change.amount
    ids = [position.pk for position in positions.values()]
    posted = Entry.objects.filter(position_id__in=ids, kind=kind, reference=reference)
    if posted.exists():
        return False
    Entry.objects.bulk_create(
        Entry(
            position=positions[asset],
            account=account,
            kind=kind,
            reference=reference,
            matched_change=amount * matched,
            settled_change=amount * settled,
        )
        for (asset, account), amount in amounts.items()
        if amount
    )
    now = timezone.now()
    for (asset, account), amount in amounts.items():
        if account == "wallet" and amount:
            Position.objects.filter(pk=positions[asset].pk).update(
                matched=F("matched") + amount * matched,
                settled=F("settled") + amount * settled,
                updated_at=now,
            )
    return True


def amount_of(side: str, quantity: Decimal, price: Decimal) -> Decimal:
    """The collateral of a trade: quantity times price in the chain's base units of 6 decimals.

    A buy that spends a round amount gets its shares rounded down, so that shares
    times price fall short of the amount by a fraction of a unit: hence upwards.
    """
    return (quantity * price).quantize(
        BASE_UNIT, ROUND_HALF_UP if side == "sell" else ROUND_CEILING
    )


def changes_of(
    instrument: Instrument,
    side: str,
    quantity: Decimal,
    price: Decimal,
    fee: Decimal,
    fee_asset: str = "",
) -> list[Change]:
    """What a trade moves; the fee is taken in the quote asset unless another is named."""
    sign = -1 if side == "sell" else 1
    return [
        Change(instrument.base_asset, quantity * sign, "venue"),
        Change(instrument.quote_asset, amount_of(side, quantity, price) * -sign, "venue"),
        Change(fee_asset or instrument.quote_asset, -fee, "fees"),
    ]


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
    order = fill.order
    changes = changes_of(
        order.instrument, order.side, fill.quantity, fill.price, fill.fee, fill.fee_asset
    )
    positions = lock((change.asset for change in changes), order.instrument.venue)
    reference = f"{order.order_id}/{fill.trade_id}"
    post(positions, kind, reference, changes, matched=matched, settled=settled)
