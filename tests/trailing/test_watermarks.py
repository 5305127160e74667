"""Watermarks that have become equal are merged, idle ones deleted; neither ticks nor new stops notice."""

import itertools
import threading
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from orders.models import Instrument
from tests.rows import a_stop, a_watermark, an_instrument, seen
from tests.trailing.conftest import Arrange
from tests.trailing.test_creating import TEN_PERCENT, a_request, create
from tests.trailing.test_tick import in_threads
from trailing import creating, watermarks
from trailing.maths import Trail
from trailing.models import StopEvent, TrailingStop, Watermark
from trailing.tick import tick
from trailing.watermarks import Tidied

pytestmark = pytest.mark.django_db(transaction=True)


def stops_on(instrument: Instrument, mark: Watermark, count: int) -> list[TrailingStop]:
    return [a_stop(instrument, TEN_PERCENT, "0.50", watermark=mark) for _ in range(count)]


def test_watermarks_that_a_price_has_made_equal_become_the_one_most_stops_have():
    instrument = an_instrument()
    marks = [a_watermark(instrument, "sell", price) for price in ("0.40", "0.45", "0.50")]
    stops = [
        stop
        for mark, n in zip(marks, (1, 3, 2), strict=True)
        for stop in stops_on(instrument, mark, n)
    ]
    assert watermarks.tidy() == Tidied()  # they differ
    tick([seen(instrument, "0.60")])
    assert watermarks.tidy() == Tidied(moved=3, deleted=2)
    for stop in stops:
        stop.refresh_from_db()
        assert (stop.watermark, stop.current_trigger_price) == (marks[1], Decimal("0.54"))
    assert watermarks.tidy() == Tidied()
    assert tick([seen(instrument, "0.54")]).triggered == 6
    assert watermarks.tidy() == Tidied(deleted=1)


def test_what_differs_in_instrument_side_reference_or_quantity_is_not_merged():
    instrument, other = an_instrument(), an_instrument()
    kinds: list[tuple[Instrument, str, str]] = [
        (instrument, "sell", "bid"),
        (other, "sell", "bid"),
        (instrument, "buy", "bid"),
        (instrument, "sell", "mid"),
        (instrument, "sell", "executable"),
        (instrument, "sell", "executable"),
    ]
    for token, side, reference in kinds:
        mark = a_watermark(token, side, "0.50", reference)
        a_stop(token, TEN_PERCENT, "0.50", side=side, reference=reference, watermark=mark)
    assert watermarks.tidy() == Tidied()
    assert Watermark.objects.count() == len(kinds)


def test_a_tick_never_waits_for_more_than_a_few_moved_stops(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watermarks, "MOVED_AT_ONCE", 4)
    instrument = an_instrument()
    for count in (6, 5, 3, 2, 1):
        stops_on(instrument, a_watermark(instrument, "sell", "0.50"), count)
    assert watermarks.tidy() == Tidied(moved=3, deleted=2)
    assert watermarks.tidy() == Tidied(moved=3, deleted=1)
    assert watermarks.tidy() == Tidied()  # the two large ones cost less than moving them
    assert TrailingStop.objects.count() == 17


def test_one_that_goes_before_a_new_stop_is_stored_is_made_again(before_the_lock: Arrange):
    instrument = an_instrument()
    idle = a_watermark(instrument, "sell", "0.50")
    before_the_lock(lambda: watermarks.tidy())
    [stop] = create(a_request(instrument))
    assert not Watermark.objects.filter(pk=idle.pk).exists()
    assert (stop.status, stop.watermark_price) == ("active", Decimal("0.50"))
    assert (TrailingStop.objects.count(), StopEvent.objects.count()) == (1, 1)


def test_without_looking_again_a_new_stop_would_have_no_watermark(
    before_the_lock: Arrange, monkeypatch: pytest.MonkeyPatch
):
    """The race is real. Shown so that the test above can fail."""
    monkeypatch.setattr(creating, "_is_overtaken", lambda *told: False)
    instrument = an_instrument()
    a_watermark(instrument, "sell", "0.50")
    before_the_lock(lambda: watermarks.tidy())
    with pytest.raises(IntegrityError):
        create(a_request(instrument))


def test_tidying_waits_for_a_new_stop_to_be_committed_and_then_sees_it():
    instrument = an_instrument()
    a_watermark(instrument, "sell", "0.50")
    made, tidied = threading.Event(), threading.Event()

    def act(index: int) -> Any:
        if index:
            made.wait(10)
            done = watermarks.tidy()
            tidied.set()
            return done
        with transaction.atomic():
            creating.create(a_request(instrument))
            made.set()
            return tidied.wait(0.2)  # it cannot have

    assert in_threads(2, act) == [False, Tidied()]


def test_creators_ticks_and_tidying_at_once_lose_no_stop_and_no_price():
    """Prices go up and down by turns; whoever is made meanwhile has the best price since then."""
    instrument = an_instrument()
    ended, wide = threading.Event(), Trail.of_percent(Decimal(90))
    prices = itertools.cycle(["0.50", "0.55", "0.60", "0.52"])

    def create() -> None:
        try:
            for turn in range(40):
                with transaction.atomic():
                    made = Instrument.objects.get(pk=instrument.pk)
                    entry = made.bid or Decimal("0.50")
                    wanted = [
                        a_request(instrument, str(entry), trail=wide, percent=Decimal(90)),
                        a_request(instrument, str(Decimal(turn + 10) / 100), trail=wide),
                    ]
                    creating.create_many(wanted)
        finally:
            ended.set()

    def act(index: int) -> Any:
        if index == 0:
            return create()
        while not ended.is_set():
            if index == 1:
                tick([seen(instrument, next(prices), timezone.now())])
            else:
                watermarks.tidy()
        return None

    in_threads(3, act)
    assert TrailingStop.objects.filter(status="active").count() == 80
    for stop in TrailingStop.objects.select_related("watermark"):
        assert stop.entry_price <= stop.watermark_price <= Decimal("0.60")
    tick([seen(instrument, "0.61")])
    watermarks.tidy()
    assert Watermark.objects.get().price == Decimal("0.61")
