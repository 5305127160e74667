"""Spot orders, prices and their answers, over Binance's own client and real sockets."""

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import urlencode

import pytest

from exchange.binance.trading import BinanceExchange
from exchange.errors import OutcomeUnknown, Rejected, Unavailable
from exchange.types import OpenOrder, OrderReport, OrderRequest
from tests.exchange.stub import Answer, Reset, Silence, Stub

SELL = OrderRequest(
    symbol="BTCUSDT",
    side="sell",
    quantity=Decimal("0.001"),
    price=Decimal("50000.00"),
    tick_size=Decimal("0.01"),
)
INFO = {
    "symbols": [
        {
            "symbol": "BTCUSDT",
            "status": "TRADING",
            "baseAsset": "BTC",
            "quoteAsset": "USDT",
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
                {"filterType": "LOT_SIZE", "minQty": "0.00001000", "stepSize": "0.00001000"},
                {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
            ],
        }
    ]
}
MISSING = Answer({"code": -2013, "msg": "Order does not exist."}, 400)


@pytest.fixture
def spot(venue: Stub) -> BinanceExchange:
    venue.on("GET", "/api/v3/exchangeInfo", INFO)
    venue.on("GET", "/api/v3/order", MISSING)
    return BinanceExchange(venue.url, "api-key-x", "api-secret-x", timeout_ms=1000)


def row(order_id: str, status: str = "FILLED", executed: str = "0.00100000") -> dict[str, object]:
    return {
        "symbol": "BTCUSDT",
        "orderId": 42,
        "clientOrderId": order_id,
        "status": status,
        "executedQty": executed,
    }


def test_an_order_is_an_ioc_limit_under_our_own_id(venue: Stub, spot):
    signed = spot.sign(SELL)
    assert venue.asked == []
    assert len(signed.order_id) <= 36
    assert signed.order_id != spot.sign(SELL).order_id
    venue.on("POST", "/api/v3/order", row(signed.order_id))
    assert spot.post(signed).status == "matched"
    (asked,) = venue.of("POST", "/api/v3/order")
    given = {key: asked.query[key] for key in json.loads(signed.payload)}
    assert given == json.loads(signed.payload)
    assert (given["type"], given["timeInForce"], given["quantity"]) == ("LIMIT", "IOC", "0.001")
    assert given["newClientOrderId"] == signed.order_id
    unsigned = {key: value for key, value in asked.query.items() if key != "signature"}
    mac = hmac.new(b"api-secret-x", urlencode(unsigned).encode(), hashlib.sha256)
    assert asked.query["signature"] == mac.hexdigest()
    assert asked.headers["X-MBX-APIKEY"] == "api-key-x"


def test_a_repeated_post_never_reaches_the_book_twice(venue: Stub, spot):
    signed = spot.sign(SELL)
    venue.on("GET", "/api/v3/order", row(signed.order_id))
    with pytest.raises(Rejected) as refused:
        spot.post(signed)
    assert refused.value.code == "duplicated"
    assert venue.of("POST", "/api/v3/order") == []


def test_an_ioc_that_found_nobody_is_acknowledged_and_reads_cancelled(venue: Stub, spot):
    signed = spot.sign(SELL)
    expired = row(signed.order_id, "EXPIRED", "0.00000000")
    venue.on("POST", "/api/v3/order", expired)
    spot.post(signed)
    venue.on("GET", "/api/v3/order", expired)
    assert spot.find_order(signed.order_id) == OrderReport(
        signed.order_id, "cancelled", Decimal("0E-8"), venue_status="EXPIRED"
    )


