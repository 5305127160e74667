"""What the venue says of the wallet as a whole: trades and orders by hand, deposits, denials, the clock."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from orders import balances, hand_trades, instruments, listing
from orders.models import Entry, Fill, ForeignOrder, Instrument, Order, Position, VenueState
from polytrader.models import Alert
from tests.orders.trades import ended, hurry, hurry_until, planned, sale, set_balance, traded
from tests.paper_process import PaperProcess, wait_until
from tests.truth import assert_our_rows_equal_the_exchange

pytestmark = pytest.mark.django_db(transaction=True)

VENUE = "polymarket"


@pytest.fixture(autouse=True)
def _listed(paper_token: Instrument) -> None:
    """The list has been read once: what comes from now on is news.

    The venue's moments are whole seconds: the balances were opened some before.
    """
    assert listing.refresh(VENUE)
    before = timezone.now() - timedelta(seconds=5)
    Position.objects.update(created_at=before)
    Entry.objects.update(created_at=before)


def by_hand(
    paper: PaperProcess, what: str, token: Instrument, side: str, size: int, price: str
) -> Any:
    body = {"assetId": token.symbol, "side": side, "size": str(size), "price": price}
    return paper.call("POST", f"/paper/hand-{what}", body)


def refreshed_until(done: Any) -> None:
    wait_until(lambda: listing.refresh(VENUE) and done(), seconds=10)


def hand_entries() -> Any:
    return Entry.objects.filter(kind="hand", account="wallet")


def alert(kind: str) -> Alert:
    return Alert.objects.get(kind=kind, resolved_at=None)


@pytest.mark.parametrize(
    ("side", "shares"), [("SELL", Decimal(9900)), ("BUY", Decimal(10100))], ids=["sold", "bought"]
)
def test_a_trade_made_by_hand_is_booked_once_it_is_settled_and_told(
    paper: PaperProcess, paper_token: Instrument, side: str, shares: Decimal
):
    [trade_id] = by_hand(paper, "trade", paper_token, side, 100, "0.50")["tradeIds"]
    listing.refresh(VENUE)
    assert not hand_entries().exists()  # matched is not owned
    refreshed_until(hand_entries().exists)
    assert Position.objects.get(asset=paper_token.symbol).settled == shares
    assert alert("outside_movement").subject == f"trade {trade_id}"
    for asset in (paper_token.symbol, "collateral"):
        assert balances.compare(asset, VENUE)
    for _ in range(3):
        listing.refresh(VENUE)
    assert hand_entries().count() == 2
    assert not Entry.objects.filter(kind="outside").exists()
    assert Alert.objects.count() == 1
    [held] = paper.ledger()["balances"].values()
    for position in Position.objects.all():
        assert position.settled == position.matched == Decimal(held[position.asset])


def test_a_comparison_that_finds_a_hand_trade_first_books_it_as_one(
    paper: PaperProcess, paper_token: Instrument
):
    by_hand(paper, "trade", paper_token, "SELL", 100, "0.50")
    wait_until(lambda: paper.ledger()["trades"][0]["status"] == "CONFIRMED")
    assert not balances.compare(paper_token.symbol, VENUE)
    assert hand_entries().count() == 2
    assert balances.compare(paper_token.symbol, VENUE)
    assert not Entry.objects.filter(kind="outside").exists()


def test_a_trade_by_hand_in_a_token_that_is_new_to_us_moves_the_collateral(
    paper: PaperProcess, paper_token: Instrument
):
    unknown = Instrument(symbol=paper.markets()[2]["tokenIds"][0])
    by_hand(paper, "trade", unknown, "BUY", 100, "0.50")
    refreshed_until(hand_entries().exists)
    assert list(hand_entries().values_list("position__asset", flat=True)) == ["collateral"]
    known = instruments.known(unknown.symbol)
    assert balances.opened(known.base_asset, VENUE).settled == 10100  # the trade is in it
    listing.refresh(VENUE)
    assert hand_entries().count() == 1


def test_our_own_trades_in_the_list_are_booked_with_their_order(
    paper: PaperProcess, paper_token: Instrument
):
    trade = traded(sale(paper_token))
    listing.refresh(VENUE)  # the list may tell of a trade before its order was looked at
    assert Fill.objects.get().order == Order.objects.get()
    ended(trade)
    assert not hand_entries().exists()
    assert Alert.objects.count() == 0
    assert_our_rows_equal_the_exchange(paper)


def test_an_order_placed_by_hand_is_shown_kept_free_and_left_alone(
    paper: PaperProcess, paper_token: Instrument
):
    order_id = by_hand(paper, "order", paper_token, "SELL", 4000, "0.70")["orderId"]
    for _ in range(2):
        listing.refresh(VENUE)
    shown = ForeignOrder.objects.get()
    assert (shown.order_id, shown.side, shown.reserved) == (order_id, "sell", Decimal(4000))
    position = Position.objects.get(asset=paper_token.symbol)
    assert (position.reserved(), position.sellable()) == (4000, 6000)
    assert alert("unknown_order").subject == f"order {order_id}"
    assert Alert.objects.get().count == 1
    paper.put_book(paper_token.symbol, bids=[("0.70", 1000)], asks=[("0.75", 10)])
    refreshed_until(hand_entries().exists)
    shown.refresh_from_db()
    assert (shown.matched_quantity, shown.reserved) == (Decimal(1000), Decimal(3000))
    assert Position.objects.get(asset=paper_token.symbol).sellable() == 6000
    paper.call("POST", "/paper/expire", {"orderId": order_id})
    listing.refresh(VENUE)
    assert Position.objects.get(asset=paper_token.symbol).sellable() == 9000
    assert not Alert.objects.filter(kind="unknown_order", resolved_at=None).exists()


def test_a_purchase_placed_by_hand_keeps_its_collateral(
    paper: PaperProcess, paper_token: Instrument
):
    by_hand(paper, "order", paper_token, "BUY", 1000, "0.40")
    listing.refresh(VENUE)
    assert Position.objects.get(asset="collateral").reserved() == 400


def test_our_own_resting_orders_are_no_news(paper: PaperProcess, paper_token: Instrument):
    traded(sale(paper_token, 100, "0.60", "GTC"))
    listing.refresh(VENUE)
    assert not ForeignOrder.objects.exists()
    assert Alert.objects.count() == 0


def test_an_order_of_ours_that_rests_though_we_closed_it_is_late_and_withdrawn(
    paper: PaperProcess, paper_token: Instrument
):
    traded(sale(paper_token, 100, "0.60", "GTC"))
    long_ago = timezone.now() - timedelta(minutes=1)
    Order.objects.update(status="cancelled", closed_at=long_ago)
    listing.refresh(VENUE)
    assert Order.objects.get().is_late
    hurry_until(Order.objects.filter(is_late=False))
    paper.put_book(paper_token.symbol, bids=[("0.61", 100)], asks=[("0.70", 10)])
    assert paper.ledger()["trades"] == []


@pytest.mark.parametrize(("amount", "word"), [("12000", "deposit"), ("9000", "withdrawal")])
def test_a_movement_from_outside_is_booked_and_told(
    paper: PaperProcess, paper_token: Instrument, amount: str, word: str
):
    set_balance(paper, paper_token.symbol, amount)
    assert balances.compare(paper_token.symbol, VENUE)
    assert Position.objects.get(asset=paper_token.symbol).sellable() == Decimal(amount)
    assert word in alert("outside_movement").text
    assert_our_rows_equal_the_exchange(paper)


def denied_trade(paper: PaperProcess, token: Instrument) -> Fill:
    """A trade of ours that is booked as CONFIRMED, and an exchange that knows nothing of it."""
    ended(traded(sale(token)))
    paper.call("POST", "/paper/reset")
    paper.put_book(token.symbol, bids=[("0.50", 1000)], asks=[("0.52", 1000)])
    return Fill.objects.get()


def aged(fill: Fill, seconds: int) -> None:
    fill.note(matched_at=timezone.now() - timedelta(seconds=seconds))


def test_a_trade_that_the_venue_denies_is_told_and_its_balance_not_adopted(
    paper: PaperProcess, paper_token: Instrument
):
    fill = denied_trade(paper, paper_token)
    aged(fill, 20)
    VenueState.objects.update(listed_at=timezone.now() - timedelta(seconds=30))
    listing.refresh(VENUE)
    assert alert("unexplained_difference").subject == f"trade {fill.trade_id}"
    Entry.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    for _ in range(3):
        assert not balances.compare(paper_token.symbol, VENUE)
    position = Position.objects.get(asset=paper_token.symbol)
    assert (position.settled, Fill.objects.get().status) == (Decimal(9900), "confirmed")
    subjects = Alert.objects.filter(kind="unexplained_difference").values_list("subject", flat=True)
    assert set(subjects) == {f"trade {fill.trade_id}", f"asset {paper_token.symbol}"}


def test_no_trade_escapes_between_two_readings_of_the_list(
    paper: PaperProcess, paper_token: Instrument
):
    """Too young to be judged when the list was read, older than what the next one reads."""
    fill = denied_trade(paper, paper_token)
    aged(fill, 35)
    VenueState.objects.update(listed_at=timezone.now() - timedelta(seconds=30))
    listing.refresh(VENUE)
    assert alert("unexplained_difference").subject == f"trade {fill.trade_id}"


def test_a_young_trade_is_not_judged_by_a_list_that_may_lag(
    paper: PaperProcess, paper_token: Instrument
):
    fill = denied_trade(paper, paper_token)
    aged(fill, 5)
    listing.refresh(VENUE)
    assert not Alert.objects.filter(kind="unexplained_difference").exists()


def test_a_clock_that_is_off_is_told_until_it_is_right_again(
    paper: PaperProcess, paper_token: Instrument
):
    paper.call("POST", "/paper/clock", {"offsetSeconds": -30})
    assert listing.refresh(VENUE)
    state = VenueState.objects.get(venue=VENUE)
    assert state.clock_offset is not None
    assert abs(state.clock_offset + timedelta(seconds=30)) < timedelta(seconds=3)
    assert "-" in alert("clock_skew").text
    paper.call("POST", "/paper/clock", {"offsetSeconds": 0})
    assert listing.refresh(VENUE)
    assert not Alert.objects.filter(kind="clock_skew", resolved_at=None).exists()


def test_a_venue_that_does_not_answer_is_noted_and_nothing_is_changed(
    paper: PaperProcess, paper_token: Instrument
):
    before = VenueState.objects.get(venue=VENUE)
    by_hand(paper, "order", paper_token, "SELL", 100, "0.70")
    paper.fault("GET /data/orders", "http_500", times=5)
    paper.fault("GET /data/trades", "http_500", times=5)
    assert not listing.refresh(VENUE)
    after = VenueState.objects.get(venue=VENUE)
    assert (after.reconciled_at, after.listed_at) == (before.reconciled_at, before.listed_at)
    assert after.reason
    assert not ForeignOrder.objects.exists()


def test_a_hand_trade_is_found_though_the_list_could_not_be_read_for_a_while(
    paper: PaperProcess, paper_token: Instrument
):
    VenueState.objects.update(listed_at=timezone.now() - timedelta(seconds=30))
    by_hand(paper, "trade", paper_token, "SELL", 100, "0.50")
    paper.fault("GET /data/trades", "http_500", times=3)
    assert not listing.refresh(VENUE)
    paper.fault("GET /data/trades", "http_500", times=0)
    refreshed_until(hand_entries().exists)
    assert hand_trades.read(VENUE) == []


def test_what_is_planned_while_a_hand_order_reserves_stays_within_the_rest(
    paper: PaperProcess, paper_token: Instrument
):
    by_hand(paper, "order", paper_token, "SELL", 9950, "0.70")
    listing.refresh(VENUE)
    trade = planned(sale(paper_token, 50))
    hurry()
    ended(trade)
    assert_no_order_was_refused()


def assert_no_order_was_refused() -> None:
    assert not Order.objects.exclude(refusal="").exists()
