"""The plan of the tick does not depend on statistics: each probe has one index that can serve it."""

import pytest
from django.db import connection

from bench.ticks import STOPS
from polytrader.prepared import run
from tests.rows import a_watermark, an_instrument, moments, seen
from trailing import sql, watching
from trailing.models import STALE_AFTER
from trailing.tick import _arrays

pytestmark = pytest.mark.django_db

EXPECTED = {
    "EVALUATE": {
        "stops_by_activation",
        "stops_by_fraction",
        "stops_by_amount",
        "stops_by_floor",
        "stops_by_take_profit",
        "stops_in_breach",
    },
    "WATCHED": {"stops_watched"},
    "FOLLOWED": {"stops_watched", "stops_by_depth", "stops_by_confirmation", "stops_by_spread"},
    "BY_DEPTH": {"stops_by_depth"},
    "BY_LAST": {"stops_by_last_trade"},
}


def plan_of(statement: str) -> str:
    instrument = an_instrument()
    arguments = {
        **_arrays([seen(instrument, "0.40", moments(1)[0])]),
        "venue": watching.VENUE,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql.PIN_THE_PLAN)
        cursor.execute(f"EXPLAIN {statement}", arguments)
        return "\n".join(row[0] for row in cursor.fetchall())


@pytest.mark.parametrize("rows", [0, 3000])
@pytest.mark.parametrize("is_analyzed", [False, True])
@pytest.mark.parametrize("name", EXPECTED)
def test_each_probe_uses_its_own_index_whatever_the_statistics_say(name, rows, is_analyzed):
    for _ in range(10):
        a_watermark(an_instrument(), "sell", "0.50")
    with connection.cursor() as cursor:
        if is_analyzed:  # of the empty table: as stale as can be
            cursor.execute("ANALYZE trailing_trailingstop")
        cursor.execute(STOPS, {"count": rows, "marks": 10})
    plan = plan_of(getattr(sql if hasattr(sql, name) else watching, name))
    others = {index.name for index in _stop_indexes()} - EXPECTED[name]
    assert all(index in plan for index in EXPECTED[name]), plan
    assert not any(f"using {index} on" in plan for index in others), plan
    assert "Seq Scan on trailing_trailingstop" not in plan


def _stop_indexes():
    from trailing.models import TrailingStop

    return TrailingStop._meta.indexes


@pytest.mark.parametrize("is_analyzed", [False, True])
def test_claiming_looks_instruments_up_by_their_ids_without_being_pinned(is_analyzed):
    """It is planned before it pins the plan of the next one; the plan is the one for any values."""
    instruments = [an_instrument() for _ in range(300)]
    names = ["ids", "bids", "asks", "lasts", "moments", "oldest"]
    places = {name: f"${place}" for place, name in enumerate(names, start=1)}
    arguments = {
        **_arrays([seen(instruments[0], "0.40", moments(1)[0])]),
        "oldest": str(STALE_AFTER),
    }
    values = ", ".join(f"%({name})s" for name in names)
    with connection.cursor() as cursor:
        if is_analyzed:
            cursor.execute("ANALYZE orders_instrument")
        cursor.execute(f"PREPARE claim ({', '.join(['text'] * 6)}) AS {sql.CLAIM % places}")
        try:
            cursor.execute(f"EXPLAIN EXECUTE claim ({values})", arguments)
            plan = "\n".join(row[0] for row in cursor.fetchall())
        finally:
            cursor.execute("DEALLOCATE claim")
    assert "$6" in plan, plan
    assert plan.count("orders_instrument_pkey") == 2, plan
    assert "Seq Scan on orders_instrument" not in plan


def test_prepared_statements_are_planned_once():
    assert run(("SHOW plan_cache_mode", {})) == [[("force_generic_plan",)]]