@pytest.mark.parametrize(
    ("reply", "error", "code"),
    [
        (Answer({"code": -2010, "msg": "Duplicate order sent."}, 400), Rejected, "duplicated"),
        (
            Answer({"code": -2010, "msg": "Account has insufficient balance"}, 400),
            Rejected,
            "not_enough_balance",
        ),
        (Answer({"code": -2010, "msg": "Market is closed."}, 400), Rejected, "market_closed"),
        (
            Answer({"code": -2010, "msg": "Order would immediately match and take."}, 400),
            Rejected,
            "post_only",
        ),
        (
            Answer({"code": -1013, "msg": "Filter failure: PRICE_FILTER"}, 400),
            Rejected,
            "tick_size",
        ),
        (Answer({"code": -1013, "msg": "Filter failure: NOTIONAL"}, 400), Rejected, "min_size"),
        (Answer({"code": -1022, "msg": "Signature"}, 400), Rejected, "invalid_signature"),
        (Answer({"code": -2015, "msg": "Invalid API-key"}, 401), Rejected, "not_allowed"),
        (Answer({"code": -1021, "msg": "Timestamp outside recvWindow"}, 400), Unavailable, None),
        (Answer({"code": -1003, "msg": "Too many requests"}, 429), Unavailable, None),
        (Answer({"code": -1003, "msg": "Banned"}, 418), Unavailable, None),
        (Answer({"code": 0, "msg": "Service Unavailable."}, 503), Unavailable, None),
        (Answer(b"<html>", 403, "text/html"), Unavailable, None),
        (Answer({"code": -1000, "msg": "Unknown error, check"}, 503), OutcomeUnknown, None),
        (Answer({"code": -1007, "msg": "Timeout waiting"}, 408), OutcomeUnknown, None),
        (Answer(b"<html>", 502, "text/html"), OutcomeUnknown, None),
        (Answer(b"{garbage"), OutcomeUnknown, None),
        (Answer({}), OutcomeUnknown, None),
        (Answer([]), OutcomeUnknown, None),
        (Silence, OutcomeUnknown, None),
        (Reset, OutcomeUnknown, None),
    ],
)
def test_an_answer_is_named_by_what_to_do_next(venue: Stub, spot, reply, error, code):
    venue.on("POST", "/api/v3/order", reply)
    with pytest.raises(error) as raised:
        spot.post(spot.sign(SELL))
    assert type(raised.value) is error
    assert getattr(raised.value, "code", None) == code
    assert len(venue.of("POST", "/api/v3/order")) == 1


def test_a_ban_says_how_long(venue: Stub, spot):
    banned = Answer({"code": -1003, "msg": "Banned"}, 418, headers={"Retry-After": "120"})
    venue.on("POST", "/api/v3/order", banned)
    with pytest.raises(Unavailable) as raised:
        spot.post(spot.sign(SELL))
    assert raised.value.retry_after == 120


def test_a_refused_connection_proves_that_nothing_happened():
    spot = BinanceExchange("http://127.0.0.1:1", "k", "s")
    with pytest.raises(Unavailable):
        spot.post(spot.sign(SELL))


def test_numbers_that_come_from_rows_are_sent_without_their_padding(spot):
    request = replace(SELL, quantity=Decimal(f"0.001{0:017d}"), price=Decimal(f"47481.{0:020d}"))
    order = json.loads(spot.sign(request).payload)
    assert (order["quantity"], order["price"]) == ("0.001", "47481")


def test_a_failed_look_up_is_not_an_absence(venue: Stub, spot):
    venue.on("GET", "/api/v3/order", Answer({"code": -1000, "msg": "oops"}, 500))
    with pytest.raises(Unavailable):
        spot.find_order("pt1-BTCUSDT")
    venue.on("GET", "/api/v3/order", Silence)
    with pytest.raises(Unavailable):
        spot.find_order("pt1-BTCUSDT")


def test_an_order_binance_does_not_know_is_absent(venue: Stub, spot):
    assert spot.find_order("pt1-BTCUSDT") is None
    asked = venue.of("GET", "/api/v3/order")[0].query
    assert (asked["symbol"], asked["origClientOrderId"]) == ("BTCUSDT", "pt1-BTCUSDT")


