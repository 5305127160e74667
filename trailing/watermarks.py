"""Watermarks: taken by new stops, merged where they have become equal, deleted when no stop is left.

Whoever moves, merges or deletes one holds its instrument.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from polytrader import prepared
from polytrader.prepared import array
from trailing import history
from trailing.models import TrailingStop, Watermark

INSTRUMENTS_AT_ONCE = 100
MOVED_AT_ONCE = 200
"""Stops of one instrument that change their watermark in one transaction, which its ticks wait for.

A watermark that more stops share stays: it costs a tick no more than one that one stop has."""

_TAKE = f"""
SELECT {prepared.next_id(TrailingStop)}, {prepared.next_id(Watermark)}, (
    SELECT min(id) FROM trailing_watermark w
     WHERE (w.instrument_id, w.side, w.reference, w.price)
         = (wanted.instrument_id, wanted.side, wanted.reference, wanted.price)
) FROM unnest(%(instruments)s::bigint[], %(sides)s::text[], %(references)s::text[],
              %(prices)s::numeric[])
       WITH ORDINALITY AS wanted(instrument_id, side, reference, price, place) ORDER BY place
"""  # noqa: S608
"""A new id for each stop and for its watermark, and the oldest watermark that it can share."""

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

_EQUAL = """
SELECT id, side, reference, price, (
    SELECT count(*) FROM (
        SELECT FROM trailing_trailingstop WHERE watermark_id = w.id LIMIT %(most)s + 1
    ) AS counted
) FROM trailing_watermark w
 WHERE instrument_id = %(instrument)s ORDER BY id
"""

_MOVE = """
UPDATE trailing_trailingstop s SET watermark_id = m.kept
  FROM unnest(%s::bigint[], %s::bigint[]) AS m(surplus, kept)
 WHERE s.watermark_id = m.surplus
"""


def take(wanted: Sequence[tuple[TrailingStop, Decimal | None]]) -> list[Watermark]:
    """Give new stops their ids, and watermarks of their first best prices; returns those to insert.

    A stop without a best price gets none. Unless the instrument is held, a shared one may be
    moved, merged or deleted until the stop is stored.
    """
    told = {
        "instruments": array(stop.instrument_id for stop, _ in wanted),
        "sides": array(stop.side for stop, _ in wanted),
        # none for those that share with nobody, so that nothing is looked through for them
        "references": array(
            None if best is None or _is_alone(stop) else stop.reference for stop, best in wanted
        ),
        "prices": array(best for _, best in wanted),
    }
    (rows,) = prepared.run((_TAKE, told))
    marks: dict[tuple[int, str, str, Decimal], Watermark] = {}
    made = []
    for (stop, best), (pk, new, shared) in zip(wanted, rows, strict=True):
        prepared.number(stop, pk)
        if best is None:
            continue
        key = (stop.instrument_id, stop.side, stop.reference, best)
        mark = marks.get(key)
        if mark is None or _is_alone(stop):
            marks[key] = mark = Watermark(
                instrument_id=key[0], side=key[1], reference=key[2], price=best
            )
            prepared.number(mark, shared or new)
            if shared is None:
                made.append(mark)
        stop.watermark, stop.followed_number = mark, mark.pk
    return made


def _is_alone(stop: TrailingStop) -> bool:
    return stop.reference == "executable"


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
    """Tidy one instrument. Whoever has just taken one of these for a new stop may find it gone."""
    with connection.cursor() as cursor:
        cursor.execute(_HOLD, [instrument_id])
        cursor.execute(_EQUAL, {"instrument": instrument_id, "most": MOVED_AT_ONCE})
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
