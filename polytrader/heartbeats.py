"""Heartbeats: what each role last did, as rows; not merely that a process lives."""

import os
import socket
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from polytrader.models import Heartbeat


def beat(role: str, did: str) -> None:
    """Write down what this process just did in a role."""
    process = f"{socket.gethostname()}:{os.getpid()}"
    Heartbeat.objects.update_or_create(
        role=role,
        process=process,
        defaults={"did": did, "version": settings.VERSION, "at": timezone.now()},
    )


def last(role: str) -> Heartbeat | None:
    """The youngest heartbeat of a role."""
    return Heartbeat.objects.filter(role=role).order_by("-at").first()


def forget_the_dead(after: timedelta = timedelta(hours=1)) -> None:
    """Delete heartbeats of processes that have long been gone."""
    Heartbeat.objects.filter(at__lt=timezone.now() - after).delete()
