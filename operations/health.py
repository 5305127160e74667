"""Is the system doing its work: database, broker, stops being evaluated."""

from datetime import timedelta

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import QuerySet
from django.utils import timezone

from polytrader import heartbeats
from trailing.models import STALE_AFTER, TrailingStop
from trailing.monitor import ROLE

SWEEP_OVERDUE = timedelta(seconds=10)


def problems() -> list[str]:
    """What keeps the system from its work, in words; empty when it is ready."""
    try:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        found = _evaluation_problems()
    except DatabaseError as error:
        found = [f"the database does not answer ({type(error).__name__}); nothing is accepted"]
    return found + _broker_problems()


def _evaluation_problems() -> list[str]:
    last = heartbeats.last(ROLE)
    if last is None:
        return ["the stops have not been evaluated yet"]
    age = timezone.now() - last.at
    if age > SWEEP_OVERDUE:
        return [f"the stops have not been evaluated for {int(age.total_seconds())} s"]
    blind = _watched_for_a_while().exclude(
        instrument__observed_at__gt=timezone.now() - STALE_AFTER - SWEEP_OVERDUE
    )
    stale = blind.values("instrument").distinct().count()
    if stale:
        return [f"{stale} watched instruments have no fresh price; their stops are armed but blind"]
    return []


def _watched_for_a_while() -> QuerySet[TrailingStop]:
    """Live stops that some sweep must have reached by now; a new one has its moment."""
    return TrailingStop.objects.filter(
        status__in=["pending_activation", "active"],
        created_at__lt=timezone.now() - SWEEP_OVERDUE,
        instrument__accepting_orders=True,
    )


def _broker_problems() -> list[str]:
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1, retry=None
    )
    try:
        client.ping()
    except redis.RedisError as error:
        return [f"the broker does not answer ({type(error).__name__}); work goes on without bells"]
    finally:
        client.close()
    return []
