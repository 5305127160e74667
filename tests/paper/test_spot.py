"""The spot side, through the official client of the spot exchange."""

from __future__ import annotations

from decimal import Decimal

import pytest
from binance_common.configuration import ConfigurationRestAPI
from binance_common.errors import BadRequestError, UnauthorizedError
from binance_sdk_spot.spot import Spot

from paper.errors import SpotRefused
from paper.settings import read_settings
from paper.spot import place
from paper.state import Paper
from paper.truth import ledger
from tests.paper.conftest import OWNER


def spot_on(url: str, secret: str = "paper-secret"):
    return Spot(
        ConfigurationRestAPI(
            api_key="paper-key", api_secret=secret, base_path=url, retries=0, timeout=10_000
        )
    ).rest_api


@pytest.fixture
def spot(paper):
    paper.call("PUT", "/paper/prices/BTCUSDT", {"price": "49980"})
    return spot_on(paper.url)


def sell(spot, quantity: str = "0.001", client_id: str | None = None, **more):
    return spot.new_order(
        symbol="BTCUSDT", side="SELL", type=more.pop("type", "MARKET"), quantity=Decimal(quantity),
        new_client_order_id=client_id, **more,
    ).data()  # fmt: skip


def test_a_pinned_price_is_both_bid_and_ask(paper, spot):
    for params in ({"symbol": "BTCUSDT"}, {"symbols": '["BTCUSDT"]'}):
        answer = paper.http.get("/api/v3/ticker/bookTicker", params=params).json()
        row = answer if "symbol" in params else answer[0]
        assert (row["bidPrice"], row["askPrice"]) == ("49980.00000000", "49980.00000000")
    unknown = paper.http.get("/api/v3/ticker/bookTicker", params={"symbol": "NOUSDT"})
    assert (unknown.status_code, unknown.json()) == (400, {"code": -1121, "msg": "Invalid symbol."})


def test_the_book_offers_what_one_order_may_take_and_no_more(paper, spot):
    book = spot.depth(symbol="BTCUSDT", limit=100).data()
    assert book.bids == book.asks == [["49980.00000000", "9000.00000000"]]
    paper.call("POST", "/paper/balances", {"asset": "BTC", "amount": "9001"})
    assert sell(spot, "9000").executed_qty == book.bids[0][1]
    with pytest.raises(BadRequestError, match="LOT_SIZE"):
        sell(spot, "9000.00001")
    last = spot.ticker_price(symbol="BTCUSDT").data().actual_instance
    assert last.price == "49980.00000000"
    unknown = paper.http.get("/api/v3/depth", params={"symbol": "NOUSDT"})
    assert (unknown.status_code, unknown.json()["code"]) == (400, -1121)


def test_a_market_order_is_filled_and_booked(paper, spot):
    order = sell(spot, "0.001", "stop-1")
    assert (order.status, order.executed_qty, order.fills[0].price) == (
        "FILLED", "0.00100000", "49980.00000000",
    )  # fmt: skip
    found = spot.get_order(symbol="BTCUSDT", orig_client_order_id="stop-1").data()
    assert found.order_id == order.order_id
    assert len(spot.my_trades(symbol="BTCUSDT").data()) == 1
    ledger = paper.ledger()
    (balances,) = ledger["balances"].values()
    assert (balances["BTC"], balances["USDT"]) == ("9.999", "100049.98")
    assert ledger["orders"] == [
        {"id": "stop-1", "assetId": "BTCUSDT", "side": "SELL", "size": "0.001", "price": "49980",
         "posts": 1}
    ]  # fmt: skip
    assert [(t["orderId"], t["status"], t["price"]) for t in ledger["trades"]] == [
        ("stop-1", "CONFIRMED", "49980")
    ]


def test_a_limit_beyond_the_price_expires(spot):
    order = sell(spot, type="LIMIT", time_in_force="IOC", price=Decimal(50_000))
    assert (order.status, order.executed_qty) == ("EXPIRED", "0.00000000")


@pytest.mark.parametrize(
    ("quantity", "code"), [("0.000001", -1013), ("0.00001", -1013), ("11", -2010)]
)
def test_what_the_filters_or_the_balance_refuse(spot, quantity, code):
    with pytest.raises(BadRequestError) as refused:
        sell(spot, quantity)
    assert refused.value.status_code == code


def test_the_client_id_of_an_ended_order_is_forgotten(paper, spot):
    """Binance refuses a client id only while an order with it is open."""
    first, second = sell(spot, client_id="again"), sell(spot, "0.002", client_id="again")
    assert second.order_id != first.order_id
    orders = paper.ledger()["orders"]
    assert [(o["id"], o["size"], o["posts"]) for o in orders] == [
        ("again", "0.001", 1), ("again#2", "0.002", 1),
    ]  # fmt: skip
    assert [t["orderId"] for t in paper.ledger()["trades"]] == ["again", "again#2"]
    found = spot.get_order(symbol="BTCUSDT", orig_client_order_id="again").data()
    assert found.order_id == second.order_id


def test_the_client_id_of_an_open_order_is_refused(home):
    """Every order of ours ends at once, so an open one is written by hand."""
    query = {
        "symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "1",
        "newClientOrderId": "open",
    }  # fmt: skip
    settings = read_settings({"PAPER_OWNER": OWNER, "POLYTRADER_HOME": str(home)})
    paper = Paper(settings)
    place(paper, query)
    paper.store.write("UPDATE spot_orders SET status = 'NEW'")
    with pytest.raises(SpotRefused) as refused:
        place(paper, query)
    assert (refused.value.code, refused.value.text) == (-2010, "Duplicate order sent.")
    assert [(o["id"], o["posts"]) for o in ledger(paper)["orders"]] == [("open", 2)]
    paper.store.close()


def test_an_unknown_order_and_a_wrong_signature(paper, spot):
    with pytest.raises(BadRequestError, match="Order does not exist"):
        spot.get_order(symbol="BTCUSDT", orig_client_order_id="none")
    with pytest.raises(BadRequestError, match="Signature for this request is not valid"):
        sell(spot_on(paper.url, "wrong"))
    assert UnauthorizedError is not None


def test_the_filters_are_shown(spot):
    info = spot.exchange_info(symbol="BTCUSDT").data()
    assert info.symbols[0].base_asset == "BTC"


def test_a_lost_answer_leaves_an_order_that_can_be_found(paper, spot):
    paper.fault("POST /api/v3/order", "timeout_after_accept")
    with pytest.raises(Exception, match=r".+"):
        sell(spot, client_id="lost")
    assert spot.get_order(symbol="BTCUSDT", orig_client_order_id="lost").data().status == "FILLED"
