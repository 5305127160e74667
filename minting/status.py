"""The mint queue in numbers, counted from rows."""

from typing import Any

from django.db.models import Count
from django.utils import timezone

from minting import pausing
from minting.models import WAITING, Mint
from minting.requesting import QUEUE


def queue_status() -> dict[str, Any]:
    """Count the jobs by state; how long ago the oldest that waits was asked for, in seconds."""
    counts = dict(Mint.objects.values_list("status").annotate(Count("pk")).order_by())
    oldest = (
        Mint.objects.filter(status__in=WAITING)
        .order_by("asked_at")
        .values_list("asked_at", flat=True)
        .first()
    )
    return {
        "waiting": counts.get("requested", 0),
        "active": counts.get("sent", 0),
        "completed": counts.get("confirmed", 0),
        "failed": counts.get("failed", 0),
        "delayed": counts.get("delayed", 0),
        "isPaused": pausing.is_paused(QUEUE),
        "oldestWaitingSeconds": 0
        if oldest is None
        else int((timezone.now() - oldest).total_seconds()),
    }
