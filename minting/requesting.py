"""Requesting: every settled sale that wants it asks for a mint of exactly its quantity, once."""

import structlog
from django.db import models, transaction
from django.db.models import Exists, OuterRef

from minting.models import Mint
from orders.models import Fill
from polytrader.bells import ring
from polytrader.points import point

log = structlog.get_logger()


def request_for_settled_sales(limit: int = 500) -> int:
    """Find CONFIRMED sales that want a mint and have none, and request it.

    Safe to run at any time and twice at once: a fill has one mint by constraint.
    """
    with transaction.atomic():
        fills = _wanting()[:limit]
        Mint.objects.bulk_create(
            (
                Mint(fill=fill, instrument=fill.order.instrument, quantity=fill.quantity)
                for fill in fills
            ),
            ignore_conflicts=True,
        )
        if fills:
            point("mints_made")
    if fills:
        point("mints_committed")
        log.info("mints_requested", count=len(fills))
        ring("mint-queue", queue="mint-queue")
    return len(fills)


def _wanting() -> models.QuerySet[Fill]:
    wanted = Fill.objects.filter(
        status="confirmed",
        order__side="sell",
        order__leg__trade__mint_after_sell=True,
    )
    has_mint = Exists(Mint.objects.filter(fill=OuterRef("pk")))
    return wanted.filter(~has_mint).select_related("order__instrument").order_by("pk")
