"""The lease: one process acts, the others stand by; a row says which, by the database's clock.

It saves work, it protects nothing: two that act at once do no harm, since a tick claims its
instruments by the time of the observation.
"""

import os
import secrets
import socket
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from polytrader.models import Lease

STREAM = "stream"
RENEW_EVERY = 1.0
LOST_AFTER = timedelta(seconds=4)
"""A lease that has not been renewed for so long may be taken."""

TAKE = """
INSERT INTO polytrader_lease AS held (name, holder, renewed_at)
VALUES (%(name)s, %(holder)s, clock_timestamp())
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, renewed_at = clock_timestamp()
 WHERE held.holder = excluded.holder OR held.renewed_at < clock_timestamp() - make_interval(secs => %(patience)s)
"""
"""Taking, renewing and taking over: the same statement, and its row count says who won."""


def a_holder() -> str:
    """A name of this process that no other one has, also after a restart in the same place."""
    return f"{socket.gethostname()[:80]}:{os.getpid()}:{secrets.token_hex(4)}"


def take(name: str, holder: str) -> bool:
    """Take or renew a lease; `False` while somebody else holds it."""
    with connection.cursor() as cursor:
        cursor.execute(
            TAKE, {"name": name, "holder": holder, "patience": LOST_AFTER.total_seconds()}
        )
        return bool(cursor.rowcount)


def release(name: str, holder: str) -> None:
    """Let somebody else take it at once."""
    Lease.objects.filter(name=name, holder=holder).delete()


def is_held(name: str) -> bool:
    """Whether somebody has renewed it lately."""
    since = timezone.now() - LOST_AFTER
    return Lease.objects.filter(name=name, renewed_at__gt=since).exists()
