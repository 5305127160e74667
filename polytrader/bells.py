"""Bells: after a commit, wake whoever drains a queue. A lost bell costs a moment, never a row."""

import structlog
from celery import current_app
from django.db import transaction

log = structlog.get_logger()


def ring(task: str, *, queue: str) -> None:
    """Ring after the commit, without retries; a sweep finds what a lost bell leaves behind."""
    transaction.on_commit(lambda: _ring(task, queue))


def _ring(task: str, queue: str) -> None:
    try:
        current_app.send_task(task, queue=queue, expires=5, retry=False, ignore_result=True)
    except Exception as error:
        log.warning("bell_not_rung", task=task, error=type(error).__name__)
