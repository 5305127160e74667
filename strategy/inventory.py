"""Inventory: pairs of both outcomes, and how many of them nobody needs.

A pair is one share of each outcome: worth one collateral, whatever happens. What armed
stops protect is not free to be merged; `MERGE_KEEP_PAIRS` are kept as inventory; what is
left is surplus, and merged unasked when it exceeds `MERGE_ABOVE_PAIRS`.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from django.conf import settings
from django.db.models import Q

from minting import postponing, requesting
from minting.models import WAITING, Mint
from orders import reserving
from orders.ledger import BASE_UNIT
from orders.models import Instrument, Leg, Position
from polytrader.points import point
from trailing.models import TrailingStop

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Of one condition, in shares of each outcome."""

    held: Decimal
    """Free of orders, trades and transactions under way."""
    surplus: Decimal
    """Of those, needed neither by an armed stop nor as inventory."""


def pairs_of(assets: Collection[str]) -> dict[str, Pairs]:
    """The pairs of every market that one of these assets is an outcome of, by asset."""
    markets = _markets(Q(base_asset__in=assets) | Q(complement__in=assets))
    tokens = {token for market in markets for token in market}
    free = _free(tokens)
    protected = _protected(tokens)
    found: dict[str, Pairs] = {}
    for market in markets:
        found |= dict.fromkeys(market, _pairs(market, free, protected))
    return {asset: found[asset] for asset in assets if asset in found}


def merge_surplus() -> int:
    """Request a merge of every surplus above the threshold, where nothing else is under way.

    One that waits while its pairs come to be needed after all is withdrawn.
    """
    _withdraw_what_is_needed()
    threshold = settings.CONFIGURATION.minting.merge_above
    if threshold is None:
        return 0
    held = Position.objects.filter(settled__gt=0, venue="polymarket").exclude(asset="collateral")
    pairs = pairs_of(list(held.values_list("asset", flat=True)))
    rich = [asset for asset, found in pairs.items() if found.surplus > threshold]
    requested: set[str] = set()
    for instrument in Instrument.objects.filter(symbol__in=rich).order_by("pk"):
        if instrument.condition_id in requested or _is_busy(instrument):
            continue
        requested.add(instrument.condition_id)
        requesting.request_of_itself(
            instrument, "merge", "surplus", pairs[instrument.symbol].surplus
        )
        point("surplus_requested")
    return len(requested)


def _withdraw_what_is_needed() -> None:
    """Give up merges of what a stop, a sale or the inventory needs by now; all, where none is wanted."""
    is_off = settings.CONFIGURATION.minting.merge_above is None
    jobs = Mint.objects.filter(cause="surplus", status__in=WAITING).select_related("instrument")
    for job in jobs:
        asset = job.instrument.base_asset
        if is_off or job.left > pairs_of([asset])[asset].surplus:
            postponing.give_up([job], "its pairs are no surplus any more")


def _markets(which: Q) -> set[tuple[str, str]]:
    rows = Instrument.objects.filter(which, venue="polymarket").exclude(complement="")
    return {
        (min(one, other), max(one, other))
        for one, other in rows.values_list("base_asset", "complement")
    }


def _free(tokens: Collection[str]) -> dict[str, Decimal]:
    return reserving.sellable(list(Position.objects.filter(asset__in=tokens)))


def _protected(tokens: Collection[str]) -> dict[str, Decimal]:
    """What armed stops would sell, by asset; a stop of all that is held protects all of it."""
    protected: dict[str, Decimal] = defaultdict(Decimal)
    stops = TrailingStop.objects.filter(
        status__in=["pending_activation", "active"],
        side="sell",
        instrument__base_asset__in=tokens,
    )
    for asset, quantity in stops.values_list("instrument__base_asset", "quantity"):
        protected[asset] += Decimal("Infinity") if quantity is None else quantity
    return protected


def _pairs(
    market: tuple[str, str], free: dict[str, Decimal], protected: dict[str, Decimal]
) -> Pairs:
    held = min(free.get(token, ZERO) for token in market)
    unprotected = min(free.get(token, ZERO) - protected.get(token, ZERO) for token in market)
    surplus = max(ZERO, unprotected - settings.CONFIGURATION.minting.keep_pairs)
    return Pairs(held, surplus.quantize(BASE_UNIT, ROUND_FLOOR))


def _is_busy(instrument: Instrument) -> bool:
    """Whether a leg or a job of the condition is open: what it leaves is not known yet."""
    condition = instrument.condition_id
    jobs = Mint.objects.filter(
        instrument__condition_id=condition, status__in=["requested", "delayed", "sent"]
    )
    legs = Leg.objects.filter(instrument__condition_id=condition, status="working")
    return jobs.exists() or legs.exists()
