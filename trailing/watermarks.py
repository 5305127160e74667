"""Watermarks: taken by new stops, merged where they have become equal, deleted when no stop is left.

Whoever takes one without holding its instrument locks its row instead (`FOR KEY SHARE`, which no
tick waits for); tidying holds the instrument and passes over rows that are locked so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from polytrader.prepared import fetch, insert
from trailing import history
from trailing.models import TrailingStop, Watermark

INSTRUMENTS_AT_ONCE = 100
MOVED_AT_ONCE = 200
"""Stops of one instrument that change their watermark in one transaction, which its ticks wait for.

A watermark that more stops share stays: it costs a tick no more than one that one stop has."""

_THESE = """
  JOIN unnest(%(instruments)s::bigint[], %(sides)s::text[], %(references)s::text[],
              %(prices)s::numeric[])
       AS wanted(instrument_id, side, reference, price) USING (instrument_id, side, reference, price)
 ORDER BY t.id DESC
   FOR KEY SHARE OF t
"""

_UNTIDY = """
SELECT instrument_id FROM (
    SELECT instrument_id, count(*) - 1 AS surplus FROM trailing_watermark
     WHERE reference <> 'executable'
     GROUP BY instrument_id, side, reference, price HAVING count(*) > 1
    UNION ALL
    SELECT instrument_id, 1 FROM trailing_watermark w
     WHERE NOT EXISTS (SELECT FROM trailing_trailingstop WHERE watermark_id = w.id)
) found GROUP BY instrument_id ORDER BY sum(surplus) DESC LIMIT %s
"""

_HOLD = "SELECT id FROM orders_instrument WHERE id = %s FOR NO KEY UPDATE"

_LOCK = """
SELECT id, side, reference, price, (
    SELECT count(*) FROM (
        SELECT FROM trailing_trailingstop WHERE watermark_id = w.id LIMIT %(most)s + 1
    ) AS counted
) FROM trailing_watermark w
 WHERE instrument_id = %(instrument)s ORDER BY id FOR UPDATE OF w SKIP LOCKED
"""

_MOVE = """
UPDATE trailing_trailingstop s SET watermark_id = m.kept
  FROM unnest(%s::bigint[], %s::bigint[]) AS m(surplus, kept)
 WHERE s.watermark_id = m.surplus
"""

_Key = tuple[int, str, str, Decimal]


def take(firsts: Iterable[tuple[TrailingStop, Decimal]]) -> None:
    """Give new stops the watermarks of their first best prices: shared where there are such, else made.

    Two or three statements, however many they are. A shared one is there until the
    commit; unless its instrument is held, a tick may still move it.
    """
    wanted = [(stop, price, _key(stop, price)) for stop, price in firsts]
    shared = _find({key for stop, _, key in wanted if stop.reference != "executable"})
    given, made = [], []
    for stop, price, key in wanted:
        mark = shared.get(key)
        if mark is None:
            mark = _new(stop, price)
            made.append(mark)
            if stop.reference != "executable":
                shared[key] = mark
        given.append((stop, mark))
    insert(made)
    for stop, mark in given:
        stop.watermark = mark


def _new(stop: TrailingStop, price: Decimal) -> Watermark:
    return Watermark(
        instrument_id=stop.instrument_id, side=stop.side, reference=stop.reference, price=price
    )


def _key(stop: TrailingStop, price: Decimal) -> _Key:
    return stop.instrument_id, stop.side, stop.reference, price


def _find(keys: set[_Key]) -> dict[_Key, Watermark]:
    """Those there are, locked against deletion; of equal ones the oldest."""
    if not keys:
        return {}
    instruments, sides, references, prices = map(list, zip(*keys, strict=True))
    told = {
        "instruments": instruments,
        "sides": sides,
        "references": references,
        "prices": prices,
    }
    rows = fetch(Watermark, _THESE, told)
    return {(row.instrument_id, row.side, row.reference, row.price): row for row in rows}


@dataclass(slots=True)
class Tidied:
    """How many stops got another, equal watermark, and how many watermarks went."""

    moved: int = 0
    deleted: int = 0


@dataclass(slots=True)
class _Equal:
    """Watermarks of one price, with how many stops share each, up to a limit."""

    marks: list[tuple[int, int]] = field(default_factory=list)


def tidy() -> Tidied:
    """Merge equal watermarks and delete idle ones, a few stops of one instrument at a time; counted."""
    with connection.cursor() as cursor:
        cursor.execute(_UNTIDY, [INSTRUMENTS_AT_ONCE])
        instruments = [pk for (pk,) in cursor.fetchall()]
    done = Tidied()
    for pk in instruments:
        _tidy(pk, done)
    return done


@transaction.atomic
def _tidy(instrument_id: int, done: Tidied) -> None:
    """Tidy one instrument. What a new stop has just taken is locked, and left for the next time."""
    with connection.cursor() as cursor:
        cursor.execute(_HOLD, [instrument_id])
        cursor.execute(_LOCK, {"instrument": instrument_id, "most": MOVED_AT_ONCE})
        rows = cursor.fetchall()
        moves = _moves(rows)
        if moves:
            cursor.execute(_MOVE, [list(moves), list(moves.values())])
            done.moved += cursor.rowcount
            history.note_merged(cursor, moves)
    idle = Watermark.objects.filter(pk__in=[row[0] for row in rows])
    sharing = TrailingStop.objects.filter(watermark=OuterRef("pk"))
    done.deleted += idle.filter(~Exists(sharing)).delete()[0]


def _moves(rows: Sequence[tuple[int, str, str, Decimal, int]]) -> dict[int, int]:
    """Which watermark becomes which equal one: those of few stops that of the most."""
    equal: dict[tuple[str, str, Decimal], _Equal] = {}
    for pk, side, reference, price, stops in rows:
        if stops and reference != "executable":
            equal.setdefault((side, reference, price), _Equal()).marks.append((stops, pk))
    small = [
        (stops, pk, max(group.marks)[1])
        for group in equal.values()
        for stops, pk in sorted(group.marks)[:-1]
    ]
    moves, left = {}, MOVED_AT_ONCE
    for stops, pk, kept in sorted(small):
        left -= stops
        if left < 0:
            break
        moves[pk] = kept
    return moves
