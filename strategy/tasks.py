"""Doorways of the queue `manage-position`."""

from typing import Any

from celery import shared_task

from strategy import inventory, jobs, managing


@shared_task(name="manage-position")
def manage_position(
    tradeId: int,  # noqa: N803 - the job data's own names
    originalOrders: list[Any] | None = None,  # noqa: N803
    createdAt: str | int | None = None,  # noqa: N803
) -> None:
    """Look after one trade; running it twice changes nothing."""
    jobs.enqueue_by_message(tradeId, originalOrders)
    managing.sweep()


@shared_task(name="strategy.surplus")
def merge_surplus() -> None:
    """Request merges of the pairs that nobody needs, where that is wanted."""
    inventory.merge_surplus()


@shared_task(name="strategy.sweep")
def sweep() -> None:
    """Look after every leg and job that is due."""
    managing.sweep_until_idle()
