"""Exits on the paper exchange, in this process: sent once, looked up, planned again, settled, booked."""

from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from orders import balances, posting, sending
from orders.models import Fill, Instrument, Leg, Order, Position
from strategy import managing
from strategy.rules import Limits
from tests.paper_process import PaperProcess, wait_until
from tests.rows import a_stop
from tests.truth import assert_our_rows_equal_the_exchange
from trailing import monitor
from trailing.maths import Trail
from trailing.models import TrailingStop

pytestmark = pytest.mark.django_db(transaction=True)

THREE_TICKS = Trail(amount=Decimal("0.03"))


def trigger(
    paper: PaperProcess, paper_token: Instrument, size: int = 1000, quantity: str = "100"
) -> Any:
    """A stop at 0.50 less three ticks, then a book of 0.47: triggered, its exit sent or planned."""
    stop = a_stop(paper_token, THREE_TICKS, "0.50", quantity=quantity)
    paper.put_book(paper_token.symbol, bids=[("0.47", size)], asks=[("0.49", 1000)])
    assert monitor.sweep().triggered == 1
    stop.refresh_from_db()
    return stop


def settled(stop: TrailingStop) -> Leg:
    """Sweep until the exit is done, and give its leg."""

    def done() -> Leg | None:
        managing.work()
        leg = Leg.objects.get(trade=stop.trade)
        return leg if leg.status != "working" else None

    return wait_until(done, seconds=20)


def test_a_triggered_stop_sells_once_and_the_books_agree(
    paper: PaperProcess, paper_token: Instrument
):
    stop = trigger(paper, paper_token)
    leg = settled(stop)
    assert (leg.status, leg.settled_quantity()) == ("done", Decimal(100))
    assert [row["posts"] for row in paper.ledger()["orders"]] == [1]
    assert Fill.objects.get().price == Decimal("0.47")
    assert_our_rows_equal_the_exchange(paper)


@pytest.mark.parametrize(
    "kind", ["timeout_after_accept", "timeout_before_accept", "http_500", "http_500_after_accept"]
)
def test_no_clear_answer_sells_exactly_once(
    paper: PaperProcess, paper_token: Instrument, kind: str
):
    paper.fault("POST /order", kind)
    leg = settled(trigger(paper, paper_token))
    assert (leg.status, leg.settled_quantity()) == ("done", Decimal(100))
    ledger = paper.ledger()
    assert len(ledger["orders"]) == 1
    assert sum(Decimal(row["size"]) for row in ledger["trades"]) == 100
    assert_our_rows_equal_the_exchange(paper)


def test_a_look_up_that_fails_decides_nothing(paper: PaperProcess, paper_token: Instrument):
    paper.fault("POST /order", "timeout_after_accept")
    stop = trigger(paper, paper_token)
    wait_until(lambda: Order.objects.filter(posts=1).exists())
    paper.fault(f"GET /data/order/{Order.objects.get().order_id}", "http_500", times=2)
    leg = settled(stop)
    assert (leg.status, len(paper.ledger()["orders"])) == ("done", 1)
    assert_our_rows_equal_the_exchange(paper)


def test_a_thin_book_is_sold_into_piece_by_piece_and_never_oversold(
    paper: PaperProcess, paper_token: Instrument
):
    stop = trigger(paper, paper_token, size=30)
    wait_until(lambda: managing.work() and Fill.objects.exists())
    paper.put_book(paper_token.symbol, bids=[("0.44", 500)], asks=[("0.49", 10)])
    leg = settled(stop)
    assert (leg.status, leg.settled_quantity()) == ("done", Decimal(100))
    parts = [(fill.quantity, fill.price) for fill in Fill.objects.order_by("pk")]
    assert parts == [(Decimal(30), Decimal("0.47")), (Decimal(70), Decimal("0.44"))]
    assert_our_rows_equal_the_exchange(paper)


def test_an_empty_book_is_waited_for(paper: PaperProcess, paper_token: Instrument):
    stop = a_stop(paper_token, THREE_TICKS, "0.50")
    paper.put_book(paper_token.symbol, bids=[("0.47", 5)], asks=[("0.49", 5)])
    paper.fault("POST /order", "reject:fak_not_filled", times=3)
    monitor.sweep()
    paper.put_book(paper_token.symbol, bids=[], asks=[("0.49", 5)])
    stop.refresh_from_db()
    for _ in range(3):
        managing.work()
    assert Leg.objects.get(trade=stop.trade).status == "working"
    paper.fault("POST /order", "reject:fak_not_filled", times=0)
    paper.put_book(paper_token.symbol, bids=[("0.40", 100)], asks=[("0.49", 5)])
    assert settled(stop).status == "done"
    assert_our_rows_equal_the_exchange(paper)


