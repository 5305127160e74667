"""Doorways of the queue `manage-position`."""

from typing import Any

from celery import shared_task

from strategy import managing


@shared_task(name="manage-position")
def manage_position(
    tradeId: int,  # noqa: N803 - the job data's own names
    originalOrders: list[Any] | None = None,  # noqa: N803
    createdAt: str | int | None = None,  # noqa: N803
) -> None:
    """Reconcile the orders of one trade; running it twice changes nothing."""
    managing.reconcile_trade(tradeId)


@shared_task(name="strategy.sweep")
def sweep() -> None:
    """Manage every trade that is still working."""
    managing.sweep()
