"""Requesting: what settled trades ask of the mint queue, once per fill, and what a person asks."""

from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from minting.models import Mint
from orders.models import Fill, Instrument
from polytrader.alerts import resolve_alert
from polytrader.bells import ring
from polytrader.points import point

log = structlog.get_logger()

QUEUE = "mint-queue"

_SALE = Q(order__side="sell", order__leg__trade__mint_after_sell=True)
_HEDGE = Q(order__side="buy", order__leg__role="hedge")
HEDGED_WITHIN = timedelta(days=1)
"""Pairs of hedges settled before that have their owner's leave to stay, or are surplus."""
_UNLESS_SPOT = ~Q(order__instrument__condition_id="")


def request_for_settled_trades(limit: int = 500) -> int:
    """Find CONFIRMED fills that ask for a job and have none, and request it.

    A sale that wants it is minted again; the pairs that a complement hedge made are merged.
    Safe to run at any time and twice at once: a fill has one job by constraint.
    """
    with transaction.atomic():
        fills = list(_wanting()[:limit])
        Mint.objects.bulk_create((_job_for(fill) for fill in fills), ignore_conflicts=True)
        if fills:
            point("mints_made")
    if fills:
        point("mints_committed")
        log.info("mints_requested", count=len(fills))
        ring(QUEUE, queue=QUEUE)
    return len(fills)


def request_by_hand(
    instrument: Instrument, kind: str, quantity: Decimal, asked_at: datetime | None = None
) -> Mint:
    """Request a job that a person asked for; its expiry runs from `asked_at`, never from later than now."""
    now = timezone.now()
    job = Mint.objects.create(
        kind=kind,
        cause="hand",
        instrument=instrument,
        quantity=quantity,
        asked_at=min(asked_at or now, now),
    )
    log.info("mint_requested", mint=job.pk, kind=kind, quantity=str(quantity))
    ring(QUEUE, queue=QUEUE)
    return job


def request_of_itself(
    instrument: Instrument, kind: str, cause: str, quantity: Decimal
) -> Mint | None:
    """Request a job that no trade and no person asked for; `None` while such a one is open."""
    try:
        with transaction.atomic():
            job = Mint.objects.create(
                kind=kind, cause=cause, instrument=instrument, quantity=quantity
            )
    except IntegrityError:
        return None
    log.info("mint_requested", mint=job.pk, kind=kind, cause=cause, quantity=str(quantity))
    ring(QUEUE, queue=QUEUE)
    return job


def retry_failed(jobs: QuerySet[Mint] | None = None) -> int:
    """Request failed jobs again, with a fresh expiry and fresh attempts; how many.

    Not the merges of surplus: what is surplus now is requested by itself.
    """
    rows = Mint.objects.all() if jobs is None else jobs
    now = timezone.now()
    count = 0
    for job in rows.filter(status="failed").exclude(cause="surplus").order_by("pk"):
        is_mine = job.move(
            "requested",
            asked_at=now,
            next_attempt_at=now,
            put_off=0,
            reverts=0,
            closed_at=None,
            reason="",
        )
        if is_mine:
            resolve_alert("mint_failed", f"mint {job.pk}", "tried again")
            count += 1
    if count:
        ring(QUEUE, queue=QUEUE)
    return count


def _wanting() -> QuerySet[Fill]:
    has_job = Exists(Mint.objects.filter(fill=OuterRef("pk")))
    hedges = _HEDGE & Q(closed_at__gte=timezone.now() - HEDGED_WITHIN)
    wanted = Fill.objects.filter(_SALE | hedges, _UNLESS_SPOT, status="confirmed")
    return wanted.filter(~has_job).select_related("order__instrument").order_by("pk")


def _job_for(fill: Fill) -> Mint:
    is_sale = fill.order.side == "sell"
    return Mint(
        kind="split" if is_sale else "merge",
        cause="sale" if is_sale else "hedge",
        fill=fill,
        instrument=fill.order.instrument,
        quantity=fill.quantity,
    )
