"""Doorway of the queue `mint-queue`."""

from celery import shared_task

from minting import draining, requesting, resolving
from polytrader import heartbeats


@shared_task(name="mint-queue")
def drain() -> None:
    """Request what settled trades and resolved markets want, look after what is under way, send the next."""
    requested = requesting.request_for_settled_trades()
    touched = draining.drain_until_idle()
    requested += resolving.request_redemptions()
    heartbeats.beat("minter", f"requested {requested}, looked after {touched} rows")
