"""Postings: each once, each adding up to nothing, matched and settled apart."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from orders import ledger
from orders.ledger import Change
from orders.models import Entry, Fill, Instrument, Leg, Order, Position, Trade
from tests.rows import an_instrument

START = Decimal(10_000)


@pytest.fixture
def token(db: None) -> Instrument:
    return an_instrument(collateral="10000")


def a_fill(token: Instrument, side: str = "sell", **changes: object) -> Fill:
    """100 at 0.50 with a fee of 0.25, as a trade's report makes it."""
    trade = Trade.objects.create(purpose="signal")
    leg = Leg.objects.create(trade=trade, instrument=token, side=side, quantity=100, price="0.5")
    order = Order.objects.create(
        leg=leg,
        instrument=token,
        side=side,
        quantity=100,
        price=Decimal("0.5"),
        status="sent",
        order_id=f"0x{leg.pk}",
        payload="{}",
    )
    columns = {
        "trade_id": "t1",
        "quantity": Decimal(100),
        "price": Decimal("0.5"),
        "fee": Decimal("0.25"),
        "matched_at": timezone.now(),
    }
    return Fill.objects.create(order=order, **{**columns, **changes})


def moved(asset: str) -> tuple[Decimal, Decimal]:
    position = Position.objects.get(asset=asset)
    return position.matched - START, position.settled - START


def test_a_match_a_settlement_and_a_failure_move_matched_and_settled(token: Instrument):
    fill = a_fill(token)
    ledger.post_match(fill)
    assert (moved(token.symbol), moved("collateral")) == ((-100, 0), (Decimal("49.75"), 0))
    ledger.post_settlement(fill)
    assert moved(token.symbol) == (-100, -100)
    assert moved("collateral") == (Decimal("49.75"), Decimal("49.75"))
    other = a_fill(token, "buy")
    ledger.post_match(other)
    ledger.post_failure(other)
    assert moved(token.symbol) == (-100, -100)
    assert moved("collateral") == (Decimal("49.75"), Decimal("49.75"))


@pytest.mark.parametrize("post", [ledger.post_match, ledger.post_settlement, ledger.post_failure])
def test_the_same_posting_again_changes_nothing(token: Instrument, post):
    fill = a_fill(token)
    post(fill)
    before = list(Position.objects.order_by("pk").values("matched", "settled"))
    post(fill)
    assert list(Position.objects.order_by("pk").values("matched", "settled")) == before


def test_what_the_wallet_gains_the_venue_and_the_fees_lose(token: Instrument):
    ledger.post_match(a_fill(token, "buy"))
    rows = Entry.objects.filter(position__asset="collateral").values_list(
        "account", "matched_change"
    )
    assert dict(rows) == {
        "wallet": Decimal("-50.25"),
        "venue": Decimal(50),
        "fees": Decimal("0.25"),
    }


def test_a_fee_in_the_base_asset_is_taken_from_what_was_bought(token: Instrument):
    ledger.post_match(a_fill(token, "buy", fee=Decimal("0.1"), fee_asset=token.base_asset))
    assert moved(token.symbol)[0] == Decimal("99.9")
    assert moved("collateral")[0] == -50


def test_a_fee_in_a_third_asset_has_a_position_of_its_own(token: Instrument):
    ledger.post_match(a_fill(token, "buy", fee=Decimal("0.1"), fee_asset="BNB"))
    assert Position.objects.get(asset="BNB").matched == Decimal("-0.1")
    assert moved("collateral")[0] == -50


def test_the_database_refuses_a_second_entry_of_one_cause(token: Instrument):
    positions = ledger.lock([token.symbol], "polymarket")
    ledger.post(positions, "outside", "once", [Change(token.symbol, Decimal(5), "outside")])
    assert not ledger.post(
        positions, "outside", "once", [Change(token.symbol, Decimal(5), "outside")]
    )
    entry = Entry.objects.filter(account="wallet").get()
    entry.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        entry.save()


def test_locking_makes_the_positions_that_are_missing(db: None):
    held = ledger.lock(["b", "a", "a"], "polymarket")
    assert list(held) == ["a", "b"]
    assert [position.settled for position in held.values()] == [0, 0]


@pytest.mark.parametrize(
    ("side", "quantity", "price", "amount"),
    [
        ("sell", "100", "0.5", "50"),
        ("buy", "100", "0.5", "50"),
        ("buy", "19.2307", "0.52", "9.999964"),
        ("buy", "0.3333333", "0.3", "0.1"),
        ("sell", "0.3333333", "0.3", "0.1"),
        ("sell", "1.0000001", "0.5", "0.5"),
        ("buy", "1.0000001", "0.5", "0.500001"),
    ],
)
def test_collateral_is_counted_in_the_chains_units(
    side: str, quantity: str, price: str, amount: str
):
    assert ledger.amount_of(side, Decimal(quantity), Decimal(price)) == Decimal(amount)


@given(
    st.sampled_from(["buy", "sell"]),
    st.decimals("0.000001", 100_000, places=6),
    st.integers(1, 9999).map(lambda number: Decimal(number) / 10_000),
    st.decimals(0, 10, places=5),
    st.sampled_from(["", "base", "BNB"]),
)
def test_every_trade_moves_its_quantity_its_amount_and_its_fee(
    side: str, quantity: Decimal, price: Decimal, fee: Decimal, fee_asset: str
):
    token = Instrument(symbol="base", base_asset="base", quote_asset="quote", venue="polymarket")
    changes = ledger.changes_of(token, side, quantity, price, fee, fee_asset)
    sums: dict[str, Decimal] = {"base": Decimal(0), "quote": Decimal(0)}
    for change in changes:
        sums[change.asset] = sums.get(change.asset, Decimal(0)) + change.amount
    sums[fee_asset or "quote"] += fee
    sign = -1 if side == "sell" else 1
    assert sums["base"] == quantity * sign
    assert abs(sums["quote"] + quantity * price * sign) <= ledger.BASE_UNIT
