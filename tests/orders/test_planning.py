"""Planning: stops and signals share what can be sold, and only that."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from orders import planning
from orders.models import Fill, ForeignOrder, Instrument, Leg, Order, Position, Trade
from orders.planning import ExitRequest, Free, LegRequest, NotSellable
from tests.rows import an_instrument, open_exits

pytestmark = pytest.mark.django_db

BID = Decimal("0.50")


@pytest.fixture
def token(db: None) -> Instrument:
    return an_instrument(held="100", collateral="100", complement="")


def exits(token: Instrument, *quantities: int | None, **changes: Any) -> list[Decimal | None]:
    """Open exits together and give what the order of each takes."""
    requests = [
        ExitRequest(token, "sell", None if quantity is None else Decimal(quantity), BID)
        for quantity in quantities
    ]
    with transaction.atomic():
        opened = open_exits(requests)
    return [None if order is None else order.quantity for _, order in opened]


def signal(*legs: LegRequest) -> list[Order]:
    with transaction.atomic():
        planning.lock_positions(leg.instrument for leg in legs)
        return planning.open_trade(Trade(purpose="signal"), legs)


def leg(token: Instrument, side: Any, quantity: str, price: str = "0.50") -> LegRequest:
    return LegRequest(token, side, Decimal(quantity), Decimal(price))


def an_unsettled_trade(token: Instrument, side: str, quantity: str) -> None:
    """A trade that is matched and not settled, as booking it leaves position and fill."""
    [order] = signal(leg(token, side, "5"))
    order.move("sent", order_id=f"0x{order.pk}", payload="{}")
    order.move("filled")
    amount = Decimal(quantity)
    Fill.objects.create(
        order=order, trade_id="t", quantity=amount, price=BID, matched_at=timezone.now()
    )
    sign = -1 if side == "sell" else 1
    for asset, change in ((token.base_asset, amount * sign), ("collateral", -amount * sign * BID)):
        position = Position.objects.get(asset=asset)
        position.note(matched=position.matched + change)


@pytest.mark.parametrize(
    ("wanted", "planned"),
    [
        ([60, 40], [60, 40]),
        ([60, 60], [60, 40]),
        ([60, 60, 60], [60, 40, None]),
        ([None], [100]),
        ([None, None], [100, None]),
        ([97, 20], [97, None]),  # 3 are left: less than an order
        ([4, 100], [None, 100]),
    ],
)
def test_exits_of_one_token_share_it_in_their_order(
    token: Instrument, wanted: list[int | None], planned: list[int | None]
):
    assert exits(token, *wanted) == planned
    assert Position.objects.get(asset=token.symbol).sellable() >= 0


def test_an_exit_without_shares_is_due_at_once_and_one_with_an_order_waits_for_it(
    token: Instrument,
):
    exits(token, 100, 50)
    first, second = Leg.objects.order_by("pk")
    assert (first.attempts, first.next_attempt_at) == (1, None)
    assert (second.attempts, second.next_attempt_at is not None) == (0, True)
    assert second.quantity == 50


def test_a_signal_is_planned_as_a_whole_or_not_at_all(token: Instrument):
    other = an_instrument(held="10", complement="")
    with pytest.raises(NotSellable) as refusal:
        signal(leg(token, "sell", "100"), leg(other, "sell", "11"))
    assert (refusal.value.index, str(refusal.value)) == (1, "needs 11, but only 10 is sellable now")
    assert not Trade.objects.exists()
    assert Position.objects.get(asset=token.symbol).sellable() == 100


def test_legs_of_one_signal_share_the_collateral(token: Instrument):
    other = an_instrument(complement="")
    signal(leg(token, "buy", "100"), leg(other, "buy", "100"))
    with pytest.raises(NotSellable):
        signal(leg(token, "buy", "5"))


def test_a_purchase_reserves_its_fee_too(token: Instrument):
    Instrument.objects.update(fee_rate=Decimal("0.05"), fee_exponent=1)
    token.refresh_from_db()
    with pytest.raises(NotSellable):
        signal(leg(token, "buy", "200"))
    [order] = signal(leg(token, "buy", "190"))
    assert order.fee_per_unit == Decimal("0.01251")
    reserved = Position.objects.get(asset="collateral").reserved()
    assert reserved == 190 * (BID + Decimal("0.01251"))


def test_what_rests_elsewhere_or_moves_on_the_chain_is_not_planned(token: Instrument):
    ForeignOrder.objects.create(
        order_id="0x1",
        venue="polymarket",
        symbol=token.symbol,
        asset=token.symbol,
        side="sell",
        quantity=30,
        price=BID,
        reserved=30,
    )
    Position.objects.filter(asset=token.symbol).update(pending_outflow=20)
    assert exits(token, None) == [50]


def test_what_was_bought_and_what_was_sold_count_when_they_are_settled(token: Instrument):
    an_unsettled_trade(token, "buy", "50")
    assert Free().of(token.symbol) == 100
    assert Free().of("collateral") == 75


def test_shares_that_are_being_bought_do_not_stand_in_for_those_that_are_being_sold(
    token: Instrument,
):
    """100 settled and all sold, 50 bought: 50 matched, 100 settled, and nothing is there."""
    an_unsettled_trade(token, "sell", "100")
    assert Free().of(token.symbol) == 0
    an_unsettled_trade(token, "buy", "50")
    assert Position.objects.get(asset=token.symbol).matched == 50
    assert Free().of(token.symbol) == 0
    assert Free().of("collateral") == 75  # not what the sale will bring
    assert exits(token, 50) == [None]


def test_a_remainder_is_planned_once_and_only_while_it_is_free(token: Instrument):
    exits(token, 60)
    second = Leg.objects.create(
        trade=Trade.objects.create(purpose="exit"), instrument=token, side="sell", quantity=50
    )
    assert planning.plan(second, Decimal(41), BID) is None
    second.refresh_from_db()
    assert second.attempts == 0
    order = planning.plan(second, Decimal(40), BID)
    assert order is not None
    assert (order.status, second.attempts, second.next_attempt_at) == ("planned", 1, None)
    assert Position.objects.get(asset=token.symbol).sellable() == 0


def test_retries_come_after_a_fifth_of_a_second_growing_to_two_give_or_take_a_fifth(
    token: Instrument,
):
    one = Leg(trade=Trade.objects.create(purpose="exit"), instrument=token, side="sell", quantity=5)
    one.save()
    for attempts, wait in ((0, 0.2), (1, 0.3), (3, 0.675), (9, 2.0), (500, 2.0)):
        one.attempts = attempts
        before = timezone.now()
        planning.retry_later(one, "again")
        assert one.next_attempt_at is not None
        seconds = (one.next_attempt_at - before).total_seconds()
        assert 0.79 * wait < seconds < 1.21 * wait + 0.5
