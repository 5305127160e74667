"""Celery, set up for bells: a message only wakes a worker, which then does what the rows say.

Messages are acknowledged early and expire; a lost or doubled one costs a moment.
The schedule is static: no click should be able to stop the tick.
"""

import os

from celery import Celery
from celery.signals import worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "polytrader.settings")

app = Celery("polytrader")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["orders", "trailing", "minting", "strategy", "operations"])

app.conf.task_routes = {
    "trailing.*": {"queue": "trailing"},
    "orders.*": {"queue": "orders"},
    "manage-position": {"queue": "manage-position"},
    "strategy.*": {"queue": "manage-position"},
    "mint-queue": {"queue": "mint-queue"},
    "minting.*": {"queue": "mint-queue"},
    "operations.*": {"queue": "orders"},
}
app.conf.beat_schedule = {
    "sweep the stops": {"task": "trailing.sweep", "schedule": 2.0, "options": {"expires": 2}},
    "tidy the stops": {"task": "trailing.tidy", "schedule": 60.0, "options": {"expires": 60}},
    "sweep the orders": {"task": "orders.sweep", "schedule": 1.0, "options": {"expires": 1}},
    "compare balances": {"task": "orders.balances", "schedule": 30.0, "options": {"expires": 30}},
    "refresh instruments": {
        "task": "orders.instruments",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "manage positions": {
        "task": "strategy.sweep",
        "schedule": 3.0,
        "options": {"expires": 3},
    },
    "mint": {"task": "mint-queue", "schedule": 2.0, "options": {"expires": 2}},
}


@worker_ready.connect
def watch_without_the_broker(sender: object, **_: object) -> None:
    """In the process that consumes `trailing`, keep evaluating stops when no message arrives."""
    queues = getattr(getattr(sender, "app", None), "amqp", None)
    if queues is not None and "trailing" in queues.queues.consume_from:
        from trailing.monitor import Watchdog

        Watchdog().start()
