"""The spot side, through the official client of the spot exchange."""

from __future__ import annotations

from decimal import Decimal

import pytest
from binance_common.configuration import ConfigurationRestAPI
from binance_common.errors import BadRequestError, UnauthorizedError
from binance_sdk_spot.spot import Spot


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


def test_the_same_client_id_is_taken_once(paper, spot):
    sell(spot, client_id="once")
    with pytest.raises(BadRequestError, match="Duplicate order sent"):
        sell(spot, client_id="once")
    assert paper.ledger()["orders"][0]["posts"] == 2


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
