"""The arithmetic of one stop: published examples as a table, and what must hold on every path."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trailing.vectors import VECTORS, Vector
from trailing.maths import StopState, Trail, trigger_price

prices = st.decimals("0.001", "0.999", places=3)
trails = st.one_of(
    st.decimals("0.01", "99", places=2).map(Trail.of_percent),
    st.decimals("0.001", "0.5", places=3).map(lambda amount: Trail(amount=amount)),
)


def start(vector: Vector) -> StopState:
    activation = None if vector.activation is None else Decimal(vector.activation)
    return StopState(
        side=vector.side,
        trail=vector.trail,
        watermark=vector.prices[0],
        activation=activation,
        status="active" if activation is None else "pending_activation",
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v.name)
def test_published_examples_agree(vector: Vector):
    stop, fired_at = start(vector), None
    for price in vector.prices[1:]:
        before = stop.status
        stop = stop.after(price)
        if stop.status == "triggered" and before != "triggered":
            fired_at = price
    assert fired_at == (None if vector.fires_at is None else Decimal(vector.fires_at))
    assert stop.trigger == Decimal(vector.trigger)
    assert stop.watermark == Decimal(vector.watermark)
    assert stop.status == vector.status


def test_the_sample_of_the_contract_triggers_at_49000_and_after_activation_at_49980():
    trail = Trail.of_percent(Decimal(2))
    assert trigger_price("sell", Decimal(50000), trail) == 49000
    assert trigger_price("sell", Decimal(51000), trail) == 49980


@pytest.mark.parametrize("percent", ["0", "-1", "100", "250"])
def test_a_percentage_outside_0_and_100_is_refused(percent: str):
    with pytest.raises(ValueError, match="between 0 and 100"):
        Trail.of_percent(Decimal(percent))


def test_a_trail_is_a_fraction_or_an_amount_never_both():
    with pytest.raises(ValueError, match="either"):
        Trail(fraction=Decimal("0.1"), amount=Decimal("0.1"))
    with pytest.raises(ValueError, match="either"):
        Trail()


@given(trails, st.sampled_from(["sell", "buy"]), st.lists(prices, min_size=2, max_size=40))
def test_the_trigger_never_loosens(trail, side, path):
    stop = StopState(side=side, trail=trail, watermark=path[0])
    for price in path[1:]:
        after = stop.after(price)
        if side == "sell":
            assert after.trigger >= stop.trigger
        else:
            assert after.trigger <= stop.trigger
        stop = after


@given(trails, st.lists(prices, min_size=2, max_size=40))
def test_a_stop_fires_exactly_at_the_first_price_at_or_past_its_trigger(trail, path):
    stop = StopState(side="sell", trail=trail, watermark=path[0])
    best = path[0]
    for price in path[1:]:
        should_fire = price <= best - trail.distance(best)
        stop = stop.after(price)
        assert (stop.status == "triggered") == should_fire
        if should_fire:
            return
        best = max(best, price)


@given(st.decimals("0.01", "0.4", places=3), st.lists(prices, min_size=2, max_size=40))
def test_a_buy_is_the_mirrored_sell(amount, path):
    mirror = Decimal(1)
    sell = StopState(side="sell", trail=Trail(amount=amount), watermark=path[0])
    buy = StopState(side="buy", trail=Trail(amount=amount), watermark=mirror - path[0])
    for price in path[1:]:
        sell, buy = sell.after(price), buy.after(mirror - price)
        assert buy.trigger == mirror - sell.trigger
        assert buy.status == sell.status


@given(trails, st.lists(prices, min_size=3, max_size=40), st.integers(1, 38))
def test_a_pause_changes_nothing_given_the_same_prices(trail, path, cut):
    """What is kept between two observations is all that matters: a restart is a copy of it."""
    whole = StopState(side="sell", trail=trail, watermark=path[0])
    for price in path[1:]:
        whole = whole.after(price)
    first = StopState(side="sell", trail=trail, watermark=path[0])
    for price in path[1 : cut + 1]:
        first = first.after(price)
    second = StopState(side="sell", trail=trail, watermark=first.watermark, status=first.status)
    for price in path[cut + 1 :]:
        second = second.after(price)
    assert second == whole
