"""Doorways of the queue `orders`."""

from celery import shared_task

from orders import balances, instruments, reconciling
from polytrader import heartbeats


@shared_task(name="orders.sweep")
def sweep() -> None:
    """Send what is planned, look up what is in flight, settle, plan again."""
    touched = reconciling.sweep_until_idle()
    heartbeats.beat("worker", f"looked after {touched} rows")


@shared_task(name="orders.balances")
def compare_balances() -> None:
    """Compare every position with the venue."""
    balances.sweep()


@shared_task(name="orders.instruments")
def refresh_instruments() -> None:
    """Ask again for tick sizes and closings."""
    instruments.refresh()
