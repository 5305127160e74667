"""Doorways of the queue `trailing`."""

from celery import shared_task

from trailing import monitor, watermarks


@shared_task(name="trailing.sweep")
def sweep() -> None:
    """Evaluate every watched stop with fresh prices."""
    monitor.sweep()


@shared_task(name="trailing.tidy")
def tidy() -> None:
    """Merge watermarks that have become equal, delete those that no stop shares any more."""
    watermarks.tidy()
