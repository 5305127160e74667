"""The history of ratchets: by the minute, once per watermark, readable when the stop has ended."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from bench.ticks import STOPS
from orders.models import Instrument
from tests.rows import Api, a_stop, a_watermark, an_instrument, seen
from trailing import history, watermarks
from trailing.maths import Trail
from trailing.models import Ratchet, TrailingStop, Watermark
from trailing.sql import PIN_THE_PLAN
from trailing.tick import tick

pytestmark = pytest.mark.django_db
TEN_PERCENT = Trail.of_percent(Decimal(10))
MINUTE = timedelta(minutes=1)


def an_old_stop(instrument: Instrument, age: timedelta, **changes: object) -> TrailingStop:
    stop = a_stop(instrument, TEN_PERCENT, "0.50", **changes)  # type: ignore[arg-type]
    TrailingStop.objects.filter(pk=stop.pk).update(created_at=timezone.now() - age)
    stop.refresh_from_db()
    return stop


def rise(stop: TrailingStop, price: str, at: datetime) -> None:
    """The watermark stands there at that moment, and the minute's look finds it."""
    assert stop.watermark is not None
    Watermark.objects.filter(pk=stop.watermark.pk).update(price=Decimal(price))
    history.record(at)


def told(stop: TrailingStop) -> list[tuple[Decimal, Decimal]]:
    stop = TrailingStop.objects.select_related("instrument", "watermark").get(pk=stop.pk)
    return [(p.watermark, p.trigger) for p in history.points(stop, timezone.now())]


def steps(*prices: str) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(price) * Decimal("0.9")) for price in prices]


def test_a_watermark_is_noted_once_a_minute_and_only_when_it_has_moved():
    stop = an_old_stop(an_instrument(), 10 * MINUTE)
    began_at = stop.created_at
    for seconds, price in ((0, "0.50"), (20, "0.52"), (60, "0.55"), (120, "0.55"), (180, "0.60")):
        rise(stop, price, began_at + timedelta(seconds=seconds))
    kept = Ratchet.objects.order_by("at").values_list("price", flat=True)
    assert [str(price.normalize()) for price in kept] == ["0.5", "0.55", "0.6"]
    assert told(stop) == steps("0.50", "0.55", "0.60", "0.60")


def test_an_ended_stops_history_is_read_when_its_watermark_is_gone():
    instrument = an_instrument()
    stop = an_old_stop(instrument, 10 * MINUTE)
    rise(stop, "0.55", stop.created_at + MINUTE)
    rise(stop, "0.60", stop.created_at + 2 * MINUTE)
    tick([seen(instrument, "0.53")])
    assert watermarks.tidy().deleted == 1
    stop.refresh_from_db()
    assert (stop.status, stop.watermark) == ("triggered", None)
    assert told(stop) == steps("0.50", "0.55", "0.60", "0.60")


def test_a_stop_that_joined_a_watermark_shows_nothing_of_before():
    instrument = an_instrument()
    first = an_old_stop(instrument, 10 * MINUTE)
    rise(first, "0.60", first.created_at + MINUTE)
    second = a_stop(instrument, TEN_PERCENT, "0.60", watermark=first.watermark)
    assert told(second) == steps("0.60", "0.60")


def test_a_stop_goes_on_in_the_history_of_the_watermark_its_own_was_merged_into():
    instrument = an_instrument()
    low = an_old_stop(instrument, 10 * MINUTE)
    high = an_old_stop(instrument, 10 * MINUTE)
    rise(low, "0.52", low.created_at + MINUTE)
    rise(high, "0.56", low.created_at + 2 * MINUTE)
    tick([seen(instrument, "0.60")])
    assert watermarks.tidy().moved == 1
    tick([seen(instrument, "0.61")])
    low.refresh_from_db()
    high.refresh_from_db()
    assert low.watermark == high.watermark
    history.record(timezone.now() + 2 * MINUTE)
    later = timezone.now() + 5 * MINUTE
    for stop, first in ((low, "0.52"), (high, "0.56")):
        shown = [point.watermark for point in history.points(stop, later)]
        assert shown[:2] == [Decimal("0.50"), Decimal(first)]
        assert shown[-2:] == [Decimal("0.61"), Decimal("0.61")]


def test_a_stop_that_was_rearmed_begins_anew():
    instrument = an_instrument()
    stop = an_old_stop(instrument, 10 * MINUTE, gap_policy="rearm")
    rise(stop, "0.60", stop.created_at + MINUTE)
    Instrument.objects.update(observed_at=timezone.now() - MINUTE)
    tick([seen(instrument, "0.40")])
    assert told(stop) == steps("0.40", "0.40")


def test_a_stop_that_waits_has_no_history_and_begins_with_its_activation():
    instrument = an_instrument()
    stop = an_old_stop(instrument, 10 * MINUTE, activation="0.60")
    assert told(stop) == []
    tick([seen(instrument, "0.62")])
    history.record(timezone.now())
    stop.refresh_from_db()
    assert stop.followed_number == stop.watermark_id
    assert told(stop) == steps("0.62", "0.62")


def test_old_points_are_thinned_by_the_hour_and_go_after_a_month():
    now = timezone.now().replace(minute=30)
    ages = [timedelta(hours=26, minutes=m) for m in range(3)]
    ages += [timedelta(hours=2, minutes=m) for m in range(3)]
    ages += [timedelta(days=31)]
    for age in ages:
        Ratchet.objects.create(watermark_number=7, price=Decimal("0.50"), at=now - age)
    assert history.forget(now) == 3
    assert list(Ratchet.objects.order_by("at").values_list("at", flat=True)) == [
        now - ages[0],
        *(now - age for age in reversed(ages[3:6])),
    ]


def test_ten_thousand_watermarks_and_their_stops_take_a_probe_each():
    marks = [a_watermark(an_instrument(), "sell", "0.50") for _ in range(10)]
    Watermark.objects.bulk_create(
        Watermark(instrument=mark.instrument, side="sell", reference="bid", price=mark.price)
        for mark in marks
        for _ in range(999)
    )
    with connection.cursor() as cursor:
        cursor.execute(STOPS, {"count": 100, "marks": 10_000})
    now = timezone.now()
    assert history.record(now - MINUTE) == 10_000
    Watermark.objects.filter(instrument=marks[0].instrument).update(price=Decimal("0.60"))
    assert history.record(now) == 1000
    assert not TrailingStop.objects.filter(followed_number=None).exists()
    with connection.cursor() as cursor:
        cursor.execute(PIN_THE_PLAN)
        cursor.execute(f"EXPLAIN {history.RECORD}", {"now": now})
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "ratchets_of_a_watermark" in plan, plan


def test_the_history_is_paged_like_the_events(api: Api):
    stop = an_old_stop(an_instrument(), 10 * MINUTE)
    rise(stop, "0.60", stop.created_at + MINUTE)
    page = api.get(f"/api/trailing-stops/{stop.state_key}/history").json()
    assert page["count"] == 3
    shown = [(point["watermarkPrice"], point["triggerPrice"]) for point in page["results"]]
    assert shown == [("0.5", "0.45"), ("0.6", "0.54"), ("0.6", "0.54")]
    assert api.get("/api/trailing-stops/trailing_stop_1/history").status_code == 404
