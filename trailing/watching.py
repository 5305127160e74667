"""Which instruments the stream has to follow: those of its venue with a live stop."""

from typing import Final

from django.db import connection, transaction

from trailing.line import Watched
from trailing.sql import PIN_THE_PLAN

VENUE: Final = "polymarket"
LIVE = "status IN ('pending_activation', 'active')"

FOLLOWED = f"""
WITH RECURSIVE watched(id) AS (
    SELECT min(instrument_id) FROM trailing_trailingstop WHERE {LIVE}
    UNION ALL
    SELECT (SELECT min(instrument_id) FROM trailing_trailingstop
             WHERE instrument_id > watched.id AND {LIVE})
      FROM watched WHERE watched.id IS NOT NULL
)
SELECT i.id, i.symbol,
       EXISTS (SELECT FROM trailing_trailingstop
                WHERE instrument_id = i.id AND reference = 'executable' AND {LIVE}),
       coalesce((SELECT max(confirm_updates) FROM trailing_trailingstop
                  WHERE instrument_id = i.id AND confirm_updates > 2 AND {LIVE}), 2)
  FROM watched JOIN orders_instrument i ON i.id = watched.id
 WHERE i.venue = %(venue)s AND NOT i.is_closed
"""  # noqa: S608 - pieces of a statement, never values
"""One probe of an index per watched instrument, however many stops there are."""


def watched() -> list[Watched]:
    """The instruments to follow now."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PIN_THE_PLAN)
        cursor.execute(FOLLOWED, {"venue": VENUE})
        return [Watched(*row) for row in cursor.fetchall()]
