"""The tick in SQL: it agrees with the arithmetic, shares watermarks, and happens once."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import close_old_connections, connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from orders import planning
from orders.models import Order
from polytrader.prepared import run
from tests.rows import a_stop, a_watermark, an_instrument, moments, open_exits, seen
from tests.trailing.test_maths import trails
from tests.trailing.vectors import VECTORS, Vector
from trailing import watermarks
from trailing.maths import StopState, Trail
from trailing.models import TrailingStop, Watermark
from trailing.sql import END_TRIGGERED
from trailing.tick import tick, tick_safely

TEN_PERCENT = Trail.of_percent(Decimal(10))


@pytest.mark.django_db
@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v.name)
def test_the_tick_agrees_with_published_examples(vector: Vector):
    instrument = an_instrument(tick_size=Decimal("0.001"))
    stop = a_stop(
        instrument, vector.trail, vector.path[0], side=vector.side, activation=vector.activation
    )
    for price, at in zip(vector.prices[1:], moments(len(vector.path)), strict=False):
        tick([seen(instrument, price, at)])
        stop.refresh_from_db()
        assert (stop.status == "triggered") == (price == Decimal(vector.fires_at or 0))
    assert stop.status == vector.status
    assert stop.current_trigger_price == Decimal(vector.trigger)
    assert stop.watermark_price == Decimal(vector.watermark)


@pytest.mark.django_db
@settings(max_examples=40)
@given(
    st.lists(st.tuples(trails, st.sampled_from(["sell", "buy"])), min_size=1, max_size=5),
    st.lists(st.decimals("0.01", "0.99", places=2), min_size=2, max_size=12),
    st.one_of(st.none(), st.decimals("0.05", "0.95", places=2)),
)
def test_sql_and_the_pure_arithmetic_agree_on_every_path(stops, path, activation):
    TrailingStop.objects.all().delete()
    instrument = an_instrument()
    shared = {side: a_watermark(instrument, side, path[0]) for side in ("sell", "buy")}
    rows, states = [], []
    for trail, side in stops:
        rows.append(
            a_stop(
                instrument,
                trail,
                str(path[0]),
                side=side,
                activation=None if activation is None else str(activation),
                watermark=shared[side] if activation is None else None,
            )
        )
        status = "active" if activation is None else "pending_activation"
        states.append(StopState(side, trail, path[0], activation, status))
    for price, at in zip(path[1:], moments(len(path)), strict=False):
        tick([seen(instrument, price, at)])
        states = [state.after(price) for state in states]
    for row, state in zip(rows, states, strict=True):
        row = TrailingStop.objects.select_related("watermark").get(pk=row.pk)
        assert (row.status, row.watermark_price) == (state.status, state.watermark)
        assert row.current_trigger_price == state.trigger


@pytest.mark.django_db
def test_many_stops_share_one_watermark_row_and_a_price_moves_it_once():
    instrument = an_instrument()
    mark = a_watermark(instrument, "sell", "0.50")
    for _ in range(20):
        a_stop(instrument, TEN_PERCENT, "0.50", watermark=mark)
    tick([seen(instrument, "0.60")])
    mark.refresh_from_db()
    assert mark.price == Decimal("0.60")
    assert Watermark.objects.count() == 1


@pytest.mark.django_db
def test_a_stop_left_behind_by_its_neighbours_trigger_goes_on_trailing():
    """Two stops share a watermark; the tight one fires, the wide one follows the same row on."""
    instrument = an_instrument()
    mark = a_watermark(instrument, "sell", "0.50")
    tight = a_stop(instrument, Trail(amount=Decimal("0.03")), "0.50", watermark=mark)
    wide = a_stop(instrument, Trail(amount=Decimal("0.10")), "0.50", watermark=mark)
    for price, at in zip(["0.60", "0.57", "0.70", "0.61", "0.60"], moments(5), strict=True):
        tick([seen(instrument, price, at)])
        if price == "0.70":
            wide.refresh_from_db()
            tight.refresh_from_db()
            assert wide.current_trigger_price == Decimal("0.60")
    tight.refresh_from_db()
    wide.refresh_from_db()
    assert (tight.status, tight.watermark_price) == ("triggered", Decimal("0.60"))
    assert tight.current_trigger_price == Decimal("0.57")
    assert (wide.status, wide.watermark_price) == ("triggered", Decimal("0.70"))
    assert wide.triggered_by_price == Decimal("0.60")
    assert watermarks.tidy().deleted == 1


@pytest.mark.django_db
def test_a_late_low_price_after_a_ratchet_cannot_fire():
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50")
    now = timezone.now()
    tick([seen(instrument, "0.60", now)])
    result = tick([seen(instrument, "0.51", now - timedelta(seconds=1))])
    stop.refresh_from_db()
    assert (result.claimed, stop.status) == (0, "active")


@pytest.mark.django_db
def test_the_same_observation_twice_is_skipped():
    instrument = an_instrument()
    now = timezone.now()
    assert tick([seen(instrument, "0.60", now)]).claimed == 1
    assert tick([seen(instrument, "0.60", now)]).claimed == 0


@pytest.mark.django_db
def test_what_loses_to_an_observation_of_the_same_moment_moves_nothing():
    instrument, other = an_instrument(), an_instrument()
    stop, beside = a_stop(instrument, TEN_PERCENT, "0.50"), a_stop(other, TEN_PERCENT, "0.50")
    now = timezone.now()
    tick([seen(instrument, "0.51", now)])
    tick([seen(instrument, "0.60", now), seen(other, "0.60", now)])
    stop.refresh_from_db()
    assert stop.watermark_price == Decimal("0.51")
    result = tick([seen(instrument, "0.10", now), seen(other, "0.40")])
    stop.refresh_from_db()
    beside.refresh_from_db()
    assert (result.triggered, stop.status, beside.status) == (1, "active", "triggered")


@pytest.mark.django_db
def test_an_empty_side_is_no_price_and_not_zero():
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50")
    tick([seen(instrument, None)])
    stop.refresh_from_db()
    assert stop.status == "active"
    assert stop.watermark_price == Decimal("0.50")


@pytest.mark.django_db
def test_sells_look_at_the_bid_and_buys_at_the_ask():
    instrument = an_instrument()
    sell = a_stop(instrument, TEN_PERCENT, "0.50")
    buy = a_stop(instrument, TEN_PERCENT, "0.50", side="buy")
    tick([seen(instrument, "0.46", ask="0.54")])
    sell.refresh_from_db()
    buy.refresh_from_db()
    assert (sell.status, buy.status) == ("active", "active")
    tick([seen(instrument, "0.45", ask="0.55")])
    sell.refresh_from_db()
    buy.refresh_from_db()
    assert (sell.status, buy.status) == ("triggered", "triggered")


@pytest.mark.django_db
def test_the_exit_is_planned_in_the_same_transaction_and_below_the_best_price():
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50", quantity="100")
    result = tick([seen(instrument, "0.45")])
    order = Order.objects.get(pk=result.orders[0].pk)
    stop.refresh_from_db()
    assert stop.trade == order.leg.trade
    assert (order.status, order.quantity, order.side) == ("planned", Decimal(100), "sell")
    assert order.price == Decimal("0.42")


@pytest.mark.django_db
def test_several_stops_on_one_token_never_plan_more_than_is_held():
    instrument = an_instrument(held="120")
    for _ in range(3):
        a_stop(instrument, TEN_PERCENT, "0.50", quantity="50")
    tick([seen(instrument, "0.40")])
    planned = [order.quantity for order in Order.objects.order_by("-quantity")]
    assert sum(planned) == 120
    assert planned == [50, 50, 20]


@pytest.mark.django_db
def test_a_stop_over_all_sells_what_is_held_when_it_triggers():
    instrument = an_instrument(held="77.5")
    a_stop(instrument, TEN_PERCENT, "0.50", quantity=None)
    tick([seen(instrument, "0.40")])
    assert Order.objects.get().quantity == Decimal("77.5")


def in_threads(count: int, act) -> list:
    """Run `act(index)` in so many threads at once, each with its own connection."""
    barrier, results = threading.Barrier(count), [None] * count

    def run(index: int) -> None:
        try:
            barrier.wait()
            results[index] = act(index)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close_old_connections()
    return results


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_place_one_order():
    for round_ in range(10):
        instrument = an_instrument(f"7{round_:020d}")
        a_stop(instrument, TEN_PERCENT, "0.50")
        now = timezone.now()
        racing = [seen(instrument, "0.40", now + timedelta(microseconds=i)) for i in range(4)]
        results = in_threads(4, lambda index, racing=racing: tick([racing[index]]))
        assert sum(result.triggered for result in results) == 1
        assert Order.objects.filter(instrument=instrument).count() == 1


@pytest.mark.django_db(transaction=True)
def test_without_the_conditions_two_sweeps_do_place_two_orders(monkeypatch):
    """The race is real: read, then save plainly, and both win. Shown so that the test above can fail."""
    instrument = an_instrument(held="1000")
    stop = a_stop(instrument, TEN_PERCENT, "0.50")
    barrier = threading.Barrier(2)

    def careless(_: int) -> int:
        from django.db import transaction

        from orders import planning

        with transaction.atomic():
            row = TrailingStop.objects.select_related("instrument").get(pk=stop.pk)
            barrier.wait()
            if row.status != "active":
                return 0
            wanted = planning.ExitRequest(instrument, "sell", row.quantity, Decimal("0.40"))
            [(trade, _order)] = open_exits([wanted])
            row.status, row.trade, row.triggered_at = "triggered", trade, timezone.now()
            row.save()
            return 1

    assert sum(in_threads(2, careless)) == 2
    assert Order.objects.filter(instrument=instrument).count() == 2
    assert "s.is_live" in END_TRIGGERED


@pytest.mark.django_db
def test_of_two_observations_of_one_instrument_only_the_one_that_claimed_counts():
    instrument, now = an_instrument(), timezone.now()
    stop = a_stop(instrument, TEN_PERCENT, "0.50")
    earlier = now - timedelta(seconds=1)
    tick([seen(instrument, "0.60", earlier), seen(instrument, "0.40", now)])
    stop.refresh_from_db()
    instrument.refresh_from_db()
    assert (stop.status == "triggered") == (instrument.bid == Decimal("0.40"))


@pytest.mark.django_db
def test_an_instrument_that_cannot_be_planned_does_not_keep_the_others(monkeypatch):
    broken, other = an_instrument(), an_instrument()
    a_stop(broken, TEN_PERCENT, "0.50")
    stop, plan = a_stop(other, TEN_PERCENT, "0.50"), planning.plan_exits

    def stumble(requests):
        if any(request.instrument == broken for request in requests):
            raise ValueError("a row that nobody thought of")
        return plan(requests)

    monkeypatch.setattr(planning, "plan_exits", stumble)
    result = tick_safely([seen(broken, "0.40"), seen(other, "0.40")])
    stop.refresh_from_db()
    assert (result.triggered, stop.status) == (1, "triggered")
    broken.refresh_from_db()
    assert broken.observed_at is None or broken.bid != Decimal("0.40")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whether the commits of ticks wait for the disk, one after the other."""
    noted: list[str] = []

    def note(name: str) -> None:
        if name == "ticked":
            noted.append(run(("SHOW synchronous_commit", {}))[0][0][0])

    monkeypatch.setattr("trailing.tick.point", note)
    return noted


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("price", "setting"), [("0.50", "off"), ("0.49", "off"), ("0.51", "on"), ("0.44", "on")]
)
def test_only_a_tick_that_moves_something_waits_for_the_disk(
    kept: list[str], price: str, setting: str
):
    instrument = an_instrument()
    a_stop(instrument, TEN_PERCENT, "0.50", confirm_updates=2)
    before, now = moments(2)
    tick([seen(instrument, "0.50", before)])
    tick([seen(instrument, price, now)])
    assert kept == ["off", setting]


@pytest.mark.django_db
def test_an_activation_and_a_recovery_wait_for_the_disk(kept: list[str]):
    instrument = an_instrument()
    a_stop(instrument, TEN_PERCENT, "0.50", activation="0.48")
    a_stop(instrument, TEN_PERCENT, "0.50", confirm_updates=2)
    for price, at in zip(("0.47", "0.48", "0.44", "0.47"), moments(4), strict=True):
        tick([seen(instrument, price, at)])
    assert kept == ["off", "on", "on", "on"]
