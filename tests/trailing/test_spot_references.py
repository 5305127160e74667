"""Stops on spot symbols by last trade and by what their quantity would get, on the paper exchange."""

from decimal import Decimal

import pytest

from orders import instruments
from orders.models import Instrument
from tests.paper_process import PaperProcess, wait_until
from tests.rows import Api, a_stop
from trailing import monitor
from trailing.maths import Trail
from trailing.models import TrailingStop

PATH = "/api/trailing-stops"
ONE_PERCENT = Trail.of_percent(Decimal(1))
pytestmark = pytest.mark.django_db(transaction=True)


def pin(paper: PaperProcess, price: str) -> None:
    paper.call("PUT", "/paper/prices/BTCUSDT", {"price": price})


@pytest.fixture
def bitcoin(paper: PaperProcess) -> Instrument:
    pin(paper, "50000")
    return instruments.known("BTCUSDT")


@pytest.mark.parametrize("reference", ["last", "executable"])
def test_a_spot_stop_by_the_whole_book_follows_and_fires(paper, bitcoin, reference):
    body = {"symbol": "BTCUSDT", "quantity": "0.1", "trailingPercent": 1, "triggerBy": reference}
    answer = Api("trade").post(PATH, body).json()
    assert (answer["status"], answer["entryPrice"]) == ("active", 50000)
    pin(paper, "51000")
    assert monitor.sweep().triggered == 0
    pin(paper, "50491")
    assert monitor.sweep().triggered == 0
    pin(paper, "50490")
    assert monitor.sweep().triggered == 1
    (trade,) = wait_until(lambda: paper.ledger()["trades"])
    assert (trade["side"], Decimal(trade["size"])) == ("SELL", Decimal("0.1"))
    stop = TrailingStop.objects.get()
    assert (stop.final_watermark_price, stop.triggered_by_price) == (51000, 50490)


def test_a_book_that_is_not_to_be_had_leaves_the_stops_by_bid_watched(paper, bitcoin):
    by_last = a_stop(bitcoin, ONE_PERCENT, "50000", quantity="0.1", reference="last")
    by_bid = a_stop(bitcoin, ONE_PERCENT, "50000", quantity="0.1")
    paper.fault("GET /api/v3/depth", "http_500")
    pin(paper, "49000")
    assert monitor.sweep().triggered == 1
    by_last.refresh_from_db()
    by_bid.refresh_from_db()
    assert (by_last.status, by_bid.status) == ("active", "triggered")
    assert monitor.sweep().triggered == 1  # the book is back


def test_a_slow_book_holds_up_no_best_price(paper, bitcoin):
    ether = instruments.known("ETHUSDT")
    a_stop(bitcoin, ONE_PERCENT, "50000", quantity="0.1", reference="executable")
    a_stop(ether, ONE_PERCENT, "2600", quantity="0.1")
    paper.fault("GET /api/v3/depth", "slow:2500")
    assert monitor.sweep().triggered == 1
    fresh = Instrument.objects.filter(pk=bitcoin.pk, observed_at__isnull=False)
    wait_until(lambda: monitor.sweep() and fresh.exists())


def test_an_executable_stop_enters_at_what_its_quantity_would_get(paper, paper_token):
    levels = [("0.50", 10), ("0.40", 1000)]
    paper.put_book(paper_token.symbol, bids=levels, asks=[("0.52", 1000)])
    body = {
        "symbol": paper_token.symbol,
        "quantity": 100,
        "trailingPercent": 10,
        "triggerBy": "executable",
    }
    answer = Api("trade").post(PATH, body).json()
    assert answer["entryPrice"] == 0.41
    assert monitor.sweep().triggered == 0
