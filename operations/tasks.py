"""Doorways for what keeps the tables small and for telling people."""

from celery import shared_task
from django.utils import timezone

from operations import notifying
from polytrader import heartbeats
from polytrader.models import IdempotentAnswer
from trailing import history


@shared_task(name="operations.tidy")
def tidy() -> None:
    """Forget answers older than a day, processes that are long gone, old points of stops' histories."""
    IdempotentAnswer.forget_old()
    heartbeats.forget_the_dead()
    history.forget(timezone.now())


@shared_task(name="operations.notify")
def notify() -> None:
    """Deliver the alerts that are due."""
    notifying.notify()
