"""Orders, trades, prices, instruments and balances read from the venue."""

import subprocess
import sys
from decimal import Decimal

import pytest

from exchange.errors import Rejected, Unavailable
from exchange.polymarket.settings import Endpoints
from exchange.polymarket.trading import PolymarketExchange
from exchange.types import OrderReport
from tests.exchange.conftest import CONDITION, MARKET, NO, QUICK, YES
from tests.exchange.stub import Answer, Asked, Silence, Stub

OURS = "0x" + "aa" * 32
OTHERS = "0x" + "bb" * 32


def order(**changes: object) -> dict[str, object]:
    return {
        "id": OURS,
        "status": "MATCHED",
        "market": CONDITION,
        "size_matched": "7.5",
        "associate_trades": ["t1"],
    } | changes


def trade(**changes: object) -> dict[str, object]:
    return {
        "id": "t1",
        "taker_order_id": OURS,
        "market": CONDITION,
        "asset_id": YES,
        "side": "SELL",
        "size": "100",
        "price": "0.5",
        "status": "TRADE_STATUS_CONFIRMED",
        "match_time": "1672290701",
        "transaction_hash": "0xdd",
        "maker_orders": [],
        "trader_side": "TAKER",
    } | changes


def rows(*data: object, cursor: str = "LTE=") -> dict[str, object]:
    return {"limit": 100, "count": len(data), "next_cursor": cursor, "data": list(data)}


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        ("LIVE", "open"),
        ("MATCHED", "matched"),
        ("DELAYED", "delayed"),
        ("UNMATCHED", "open"),
        ("CANCELED", "cancelled"),
        ("CANCELED_MARKET_RESOLVED", "cancelled"),
        ("INVALID", "invalid"),
    ],
)
def test_an_order_is_found_with_its_status(venue: Stub, exchange, status, ours):
    venue.on("GET", f"/data/order/{OURS}", order(status=status))
    expected = OrderReport(OURS, ours, Decimal("7.5"), ("t1",), venue_status=status)
    assert exchange.find_order(OURS) == expected


def test_an_order_is_unknown_only_when_the_venue_says_so(venue: Stub, exchange):
    venue.on("GET", f"/data/order/{OURS}", {"error": "Order not found"}, 404)
    assert exchange.find_order(OURS) is None


@pytest.mark.parametrize(
    "reply",
    [
        Answer(b"<html>not found", 404, "text/html"),
        Answer({"error": "oops"}, 500),
        Answer(b"{garbage"),
        Answer(None),
        Answer({}),
        Answer(order(id=OTHERS)),
        Answer(order(status="NEWFANGLED")),
        Answer(order(size_matched="NaN")),
        Silence,
    ],
)
def test_a_look_up_that_says_nothing_is_not_an_absence(venue: Stub, exchange, reply):
    venue.on("GET", f"/data/order/{OURS}", reply)
    with pytest.raises(Unavailable):
        exchange.find_order(OURS)


def test_a_takers_trade_is_the_top_level_and_pays_the_fee(venue: Stub, exchange):
    venue.on("GET", "/data/trades", rows(trade()))
    (report,) = exchange.trades(OURS, ["t1"])
    assert (report.symbol, report.side, report.quantity) == (YES, "sell", Decimal(100))
    assert report.fee == Decimal("1.00000")  # 100 * 0.04 * 0.25
    assert report.status == "confirmed"
    assert report.matched_at.isoformat() == "2022-12-29T05:11:41+00:00"
    assert venue.of("GET", "/data/trades")[0].query == {"id": "t1"}


def test_fees_round_half_up_to_five_decimals(venue: Stub, exchange):
    venue.on("GET", "/data/trades", rows(trade(size="1.0005")))  # 0.010005
    assert exchange.trades(OURS, ["t1"])[0].fee == Decimal("0.01001")
    venue.on("GET", "/data/trades", rows(trade(size="1.13", price="0.13")))  # 0.00511212
    assert exchange.trades(OURS, ["t1"])[0].fee == Decimal("0.00511")
    assert len(venue.of("GET", f"/clob-markets/{CONDITION}")) == 1


