"""Doorways of the queue `trailing`."""

from celery import shared_task

from trailing import monitor


@shared_task(name="trailing.sweep")
def sweep() -> None:
    """Evaluate every watched stop with fresh prices."""
    monitor.sweep()


@shared_task(name="trailing.tidy")
def tidy() -> None:
    """Delete watermarks that no stop shares any more."""
    monitor.tidy()
