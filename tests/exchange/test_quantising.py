from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exchange.errors import Rejected
from exchange.quantising import (
    OUTCOME_TICK_SIZES,
    base_units,
    fits,
    is_on_grid,
    limit_price,
    quantise_quantity,
    spot_limit_price,
    taking_amounts,
)
from exchange.types import Side

TICKS = st.sampled_from(sorted(OUTCOME_TICK_SIZES))
SIDES: st.SearchStrategy[Side] = st.sampled_from(["buy", "sell"])


@st.composite
def prices(draw: st.DrawFn) -> tuple[Decimal, Decimal]:
    tick = draw(TICKS)
    steps = draw(st.integers(1, int(1 / tick) - 1))
    return steps * tick, tick


@given(SIDES, prices(), st.decimals("5", "100000", places=2))
def test_amounts_keep_the_venues_decimals_and_the_limit(
    side: Side, priced: tuple[Decimal, Decimal], quantity: Decimal
) -> None:
    price, tick = priced
    assume(side == "sell" or quantity * price >= Decimal("0.01"))  # a buy of nothing is refused
    maker, taker = taking_amounts(side, quantity, price, tick)
    assert is_on_grid(maker, Decimal("0.01"))
    assert is_on_grid(taker, Decimal("0.0001"))
    if side == "sell":
        assert maker == quantity
        assert price - Decimal("0.0001") < taker / maker <= price
    else:
        assert maker <= quantity * price
        assert price <= maker / taker < price + Decimal("0.0001")


@given(SIDES, prices())
def test_a_limit_lies_on_the_grid_inside_the_venues_range_beyond_the_best_price(
    side: Side, priced: tuple[Decimal, Decimal]
) -> None:
    best, tick = priced
    limit = limit_price(side, best, tick)
    assert is_on_grid(limit, tick)
    assert tick <= limit <= 1 - tick
    allowance = max(3 * tick, best * Decimal("0.05"))
    if side == "sell":
        assert limit == tick or best - allowance - tick < limit <= best - allowance
    else:
        assert limit == 1 - tick or best + allowance <= limit < best + allowance + tick


@pytest.mark.parametrize(
    ("side", "best", "tick", "limit"),
    [
        ("sell", "0.48", "0.01", "0.45"),
        ("sell", "0.90", "0.01", "0.85"),
        ("sell", "0.02", "0.01", "0.01"),
        ("buy", "0.48", "0.01", "0.51"),
        ("buy", "0.99", "0.01", "0.99"),
        ("sell", "0.985", "0.001", "0.935"),
        ("sell", "0.5", "0.1", "0.2"),
    ],
)
def test_the_sweep_is_three_ticks_or_five_percent(side: Side, best: str, tick: str, limit: str):
    assert limit_price(side, Decimal(best), Decimal(tick)) == Decimal(limit)


def test_a_spot_limit_has_no_upper_end():
    assert spot_limit_price("buy", Decimal(50000), Decimal("0.01")) == Decimal(52500)
    assert spot_limit_price("sell", Decimal("50000.03"), Decimal("0.01")) == Decimal("47500.02")


def test_an_unknown_tick_is_refused():
    with pytest.raises(Rejected) as refused:
        limit_price("sell", Decimal("0.5"), Decimal("0.02"))
    assert refused.value.code == "tick_size"


@pytest.mark.parametrize(
    ("quantity", "price", "tick", "code"),
    [
        ("10", "0.505", "0.01", "tick_size"),
        ("10", "1", "0.01", "tick_size"),
        ("10.001", "0.5", "0.01", "precision"),
        ("0", "0.5", "0.01", "precision"),
        ("10", "0.5", "0.02", "tick_size"),
        ("0.01", "0.001", "0.001", "min_size"),
    ],
)
def test_what_the_venue_would_refuse_is_refused_here(
    quantity: str, price: str, tick: str, code: str
):
    arguments = (Decimal(quantity), Decimal(price), Decimal(tick))
    assert not fits("sell", *arguments)
    with pytest.raises(Rejected) as refused:
        taking_amounts("sell", *arguments)
    assert refused.value.code == code


def test_quantities_round_down_to_the_step():
    assert quantise_quantity(Decimal("10.019")) == Decimal("10.01")
    assert quantise_quantity(Decimal("0.0019"), Decimal("0.0005")) == Decimal("0.0015")


def test_base_units_refuse_to_lose_a_fraction():
    assert base_units(Decimal("10.130001")) == 10130001
    with pytest.raises(Rejected):
        base_units(Decimal("0.0000001"))
