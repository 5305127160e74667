"""Plain statements do what the queries do that they stand for."""

import threading
from collections.abc import Sequence
from decimal import Decimal

import pytest
from django.db import DataError, connection, transaction
from django.db.models import Model

from polytrader.prepared import fetch, insertion, next_ids, number, run
from tests.rows import a_stop, a_watermark, an_instrument
from trailing.maths import Trail
from trailing.models import TrailingStop, Watermark

pytestmark = pytest.mark.django_db(transaction=True)


def store(rows: Sequence[Model]) -> None:
    """Insert them with ids taken before."""
    (ids,) = run((next_ids(type(rows[0])), {"count": len(rows)}))
    for row, (pk,) in zip(rows, ids, strict=True):
        number(row, pk)
    run(insertion(rows))


def test_inserted_rows_have_their_ids_and_every_column():
    instrument = an_instrument()
    prices = [Decimal(number) / 1000 for number in range(500, 0, -1)]
    marks = [Watermark(instrument=instrument, side="sell", price=price) for price in prices]
    store(marks)
    for mark in marks:
        stored = Watermark.objects.get(pk=mark.pk)
        assert (stored.price, stored.created_at) == (mark.price, mark.created_at)
    marks[0].price = Decimal("0.7")
    marks[0].save()  # it is known to be stored
    assert Watermark.objects.count() == 500


def test_what_is_generated_is_left_to_the_database_and_null_stays_null():
    instrument = an_instrument()
    like = a_stop(
        instrument, Trail(amount=Decimal("0.1")), "0.5", quantity=None, strategy="it's %s"
    )
    fields = [
        f.attname for f in TrailingStop._meta.concrete_fields if f.name not in ("id", "state_key")
    ]
    plain = [name for name in fields if not name.startswith("is_")]
    stop = TrailingStop(state_key="other", **{name: getattr(like, name) for name in plain})
    store([stop])
    stored = TrailingStop.objects.get(pk=stop.pk)
    assert all(getattr(stored, name) == getattr(like, name) for name in fields)
    assert stored.is_live
    assert stored.quantity is None


def test_fetched_rows_are_those_of_a_query():
    instrument = an_instrument()
    marks = [a_watermark(instrument, "sell", price) for price in ("0.5", "0.6")]
    found = fetch(
        Watermark,
        "WHERE price = ANY(%(prices)s::numeric[]) ORDER BY id",
        {"prices": [Decimal("0.5"), Decimal("0.6")]},
    )
    assert found == marks
    assert [mark.price for mark in found] == [Decimal("0.5"), Decimal("0.6")]
    found[0].save()
    assert fetch(Watermark, "WHERE id = %(id)s", {"id": -1}) == []


@pytest.mark.parametrize("count", [1, 2])
def test_a_text_that_is_too_long_is_refused_and_not_cut(count: int):
    instrument, price = an_instrument(), Decimal("0.5")
    told = {"instrument": instrument, "side": "sell", "reference": "x" * 200, "price": price}
    with pytest.raises(DataError), transaction.atomic():
        store([Watermark(**told) for _ in range(count)])
    assert not Watermark.objects.exists()


def test_a_failed_statement_fails_those_after_it_and_leaves_the_connection_usable():
    instrument = an_instrument()
    with pytest.raises(DataError), transaction.atomic():
        run(("SELECT 1 / %(zero)s", {"zero": 0}), ("SELECT 1", {}))
    assert run(("SELECT id FROM orders_instrument", {}), ("SELECT 2", {})) == [
        [(instrument.pk,)],
        [(2,)],
    ]


def test_prepared_statements_are_prepared_anew_on_a_new_connection():
    assert run(("SELECT 3", {})) == [[(3,)]]
    pid = run(("SELECT pg_backend_pid()", {}))
    connection.close()
    assert run(("SELECT 3", {})) == [[(3,)]]
    assert run(("SELECT pg_backend_pid()", {})) != pid


def test_a_thread_whose_connection_has_died_meanwhile_connects_anew():
    """As a sender's after Postgres was started anew: what it does first must not fail."""
    [[(pid,)]] = run(("SELECT pg_backend_pid()", {}))

    def end_it() -> None:
        run(("SELECT pg_terminate_backend(%(pid)s, 5000)", {"pid": pid}))
        connection.close()

    thread = threading.Thread(target=end_it)
    thread.start()
    thread.join()
    connection.health_check_enabled = True  # as `close_old_connections` leaves it
    connection.health_check_done = False
    assert run(("SELECT 1", {})) == [[(1,)]]
