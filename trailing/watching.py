"""Which instruments have a live stop: what the sweep looks at, what the stream has to follow.

One probe of an index per instrument found, however many stops there are.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

from django.db import connection, transaction

from orders import balances
from trailing.conflating import Needs
from trailing.line import Watched
from trailing.maths import Side
from trailing.sql import PIN_THE_PLAN

VENUE: Final = "polymarket"
T = TypeVar("T")
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

MOST_DIFFERENT = 8
"""So many different largest spreads, or quantities, of one instrument are followed each."""

FOLLOWED = f"""{_each(LIVE)}
SELECT i.id, i.symbol,
       EXISTS (SELECT FROM trailing_trailingstop
                WHERE instrument_id = i.id AND reference = 'executable' AND {LIVE}),
       coalesce((SELECT max(confirm_updates) FROM trailing_trailingstop
                  WHERE instrument_id = i.id AND confirm_updates > 2 AND {LIVE}), 2),
       ARRAY(WITH RECURSIVE spread(most) AS (
                SELECT min(max_spread) FROM trailing_trailingstop
                 WHERE instrument_id = i.id AND max_spread IS NOT NULL AND {LIVE}
                UNION ALL
                SELECT (SELECT min(max_spread) FROM trailing_trailingstop
                         WHERE instrument_id = i.id AND max_spread > spread.most AND {LIVE})
                  FROM spread WHERE spread.most IS NOT NULL
             ) SELECT most FROM spread WHERE most IS NOT NULL LIMIT {MOST_DIFFERENT + 1})
  FROM watched JOIN orders_instrument i ON i.id = watched.id
 WHERE i.venue = %(venue)s AND NOT i.is_closed
"""  # noqa: S608 - pieces of a statement, never values


QUANTITIES = f"""
SELECT DISTINCT s.instrument_id, s.side, s.quantity, i.base_asset
  FROM trailing_trailingstop s JOIN orders_instrument i ON i.id = s.instrument_id
 WHERE s.reference = 'executable' AND {LIVE} AND s.instrument_id = ANY(%(ids)s)
"""  # noqa: S608 - pieces of a statement, never values


def watched() -> list[Watched]:
    """The instruments to follow now, and what their stops tell apart."""
    rows = _rows(FOLLOWED, {"venue": VENUE})
    by_depth = _quantities([pk for pk, _, is_deep, *_ in rows if is_deep])
    return [
        Watched(
            pk,
            symbol,
            is_deep,
            Needs(updates, _unless_many(spreads), _unless_many(by_depth.get(pk, []))),
        )
        for pk, symbol, is_deep, updates, spreads in rows
    ]


def _quantities(ids: Sequence[int]) -> dict[int, list[tuple[Side, Decimal]]]:
    """What the stops by `executable` would sell or buy at once; of all that is held, what it is now."""
    found: dict[int, list[tuple[Side, Decimal]]] = {}
    for pk, side, quantity, asset in _rows(QUANTITIES, {"ids": ids}) if ids else ():
        wanted = balances.held(asset) if quantity is None else quantity
        found.setdefault(pk, []).append((side, wanted))
    return found


def _unless_many(different: Sequence[T]) -> tuple[T, ...] | None:
    return None if len(different) > MOST_DIFFERENT else tuple(different)


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