def test_a_book_is_its_levels_with_the_last_price(venue: Stub, spot):
    last = [
        {"symbol": "BTCUSDT", "price": "49990.00000000"},
        {"symbol": "NEWUSDT", "price": "0.00000000"},
    ]
    levels = {
        "lastUpdateId": 7,
        "bids": [["49980.00000000", "0.50000000"], ["49970.00000000", "2.00000000"]],
        "asks": [],
    }
    venue.on("GET", "/api/v3/ticker/price", last)
    venue.on("GET", "/api/v3/depth", levels)
    books = spot.books(["BTCUSDT", "NEWUSDT", "BTCUSDT"])
    assert books["BTCUSDT"].bids == (
        (Decimal(49980), Decimal("0.5")),
        (Decimal(49970), Decimal(2)),
    )
    assert (books["BTCUSDT"].asks, books["BTCUSDT"].last) == ((), Decimal(49990))
    assert books["NEWUSDT"].last is None
    asked = [one.query for one in venue.of("GET", "/api/v3/depth")]
    assert asked == [{"symbol": symbol, "limit": "100"} for symbol in ("BTCUSDT", "NEWUSDT")]


def test_books_of_unknown_symbols_are_left_out(venue: Stub, spot):
    unknown = Answer({"code": -1121, "msg": "Invalid symbol."}, 400)
    venue.on("GET", "/api/v3/ticker/price", unknown)
    assert spot.books(["NOUSDT"]) == {}
    venue.on("GET", "/api/v3/ticker/price", [{"symbol": "NOUSDT", "price": "1"}])
    venue.on("GET", "/api/v3/depth", unknown)  # delisted in between
    assert spot.books(["NOUSDT"]) == {}
    assert spot.books([]) == {}


@pytest.mark.parametrize("reply", [Answer(b"<html>", 502), Answer({"bids": [["x", "1"]]}), Silence])
def test_a_book_that_cannot_be_read_is_unavailable(venue: Stub, spot, reply):
    venue.on("GET", "/api/v3/ticker/price", [{"symbol": "BTCUSDT", "price": "1"}])
    venue.on("GET", "/api/v3/depth", reply)
    with pytest.raises(Unavailable):
        spot.books(["BTCUSDT"])


def fill(number: int, **changes: object) -> dict[str, object]:
    return {
        "id": number,
        "symbol": "BTCUSDT",
        "orderId": 42,
        "price": "50000",
        "qty": "0.001",
        "commission": "0.05",
        "commissionAsset": "USDT",
        "isBuyer": False,
        "time": 1763765000000,
    } | changes


def test_fills_are_settled_and_name_what_their_fee_was_taken_in(venue: Stub, spot):
    order_id = "pt1-BTCUSDT"
    venue.on("GET", "/api/v3/order", row(order_id))
    in_base = fill(8, commission="0.000001", commissionAsset="BTC")
    in_bnb = fill(9, commission="0.0001", commissionAsset="BNB")
    free = fill(10, commission="0.00000000", commissionAsset="BNB")
    venue.on("GET", "/api/v3/myTrades", [fill(7), in_base, in_bnb, free])
    reports = spot.trades(order_id, [])
    assert [(report.fee, report.fee_asset) for report in reports] == [
        (Decimal("0.05"), ""),
        (Decimal("0.000001"), "BTC"),
        (Decimal("0.0001"), "BNB"),
        (Decimal(0), ""),
    ]
    assert {(report.status, report.side) for report in reports} == {("confirmed", "sell")}
    assert [report.trade_id for report in spot.trades(order_id, ["8"])] == ["8"]


@pytest.mark.parametrize(
    ("changes", "kind", "in_force"),
    [
        ({"order_type": "GTC"}, "LIMIT", "GTC"),
        ({"order_type": "FAK"}, "LIMIT", "IOC"),
        ({"order_type": "FOK"}, "LIMIT", "FOK"),
        ({"order_type": "GTC", "post_only": True}, "LIMIT_MAKER", None),
    ],
)
def test_each_order_type_has_binances_own_words(spot, changes, kind, in_force):
    order = json.loads(spot.sign(replace(SELL, **changes)).payload)
    assert (order["type"], order.get("timeInForce")) == (kind, in_force)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"order_type": "GTD", "expires_at": datetime(2040, 1, 1, tzinfo=UTC)}, "expiration"),
        ({"order_type": "GTC", "expires_at": datetime(2040, 1, 1, tzinfo=UTC)}, "expiration"),
        ({"order_type": "FAK", "post_only": True}, "post_only"),
        ({"order_type": "FOK", "post_only": True}, "post_only"),
        ({"price": Decimal("50000.001")}, "tick_size"),
        ({"symbol": "A" * 30}, "unknown_instrument"),
    ],
)
def test_what_spot_does_not_have_is_refused(venue: Stub, spot, changes, code):
    with pytest.raises(Rejected) as refused:
        spot.sign(replace(SELL, **changes))
    assert refused.value.code == code
    assert venue.asked == []


