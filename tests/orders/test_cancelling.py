"""Cancels on the paper exchange: the wish is kept, the answer looked up, what was matched is booked."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from orders import cancelling, reconciling, sending, signing
from orders.cancelling import NotCancellable
from orders.models import Fill, Instrument, Leg, Order, Position
from tests.orders.test_exits import trigger
from tests.orders.trades import ended, hurry, hurry_until, planned, purchase, sale, traded
from tests.paper_process import PaperProcess
from tests.truth import assert_our_rows_equal_the_exchange

pytestmark = pytest.mark.django_db(transaction=True)


def request(order: Order) -> None:
    with transaction.atomic():
        cancelling.request(order)


def resting(token: Instrument) -> Any:
    """A sale of 100 at 0.60, which rests."""
    return traded(sale(token, 100, "0.60", "GTC"))


def test_an_order_that_was_not_sent_is_cancelled_at_once(
    paper: PaperProcess, paper_token: Instrument
):
    trade = planned(sale(paper_token))
    order = Order.objects.get()
    request(order)
    assert Order.objects.get().status == "cancelled"
    assert sending.send(order.pk) is False
    [leg] = ended(trade)
    assert (leg.status, paper.ledger()["orders"]) == ("cancelled", [])
    assert Position.objects.get(asset=paper_token.symbol).reserved() == 0


def test_an_order_that_rests_is_withdrawn_and_its_shares_are_free_again(
    paper: PaperProcess, paper_token: Instrument
):
    trade = resting(paper_token)
    assert Position.objects.get(asset=paper_token.symbol).sellable() == 9900
    request(Order.objects.get())
    [leg] = ended(trade)
    assert (leg.status, Order.objects.get().status) == ("cancelled", "cancelled")
    assert Position.objects.get(asset=paper_token.symbol).sellable() == 10000
    paper.put_book(paper_token.symbol, bids=[("0.61", 100)], asks=[("0.70", 100)])
    assert paper.ledger()["trades"] == []


def test_what_was_matched_before_the_cancel_is_booked_and_settled(
    paper: PaperProcess, paper_token: Instrument
):
    trade = resting(paper_token)
    paper.put_book(paper_token.symbol, bids=[("0.60", 40)], asks=[("0.65", 10)])
    request(Order.objects.get())
    [leg] = ended(trade)
    assert (leg.status, leg.settled_quantity()) == ("cancelled", Decimal(40))
    order = Order.objects.get()
    assert (order.status, order.matched_quantity) == ("cancelled", Decimal(40))
    assert_our_rows_equal_the_exchange(paper)


def test_a_cancel_that_comes_too_late_is_no_failure(paper: PaperProcess, paper_token: Instrument):
    trade = resting(paper_token)
    paper.put_book(paper_token.symbol, bids=[("0.60", 100)], asks=[("0.65", 10)])
    request(Order.objects.get())
    [leg] = ended(trade)
    assert (leg.status, leg.settled_quantity()) == ("done", Decimal(100))
    assert_our_rows_equal_the_exchange(paper)


@pytest.mark.parametrize(
    "kind", ["timeout_before_accept", "timeout_after_accept", "http_500", "http_500_after_accept"]
)
def test_a_cancel_without_a_clear_answer_is_asked_for_again(
    paper: PaperProcess, paper_token: Instrument, kind: str
):
    trade = resting(paper_token)
    paper.fault("DELETE /order", kind)
    request(Order.objects.get())
    [leg] = ended(trade)
    assert (leg.status, Order.objects.get().status) == ("cancelled", "cancelled")
    assert_our_rows_equal_the_exchange(paper)


def test_a_delayed_order_cannot_be_withdrawn_and_what_it_matches_is_booked(
    paper: PaperProcess, paper_token: Instrument
):
    paper.fault("POST /order", "delayed")
    trade = traded(sale(paper_token))
    assert Order.objects.get().venue_status == "delayed"
    request(Order.objects.get())
    [leg] = ended(trade)
    assert (leg.status, leg.settled_quantity()) == ("done", Decimal(100))
    assert_our_rows_equal_the_exchange(paper)


def test_a_cancel_of_an_order_whose_answer_was_lost_ends_it_wherever_it_is(
    paper: PaperProcess, paper_token: Instrument
):
    paper.fault("POST /order", "timeout_after_accept")
    trade = traded(sale(paper_token, 100, "0.60", "GTC"))
    assert Order.objects.get().status == "sent"
    request(Order.objects.get())
    [leg] = ended(trade)
    assert (leg.status, Order.objects.get().status) == ("cancelled", "cancelled")
    assert [row["posts"] for row in paper.ledger()["orders"]] == [1]


def test_an_order_that_never_reached_the_venue_is_not_posted_to_be_cancelled(
    paper: PaperProcess, paper_token: Instrument
):
    planned(sale(paper_token, 10, "0.90", "GTC"))
    order = Order.objects.get()
    [claimed] = signing.claim([order.pk])
    request(claimed)
    reconciling.look(claimed)
    [leg] = ended(order.leg.trade)
    assert leg.status == "cancelled"
    assert paper.ledger()["orders"] == []
    assert Order.objects.get().reason == "cancelled; the venue never had it"


def test_an_order_in_doubt_is_not_called_cancelled(paper: PaperProcess, paper_token: Instrument):
    planned(sale(paper_token, 10, "0.90", "GTC"))
    order = Order.objects.get()
    [claimed] = signing.claim([order.pk])
    soon = timezone.now() + timedelta(seconds=10)
    claimed.note(posts=1, answered_at=timezone.now(), doubtful_until=soon)
    request(claimed)
    reconciling.look(claimed)
    assert Order.objects.get().status == "sent"
    assert Position.objects.get(asset=paper_token.symbol).sellable() == 9990
    Order.objects.update(doubtful_until=timezone.now())
    reconciling.look(claimed)
    assert Order.objects.get().status == "cancelled"


def test_a_leg_between_two_orders_can_be_cancelled_and_all_legs_at_once(
    paper: PaperProcess, paper_token: Instrument
):
    planned(sale(paper_token, 10, "0.60"))
    planned(sale(paper_token, 10, "0.90", "GTC"))
    killed, resting = Order.objects.order_by("pk")
    sending.send_all([killed.pk, resting.pk])
    killed.refresh_from_db()
    assert (killed.status, killed.leg.status) == ("cancelled", "working")
    assert cancelling.request_all() == 2
    assert cancelling.request_all() == 0
    legs = [*ended(killed.leg.trade), *ended(resting.leg.trade)]
    assert [leg.status for leg in legs] == ["cancelled", "cancelled"]
    with pytest.raises(cancelling.NotCancellable):
        request(killed)


def test_an_exit_and_an_ended_order_are_not_cancelled(paper: PaperProcess, paper_token: Instrument):
    trigger(paper, paper_token)
    with pytest.raises(NotCancellable, match="exit"):
        request(Order.objects.get())
    hurry_until(Order.objects.filter(status="filled"))
    paper.put_book(paper_token.symbol, bids=[("0.50", 1000)], asks=[("0.52", 1000)])
    trade = traded(sale(paper_token))
    ended(trade)
    with pytest.raises(NotCancellable, match="can no longer be cancelled"):
        request(Order.objects.get(leg__trade=trade))


def test_cancelling_all_leaves_exits_alone(
    paper: PaperProcess, paper_token: Instrument, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sending, "send_at_once", lambda pks: None)
    stop = trigger(paper, paper_token)
    trades = [resting(paper_token), planned(purchase(paper_token, 10, "0.40", "GTC"))]
    assert cancelling.request_all() == 2
    assert cancelling.request_all() == 0
    for trade in trades:
        assert [leg.status for leg in ended(trade)] == ["cancelled"]
    leg = Leg.objects.get(trade=stop.trade)
    assert leg.cancel_requested_at is None
    hurry_until(Leg.objects.filter(pk=leg.pk, status="done"))
    assert_our_rows_equal_the_exchange(paper)


def test_a_trade_that_fails_after_the_cancel_is_not_sent_again(
    paper: PaperProcess, paper_token: Instrument
):
    paper.fault("POST /order", "settlement_fails")
    paper.put_book(paper_token.symbol, bids=[("0.50", 40)], asks=[("0.52", 1000)])
    trade = traded(sale(paper_token, 100, "0.50", "GTC"))
    reconciling.look(Order.objects.get())
    assert Fill.objects.get().quantity == 40
    request(Order.objects.get())
    [leg] = ended(trade)
    assert (leg.status, leg.settled_quantity(), leg.orders.count()) == ("cancelled", 0, 1)
    for _ in range(2):
        hurry()
    assert Position.objects.get(asset=paper_token.symbol).settled == 10000
