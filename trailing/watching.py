"""Which instruments have a live stop: what the sweep looks at, what the stream has to follow.

One probe of an index per instrument found, however many stops there are.
"""

from typing import Any, Final

from django.db import connection, transaction

from trailing.line import Watched
from trailing.sql import PIN_THE_PLAN

VENUE: Final = "polymarket"
LIVE = "status IN ('pending_activation', 'active')"


def _each(which: str) -> str:
    """Begin a statement with `watched`: each instrument that has such a stop, the last one null."""
    return f"""
WITH RECURSIVE watched(id) AS (
    SELECT min(instrument_id) FROM trailing_trailingstop WHERE {which}
    UNION ALL
    SELECT (SELECT min(instrument_id) FROM trailing_trailingstop
             WHERE instrument_id > watched.id AND {which})
      FROM watched WHERE watched.id IS NOT NULL
)"""  # noqa: S608 - pieces of a statement, never values


_IDS = " SELECT id FROM watched WHERE id IS NOT NULL"

WATCHED = _each(LIVE) + _IDS
BY_DEPTH = _each(f"{LIVE} AND reference = 'executable'") + _IDS
BY_LAST = _each(f"{LIVE} AND reference = 'last'") + _IDS

FOLLOWED = f"""{_each(LIVE)}
SELECT i.id, i.symbol,
       EXISTS (SELECT FROM trailing_trailingstop
                WHERE instrument_id = i.id AND reference = 'executable' AND {LIVE}),
       coalesce((SELECT max(confirm_updates) FROM trailing_trailingstop
                  WHERE instrument_id = i.id AND confirm_updates > 2 AND {LIVE}), 2)
  FROM watched JOIN orders_instrument i ON i.id = watched.id
 WHERE i.venue = %(venue)s AND NOT i.is_closed
"""  # noqa: S608 - pieces of a statement, never values


def watched() -> list[Watched]:
    """The instruments to follow now."""
    return [Watched(*row) for row in _rows(FOLLOWED, {"venue": VENUE})]


def instrument_ids() -> list[int]:
    """Every instrument that has a stop waiting or active."""
    return [pk for (pk,) in _rows(WATCHED)]


def ids_by_whole_book() -> set[int]:
    """Those of which a stop refers to the depth or to the last trade (`models.WHOLE_BOOK`)."""
    return {pk for statement in (BY_DEPTH, BY_LAST) for (pk,) in _rows(statement)}


def _rows(statement: str, arguments: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PIN_THE_PLAN)
        cursor.execute(statement, arguments)
        return list(cursor.fetchall())
