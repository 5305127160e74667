"""Doorways of the queue `orders`."""

from celery import shared_task

from orders import instruments, listing, reconciling
from polytrader import heartbeats


@shared_task(name="orders.sweep")
def sweep() -> None:
    """Send what is planned, look up what is in flight, settle."""
    touched = reconciling.sweep_until_idle()
    heartbeats.beat("worker", f"looked after {touched} rows")


@shared_task(name="orders.balances")
def compare_balances() -> None:
    """Compare the book with the venues: open orders, trades, balances, clocks."""
    listing.sweep()


@shared_task(name="orders.instruments")
def refresh_instruments() -> None:
    """Ask again for tick sizes and closings."""
    instruments.refresh()
