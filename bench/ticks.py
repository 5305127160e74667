"""What one tick costs, by the number of active stops; beside it, a best-price column per stop.

Stops lie on 500 instruments with 20 watermarks each. The column is tuned as well as it can be: a
table of its own with only what is needed, fillfactor 50, no index on the price (HOT updates).

Ours is the whole `tick()`, from observations to the commit; where stops fire, their signed exits with
it. The column is its statement alone, rolled back afterwards; "answered" is the same of ours.

Run: python -m bench.ticks [stops ...]
"""

import resource
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.installation import installation, row

if TYPE_CHECKING:
    from trailing.tick import Observation

INSTRUMENTS, WATERMARKS, TIMES = 500, 20, 3
ENTRY = Decimal("0.50")

STOPS = """
INSERT INTO trailing_trailingstop
    (created_at, updated_at, state_key, instrument_id, side, reference, status, quantity,
     trail_fraction, entry_price, watermark_id, gap_policy, breach_updates, triggered_by,
     strategy, mint_after_sell, error_message)
SELECT now(), now(), 'trailing_stop_' || i, w.instrument_id, 'sell', 'bid', 'active', 10,
       CASE WHEN i %% 100 = 0 THEN 0.05 ELSE 0.20 + (i %% 50) * 0.01 END, 0.50, w.id,
       'fire_if_still_breached', 0, '', '', false, ''
  FROM generate_series(1, %(count)s) i
  JOIN (SELECT id, instrument_id, row_number() OVER (ORDER BY id) - 1 AS place
          FROM trailing_watermark) w ON w.place = i %% %(marks)s
"""
_COLUMN = """
CREATE TABLE best_price_column WITH (fillfactor = 50) AS
SELECT id, instrument_id, trail_fraction AS fraction, 0.50::numeric AS best, 'active' AS status
  FROM trailing_trailingstop;
CREATE INDEX ON best_price_column (instrument_id) WHERE status = 'active';
VACUUM ANALYZE best_price_column
"""
_COLUMN_TICK = """
WITH obs AS (SELECT * FROM unnest(%(ids)s::bigint[], %(bids)s::numeric[]) AS o(instrument_id, price)),
risen AS (
    UPDATE best_price_column s SET best = obs.price FROM obs
     WHERE s.instrument_id = obs.instrument_id AND s.status = 'active' AND s.best < obs.price
)
SELECT s.id FROM best_price_column s JOIN obs USING (instrument_id)
 WHERE s.status = 'active' AND s.best * (1 - s.fraction) >= obs.price
"""

Prices = Sequence[tuple[int, Decimal]]


def main(counts: Sequence[int]) -> None:
    """Print a table for each number of stops."""
    with installation():
        instruments = _make_market()
        row("active stops", "prices", "shared, ms", "column, ms", "ratio", "RSS, MiB")
        for count in counts:
            _make_stops(count)
            for name, prices in _scenarios(instruments):
                ours = _timer_of(name)(prices)
                theirs = _time_column(prices)
                figures = (f"{ours:.2f}", f"{theirs:.1f}", f"{theirs / ours:.1f} x")
                row(f"{count:>9,}  {name}", "", *figures, f"{_memory():.0f}")


def _scenarios(instruments: Sequence[int]) -> list[tuple[str, Prices]]:
    def all_at(price: str) -> Prices:
        return [(pk, Decimal(price)) for pk in instruments]

    return [
        ("500 quiet", all_at("0.50")),
        ("500 rise", all_at("0.55")),
        ("500 fall, none triggers", all_at("0.48")),
        ("one quiet", all_at("0.50")[:1]),
        ("one rises", all_at("0.55")[:1]),
        ("one falls", all_at("0.48")[:1]),
        ("one quiet, answered", all_at("0.50")[:1]),
        ("one rises, answered", all_at("0.55")[:1]),
        ("one falls, answered", all_at("0.48")[:1]),
        ("500 fall, 1 % fires", all_at("0.475")),  # last: what is taken back leaves dead rows
    ]


def _timer_of(name: str) -> Callable[[Prices], float]:
    if "answered" in name:
        return _time_answer
    return _time_fired if "fires" in name else _time


def _time(prices: Prices) -> float:
    """The median of a few ticks from the same watermarks, in milliseconds."""
    taken = []
    for _ in range(TIMES if len(prices) > 1 else 20 * TIMES):
        _lower_watermarks()
        _tick([(pk, ENTRY) for pk, _ in prices])  # as in a running system: its plan is known
        taken.append(_taken(lambda: _tick(prices)))
    return median(taken)


def _time_answer(prices: Prices) -> float:
    """The median from the first statement of a tick to the answer of its last, taken back."""
    from django.db import transaction

    from trailing.tick import _look

    taken = []
    for _ in range(20 * TIMES):
        _tick([(pk, ENTRY) for pk, _ in prices])
        observed = _observed(prices)
        with transaction.atomic():
            taken.append(_taken(partial(_look, observed)))
            transaction.set_rollback(True)
    return median(taken)


def _time_fired(prices: Prices) -> float:
    """One tick whose stops fire, taken back."""
    from django.db import transaction

    with transaction.atomic():
        taken = _taken(lambda: _tick(prices))
        transaction.set_rollback(True)
    return taken


def _time_column(prices: Prices) -> float:
    from django.db import transaction

    taken = []
    for _ in range(TIMES):
        with transaction.atomic():
            taken.append(_taken(lambda: _tick_column(prices)))
            transaction.set_rollback(True)
    return median(taken)


def _taken(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def _lower_watermarks() -> None:
    from trailing.models import Watermark

    Watermark.objects.exclude(price=ENTRY).update(price=ENTRY)


def _memory() -> float:
    """The most that this process has had in memory, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _tick(prices: Prices) -> None:
    from trailing.tick import tick

    tick(_observed(prices))


def _observed(prices: Prices) -> "list[Observation]":
    from django.utils import timezone

    from trailing.tick import Observation

    now = timezone.now()
    return [Observation(pk, price, price + Decimal("0.01"), now) for pk, price in prices]


def _tick_column(prices: Prices) -> None:
    from django.db import connection

    arguments = {"ids": [pk for pk, _ in prices], "bids": [price for _, price in prices]}
    with connection.cursor() as cursor:
        cursor.execute(_COLUMN_TICK, arguments)
        cursor.fetchall()


def _make_market() -> list[int]:
    from django.utils import timezone

    from orders.models import Instrument
    from tests.rows import an_instrument
    from trailing.models import Watermark

    made = [an_instrument(held="100000000") for _ in range(INSTRUMENTS)]
    Instrument.objects.update(observed_at=timezone.now() - timedelta(seconds=2))
    Watermark.objects.bulk_create(
        Watermark(instrument=instrument, side="sell", reference="bid", price=ENTRY)
        for instrument in made
        for _ in range(WATERMARKS)
    )
    return [instrument.pk for instrument in made]


def _make_stops(count: int) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS best_price_column")
        cursor.execute("TRUNCATE trailing_trailingstop CASCADE")
        _run(cursor, STOPS, {"count": count, "marks": INSTRUMENTS * WATERMARKS})
        for statement in _COLUMN.split(";"):
            cursor.execute(statement)
        cursor.execute("VACUUM ANALYZE trailing_trailingstop")
        cursor.execute("VACUUM ANALYZE trailing_watermark")


def _run(cursor: Any, statement: str, arguments: dict[str, Any]) -> None:
    cursor.execute(statement, arguments)


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [1_000, 10_000, 100_000, 1_000_000])
