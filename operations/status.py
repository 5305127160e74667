"""The system in numbers: queues, stops, processes, feed. Every number is counted from rows."""

import resource
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone

from exchange import guarded_minting
from exchange.breaker import Breaker
from exchange.guarded import breaker_of
from minting.models import WAITING, Mint, Transaction
from minting.status import queue_status as mint_queue_status
from orders import venues
from orders.models import Fill, Leg, Order, VenueState
from orders.reconciling import IN_FLIGHT
from polytrader.models import Heartbeat
from strategy import jobs as manage_position
from strategy.models import PositionJob
from trailing.models import TrailingStop, is_fresh
from trailing.monitor import watched_instruments

STARTED_AT = time.monotonic()
OVERDUE = timedelta(seconds=10)
BREAKERS: Final = ("polymarket", "binance", *guarded_minting.BREAKERS)


def queue_stats() -> dict[str, dict[str, int]]:
    """The numbers per queue: what waits, what is worked on, what has ended."""
    stops = dict(TrailingStop.objects.values_list("status").annotate(Count("pk")).order_by())
    orders = dict(Order.objects.values_list("status").annotate(Count("pk")).order_by())
    jobs = manage_position.status()
    mints = mint_queue_status()
    return {
        "trailing": _stats(
            waiting=stops.get("pending_activation", 0),
            active=stops.get("active", 0),
            completed=stops.get("triggered", 0) + stops.get("cancelled", 0),
            failed=stops.get("error", 0),
        ),
        "orders": _stats(
            waiting=orders.get("planned", 0),
            active=orders.get("sent", 0) + orders.get("open", 0),
            completed=orders.get("filled", 0) + orders.get("cancelled", 0),
            failed=orders.get("rejected", 0),
        ),
        "manage-position": _stats(
            waiting=jobs["waiting"] + jobs["delayed"],
            active=jobs["active"],
            completed=jobs["completed"],
            failed=jobs["failed"],
        ),
        "mint-queue": _stats(
            waiting=mints["waiting"] + mints["delayed"],
            active=mints["active"],
            completed=mints["completed"],
            failed=mints["failed"],
        ),
    }


def _stats(*, waiting: int, active: int, completed: int, failed: int) -> dict[str, int]:
    return {
        "waiting": waiting,
        "active": active,
        "completed": completed,
        "failed": failed,
        "total": waiting + active,
    }


def database_stats() -> dict[str, int]:
    """Stops by state."""
    counts = dict(TrailingStop.objects.values_list("status").annotate(Count("pk")).order_by())
    return {state: counts.get(state, 0) for state in TrailingStop.STATES}


def processes() -> list[dict[str, Any]]:
    """What each process last did."""
    recent = Heartbeat.objects.filter(at__gt=timezone.now() - timedelta(minutes=10))
    return [
        {
            "role": beat.role,
            "process": beat.process,
            "did": beat.did,
            "version": beat.version,
            "at": beat.at,
        }
        for beat in recent.order_by("role", "process")
    ]


def feed() -> dict[str, Any]:
    """How many watched instruments have a fresh price."""
    watched = watched_instruments()
    now = timezone.now()
    fresh = [i for i in watched if is_fresh(i.observed_at, now)]
    youngest = max((i.observed_at for i in watched if i.observed_at), default=None)
    return {"instruments": len(watched), "fresh": len(fresh), "lastPriceAt": youngest}


def breakers() -> dict[str, dict[str, Any]]:
    """The breakers of venues, relayer and chain as all processes share them, or this one's own while Redis is away."""
    shared = settings.REDIS_URL, venues.guards()
    return {name: _state_of(breaker_of(name, *shared)) for name in BREAKERS}


def _state_of(breaker: Breaker) -> dict[str, Any]:
    seen, now = breaker.look(), timezone.now()
    until = datetime.fromtimestamp(seen.open_until, UTC)
    return {
        "state": seen.state(now.timestamp()),
        "failures": seen.failures,
        "openUntil": until if until > now else None,
        "source": "redis" if breaker.is_shared else "this process",
    }


def venue_states() -> dict[str, dict[str, Any]]:
    """What we know of each venue that was traded on: when our book last agreed, its clock."""
    return {
        state.venue: {
            "reconciledAt": state.reconciled_at,
            "clockOffsetMs": None
            if state.clock_offset is None
            else round(state.clock_offset.total_seconds() * 1000),
            "reason": state.reason,
        }
        for state in VenueState.objects.order_by("venue")
    }


def memory_usage() -> dict[str, int]:
    """Of the web process: the largest resident set so far, in bytes."""
    return {"maxRss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def report() -> dict[str, Any]:
    """The whole answer of `GET /api/queue-status`."""
    queues = queue_stats()
    monitor = Heartbeat.objects.filter(role="monitor", at__gt=timezone.now() - OVERDUE)
    return {
        "success": True,
        "queueStats": {
            name: sum(queue[name] for queue in queues.values())
            for name in ("waiting", "active", "completed", "failed", "total")
        },
        "databaseStats": database_stats(),
        "systemHealth": {
            "queueInitialized": monitor.exists(),
            "timestamp": timezone.now(),
            "uptime": int(time.monotonic() - STARTED_AT),
            "memoryUsage": memory_usage(),
        },
        "queues": queues,
        "processes": processes(),
        "breakers": breakers(),
        "venues": venue_states(),
        "feed": feed(),
    }


def rearm() -> dict[str, int]:
    """Make everything that should be running due at once. Deletes nothing, may run at any time."""
    now = timezone.now()
    orders = Order.objects.filter(status__in=["planned", "sent", "open"])
    fills = Fill.objects.filter(status="matched")
    legs = Leg.objects.filter(
        Q(next_attempt_at__isnull=False) | Q(updated_at__lt=now - IN_FLIGHT), status="working"
    )
    return {
        "stops": TrailingStop.objects.filter(status__in=["pending_activation", "active"]).count(),
        "orders": orders.update(next_look_at=now),
        "fills": fills.update(next_look_at=now),
        "legs": legs.update(next_attempt_at=now),
        "jobs": PositionJob.objects.filter(status__in=manage_position.OPEN).update(next_run_at=now),
        "mints": Mint.objects.filter(status__in=WAITING).update(next_attempt_at=now),
        "transactions": Transaction.objects.filter(status="sent").update(next_look_at=now),
    }