def test_a_makers_trade_is_its_entry_even_in_the_other_outcome(venue: Stub, exchange):
    mine = {"order_id": OURS, "asset_id": NO, "side": "SELL", "matched_amount": "4", "price": "0.6"}
    other = {**mine, "order_id": OTHERS, "matched_amount": "96"}
    row = trade(taker_order_id=OTHERS, trader_side="MAKER", side="SELL", maker_orders=[other, mine])
    venue.on("GET", "/data/trades", rows(row))
    (report,) = exchange.trades(OURS, ["t1"])
    assert (report.symbol, report.side, report.quantity) == (NO, "sell", Decimal(4))
    assert (report.price, report.fee) == (Decimal("0.6"), Decimal(0))


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        ("MATCHED", "matched"),
        ("TRADE_STATUS_MATCHED_NOT_BROADCASTED", "matched"),
        ("TRADE_STATUS_MINED", "mined"),
        ("RETRYING", "retrying"),
        ("TRADE_STATUS_FAILED", "failed"),
    ],
)
def test_trade_statuses_come_with_and_without_prefix(venue: Stub, exchange, status, ours):
    venue.on("GET", "/data/trades", rows(trade(status=status, transaction_hash=None)))
    assert exchange.trades(OURS, ["t1"])[0].status == ours


def test_trades_without_ids_follow_every_page_of_the_market(venue: Stub, exchange):
    pages = {
        None: rows(trade(), cursor="two"),
        "two": rows(trade(id="x", taker_order_id=OTHERS), cursor="three"),
        "three": rows(trade(id="t3")),
    }
    venue.on("GET", f"/data/order/{OURS}", order(associate_trades=None))
    venue.on("GET", "/data/trades", lambda asked: pages[asked.query.get("next_cursor")])
    assert [report.trade_id for report in exchange.trades(OURS, [])] == ["t1", "t3"]
    assert {asked.query["market"] for asked in venue.of("GET", "/data/trades")} == {CONDITION}


def test_trades_of_an_order_the_venue_hides_are_found_among_all(venue: Stub, exchange):
    venue.on("GET", "/data/trades", rows(trade(), trade(id="x", taker_order_id=OTHERS)))
    assert [report.trade_id for report in exchange.trades(OURS, [])] == ["t1"]


def prices(asked: Asked) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for row in asked.json:
        found.setdefault(row["token_id"], {})[row["side"]] = {"BUY": "0.48", "SELL": "0.5"}[
            row["side"]
        ]
    return found


def books(asked: Asked) -> list[dict[str, object]]:
    return [
        {
            "asset_id": row["token_id"],
            "bids": [{"price": "0.01", "size": "9"}, {"price": "0.48", "size": "1"}],
            "asks": [{"price": "0.99", "size": "9"}, {"price": "0.5", "size": "1"}],
        }
        for row in asked.json
    ]


def test_501_tokens_take_two_requests_of_at_most_500_rows(venue: Stub, exchange):
    venue.on("POST", "/prices", prices)
    venue.on("POST", "/books", books)
    quotes = exchange.quotes([str(number) for number in range(1000, 1501)])
    assert len(quotes) == 501
    assert [(asked.path, len(asked.json)) for asked in venue.asked] == [
        ("/books", 500),
        ("/prices", 2),
    ]
    for token in ("1000", "1500"):
        assert (quotes[token].bid, quotes[token].ask) == (Decimal("0.48"), Decimal("0.5"))


def test_250_tokens_take_one_small_request(venue: Stub, exchange):
    venue.on("POST", "/prices", prices)
    assert len(exchange.quotes([str(number) for number in range(250)])) == 250
    assert [len(asked.json) for asked in venue.asked] == [500]


@pytest.mark.parametrize("answer", [[], None, {"1": "0.5"}, {"1": {"BUY": "NaN"}}])
def test_unreadable_prices_are_no_prices(venue: Stub, exchange, answer):
    venue.on("POST", "/prices", Answer(answer))
    with pytest.raises(Unavailable):
        exchange.quotes(["1", "2"])


def test_an_empty_side_is_none_and_an_unknown_token_is_left_out(venue: Stub, exchange):
    venue.on("POST", "/prices", {"1": {"BUY": "0.4"}, "2": {"BUY": "0", "SELL": "0.9"}, "3": {}})
    quotes = exchange.quotes(["1", "2", "3", "4", "BTCUSDT"])
    assert set(quotes) == {"1", "2"}
    assert quotes["1"].ask is None
    assert quotes["2"].bid is None
    assert quotes["1"].received_at.tzinfo is not None


