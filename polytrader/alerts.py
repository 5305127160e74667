"""Alerts: what a person should know. One open row per kind and subject; the webhook tells of it.

Raised and resolved inside whatever transaction the caller is in; `operations/notifying.py`
delivers what was committed.
"""

import json
from typing import Any, Final, Literal, get_args

import structlog
from django.db import connection, transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from polytrader.bells import ring
from polytrader.models import Alert

log = structlog.get_logger()

Kind = Literal[
    "stop_not_protected",
    "exit_held",
    "exit_at_limit",
    "order_id_mismatch",
    "unexplained_difference",
    "outside_movement",
    "unknown_order",
    "leg_given_up",
    "settlement_failed",
    "clock_skew",
    "stop_asks",
    "minting_held",
    "mint_failed",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
CRITICAL: Final = frozenset[Kind](
    {
        "stop_not_protected",
        "exit_at_limit",
        "order_id_mismatch",
        "unexplained_difference",
        "leg_given_up",
    }
)
"""The kinds that mean: something is not protected, or our book cannot be believed."""

LONGEST_SUBJECT = 200
LONGEST_TEXT = 2000

# Django's upsert knows neither a partial index nor `count + 1`. A row just inserted has no xmax.
_RAISE = """
INSERT INTO polytrader_alert (kind, subject, text, details, count, raised_at, last_at, resolution,
                              attempts, next_attempt_at, last_error)
VALUES (%s, %s, %s, %s::jsonb, 1, %s, %s, '', 0, %s, '')
ON CONFLICT (kind, subject) WHERE resolved_at IS NULL
DO UPDATE SET count = polytrader_alert.count + 1, text = excluded.text,
              details = excluded.details, last_at = excluded.last_at
RETURNING id, xmax = 0
"""


def raise_alert(kind: Kind, subject: str, text: str, **details: Any) -> int:
    """Open an alert and return its id; one that is open already is counted and takes the new text.

    `subject` is what it is about, such as `order 12`. `details` go out to the webhook:
    ids and figures, never a secret. Only a new one is logged and delivered, after the commit.
    """
    subject, text = _stored(subject, LONGEST_SUBJECT), _stored(text, LONGEST_TEXT)
    now = timezone.now()
    told = json.dumps(details, default=str).replace(r"\u0000", "")
    with connection.cursor() as cursor:
        cursor.execute(_RAISE, [kind, subject, text, told, now, now, now])
        pk, is_new = cursor.fetchone()
    if is_new:
        say = log.critical if kind in CRITICAL else log.warning
        transaction.on_commit(
            lambda: say(
                "alert_raised", alert=pk, kind=kind, subject=subject, text=text, details=details
            )
        )
        ring("operations.notify", queue="orders")
    return int(pk)


def resolve_alert(kind: Kind, subject: str, text: str = "") -> bool:
    """Close the open alert of this kind and subject; `False` when there is none, which is cheap."""
    mine = Alert.objects.filter(kind=kind, subject=_stored(subject, LONGEST_SUBJECT))
    return resolve(mine, text) > 0


def resolve(alerts: QuerySet[Alert], text: str = "") -> int:
    """Close those of these alerts that are open, have that delivered too; how many there were."""
    now = timezone.now()
    count = alerts.filter(resolved_at__isnull=True).update(
        resolved_at=now,
        resolution=_stored(text, LONGEST_TEXT),
        next_attempt_at=Coalesce("next_attempt_at", Value(now)),
    )
    if count:
        transaction.on_commit(lambda: log.info("alerts_resolved", count=count, text=text))
        ring("operations.notify", queue="orders")
    return count


def _stored(text: str, longest: int) -> str:
    """A venue's words may be of any length and hold anything; Postgres refuses a NUL."""
    return text.replace("\0", "")[:longest]
