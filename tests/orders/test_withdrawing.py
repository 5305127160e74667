"""Withdrawing: orders the venue never had, orders in doubt, legs between two orders."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.utils import timezone

from orders import cancelling, planning, reconciling, sending
from orders.models import Instrument, Leg, Order, Position, Trade
from strategy import managing
from tests.paper_process import PaperProcess, wait_until
from tests.truth import assert_our_rows_equal_the_exchange

pytestmark = pytest.mark.django_db(transaction=True)


def planned(
    instrument: Instrument, price: str = "0.90", kind: str = "GTC", size: str = "10"
) -> Order:
    leg = planning.LegRequest(instrument, "sell", Decimal(size), Decimal(price), kind)
    [order] = planning.open_trade(Trade(purpose="signal"), [leg])
    return order


def wish(order: Order) -> None:
    with transaction.atomic():
        cancelling.request(order)


def ended(order: Order) -> Leg:
    def leg() -> Leg | None:
        managing.work()
        return Leg.objects.filter(pk=order.leg_id).exclude(status="working").first()

    return wait_until(leg, seconds=20)


def test_a_resting_order_is_withdrawn_and_frees_what_it_reserved(
    paper: PaperProcess, paper_token: Instrument
):
    order = planned(paper_token)
    sending.send(order.pk)
    assert Position.objects.get(asset=paper_token.symbol).sellable() == 9990
    wish(order)
    assert ended(order).status == "cancelled"
    assert Position.objects.get(asset=paper_token.symbol).sellable() == 10000
    assert_our_rows_equal_the_exchange(paper)


def test_a_cancel_that_comes_too_late_leaves_the_fill(paper: PaperProcess, paper_token: Instrument):
    order = planned(paper_token)
    sending.send(order.pk)
    paper.put_book(paper_token.symbol, bids=[("0.90", 4)], asks=[("0.95", 10)])
    wish(order)
    leg = ended(order)
    assert (leg.status, leg.settled_quantity()) == ("cancelled", Decimal(4))
    assert_our_rows_equal_the_exchange(paper)


def test_an_order_that_never_reached_the_venue_is_not_posted_to_be_cancelled(
    paper: PaperProcess, paper_token: Instrument
):
    order = planned(paper_token)
    [claimed] = sending._claim([order.pk])
    wish(claimed)
    reconciling.look(claimed)
    assert ended(order).status == "cancelled"
    assert paper.ledger()["orders"] == []
    assert Order.objects.get().reason == "cancelled; the venue never had it"


def test_an_order_in_doubt_is_not_called_cancelled(paper: PaperProcess, paper_token: Instrument):
    order = planned(paper_token)
    [claimed] = sending._claim([order.pk])
    soon = timezone.now() + timedelta(seconds=10)
    claimed.note(posts=1, answered_at=timezone.now(), doubtful_until=soon)
    wish(claimed)
    reconciling.look(claimed)
    assert Order.objects.get().status == "sent"
    assert Position.objects.get(asset=paper_token.symbol).sellable() == 9990
    Order.objects.update(doubtful_until=timezone.now())
    reconciling.look(claimed)
    assert Order.objects.get().status == "cancelled"


def test_a_leg_between_two_orders_can_be_cancelled_and_all_legs_at_once(
    paper: PaperProcess, paper_token: Instrument
):
    killed = planned(paper_token, "0.60", "FAK")
    resting = planned(paper_token)
    sending.send_all([killed.pk, resting.pk])
    killed.refresh_from_db()
    assert (killed.status, killed.leg.status) == ("cancelled", "working")
    assert cancelling.request_all() == 2
    assert cancelling.request_all() == 0
    assert {ended(killed).status, ended(resting).status} == {"cancelled"}
    with pytest.raises(cancelling.NotCancellable):
        wish(killed)
