"""Doorway for what keeps the tables small."""

from celery import shared_task

from polytrader import heartbeats
from polytrader.models import IdempotentAnswer


@shared_task(name="operations.tidy")
def tidy() -> None:
    """Forget answers older than a day and processes that are long gone."""
    IdempotentAnswer.forget_old()
    heartbeats.forget_the_dead()
