"""Resolved markets: what is held of them is redeemed, as a job of the mint queue."""

from datetime import timedelta
from decimal import Decimal

import structlog
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from exchange.errors import ExchangeError
from minting import requesting
from minting.models import Mint, Resolution
from minting.preparing import note_payouts
from orders.models import Instrument, Position
from orders.venues import minter

log = structlog.get_logger()

CHECKED_FOR = timedelta(minutes=5)
ENDED_CHECKED_FOR = timedelta(seconds=30)
"""A market that takes no orders any more is about to be resolved."""
TRIED_AGAIN_AFTER = timedelta(hours=1)
AT_ONCE = 20


def request_redemptions() -> int:
    """Ask the chain about the markets we hold tokens of; request redemptions of the resolved ones."""
    if not settings.CONFIGURATION.minting.redeem_resolved:
        return 0
    requested = 0
    for instrument, held in _due()[:AT_ONCE]:
        try:
            payouts = minter().payouts(instrument.condition_id)
        except (ExchangeError, ValueError) as error:
            log.warning("resolution_unknown", condition=instrument.condition_id, error=str(error))
            _ask_again_soon(instrument.condition_id)
            continue
        note_payouts(instrument.condition_id, payouts)
        if payouts is not None:
            job = requesting.request_of_itself(instrument, "redeem", "resolved", held)
            requested += job is not None
    return requested


def _ask_again_soon(condition_id: str) -> None:
    """A market that cannot be asked about lets the others go first."""
    at = timezone.now() - CHECKED_FOR + ENDED_CHECKED_FOR
    Resolution.objects.update_or_create(condition_id=condition_id, defaults={"checked_at": at})


def _due() -> list[tuple[Instrument, Decimal]]:
    """Markets with tokens of ours whose state was not asked lately, and how many they are."""
    held: dict[str, tuple[Instrument, Decimal]] = {}
    positions = Position.objects.filter(settled__gt=0).exclude(asset="collateral")
    settled = dict(positions.values_list("asset", "settled"))
    instruments = Instrument.objects.filter(venue="polymarket").exclude(condition_id="")
    for instrument in instruments.order_by("pk"):
        amount = settled.get(instrument.base_asset, 0) + settled.get(instrument.complement, 0)
        if amount and instrument.condition_id not in held:
            held[instrument.condition_id] = (instrument, Decimal(amount))
    checked = dict(
        Resolution.objects.filter(condition_id__in=held).values_list("condition_id", "checked_at")
    )
    busy = _busy()
    now = timezone.now()

    def is_due(instrument: Instrument) -> bool:
        at = checked.get(instrument.condition_id)
        wait = CHECKED_FOR if instrument.accepting_orders else ENDED_CHECKED_FOR
        return instrument.condition_id not in busy and (at is None or at < now - wait)

    return [pair for condition, pair in held.items() if is_due(pair[0])]


def _busy() -> set[str]:
    """Conditions with a redemption that is open, or that failed of its own accord a moment ago."""
    open_ones = Q(status__in=["requested", "delayed", "sent"])
    lately = Q(status="failed", cause="resolved", closed_at__gte=timezone.now() - TRIED_AGAIN_AFTER)
    jobs = Mint.objects.filter(open_ones | lately, kind="redeem")
    return set(jobs.values_list("instrument__condition_id", flat=True))
