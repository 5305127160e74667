"""Bells: after a commit, wake whoever drains a queue. A lost bell costs a moment, never a row."""

import time

import structlog
from django.db import transaction

log = structlog.get_logger()

SILENT_FOR = 2.0
"""Seconds without ringing after a failed ring: a broker that is away must not slow the work down."""

_silent_until = 0.0


def ring(task: str, *, queue: str) -> None:
    """Ring after the commit, without retries; a sweep finds what a lost bell leaves behind."""
    transaction.on_commit(lambda: _ring(task, queue))


def _ring(task: str, queue: str) -> None:
    global _silent_until
    if time.monotonic() < _silent_until:
        return
    # Not Celery's current application, which outside of a worker is none of ours.
    from celery_app import app

    try:
        app.send_task(task, queue=queue, expires=5, retry=False, ignore_result=True)
    except Exception as error:
        _silent_until = time.monotonic() + SILENT_FOR
        log.warning("bell_not_rung", task=task, error=type(error).__name__)
