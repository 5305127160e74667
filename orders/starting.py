"""Starting: before a process sends anything, the book has been reconciled with the venue.

A running installation does so every half minute, so a process that starts beside others may
send at once. After an outage of all, the first one reconciles and the others wait for it.
"""

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from django.db import close_old_connections, transaction
from django.utils import timezone

from orders.models import Order, VenueState
from polytrader.alerts import raise_alert, resolve_alert

log = structlog.get_logger()

FRESH_FOR = timedelta(seconds=60)
TRY_AGAIN_AFTER = 1.0
PATIENCE = 20.0
"""Seconds; then exits go out though the venue's lists of orders and trades do not answer."""


_ready: set[tuple[int, str]] = set()
_under_way: dict[tuple[int, str], threading.Thread] = {}


def may_send(venue: str) -> bool:
    """Whether this process may send to a venue now; reconciling begins where it may not yet."""
    key = (os.getpid(), venue)
    if key in _ready:
        return True
    state = VenueState.objects.filter(venue=venue).first()
    agreed_at = None if state is None else state.reconciled_at
    is_fresh = agreed_at is not None and agreed_at > timezone.now() - FRESH_FOR
    if is_fresh or not _has_traded(venue):
        _ready.add(key)
        return True
    transaction.on_commit(lambda: begin(venue))
    return False


def wake_up(after: float) -> None:
    """Get ready to send in a moment: load the client, log in, reconcile."""
    from orders.venues import warm_up

    def get_ready() -> None:
        warm_up()
        _guarded(begin_everywhere)

    timer = threading.Timer(after, get_ready)
    timer.daemon = True
    timer.start()


def begin_everywhere() -> None:
    """Reconcile with every venue that something was ever sent to, in the background."""
    for venue in Order.objects.values_list("instrument__venue", flat=True).distinct():
        if not may_send(venue):
            log.info("reconciling_before_sending", venue=venue)


def begin(venue: str) -> None:
    """Reconcile with a venue in the background, until it has answered."""
    key = (os.getpid(), venue)
    if key in _ready or ((thread := _under_way.get(key)) is not None and thread.is_alive()):
        return
    _under_way[key] = threading.Thread(
        target=_reconcile, args=(venue,), name=f"reconcile {venue}", daemon=True
    )
    _under_way[key].start()


def forget() -> None:
    """Start afresh (tests)."""
    _ready.clear()


def _has_traded(venue: str) -> bool:
    sent = Order.objects.filter(instrument__venue=venue)
    return sent.exclude(status="planned").exists()


def _guarded(action: Callable[[], None]) -> None:
    try:
        action()
    except Exception:
        log.exception("not_woken_up")
    finally:
        close_old_connections()


def _reconcile(venue: str) -> None:
    """Try until the venue answers and the book agrees.

    A part of the venue that does not answer, or a row that we stumble over, holds exits
    back for a while, not for ever.
    """
    from orders import listing

    event, answered_at = threading.Event(), None
    subject = f"everything at {venue}"
    while True:
        try:
            close_old_connections()
            if answered_at is None and listing.answers(venue):
                answered_at = time.monotonic()
            if answered_at is not None and (
                _agrees(venue) or time.monotonic() - answered_at > PATIENCE
            ):
                _ready.add((os.getpid(), venue))
                resolve_alert("exit_held", subject, "the book agrees with the venue")
                _send_what_waited(venue)
                return
            raise_alert(
                "exit_held",
                subject,
                "nothing is sent yet: the book is not reconciled since the start",
            )
        except Exception:
            log.exception("not_reconciled", venue=venue)
        finally:
            close_old_connections()
        event.wait(TRY_AGAIN_AFTER)


def _agrees(venue: str) -> bool:
    from orders import listing

    try:
        listing.look_at_all_in_flight(venue)
        return listing.refresh(venue)
    except Exception:
        log.exception("not_reconciled", venue=venue)
        return False


def _send_what_waited(venue: str) -> None:
    """Whoever tried to send meanwhile has put the orders off for seconds: they are due now."""
    from orders import reconciling

    waiting = Order.objects.filter(instrument__venue=venue, status__in=["planned", "sent"], posts=0)
    waiting.update(next_look_at=timezone.now())
    reconciling.sweep()
