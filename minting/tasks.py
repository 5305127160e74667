"""Doorway of the queue `mint-queue`."""

from celery import shared_task

from minting import requesting, splitting
from polytrader import heartbeats


@shared_task(name="mint-queue")
def drain() -> None:
    """Request what settled sales want, look after the split under way, send the next."""
    requested = requesting.request_for_settled_sales()
    touched = splitting.drain()
    heartbeats.beat("minter", f"requested {requested}, looked after {touched} rows")
