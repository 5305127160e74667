"""`manage.py stream`: evaluate the stops as the market's messages arrive."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

import celery_app  # noqa: F401 - an exit rings bells; the first should not wait for the library
from orders.starting import wake_up
from trailing.stream import Stream


class Command(BaseCommand):
    """Runs until SIGTERM or SIGINT; any number may run, one acts."""

    help = "Follow the market's WebSocket and evaluate the stops; needs no broker."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Load what the first exit would wait for, then stream."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        wake_up(after=0.5)
        Stream().run(stop)