@pytest.mark.parametrize("name", ["NOTIONAL", "MIN_NOTIONAL"])
def test_a_described_symbols_least_notional_is_kept(venue: Stub, spot, name):
    small = replace(SELL, quantity=Decimal("0.00009"))  # 4.50 of 5
    spot.sign(small)  # nobody told the adapter yet
    market = dict(INFO["symbols"][0])
    market["filters"] = [*market["filters"][:2], {"filterType": name, "minNotional": "5.0000"}]
    venue.on("GET", "/api/v3/exchangeInfo", {"symbols": [market]})
    assert spot.instrument("BTCUSDT").min_notional == 5
    with pytest.raises(Rejected, match=r"at least 5\.0000 USDT") as refused:
        spot.sign(small)
    assert refused.value.code == "min_size"
    spot.sign(replace(SELL, quantity=Decimal("0.0001")))


def test_a_symbol_without_such_a_rule_takes_any_notional(venue: Stub, spot):
    market = dict(INFO["symbols"][0])
    market["filters"] = market["filters"][:2]
    venue.on("GET", "/api/v3/exchangeInfo", {"symbols": [market]})
    assert spot.instrument("BTCUSDT").min_notional == 0


def test_a_batch_is_one_order(venue: Stub, spot):
    signed = spot.sign(SELL)
    venue.on("POST", "/api/v3/order", row(signed.order_id, "NEW", "0"))
    (taken,) = spot.post_many([signed])
    assert taken.status == "open"
    venue.on("POST", "/api/v3/order", Answer({"code": -2010, "msg": "Market is closed."}, 400))
    (refused,) = spot.post_many([signed])
    assert refused.code == "market_closed"
    assert spot.post_many([]) == []
    assert spot.largest_batch == 1
    with pytest.raises(ValueError, match="at most 1"):
        spot.post_many([signed, signed])


def resting(order_id: str, number: int = 42) -> dict[str, object]:
    return row(order_id, "PARTIALLY_FILLED", "0.0004") | {
        "orderId": number,
        "side": "SELL",
        "origQty": "0.001",
        "price": "60000",
    }


def test_resting_orders_of_all_symbols_take_one_request(venue: Stub, spot):
    placed_by_hand = [resting("web_abc", 43), resting("77-BTCUSDT", 44), resting("a-b-BTCUSDT", 45)]
    venue.on("GET", "/api/v3/openOrders", [resting("pt1-BTCUSDT"), *placed_by_hand])
    orders = spot.open_orders()
    assert orders[0] == OpenOrder(
        "pt1-BTCUSDT", "BTCUSDT", "sell", Decimal("0.001"), Decimal(60000), Decimal("0.0004")
    )
    assert [order.order_id for order in orders[1:]] == ["43-BTCUSDT", "44-BTCUSDT", "45-BTCUSDT"]
    (asked,) = venue.asked
    assert "symbol" not in asked.query


def test_an_order_placed_by_hand_is_found_and_cancelled_by_its_number(venue: Stub, spot):
    venue.on("GET", "/api/v3/order", resting("web_abc", 43))
    venue.on("DELETE", "/api/v3/order", resting("web_abc", 43))
    assert spot.find_order("43-BTCUSDT").matched_quantity == Decimal("0.0004")
    assert spot.cancel("43-BTCUSDT") is True
    for asked in venue.asked:
        assert (asked.query["symbol"], asked.query["orderId"]) == ("BTCUSDT", "43")
        assert "origClientOrderId" not in asked.query


