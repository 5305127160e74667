"""Ending a live stop otherwise than by its trigger: on request, expired, its market closed.

Workers need this and serve no HTTP: nothing here knows of requests (`amending.py` does).
"""

from datetime import datetime
from typing import Any

import structlog
from django.db import connection, transaction

from polytrader.alerts import resolve_alert
from trailing.models import StopEvent, TrailingStop
from trailing.sql import HOLD_INSTRUMENT

log = structlog.get_logger()


def cancel(stop: TrailingStop) -> bool:
    """Cancel a stop that has not triggered; `False` when a trigger won the race."""
    return end(stop, "cancelled", "cancelled", "cancelled by request")


def end(stop: TrailingStop, to: str, kind: str, reason: str, **changes: Any) -> bool:
    """End a live stop, its watermark and trigger copied into it; `False` when it has ended already."""
    with transaction.atomic():
        hold(stop)
        if not stop.is_watched:
            return False
        won = stop.move(
            to,
            final_watermark_price=stop.watermark_price,
            final_trigger_price=stop.current_trigger_price,
            watermark=None,
            asking_since=None,
            **changes,
        )
        if won:
            tell(stop, kind, reason)
            log.info("stop_ended", stop=stop.state_key, kind=kind, reason=reason)
    if won:
        resolve_alert("stop_asks", f"stop {stop.state_key}", reason)
    return won


def end_expired(now: datetime) -> int:
    """End the stops whose time has run; counted."""
    expired = TrailingStop.objects.live().filter(expires_at__lte=now)
    rows = expired.select_related("instrument", "watermark")[:500]
    return sum(end(stop, "cancelled", "expired", "its time has run") for stop in rows)


def hold(stop: TrailingStop) -> None:
    """Keep ticks off its instrument, and read it again."""
    with connection.cursor() as cursor:
        cursor.execute(HOLD_INSTRUMENT, [stop.instrument_id])
    stop.refresh_from_db()
    stop.instrument.refresh_from_db()


def tell(stop: TrailingStop, kind: str, text: str) -> None:
    """Write down what was decided about it, at the price last seen."""
    StopEvent.objects.create(
        stop=stop,
        kind=kind,
        price=stop.last_price,
        trigger_price=stop.current_trigger_price,
        text=text,
    )
