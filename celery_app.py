"""Celery, set up for bells: a message only wakes a worker, which then does what the rows say.

Messages are acknowledged early and expire; a lost or doubled one costs a moment.
The schedule is static: no click should be able to stop the tick.
"""

import logging
import os
import sys
import warnings

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import beat_init, task_prerun, worker_ready, worker_shutdown

from polytrader.configuration import load
from polytrader.variables import ConfigurationError

warnings.filterwarnings("ignore", category=SecurityWarning)  # it runs as root too, on purpose

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "polytrader.settings")

DOES_NO_WORK = any(word in sys.argv for word in ("beat", "flower"))
"""Ringing and looking need no Django, no models and no venue: a third of the memory."""


def _redis_url() -> str:
    try:
        return load().redis_url or "redis://127.0.0.1:1/0"
    except ConfigurationError as error:
        sys.exit(f"configuration: {error}")


WARM_UP_AFTER = 2.0
"""Seconds; every process loading the client at once would delay the start of all."""

app = Celery("polytrader", fixups=[] if DOES_NO_WORK else None, broker=_redis_url())
if not DOES_NO_WORK:
    app.autodiscover_tasks(["orders", "trailing", "minting", "strategy", "operations"])

app.conf.update(
    task_ignore_result=True,
    task_acks_late=False,
    task_publish_retry=False,
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "socket_connect_timeout": 2,
        "socket_timeout": 10,
        "socket_keepalive": True,
        # Of whoever rings: a broker that is away is noticed at once, not after 2 + 4 s.
        "max_retries": 0,
        "interval_start": 0,
        "interval_step": 0,
        "interval_max": 0,
    },
    timezone="UTC",
    CELERY_DB_REUSE_MAX=1000,
)
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
    "compare balances": {"task": "orders.balances", "schedule": 10.0, "options": {"expires": 10}},
    "refresh instruments": {
        "task": "orders.instruments",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "forget what is old": {
        "task": "operations.tidy",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "tell of alerts": {"task": "operations.notify", "schedule": 5.0, "options": {"expires": 5}},
    "manage positions": {
        "task": "strategy.sweep",
        "schedule": 3.0,
        "options": {"expires": 3},
    },
    "merge what is surplus": {
        "task": "strategy.surplus",
        "schedule": 30.0,
        "options": {"expires": 30},
    },
    "mint": {"task": "mint-queue", "schedule": 2.0, "options": {"expires": 2}},
}


def _in_one_line(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


@beat_init.connect
def tell_outages_in_one_line(**_: object) -> None:
    """Without the broker beat logs a traceback of a hundred lines at every attempt."""
    logging.getLogger("celery.beat").addFilter(_in_one_line)


@task_prerun.connect
def leave_broken_connections(**_: object) -> None:
    """Connect again after the database was away: Celery itself keeps a thread's dead connection."""
    from django.db import close_old_connections

    close_old_connections()


@worker_ready.connect
def warm_up_and_watch(sender: object, **_: object) -> None:
    """Load the venue's client before the first order needs it; watch the stops without the broker."""
    from orders.starting import wake_up

    wake_up(after=WARM_UP_AFTER)
    amqp = getattr(getattr(sender, "app", None), "amqp", None)
    queues = () if amqp is None else amqp.queues.consume_from
    if "trailing" in queues:
        from strategy import managing
        from trailing.monitor import Watchdog

        Watchdog(managing.work).start()
    if "mint-queue" in queues:
        from minting import starting

        starting.check(after=WARM_UP_AFTER)
    if "orders" in queues:
        from orders.listening import Listener

        Listener().start()


@worker_shutdown.connect
def finish_sending(**_: object) -> None:
    """Let what is on its way to the venue arrive before the process ends."""
    from orders import sending

    sending.finish()
