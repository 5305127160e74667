"""Delivering alerts to the webhook: each raised once, resolved once, in that order, until taken.

At least once: whoever receives them keeps to the `Polytrader-Delivery` header. Without
`WEBHOOK_URL` alerts are rows and lines of the log.
"""

import hashlib
import hmac
import random
import threading
import time
from datetime import datetime, timedelta
from typing import Final, Literal

import httpx
import orjson
import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Case, Value, When
from django.utils import timezone

from polytrader.models import Alert

log = structlog.get_logger()

Part = Literal["raised", "resolved"]

TIMEOUT: Final = 5.0
LEASE: Final = timedelta(seconds=60)
"""How long a delivery is left to who claimed it; after that its process is taken for dead."""

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 600.0
GIVE_UP_AFTER: Final = timedelta(hours=24)
ENOUGH: Final = 10.0
"""Seconds of one round: a worker has orders to look after, too."""

_busy = threading.Lock()


def notify() -> None:
    """Deliver what is due, unless this process does already: a slow webhook keeps one thread."""
    if not settings.CONFIGURATION.webhook_url or not _busy.acquire(blocking=False):
        return
    try:
        deliver_due()
    finally:
        _busy.release()


def deliver_due() -> int:
    """Deliver alerts until none is due, or one is not taken; how many were."""
    delivered, until = 0, time.monotonic() + ENOUGH
    while time.monotonic() < until and (alert := _claim(timezone.now())) is not None:
        part = part_due(alert, timezone.now())
        if part is None:
            _give_up(alert)
        elif _deliver(alert, part):
            delivered += 1
        else:
            break
    return delivered


def part_due(alert: Alert, now: datetime) -> Part | None:
    """What is to be told of an alert; nothing once it could not be told for a day."""
    if alert.delivered_at is None and now < alert.raised_at + GIVE_UP_AFTER:
        return "raised"
    if alert.resolved_at is None or alert.resolved_delivered_at is not None:
        return None
    return "resolved" if now < alert.resolved_at + GIVE_UP_AFTER else None


def wait_after(attempts: int, chance: float) -> timedelta:
    """How long to wait after so many attempts: 1, 2, 4 s to 10 min, up to a quarter less by chance."""
    wait = min(FIRST_WAIT * 2.0 ** min(attempts - 1, 20), LONGEST_WAIT)
    return timedelta(seconds=wait * (1 - chance / 4))


def signature(secret: str, at: int, body: bytes) -> str:
    """Return the header that proves who sent a body, and when."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def body_of(alert: Alert, part: Part) -> bytes:
    """Write an alert as the webhook gets it."""
    return orjson.dumps(
        {
            "id": alert.pk,
            "event": part,
            "kind": alert.kind,
            "subject": alert.subject,
            "text": alert.text,
            "details": alert.details,
            "count": alert.count,
            "raisedAt": alert.raised_at,
            "lastAt": alert.last_at,
            "resolvedAt": alert.resolved_at,
            "resolution": alert.resolution,
            "version": settings.VERSION,
            "exchange": settings.CONFIGURATION.exchange,
        },
        option=orjson.OPT_UTC_Z,
    )


def _claim(now: datetime) -> Alert | None:
    with transaction.atomic():
        due = Alert.objects.select_for_update(skip_locked=True).filter(next_attempt_at__lte=now)
        alert = due.order_by("next_attempt_at", "pk").first()
        if alert is not None:
            alert.attempts += 1
            alert.next_attempt_at = now + LEASE
            alert.save(update_fields=["attempts", "next_attempt_at"])
    return alert


def _deliver(alert: Alert, part: Part) -> bool:
    try:
        trouble = _post(alert, part)
    except Exception as error:  # of httpx, or an address no library can make sense of
        trouble = type(error).__name__  # its text may show the address
    if trouble:
        _failed(alert, part, trouble)
    else:
        _taken(alert, part)
    return not trouble


def _post(alert: Alert, part: Part) -> str:
    """Send it; what was wrong, or nothing. The answer's body is nobody's business."""
    told = settings.CONFIGURATION
    body, at = body_of(alert, part), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"polytrader/{settings.VERSION}",
        "Polytrader-Delivery": f"{alert.pk}-{part}",
        "Polytrader-Signature": signature(told.webhook_secret or "", at, body),
    }
    with (
        httpx.Client(timeout=TIMEOUT, follow_redirects=False) as client,
        client.stream("POST", told.webhook_url or "", content=body, headers=headers) as answer,
    ):
        return "" if answer.is_success else f"status {answer.status_code}"


def _taken(alert: Alert, part: Part) -> None:
    now = timezone.now()
    mine = Alert.objects.filter(pk=alert.pk)
    if part == "raised":
        mine.filter(delivered_at=None).update(
            delivered_at=now,
            attempts=0,
            last_error="",
            next_attempt_at=Case(When(resolved_at__isnull=False, then=Value(now))),
        )
    else:
        mine.filter(resolved_delivered_at=None).update(
            resolved_delivered_at=now, next_attempt_at=None, last_error=""
        )
    log.info("alert_delivered", alert=alert.pk, part=part, attempts=alert.attempts)


def _failed(alert: Alert, part: Part, trouble: str) -> None:
    wait = wait_after(alert.attempts, random.random())  # noqa: S311 - jitter, not a secret
    Alert.objects.filter(pk=alert.pk, attempts=alert.attempts).update(
        next_attempt_at=timezone.now() + wait, last_error=trouble
    )
    log.warning(
        "alert_not_delivered", alert=alert.pk, part=part, attempts=alert.attempts, error=trouble
    )


def _give_up(alert: Alert) -> None:
    """Let it rest; when it is resolved later, that is told."""
    told = alert.delivered_at if alert.resolved_at is None else alert.resolved_delivered_at
    error = (
        alert.last_error if told else f"given up after 24 h: {alert.last_error or 'never tried'}"
    )
    Alert.objects.filter(pk=alert.pk, attempts=alert.attempts).update(
        next_attempt_at=None, attempts=0, last_error=error
    )
    if not told:
        log.error("alert_given_up", alert=alert.pk, error=error)
