"""Doorways for what keeps the tables small and for telling people."""

from celery import shared_task

from operations import notifying
from polytrader import heartbeats
from polytrader.models import IdempotentAnswer


@shared_task(name="operations.tidy")
def tidy() -> None:
    """Forget answers older than a day and processes that are long gone."""
    IdempotentAnswer.forget_old()
    heartbeats.forget_the_dead()


@shared_task(name="operations.notify")
def notify() -> None:
    """Deliver the alerts that are due."""
    notifying.notify()
