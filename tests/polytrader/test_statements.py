"""Plain statements do what the queries do that they stand for."""

from decimal import Decimal

import pytest

from polytrader.statements import fetch, insert
from tests.rows import a_stop, a_watermark, an_instrument
from trailing.maths import Trail
from trailing.models import TrailingStop, Watermark

pytestmark = pytest.mark.django_db


def test_inserted_rows_have_their_ids_in_their_order_and_every_column():
    instrument = an_instrument()
    prices = [Decimal(number) / 1000 for number in range(500, 0, -1)]
    marks = [Watermark(instrument=instrument, side="sell", price=price) for price in prices]
    insert(marks)
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
    insert([stop])
    stored = TrailingStop.objects.get(pk=stop.pk)
    assert all(getattr(stored, name) == getattr(like, name) for name in fields)
    assert stored.is_live
    assert stored.quantity is None


def test_fetched_rows_are_those_of_a_query():
    instrument = an_instrument()
    marks = [a_watermark(instrument, "sell", price) for price in ("0.5", "0.6")]
    found = fetch(
        Watermark, "WHERE price = ANY(%s) ORDER BY id", [[Decimal("0.5"), Decimal("0.6")]]
    )
    assert found == marks
    assert [mark.price for mark in found] == [Decimal("0.5"), Decimal("0.6")]
    found[0].save()
    assert fetch(Watermark, "WHERE id = %s", [-1]) == []


def test_nothing_is_inserted_without_a_statement(django_assert_num_queries):
    with django_assert_num_queries(0):
        insert([])
