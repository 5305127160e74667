"""Pausing a queue: nothing new is sent, nothing in flight is forgotten."""

from minting.models import QueuePause


def is_paused(queue: str) -> bool:
    """Whether a person paused this queue."""
    return QueuePause.objects.filter(queue=queue, is_paused=True).exists()


def set_paused(queue: str, is_paused: bool) -> None:
    """Pause or resume a queue."""
    QueuePause.objects.update_or_create(queue=queue, defaults={"is_paused": is_paused})
