"""Batches on the paper exchange: one request for fifteen orders, each with a fate of its own, each once."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from orders import posting, reconciling, sending, signing
from orders.models import Fill, Halt, Instrument, Leg, Order, Trade
from polytrader.models import Alert
from tests.orders.trades import ended, hurry, order_pks, planned, sale, traded
from tests.paper_process import PaperProcess
from tests.truth import assert_our_rows_equal_the_exchange

pytestmark = pytest.mark.django_db(transaction=True)


def requests(paper: PaperProcess, path: str) -> Callable[[], int]:
    """Count the requests to an endpoint from here on, by a fault that does nothing much to each."""
    paper.fault(path, "slow:1", times=1000)

    def counted() -> int:
        [fault] = paper.http.get("/paper/faults").json()["faults"]
        paper.fault(path, "slow:1", times=0)
        return 1000 - fault["times"]

    return counted


def basket(token: Instrument, count: int = 15, **changes: Any) -> Trade:
    return planned(*(sale(token, 10) for _ in range(count)), **changes)


def each_sold_once(paper: PaperProcess, trade: Trade) -> None:
    legs = Leg.objects.filter(trade=trade)
    assert {(leg.status, leg.settled_quantity()) for leg in legs} == {("done", Decimal(10))}
    sold = [row for row in paper.ledger()["trades"] if row["status"] == "CONFIRMED"]
    assert sum(Decimal(row["size"]) for row in sold) == 10 * len(legs)


def test_fifteen_orders_are_one_request(paper: PaperProcess, paper_token: Instrument):
    counted = requests(paper, "POST /orders")
    trade = basket(paper_token)
    assert sending.send_all(order_pks(trade)) == 15
    assert counted() == 1
    ended(trade)
    each_sold_once(paper, trade)
    assert {row["posts"] for row in paper.ledger()["orders"]} == {1}
    assert_our_rows_equal_the_exchange(paper)


def test_what_does_not_fit_into_one_request_makes_another(
    paper: PaperProcess, paper_token: Instrument
):
    counted = requests(paper, "POST /orders")
    trade = basket(paper_token, 20)
    sending.send_all(order_pks(trade))
    assert counted() == 2
    ended(trade)
    each_sold_once(paper, trade)
    assert_our_rows_equal_the_exchange(paper)


def test_a_batch_goes_out_in_the_order_in_which_it_was_given(
    paper: PaperProcess, paper_token: Instrument
):
    trade = basket(paper_token, 5)
    backwards = order_pks(trade)[::-1]
    sending.send_all(backwards)
    ids = dict(Order.objects.values_list("order_id", "pk"))
    assert [ids[row["id"]] for row in paper.ledger()["orders"]] == backwards


@pytest.mark.parametrize(
    ("fault", "rows"),
    [
        ("reject:not_enough_balance", 4),
        ("reject:fak_not_filled", 15),
        ("reject:tick_size", 4),
        ("reject:invalid_signature", 4),
        ("delayed", 4),
        ("settlement_fails", 4),
        ("settlement_retries", 4),
        ("lie:success_with_error", 4),
        ("lie:success_with_error", 15),
        ("lie:empty_id", 4),
        ("lie:garbage", 4),
    ],
)
def test_what_happens_to_some_rows_of_a_batch_leaves_every_leg_sold_once(
    paper: PaperProcess, paper_token: Instrument, fault: str, rows: int
):
    paper.fault("POST /order", fault, times=rows)
    trade = basket(paper_token)
    sending.send_all(order_pks(trade))
    ended(trade)
    each_sold_once(paper, trade)
    assert_books_agree(paper)


@pytest.mark.parametrize(
    "fault",
    [
        "timeout_before_accept",
        "timeout_after_accept",
        "http_500",
        "http_500_after_accept",
        "http_425",
        "http_429",
        "timeout_after_accept+delayed",
    ],
)
def test_what_happens_to_a_whole_batch_leaves_every_leg_sold_once(
    paper: PaperProcess, paper_token: Instrument, fault: str
):
    paper.fault("POST /orders", fault)
    trade = basket(paper_token)
    sending.send_all(order_pks(trade))
    ended(trade)
    each_sold_once(paper, trade)
    assert len(paper.ledger()["orders"]) == 15
    assert_our_rows_equal_the_exchange(paper)


def test_a_refused_row_closes_its_own_order_and_no_other(
    paper: PaperProcess, paper_token: Instrument
):
    paper.fault("POST /order", "reject:invalid_signature")
    trade = basket(paper_token, 3)
    sending.send_all(order_pks(trade))
    states = Order.objects.order_by("pk").values_list("status", "refusal")
    assert next(iter(states)) == ("rejected", "invalid_signature")
    assert {status for status, _ in states[1:]} == {"sent"}
    assert len(paper.ledger()["orders"]) == 2


def test_a_row_under_another_id_halts_all_sending_and_the_others_are_booked(
    paper: PaperProcess, paper_token: Instrument
):
    paper.fault("POST /order", "lie:other_id")
    trade = basket(paper_token, 3)
    sending.send_all(order_pks(trade))
    assert Halt.is_on()
    assert Alert.objects.get().kind == "order_id_mismatch"
    later = traded(sale(paper_token, 10))
    for _ in range(3):
        hurry()
    assert Order.objects.get(leg__trade=later).status == "planned"
    assert Fill.objects.filter(order__leg__trade=trade).count() >= 2
    Halt.objects.update(lifted_at=timezone.now())
    ended(trade)
    ended(later)
    assert sum(Decimal(row["size"]) for row in paper.ledger()["trades"]) == 40
    assert_our_rows_equal_the_exchange(paper)


def test_a_batch_that_a_dying_process_left_is_posted_by_the_sweep(
    paper: PaperProcess, paper_token: Instrument
):
    trade = basket(paper_token)
    assert len(signing.claim(order_pks(trade))) == 15
    assert paper.ledger()["orders"] == []
    ended(trade)
    each_sold_once(paper, trade)
    assert {row["posts"] for row in paper.ledger()["orders"]} == {1}


def test_a_batch_posted_twice_is_taken_once(paper: PaperProcess, paper_token: Instrument):
    """Two processes hold the same rows: the second one's turn is refused before it posts."""
    trade = basket(paper_token, 4)
    claimed = signing.claim(order_pks(trade))
    again = list(Order.objects.filter(leg__trade=trade).select_related("instrument", "leg__trade"))
    posting.post_all(claimed)
    posting.post_all(again)
    for order in again:
        reconciling.look(order)
    assert {row["posts"] for row in paper.ledger()["orders"]} == {1}
    ended(trade)
    each_sold_once(paper, trade)


def assert_books_agree(paper: PaperProcess) -> None:
    """The truth, but for trades that failed: the exchange lists them, we keep them as failed."""
    failed = set(Fill.objects.filter(status="failed").values_list("trade_id", flat=True))
    if not failed:
        assert_our_rows_equal_the_exchange(paper)
        return
    told = {row["id"]: row["status"] for row in paper.ledger()["trades"]}
    ours = dict(Fill.objects.values_list("trade_id", "status"))
    assert {key: value.upper() for key, value in ours.items()} == told
