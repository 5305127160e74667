"""Draining the queue: first what is under way, then the next batch."""

from minting import following, pausing, sending
from minting.models import Transaction
from minting.requesting import QUEUE


def drain() -> int:
    """Look after the transaction under way; when there is none, send the next.

    One transaction of a wallet is under way at a time, across machines, by
    constraint. Returns how many rows were touched.
    """
    touched = following.look_after_all()
    if Transaction.objects.filter(status="sent").exists() or pausing.is_paused(QUEUE):
        return touched
    return touched + sending.send_next()
