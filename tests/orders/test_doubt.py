"""Exits in doubt: posts under way, refusals that cannot be believed, answers that come late."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from exchange.types import OrderReport, RejectionCode
from operations import status
from orders import answering, balances, posting, reconciling, sending, waits
from orders.models import Entry, Halt, Instrument, Leg, Order, Position
from strategy import managing
from tests.orders.test_exits import settled, trigger
from tests.paper_process import PaperProcess, wait_until
from tests.truth import assert_our_rows_equal_the_exchange
from trailing.models import TrailingStop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """What triggers is signed and committed only; the test posts it."""
    monkeypatch.setattr(sending, "send_at_once", lambda orders: None)


def sold(paper: PaperProcess) -> Decimal:
    return sum((Decimal(row["size"]) for row in paper.ledger()["trades"]), start=Decimal(0))


def claimed() -> Order:
    """The one order, signed and committed, as whoever fired it has it before its post."""
    return Order.objects.select_related("instrument", "leg__trade").get(status="sent", posts=0)


def sweep_at_once() -> None:
    """Sweep with every wait cut short."""
    status.rearm()
    managing.work()


def hurried(stop: TrailingStop) -> Leg:
    """Sweep until the exit is done, with every wait cut short, and give its leg."""

    def done() -> Leg | None:
        sweep_at_once()
        return Leg.objects.filter(trade=stop.trade).exclude(status="working").first()

    return wait_until(done, seconds=20)


def hold(paper: PaperProcess, asset: str, amount: str) -> None:
    """Make the exchange say that the wallet holds so much."""
    [wallet] = paper.ledger()["balances"]
    paper.call("POST", "/paper/balances", {"wallet": wallet, "asset": asset, "amount": amount})


def test_sweeps_do_not_post_an_order_again_while_its_post_is_under_way(
    paper: PaperProcess, paper_token: Instrument
):
    """A second post would be refused, the order closed and its quantity sold once more."""
    paper.fault("POST /order", "slow:1500")
    paper.fault("POST /order", "reject:fak_not_filled")
    stop = trigger(paper, paper_token)
    wait_until(lambda: Order.objects.filter(posts=1).exists())

    def answered() -> bool:
        sweep_at_once()
        return Order.objects.filter(answered_at__isnull=False).exists()

    wait_until(answered)
    assert settled(stop).status == "done"
    assert [row["posts"] for row in paper.ledger()["orders"]] == [1]
    assert_our_rows_equal_the_exchange(paper)


@pytest.mark.usefixtures("by_hand")
def test_a_post_of_a_dead_worker_is_repeated_only_when_it_can_arrive_no_more(
    paper: PaperProcess, paper_token: Instrument
):
    stop = trigger(paper, paper_token)
    claimed().note(posts=1, sent_at=timezone.now())
    sweep_at_once()
    assert (Order.objects.get().posts, paper.ledger()["orders"]) == (1, [])
    Order.objects.update(sent_at=timezone.now() - waits.UNDER_WAY_FOR - timedelta(seconds=1))
    sweep_at_once()
    assert (Order.objects.get().posts, sold(paper)) == (2, 100)
    assert settled(stop).status == "done"
    assert_our_rows_equal_the_exchange(paper)


@pytest.mark.usefixtures("by_hand")
def test_a_refusal_after_an_unknown_outcome_is_believed_only_when_the_doubt_is_over(
    paper: PaperProcess, paper_token: Instrument
):
    paper.fault("POST /order", "timeout_before_accept")
    paper.fault("POST /order", "reject:fak_not_filled", times=2)
    stop = trigger(paper, paper_token)
    order = claimed()
    posting.post(order)
    reconciling.look(order)
    assert (order.posts, Order.objects.get().status) == (2, "sent")
    assert order.doubtful_until is not None
    assert order.doubtful_until - timezone.now() > timedelta(seconds=10)
    Order.objects.update(doubtful_until=timezone.now())
    stale = Order.objects.select_related("instrument", "leg").get()
    reconciling.look(order)
    assert Order.objects.get().status == "cancelled"
    posting.post(stale)
    assert paper.ledger()["orders"] == []
    assert settled(stop).status == "done"
    assert_our_rows_equal_the_exchange(paper)


def test_an_acknowledged_order_is_never_posted_again_though_the_venue_does_not_list_it(
    paper: PaperProcess, paper_token: Instrument
):
    trigger(paper, paper_token)
    wait_until(lambda: Order.objects.filter(acknowledged_at__isnull=False).exists())
    paper.call("POST", "/paper/reset")  # from here on it answers 404
    long_ago = timezone.now() - timedelta(hours=1)
    Order.objects.update(sent_at=long_ago, answered_at=long_ago)
    for _ in range(2):
        sweep_at_once()
    order = Order.objects.get()
    assert (order.status, order.posts, paper.ledger()["orders"]) == ("sent", 1, [])
    assert "does not list it" in order.reason


def test_an_order_taken_after_we_closed_it_is_late_and_its_trades_are_booked(
    paper: PaperProcess, paper_token: Instrument
):
    paper.fault("POST /order", "slow:1500")
    stop = trigger(paper, paper_token)
    order = wait_until(lambda: Order.objects.filter(posts=1).first())
    answering.refuse(order, RejectionCode.UNMATCHED, "no match, said of another post")
    wait_until(lambda: Order.objects.filter(status="cancelled", is_late=True).exists())
    leg = settled(stop)
    order.refresh_from_db()
    assert (leg.status, leg.settled_quantity()) == ("done", Decimal(100))
    assert (order.is_late, order.matched_quantity) == (False, Decimal(100))
    assert_our_rows_equal_the_exchange(paper)


@pytest.mark.usefixtures("by_hand")
def test_an_order_under_another_id_halts_all_sending_until_it_is_lifted(
    paper: PaperProcess, paper_token: Instrument
):
    trigger(paper, paper_token)
    order = claimed()
    order.note(order_id="0x" + "1" * 64)
    posting.post(order)
    assert f"order {order.pk}" in Halt.objects.get().reason
    paper.put_book(paper_token.symbol, bids=[("0.50", 1000)], asks=[("0.52", 1000)])
    second = trigger(paper, paper_token, quantity="50")
    sweep_at_once()
    assert Order.objects.get(leg__trade=second.trade).status == "planned"
    assert [row["posts"] for row in paper.ledger()["orders"]] == [1]
    Halt.objects.update(lifted_at=timezone.now())
    assert hurried(second).status == "done"
    assert sold(paper) == 150


def test_a_refused_tick_size_is_read_again_and_the_exit_goes_on(
    paper: PaperProcess, paper_token: Instrument
):
    Instrument.objects.update(tick_size=Decimal("0.001"))
    stop = trigger(paper, paper_token)
    wait_until(lambda: Instrument.objects.filter(tick_size=Decimal("0.01")).exists())
    assert hurried(stop).status == "done"
    prices = Order.objects.order_by("pk").values_list("status", "price")
    assert list(prices) == [("rejected", Decimal("0.446")), ("filled", Decimal("0.44"))]
    assert_our_rows_equal_the_exchange(paper)


def test_after_a_withdrawal_from_outside_what_is_left_is_sold(
    paper: PaperProcess, paper_token: Instrument
):
    hold(paper, paper_token.symbol, "40")
    stop = trigger(paper, paper_token, quantity="100")
    wait_until(lambda: Position.objects.filter(asset=paper_token.symbol, settled=40).exists())
    leg = hurried(stop)
    assert (leg.status, leg.settled_quantity()) == ("done", Decimal(40))
    assert "60 remain" in leg.reason
    assert_our_rows_equal_the_exchange(paper)


def test_a_difference_soon_after_a_movement_of_ours_is_booked_when_it_is_seen_twice(
    paper: PaperProcess, paper_token: Instrument
):
    asset, venue = paper_token.symbol, paper_token.venue
    settled(trigger(paper, paper_token))
    position = Position.objects.get(asset=asset)
    hold(paper, asset, "10000")  # as before the sale: a cache that is behind says the same
    for _ in range(2):
        assert not balances.compare(asset, venue)
    hold(paper, asset, "9900")
    assert balances.compare(asset, venue)
    assert not position.entries.filter(kind="outside").exists()
    hold(paper, asset, "10000")
    assert not balances.compare(asset, venue)
    Entry.objects.update(created_at=timezone.now() - timedelta(seconds=30))
    Position.objects.update(doubted_at=timezone.now() - timedelta(seconds=6))
    assert balances.compare(asset, venue)
    assert position.entries.get(kind="outside", account="wallet").settled_change == 100


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize("matched", ["0", "6000"])
def test_matched_without_its_trades_closes_no_order_and_frees_no_shares(
    paper: PaperProcess, paper_token: Instrument, matched: str
):
    trigger(paper, paper_token, quantity="6000")
    order = claimed()
    reconciling._apply(order, OrderReport(order.order_id, "matched", Decimal(matched)), [])
    assert Order.objects.get().status == "sent"
    assert Position.objects.get(asset=paper_token.symbol).sellable() == 4000
