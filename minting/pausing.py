"""Pausing a queue: nothing new is sent, nothing in flight is forgotten."""

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from minting.models import WAITING, Mint, QueuePause
from minting.requesting import QUEUE


def is_paused(queue: str) -> bool:
    """Whether a person paused this queue."""
    return QueuePause.objects.filter(queue=queue, is_paused=True).exists()


def set_paused(queue: str, is_paused: bool) -> None:
    """Pause or resume a queue; the time of a pause counts for no job's expiry."""
    now = timezone.now()
    with transaction.atomic():
        QueuePause.objects.get_or_create(queue=queue)
        row = QueuePause.objects.select_for_update().get(queue=queue)
        if queue == QUEUE and row.is_paused and not is_paused and row.paused_at is not None:
            waiting = Mint.objects.filter(status__in=WAITING, asked_at__lte=row.paused_at)
            waiting.update(asked_at=F("asked_at") + (now - row.paused_at))
        if row.is_paused != is_paused:
            row.is_paused, row.paused_at = is_paused, now if is_paused else None
            row.save()
