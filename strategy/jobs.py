"""The queue `manage-position`: one job per trade of its own accord, others by hand."""

from collections.abc import Sequence
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from orders.models import Trade
from strategy.models import PositionJob

log = structlog.get_logger()

OPEN = ("waiting", "active", "delayed")


def enqueue(trade: Trade, original_orders: Sequence[Any] = ()) -> PositionJob:
    """Have a trade looked after now; while such a job is open, asking again gives the same one."""
    with transaction.atomic():
        job, is_new = PositionJob.objects.get_or_create(
            trade=trade,
            is_by_hand=True,
            status__in=OPEN,
            defaults={"original_orders": list(original_orders), "status": "waiting"},
        )
    if not is_new:
        job.note(next_run_at=timezone.now())
    return job


def enqueue_by_message(trade_id: int, original_orders: Sequence[Any] | None) -> PositionJob | None:
    """Take a job from a message, whose data nobody has checked; a trade that is not there is logged."""
    trade = Trade.objects.filter(pk=trade_id).first() if isinstance(trade_id, int) else None
    if trade is None:
        log.warning("no_such_trade", trade=str(trade_id)[:80])
        return None
    return enqueue(trade, original_orders or ())