def test_an_answer_about_another_order_is_not_believed(venue: Stub, spot):
    venue.on("GET", "/api/v3/order", row("pt2-BTCUSDT"))
    with pytest.raises(Unavailable):
        spot.find_order("pt1-BTCUSDT")


def test_the_accounts_fills_of_known_symbols_name_their_orders(venue: Stub):
    spot = BinanceExchange(venue.url, "k", "s", symbols=["BTCUSDT"])
    venue.on("GET", "/api/v3/exchangeInfo", INFO)
    client_ids = {"42": "pt1-BTCUSDT", "43": "web_abc"}
    venue.on(
        "GET",
        "/api/v3/order",
        lambda asked: (
            row(client_ids[asked.query["orderId"]]) | {"orderId": int(asked.query["orderId"])}
            if asked.query["orderId"] in client_ids
            else MISSING
        ),
    )
    fills = [fill(1), fill(2, orderId=43), fill(3, orderId=43), fill(4, orderId=44)]
    venue.on("GET", "/api/v3/myTrades", fills)
    after = datetime(2026, 11, 21, 12, 0, 0, 500_000, UTC)
    expected = ["pt1-BTCUSDT", "43-BTCUSDT", "43-BTCUSDT", "44-BTCUSDT"]
    assert [report.order_id for report in spot.wallet_trades(after)] == expected
    asked = venue.of("GET", "/api/v3/myTrades")[0].query
    assert asked["startTime"] == str(int(after.timestamp() * 1000))
    assert [report.order_id for report in spot.wallet_trades(after)] == expected
    assert len(venue.of("GET", "/api/v3/order")) == 3


def test_more_fills_than_a_page_are_followed_by_number(venue: Stub, spot):
    everything = [fill(number) for number in range(1, 2351)]

    def page(asked):
        start = int(asked.query.get("fromId", 1))
        return [one for one in everything if one["id"] >= start][: int(asked.query["limit"])]

    venue.on("GET", "/api/v3/order", row("pt1-BTCUSDT"))
    venue.on("GET", "/api/v3/myTrades", page)
    spot.instrument("BTCUSDT")
    assert len(spot.wallet_trades(datetime.now(UTC))) == 2350
    asked = [one.query for one in venue.of("GET", "/api/v3/myTrades")]
    assert [one.get("fromId") for one in asked] == [None, "1001", "2001"]
    assert ["startTime" in one for one in asked] == [True, False, False]
    venue.on("GET", "/api/v3/myTrades", everything[:1000])  # a server that knows no `fromId`
    assert len(spot.trades("pt1-BTCUSDT", [])) == 1000


@pytest.mark.parametrize("reply", [Answer({}), Answer([1]), Answer([{}]), Answer(b"x"), Silence])
def test_lists_that_cannot_be_read_are_not_empty_ones(venue: Stub, spot, reply):
    venue.on("GET", "/api/v3/openOrders", reply)
    venue.on("GET", "/api/v3/myTrades", reply)
    spot.instrument("BTCUSDT")
    with pytest.raises(Unavailable):
        spot.open_orders()
    with pytest.raises(Unavailable):
        spot.wallet_trades(datetime.now(UTC))


def test_binances_clock_has_milliseconds(venue: Stub, spot):
    venue.on("GET", "/api/v3/time", {"serverTime": 1763765000250})
    assert spot.server_time() == datetime.fromtimestamp(1763765000.25, UTC)
    venue.on("GET", "/api/v3/time", Answer(None))
    with pytest.raises(Unavailable):
        spot.server_time()


