"""Making stops beside ticks: ticks wait for the commit only, and no stop begins with what it has not seen."""

import threading
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from orders.models import Instrument
from polytrader.prepared import run
from tests.paper_process import wait_until
from tests.rows import a_watermark, an_instrument, counted_runs, seen
from tests.trailing.conftest import Arrange
from tests.trailing.test_tick import in_threads
from trailing import creating
from trailing.maths import Trail
from trailing.models import StopEvent, TrailingStop, Watermark
from trailing.requests import StopRequest
from trailing.tick import tick

WAITING_FOR_ME = """
SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))
"""

TEN_PERCENT = Trail.of_percent(Decimal(10))


def a_request(instrument: Instrument, entry: str = "0.50", **changes: Any) -> StopRequest:
    wanted = StopRequest(
        Instrument.objects.get(pk=instrument.pk),
        side="sell",
        reference="bid",
        quantity=Decimal(10),
        trail=TEN_PERCENT,
        percent=Decimal(10),
        ticks=None,
        entry_price=Decimal(entry),
        activation_price=None,
        strategy="",
        mint_after_sell=False,
    )
    return replace(wanted, **changes)


@pytest.fixture
def token(transactional_db: None) -> Instrument:
    """A token of which 0.50 was the last price."""
    instrument = an_instrument()
    tick([seen(instrument, "0.50")])
    return instrument


def create(*wanted: StopRequest) -> list[TrailingStop]:
    with transaction.atomic():
        stops = creating.create_many(wanted)
    return [TrailingStop.objects.get(pk=stop.pk) for stop in stops]


def test_a_peak_before_the_lock_is_no_best_price_of_a_new_stop(
    token: Instrument, before_the_lock: Arrange
):
    """It shares 0.50 with others, who then see 0.60: at 0.54 they fire, and it does not."""
    a_watermark(token, "sell", "0.50")
    before_the_lock(lambda: [tick([seen(token, "0.60")]), tick([seen(token, "0.55")])])
    [stop] = create(a_request(token))
    assert stop.watermark_price == Decimal("0.50")
    assert tick([seen(token, "0.53")]).triggered == 0
    assert StopEvent.objects.filter(kind="created").count() == 1
    assert TrailingStop.objects.count() == 1


def test_without_looking_again_a_new_stop_would_fire_from_a_peak_it_never_saw(
    token: Instrument, before_the_lock: Arrange, monkeypatch: pytest.MonkeyPatch
):
    """The race is real. Shown so that the test above can fail."""
    monkeypatch.setattr(creating, "_is_overtaken", lambda *told: False)
    a_watermark(token, "sell", "0.50")
    before_the_lock(lambda: [tick([seen(token, "0.60")]), tick([seen(token, "0.55")])])
    create(a_request(token))
    assert tick([seen(token, "0.53")]).triggered == 1


def test_a_peak_that_is_committed_while_it_waits_for_the_lock_is_no_best_price(token: Instrument):
    """What the watermark is must be read after the wait, not with it."""
    a_watermark(token, "sell", "0.50")
    risen = threading.Event()

    def act(index: int) -> Decimal | None:
        if index:
            risen.wait(10)
            [stop] = create(a_request(token))
            return stop.watermark_price
        with transaction.atomic():
            tick([seen(token, "0.60")])
            risen.set()
            wait_until(lambda: run((WAITING_FOR_ME, {}))[0])
        return None

    assert in_threads(2, act) == [None, Decimal("0.50")]


def test_an_activation_price_reached_before_the_lock_makes_it_active(
    token: Instrument, before_the_lock: Arrange
):
    before_the_lock(lambda: tick([seen(token, "0.62")]))
    [stop] = create(a_request(token, activation_price=Decimal("0.60")))
    assert (stop.status, stop.watermark_price) == ("active", Decimal("0.62"))


def test_an_activation_price_left_before_the_lock_makes_it_wait(
    token: Instrument, before_the_lock: Arrange
):
    tick([seen(token, "0.62")])
    before_the_lock(lambda: tick([seen(token, "0.55")]))
    [stop] = create(a_request(token, activation_price=Decimal("0.60")))
    assert (stop.status, stop.watermark) == ("pending_activation", None)


def test_only_what_was_overtaken_is_made_again(token: Instrument, before_the_lock: Arrange):
    other = an_instrument()
    a_watermark(token, "sell", "0.50")
    shared = a_watermark(other, "sell", "0.50")
    before_the_lock(lambda: tick([seen(token, "0.60")]))
    mine, others, third = create(a_request(token), a_request(other), a_request(token, "0.40"))
    assert [stop.instrument_id for stop in (mine, others, third)] == [token.pk, other.pk, token.pk]
    assert others.watermark == shared
    assert [stop.watermark_price for stop in (mine, third)] == [Decimal("0.50"), Decimal("0.40")]
    assert TrailingStop.objects.count() == 3


def test_a_tick_waits_for_the_commit_of_a_new_stop_and_then_sees_it(token: Instrument):
    made, ticked = threading.Event(), threading.Event()

    def act(index: int) -> int:
        if index:
            made.wait(10)
            triggered = tick([seen(token, "0.40")]).triggered
            ticked.set()
            return triggered
        with transaction.atomic():
            creating.create(a_request(token))
            made.set()
            return int(ticked.wait(0.2))  # it cannot have

    assert in_threads(2, act) == [0, 1]


def test_a_thousand_stops_take_as_many_round_trips_as_two(token: Instrument):
    other = an_instrument()
    counts = []
    for count in (2, 1000):
        wanted = [a_request(token), a_request(other)] * (count // 2)
        entries = [
            replace(each, entry_price=Decimal(i % 50 + 1) / 100) for i, each in enumerate(wanted)
        ]
        with (
            counted_runs() as runs,
            CaptureQueriesContext(connection) as queries,
            transaction.atomic(),
        ):
            creating.create_many(entries)
        counts.append(runs.call_count + len(queries))
    assert counts == [4, 4]  # the transaction's two included
    assert Watermark.objects.count() == 50


def test_foreign_keys_are_not_checked_by_reading_through_tables_that_were_empty(token: Instrument):
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE trailing_trailingstop, trailing_watermark, orders_instrument")
    connection.close()  # its plans go with it
    with transaction.atomic(), connection.cursor() as cursor:
        creating.create(a_request(token))
        before = read_through(cursor)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        assert read_through(cursor) == before


def read_through(cursor: Any) -> dict[str, int]:
    """How often this transaction has read through a whole table."""
    cursor.execute("SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE seq_scan > 0")
    return dict(cursor.fetchall())


def test_each_executable_stop_has_a_watermark_of_its_own(token: Instrument):
    stops = create(*[a_request(token, reference="executable") for _ in range(3)])
    assert len({stop.watermark_id for stop in stops}) == 3


def test_no_two_stops_have_one_key():
    keys = {creating._new_key() for _ in range(50_000)}
    assert len(keys) == 50_000
    assert all(key.removeprefix("trailing_stop_").isdigit() for key in keys)
