"""The stream on the paper exchange: its real socket, its real orders, its feed that freezes or breaks."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from orders.models import Instrument
from tests.paper_process import PaperProcess, wait_until
from tests.rows import a_stop
from trailing.maths import Trail
from trailing.stream import Following

THREE_TICKS = Trail(amount=Decimal("0.03"))
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def following(paper: PaperProcess, paper_token: Instrument) -> Iterator[Following]:
    found = Following()
    yield found
    found.end()
    paper.call("POST", "/paper/feed", {"state": "live"})


def begin(following: Following) -> None:
    following.start()
    wait_until(lambda: following.books.count() == (1, 1))


def put(paper: PaperProcess, instrument: Instrument, bid: str, ask: str) -> None:
    paper.put_book(instrument.symbol, bids=[(bid, 1000)], asks=[(ask, 1000)])


def status(stop) -> str:
    stop.refresh_from_db()
    return stop.status


def test_a_price_message_becomes_a_filled_order(
    paper: PaperProcess, paper_token: Instrument, following: Following
):
    stop = a_stop(paper_token, THREE_TICKS, "0.50")
    begin(following)
    put(paper, paper_token, "0.60", "0.62")
    put(paper, paper_token, "0.57", "0.59")
    (trade,) = wait_until(lambda: paper.ledger()["trades"])
    assert (trade["side"], Decimal(trade["size"]), Decimal(trade["price"])) == (
        "SELL",
        Decimal(10),
        Decimal("0.57"),
    )
    assert status(stop) == "triggered"
    assert stop.final_watermark_price == Decimal("0.60")
    assert following.evaluator.reactions


def test_a_stop_on_the_depth_follows_the_levels_of_the_socket(
    paper: PaperProcess, paper_token: Instrument, following: Following
):
    stop = a_stop(paper_token, THREE_TICKS, "0.50", reference="executable", quantity="100")
    begin(following)
    levels = [("0.50", 50), ("0.30", 1000)]
    paper.put_book(paper_token.symbol, bids=levels, asks=[("0.52", 1000)])
    wait_until(lambda: status(stop) == "triggered")
    assert stop.triggered_by_price == Decimal("0.40")


def test_a_frozen_feed_is_noticed_and_the_stop_fires_all_the_same(
    paper: PaperProcess, paper_token: Instrument, following: Following
):
    stop = a_stop(paper_token, THREE_TICKS, "0.50")
    begin(following)
    paper.call("POST", "/paper/feed", {"state": "frozen"})
    put(paper, paper_token, "0.40", "0.42")
    wait_until(lambda: status(stop) == "triggered", seconds=10)


def test_a_feed_that_broke_goes_on_from_fresh_books(
    paper: PaperProcess, paper_token: Instrument, following: Following
):
    stop = a_stop(paper_token, THREE_TICKS, "0.50")
    begin(following)
    paper.call("POST", "/paper/feed", {"state": "dropped"})
    wait_until(lambda: following.books.count() == (1, 0))
    put(paper, paper_token, "0.40", "0.42")
    paper.call("POST", "/paper/feed", {"state": "live"})
    wait_until(lambda: status(stop) == "triggered")