def test_several_cancels_tell_what_is_gone_until_the_first_trouble(venue: Stub, spot):
    gone = Answer({"code": -2011, "msg": "Unknown order sent."}, 400)
    answers = {"pt1-BTCUSDT": row("pt1-BTCUSDT", "CANCELED"), "pt2-BTCUSDT": gone}
    venue.on(
        "DELETE",
        "/api/v3/order",
        lambda asked: answers.get(asked.query["origClientOrderId"], Answer(b"<html>", 502)),
    )
    known = {"pt1-BTCUSDT": True, "pt2-BTCUSDT": False}
    assert spot.cancel_many([*known, "pt3-BTCUSDT", "pt1-BTCUSDT"]) == known
    with pytest.raises(OutcomeUnknown):
        spot.cancel_many(["pt3-BTCUSDT"])
    assert spot.cancel_many([]) == {}


def test_prices_come_from_one_request_and_an_empty_side_is_none(venue: Stub, spot):
    tickers = [
        {"symbol": "BTCUSDT", "bidPrice": "50000.00", "askPrice": "50001.00"},
        {"symbol": "ETHUSDT", "bidPrice": "0.00", "askPrice": "3000.00"},
    ]
    venue.on("GET", "/api/v3/ticker/bookTicker", tickers)
    quotes = spot.quotes(["BTCUSDT", "ETHUSDT"])
    assert quotes["BTCUSDT"].bid == Decimal(50000)
    assert quotes["ETHUSDT"].bid is None
    (asked,) = venue.of("GET", "/api/v3/ticker/bookTicker")
    assert asked.query["symbols"] == '["BTCUSDT","ETHUSDT"]'


def test_an_unknown_symbol_does_not_hide_the_others(venue: Stub, spot):
    venue.on(
        "GET",
        "/api/v3/ticker/bookTicker",
        lambda asked: (
            Answer({"code": -1121, "msg": "Invalid symbol."}, 400)
            if "symbols" in asked.query
            else [{"symbol": "BTCUSDT", "bidPrice": "1", "askPrice": "2"}]
        ),
    )
    assert set(spot.quotes(["BTCUSDT", "NOPE"])) == {"BTCUSDT"}
    assert spot.quotes(["NOPE"]) == {}


def test_an_instrument_is_described_by_its_filters(spot):
    info = spot.instrument("BTCUSDT")
    assert (info.tick_size, info.quantity_step) == (Decimal("0.01"), Decimal("0.00001"))
    assert (info.base_asset, info.quote_asset, info.venue) == ("BTC", "USDT", "binance")


def test_an_unknown_symbol_is_refused(venue: Stub, spot):
    bad = Answer({"code": -1121, "msg": "Invalid symbol."}, 400)
    venue.on("GET", "/api/v3/exchangeInfo", bad)
    with pytest.raises(Rejected) as refused:
        spot.instrument("NOPE")
    assert refused.value.code == "unknown_instrument"


def test_a_balance_counts_what_is_locked(venue: Stub, spot):
    held = {"asset": "BTC", "free": "1.5", "locked": "0.5"}
    venue.on("GET", "/api/v3/account", {"balances": [held]})
    assert spot.balance("BTC") == Decimal(2)
    assert spot.balance("USDT") == 0


def test_a_cancel_says_whether_it_did_it(venue: Stub, spot):
    venue.on("DELETE", "/api/v3/order", row("pt1-BTCUSDT", "CANCELED"))
    assert spot.cancel("pt1-BTCUSDT") is True
    gone = Answer({"code": -2011, "msg": "Unknown order sent."}, 400)
    venue.on("DELETE", "/api/v3/order", gone)
    assert spot.cancel("pt1-BTCUSDT") is False


def test_without_a_key_spot_can_only_be_read(venue: Stub):
    with pytest.raises(Rejected, match="only be read"):
        BinanceExchange(venue.url).balance("BTC")


def test_no_secret_is_in_a_repr_or_an_error(venue: Stub, spot):
    said = [repr(spot), repr(spot._client), repr(spot.sign(SELL))]
    for reply in (Silence, Reset, Answer({"code": -1000, "msg": "oops"}, 500)):
        venue.on("POST", "/api/v3/order", reply)
        with pytest.raises(OutcomeUnknown) as raised:
            spot.post(spot.sign(SELL))
        said.append(str(raised.value))
    assert "api-secret-x" not in " ".join(said)
    assert "api-key-x" not in " ".join(said)
