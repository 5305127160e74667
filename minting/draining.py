"""Draining the queue: first what is under way, then the next batch."""

from datetime import datetime

from django.db.models import Min

from exchange.errors import ExchangeError
from minting import following, pausing, sending
from minting.models import WAITING, Mint, Transaction
from minting.requesting import QUEUE
from orders.reconciling import until_idle
from orders.venues import minter
from polytrader.alerts import raise_alert


def drain_until_idle() -> int:
    """Drain, and stay for whatever falls due within a second; how many rows were touched."""
    return until_idle(drain, next_due)


def drain() -> int:
    """Look after the transaction under way; when there is none, send the next.

    One transaction of a wallet is under way at a time, across machines, by
    constraint. Returns how many rows were touched.
    """
    touched = following.look_after_all()
    if pausing.is_paused(QUEUE) or _is_busy():
        return touched
    return touched + sending.send_next()


def _is_busy() -> bool:
    """Whether a transaction of the configured wallet is under way, or there is no such wallet."""
    try:
        wallet = minter().wallet
    except ExchangeError as error:
        raise_alert("minting_held", "the wallet", str(error))
        return True
    return Transaction.objects.filter(status="sent", wallet__iexact=wallet).exists()


def next_due() -> datetime | None:
    """When something of the queue falls due; `None` when nothing does by itself."""
    under_way: datetime | None
    under_way = Transaction.objects.filter(status="sent").aggregate(at=Min("next_look_at"))["at"]
    if under_way is not None or pausing.is_paused(QUEUE):
        return under_way
    waiting: datetime | None
    waiting = Mint.objects.filter(status__in=WAITING).aggregate(at=Min("next_attempt_at"))["at"]
    return waiting
