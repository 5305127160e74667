"""How long what is waited for, between sending an order and knowing what became of it."""

from datetime import datetime, timedelta

from django.utils import timezone

LOOK_AGAIN = timedelta(seconds=2)
"""How often an order in flight is looked at."""

UNDER_WAY_FOR = timedelta(seconds=15)
"""How long a post whose process may have died can still arrive: connecting 5 s, answering 10 s."""

POST_WITHIN = timedelta(seconds=4)
"""From the turn to the post; later than that, others may hold the order for dead."""

DOUBT_FOR = timedelta(seconds=15)
"""How long a post without a clear answer may still be carried out (Binance's recvWindow is 5 s)."""

UNSIGNABLE_FOR = timedelta(seconds=30)
"""How long an order rests that our own code stumbled over."""

LOST_AFTER = timedelta(seconds=60)
"""How long an acknowledged order may be missing before its same bytes are posted again."""

RESTING = timedelta(seconds=5)
"""How often an order in the book is looked at."""


def soon() -> datetime:
    """When an order in flight is looked at next."""
    return timezone.now() + LOOK_AGAIN