def test_a_passing_refusal_is_tried_again_and_a_lasting_one_is_an_error(
    paper: PaperProcess, paper_token: Instrument, monkeypatch: pytest.MonkeyPatch
):
    paper.fault("POST /order", "reject:not_enough_balance", times=2)
    assert settled(trigger(paper, paper_token)).status == "done"
    assert Order.objects.filter(status="rejected").count() == 2
    monkeypatch.setattr("strategy.seeing.Limits", partial(Limits, max_rejections=2))
    paper.put_book(paper_token.symbol, bids=[("0.50", 1000)], asks=[("0.52", 1000)])
    paper.fault("POST /order", "reject:invalid_signature", times=50)
    stop = trigger(paper, paper_token)
    assert settled(stop).status == "failed"
    monitor.mark_failed_exits()
    stop.refresh_from_db()
    assert stop.status == "error"
    assert "refused" in stop.error_message
    paper.fault("POST /order", "reject:invalid_signature", times=0)


def test_a_claimed_order_that_was_never_posted_is_posted_by_the_sweep(
    paper: PaperProcess, paper_token: Instrument, monkeypatch: pytest.MonkeyPatch
):
    """The process dies after the commit and before the POST: the row says so, the sweep goes on."""
    monkeypatch.setattr(sending, "send_at_once", lambda orders: None)
    stop = trigger(paper, paper_token)
    assert Order.objects.get().status == "sent"
    assert paper.ledger()["orders"] == []
    assert settled(stop).status == "done"
    assert [row["posts"] for row in paper.ledger()["orders"]] == [1]
    assert_our_rows_equal_the_exchange(paper)


def test_the_message_twice_sends_once(
    paper: PaperProcess, paper_token: Instrument, monkeypatch: pytest.MonkeyPatch
):
    fired: list[Order] = []
    monkeypatch.setattr(sending, "send_at_once", fired.extend)
    trigger(paper, paper_token)
    posting.post_all(fired)
    posting.post_all([Order.objects.get()])
    assert not sending.send(fired[0].pk)
    assert [row["posts"] for row in paper.ledger()["orders"]] == [1]


def test_a_deposit_from_outside_is_booked_shown_and_then_sold(
    paper: PaperProcess, paper_token: Instrument
):
    [wallet] = paper.ledger()["balances"]
    body = {"wallet": wallet, "asset": paper_token.symbol, "amount": "12345.5"}
    paper.call("POST", "/paper/balances", body)
    assert balances.compare(paper_token.symbol, paper_token.venue)
    position = Position.objects.get(asset=paper_token.symbol)
    assert (position.settled, position.matched) == (Decimal("12345.5"), Decimal("12345.5"))
    kinds = list(
        position.entries.filter(account="wallet").order_by("id").values_list("kind", flat=True)
    )
    assert kinds == ["opening", "outside"]
    assert balances.held(paper_token.symbol) == Decimal("12345.5")


def test_balances_wait_while_something_of_ours_is_in_flight(
    paper: PaperProcess, paper_token: Instrument, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sending, "send_at_once", lambda orders: None)
    trigger(paper, paper_token)
    posting.post(Order.objects.get())
    assert not balances.compare(paper_token.symbol, paper_token.venue)
    assert not balances.compare("collateral", paper_token.venue)
    assert (
        Position.objects.get(asset=paper_token.symbol).entries.filter(account="wallet").count() == 1
    )


def test_a_buy_stop_buys_when_the_ask_rises(paper: PaperProcess, paper_token: Instrument):
    stop = a_stop(paper_token, THREE_TICKS, "0.52", side="buy", quantity="40")
    paper.put_book(paper_token.symbol, bids=[("0.50", 1000)], asks=[("0.55", 1000)])
    assert monitor.sweep().triggered == 1
    stop.refresh_from_db()
    leg = settled(stop)
    assert leg.status == "done"
    assert leg.settled_quantity() >= 40
    assert_our_rows_equal_the_exchange(paper)
