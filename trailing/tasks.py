"""Doorways of the queue `trailing`."""

from celery import shared_task
from django.utils import timezone

from trailing import history, monitor, watermarks


@shared_task(name="trailing.sweep")
def sweep() -> None:
    """Evaluate every watched stop with fresh prices."""
    monitor.sweep()


@shared_task(name="trailing.tidy")
def tidy() -> None:
    """Note where the watermarks stand, merge equal ones, delete those that no stop shares any more."""
    history.record(timezone.now())
    watermarks.tidy()