def test_no_tokens_make_no_request(venue: Stub, exchange):
    assert exchange.quotes([]) == {}
    assert venue.asked == []


def test_an_instrument_is_described(exchange):
    info = exchange.instrument(YES)
    assert (info.tick_size, info.min_quantity) == (Decimal("0.01"), Decimal(5))
    assert (info.complement, info.outcome, info.question) == (NO, "Yes", "Rain?")
    assert (info.fee_rate, info.fee_exponent, info.neg_risk) == (Decimal("0.04"), 1, False)
    assert (info.accepting_orders, info.neg_risk_id) == (True, "")


def test_a_neg_risk_market_names_its_event_and_trades_without(venue: Stub, exchange):
    venue.on("GET", f"/clob-markets/{CONDITION}", MARKET | {"nr": True})
    info = exchange.instrument(YES)
    assert (info.neg_risk, info.neg_risk_id) == (True, "")
    venue.on("GET", "/markets/keyset", {"markets": [{"negRiskMarketID": "0xab"}]})
    assert exchange.instrument(YES).neg_risk_id == "0xab"


def test_a_closed_market_is_found_and_takes_no_orders(venue: Stub, exchange):
    venue.on(
        "GET",
        "/markets/keyset",
        lambda asked: {"markets": [{"closed": True}] if asked.query["closed"] == "true" else []},
    )
    assert not exchange.instrument(YES).accepting_orders


@pytest.mark.parametrize("symbol", ["BTCUSDT", "-5", "²", "9" * 90, ""])
def test_what_is_no_token_id_is_refused_without_a_request(venue: Stub, exchange, symbol):
    with pytest.raises(Rejected) as refused:
        exchange.instrument(symbol)
    assert refused.value.code == "unknown_instrument"
    assert venue.asked == []


def test_a_token_the_venue_does_not_know_is_refused(exchange):
    with pytest.raises(Rejected) as refused:
        exchange.instrument(NO)
    assert refused.value.code == "unknown_instrument"


def test_a_protocol_v2_market_is_refused_by_name(venue: Stub, exchange):
    venue.on("GET", "/markets/keyset", {"markets": [{"version": "v2"}]})
    with pytest.raises(Rejected, match="Protocol V2"):
        exchange.instrument(YES)


def test_an_unknown_tick_size_is_refused(venue: Stub, exchange):
    venue.on("GET", f"/clob-markets/{CONDITION}", {**MARKET, "mts": 0.02})
    with pytest.raises(Rejected) as refused:
        exchange.instrument(YES)
    assert refused.value.code == "tick_size"


def test_a_balance_is_in_whole_units(venue: Stub, exchange):
    venue.on("GET", "/balance-allowance", {"balance": "10130000", "allowances": {}})
    assert exchange.balance(YES) == Decimal("10.13")
    assert exchange.balance("collateral") == Decimal("10.13")
    token, collateral = venue.of("GET", "/balance-allowance")
    assert token.query == {"asset_type": "CONDITIONAL", "signature_type": "0", "token_id": YES}
    assert collateral.query == {"asset_type": "COLLATERAL", "signature_type": "0"}


def test_refreshing_a_balance_takes_an_empty_answer(venue: Stub, exchange):
    venue.on("GET", "/balance-allowance/update", Answer(b""))
    exchange.refresh_balance(YES)
    assert len(venue.of("GET", "/balance-allowance/update")) == 1


READ_ONLY = """
import sys
import exchange.port, exchange.quantising, exchange.binance.trading
import exchange.polymarket.minting, exchange.polymarket.wallets, exchange.polymarket.positions
from exchange.polymarket.settings import Endpoints
from exchange.polymarket.trading import PolymarketExchange
exchange = PolymarketExchange(Endpoints.paper(sys.argv[1]))
exchange.quotes(["1"]), exchange.instrument(sys.argv[2])
heavy = {"polymarket", "eth_account", "web3", "binance_common", "binance_sdk_spot", "requests"}
print(sorted(heavy & set(sys.modules)))
"""


def test_reading_loads_neither_client(venue: Stub):
    venue.on("POST", "/prices", prices)
    run = [sys.executable, "-c", READ_ONLY, venue.url, YES]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reading_needs_no_key(venue: Stub):
    venue.on("POST", "/prices", prices)
    assert PolymarketExchange(Endpoints.paper(venue.url), timeouts=QUICK).quotes(["1"])
