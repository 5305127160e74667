"""The history of ratchets: where each watermark stood, for a chart. Written by the minute, never by a tick.

Stored once with the watermark, however many stops share it; a stop keeps the number of the one
it followed, so its history can be read when it has ended and the watermark is gone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, cast

from django.db import connection, transaction
from django.db.models import F, Q

from trailing.maths import Side, trigger_price
from trailing.models import UNNOTED, Ratchet, TrailingStop
from trailing.sql import PIN_THE_PLAN

KEPT: Final = timedelta(days=30)
WHOLE: Final = timedelta(days=1)
"""Older than this, one point an hour is kept."""

MOST_POINTS: Final = 500
MOST_MERGES: Final = 50
BEGINS: Final = Q(kind__in=["activated", "rearmed"]) | Q(kind="decided", text__endswith="rearm")
"""Events from which on a stop follows another watermark."""

BATCH: Final = 200
BATCHES: Final = 5
"""Few, since a stop that fires would wait for a batch; only those that a tick activates need it."""

RECORD = """
INSERT INTO trailing_ratchet (watermark_number, price, at)
SELECT w.id, w.price, %(now)s
  FROM trailing_watermark w
  LEFT JOIN LATERAL (
    SELECT price, at FROM trailing_ratchet r WHERE r.watermark_number = w.id
     ORDER BY r.at DESC LIMIT 1
  ) told ON true
 WHERE told.at IS NULL OR (told.price <> w.price AND told.at <= %(now)s - interval '50 seconds')
"""
"""One probe per watermark; two processes that do it at once write a point twice, which harms nobody."""

MERGED = """
INSERT INTO trailing_ratchet (watermark_number, price, at, continued_as)
SELECT m.surplus, w.price, clock_timestamp(), m.kept
  FROM unnest(%s::bigint[], %s::bigint[]) AS m(surplus, kept)
  JOIN trailing_watermark w ON w.id = m.surplus
"""

THIN = """
DELETE FROM trailing_ratchet r
 USING (SELECT id, row_number() OVER (PARTITION BY watermark_number, date_trunc('hour', at)
                                      ORDER BY at DESC, id DESC) AS place
          FROM trailing_ratchet
         WHERE at < date_trunc('hour', %(whole_until)s)
           AND at >= date_trunc('hour', %(whole_until)s) - interval '6 hours') old
 WHERE r.id = old.id AND old.place > 1 AND r.continued_as IS NULL
"""
"""Of the hours that have just become old, keep the last point of each."""


@dataclass(frozen=True, slots=True)
class Point:
    """From this moment the best price was so much, and the trigger so much, by the trail of now."""

    at: datetime
    watermark: Decimal
    trigger: Decimal


def record(now: datetime) -> int:
    """Note where the watermarks stand that have moved; returns how many."""
    for _ in range(BATCHES):
        if _note_whose_it_is() < BATCH:
            break
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PIN_THE_PLAN)
        cursor.execute(RECORD, {"now": now})
        return int(cursor.rowcount)


def _note_whose_it_is() -> int:
    """Note in some stops which watermark they follow; one that is held just now comes a minute later."""
    with transaction.atomic():
        unnoted = TrailingStop.objects.select_for_update(skip_locked=True, of=("self",))
        ids = list(unnoted.filter(UNNOTED).values_list("pk", flat=True)[:BATCH])
        return TrailingStop.objects.filter(pk__in=ids).update(followed_number=F("watermark_id"))


def note_merged(cursor: Any, moves: Mapping[int, int]) -> None:
    """Note that watermarks go on as others that have become equal, in the caller's transaction."""
    cursor.execute(MERGED, [list(moves), list(moves.values())])


def forget(now: datetime) -> int:
    """Thin out what is older than a day, delete what is older than 30; returns how many went."""
    with connection.cursor() as cursor:
        cursor.execute(THIN, {"whole_until": now - WHOLE})
        thinned = int(cursor.rowcount)
    deleted, _ = Ratchet.objects.filter(at__lt=now - KEPT).delete()
    return thinned + deleted


def points(stop: TrailingStop, now: datetime) -> list[Point]:
    """The best price and trigger of a stop, as they changed, from its beginning to its end or now.

    Empty while it waits for its activation price. Only the last 500 changes are given.
    """
    if stop.status == "pending_activation":
        return []
    began = stop.events.filter(BEGINS, price__isnull=False).order_by("-id").first()
    began_at = stop.created_at if began is None else began.at
    price = stop.entry_price if began is None or began.price is None else began.price
    ended_at = now if stop.is_watched else stop.triggered_at or stop.updated_at
    number = stop.followed_number or stop.watermark_id
    steps = [
        (began_at, price),
        *_steps(number or 0, began_at, ended_at)[-MOST_POINTS:],
        (ended_at, stop.watermark_price),
    ]
    side = cast(Side, stop.side)
    return [Point(at, best, trigger_price(side, best, stop.trail)) for at, best in _changes(steps)]


def _steps(number: int, since: datetime, until: datetime) -> list[tuple[datetime, Decimal]]:
    """Where a watermark stood, and those that it was merged into from then on."""
    found: list[tuple[datetime, Decimal]] = []
    for _ in range(MOST_MERGES):
        rows = Ratchet.objects.filter(watermark_number=number, at__gt=since, at__lt=until)
        merged = None
        for row in rows.order_by("at"):
            found.append((row.at, row.price))
            if row.continued_as is not None:
                merged = row
                break
        if merged is None or merged.continued_as is None:
            break
        number, since = merged.continued_as, merged.at
    return found


def _changes(steps: Iterable[tuple[datetime, Decimal]]) -> list[tuple[datetime, Decimal]]:
    """Those that differ from the one before; the last one always."""
    found: list[tuple[datetime, Decimal]] = []
    ordered = list(steps)
    for at, price in ordered[:-1]:
        if not found or found[-1][1] != price:
            found.append((at, price))
    return [*found, ordered[-1]]
