"""What tests can make happen to the venue: engine restarts, its clock, markets' lives, hand trades."""

from __future__ import annotations

import sqlite3
import time
from decimal import Decimal

import pytest
from polymarket.errors import RequestRejectedError

from tests.paper.conftest import FAST, OWNER, client_on
from tests.paper.raw import post_raw, wire
from tests.paper.user_socket import listening
from tests.paper_process import PaperProcess, running_paper, start_paper, wait_until


@pytest.fixture
def market(paper) -> dict:
    return paper.markets()[0]


@pytest.fixture
def token(paper, market) -> str:
    first = market["tokenIds"][0]
    paper.put_book(first, [("0.48", 100)], [("0.50", 80)])
    return first


def sale(client, token: str, shares: str = "10"):
    return client.create_market_order(
        asset_id=token, side="SELL", shares=shares, min_price="0.45", order_type="FAK"
    )


def resting(client, token: str, price: str = "0.60", **more):
    return client.create_limit_order(asset_id=token, side="SELL", price=price, size="10", **more)


def balance(paper, asset: str) -> Decimal:
    (balances,) = paper.ledger()["balances"].values()
    return Decimal(balances[asset])


def placed_by_hand(paper: PaperProcess, body: dict) -> str:
    answer = paper.call("POST", "/paper/hand-order", body)
    assert isinstance(answer, dict)
    return answer["orderId"]


BAD_INPUT = [
    ("restart-engine", {"postOnlySeconds": -1}),
    ("restart-engine", {"downSeconds": "x"}),
    ("restart-engine", {"seconds": 1}),
    ("clock", {}),
    ("clock", {"offsetSeconds": "1"}),
    ("market-state", {"conditionId": "0x12", "closed": True}),
    ("market-state", {"conditionId": "{condition}", "closed": "yes"}),
    ("tick-size", {"conditionId": "{condition}", "tickSize": "0.02"}),
    ("tick-size", {"conditionId": "{condition}"}),
    ("hand-trade", {"assetId": "1", "side": "SELL", "size": "1", "price": "0.5"}),
    ("hand-trade", {"assetId": "{token}", "side": "sell", "size": "1", "price": "0.5"}),
    ("hand-trade", {"assetId": "{token}", "side": "SELL", "size": "0", "price": "0.5"}),
    ("hand-trade", {"assetId": "{token}", "side": "SELL", "size": "1", "price": "0.505"}),
    ("hand-order", {"assetId": "{token}", "side": "SELL", "size": "1", "price": "1"}),
    ("hand-order", {"assetId": "{token}", "side": "SELL", "size": "20000", "price": "0.9"}),
    ("hand-trade", {"assetId": "{token}", "side": "BUY", "size": "500000", "price": "0.9"}),
    ("expire", {"orderId": "0x12"}),
]


@pytest.mark.parametrize(("path", "body"), BAD_INPUT)
def test_bad_input_is_refused_and_changes_nothing(paper, market, path, body):
    known = {"{condition}": market["conditionId"], "{token}": market["tokenIds"][0]}
    filled = {name: known.get(str(value), value) for name, value in body.items()}
    before = paper.ledger()
    answer = paper.call("POST", f"/paper/{path}", filled, 400)
    assert len(answer["error"]) > 10
    assert (paper.ledger(), paper.markets()[0]) == (before, market)


def test_an_engine_that_restarts_is_away_and_then_takes_post_only_orders(paper, client, token):
    placed = client.post_order(resting(client, token))
    paper.call("POST", "/paper/restart-engine", {"downSeconds": 0.6, "postOnlySeconds": 30})
    with pytest.raises(RequestRejectedError) as away:
        client.post_order(sale(client, token))
    assert (away.value.status, away.value.restriction) == (425, "restarting")
    with pytest.raises(RequestRejectedError) as away:
        client.cancel_order(order_id=placed.order_id)
    assert (away.value.status, str(away.value)) == (425, "service not ready")
    assert client.get_order(order_id=placed.order_id).status == "LIVE"

    def restricted() -> RequestRejectedError | None:
        try:
            client.post_order(sale(client, token))
        except RequestRejectedError as refused:
            return refused if refused.status == 503 else None
        raise AssertionError("taken in post-only mode")

    refused = wait_until(restricted)
    assert refused.restriction == "post_only"
    assert 28 <= refused.retry_after <= 30
    assert client.post_order(resting(client, token, "0.61", post_only=True)).status == "live"
    assert client.cancel_order(order_id=placed.order_id).canceled == (placed.order_id,)
    paper.call("POST", "/paper/restart-engine", {"downSeconds": 0, "postOnlySeconds": 0})
    assert client.post_order(sale(client, token)).status == "matched"


def test_the_answer_in_post_only_mode(paper, client, token):
    paper.call("POST", "/paper/restart-engine", {"downSeconds": 0, "postOnlySeconds": 79})
    answer = post_raw(paper, client, "/order", wire(client, resting(client, token)))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "79")
    assert answer.json() == {
        "error": "post-only mode: only post-only orders and cancels are allowed",
        "code": "post_only_mode", "retry_after_seconds": 79,
    }  # fmt: skip


def test_a_batch_in_post_only_mode_says_success_beside_an_error(paper, client, token):
    paper.call("POST", "/paper/restart-engine", {"downSeconds": 0, "postOnlySeconds": 30})
    rows = [sale(client, token), resting(client, token, post_only=True), resting(client, token)]
    first, second, third = client.post_orders(rows)
    assert (first.ok, first.code) == (False, "post_only_mode")
    assert second.ok
    assert third.code == "post_only_mode"
    assert len(paper.ledger()["orders"]) == 1


def test_post_only_mode_ends_by_itself(paper, client, token):
    paper.call("POST", "/paper/restart-engine", {"downSeconds": 0.1, "postOnlySeconds": 0.3})
    signed = sale(client, token)

    seen = set()
    while 200 not in seen:
        seen.add(post_raw(paper, client, "/order", wire(client, signed)).status_code)
    assert seen == {425, 503, 200}


def test_a_skewed_clock(paper):
    paper.call("POST", "/paper/clock", {"offsetSeconds": 30})
    assert 28 <= paper.http.get("/time").json() - time.time() <= 31
    paper.call("POST", "/paper/clock", {"offsetSeconds": -3600})
    assert -3602 <= paper.http.get("/time").json() - time.time() <= -3599
    paper.call("POST", "/paper/reset")
    assert abs(paper.http.get("/time").json() - time.time()) <= 2


def test_a_trade_by_hand_is_the_wallets_but_not_ours(paper, client, token):
    with listening(paper.url, client) as user:
        done = paper.call(
            "POST", "/paper/hand-trade",
            {"assetId": token, "side": "SELL", "size": "7.5", "price": "0.4"},
        )  # fmt: skip
        user.until(lambda events: events and events[-1]["status"] == "CONFIRMED")
    (trade,) = client.list_account_trades().first_page().items
    assert [trade.id] == done["tradeIds"]
    assert (trade.taker_order_id, trade.size, trade.price) == (
        done["orderId"], Decimal("7.5"), Decimal("0.4"),
    )  # fmt: skip
    assert user.events[0]["id"] == done["orderId"]
    ledger = paper.ledger()
    assert [(t["orderId"], t["status"]) for t in ledger["trades"]] == [
        (done["orderId"], "CONFIRMED")
    ]
    assert [(o["id"], o["posts"]) for o in ledger["orders"]] == [(done["orderId"], 0)]
    assert (balance(paper, token), balance(paper, "collateral")) == (Decimal("9992.5"), 100_003)
    book = client.get_order_book(asset_id=token)
    assert [(level.price, level.size) for level in book.bids] == [(Decimal("0.48"), 100)]


def test_a_purchase_by_hand_pays_its_fee(paper):
    paying = paper.markets()[5]["tokenIds"][0]
    body = {"assetId": paying, "side": "BUY", "size": "100", "price": "0.5"}
    paper.call("POST", "/paper/hand-trade", body)
    wait_until(lambda: paper.ledger()["trades"][0]["status"] == "CONFIRMED")
    assert (balance(paper, paying), balance(paper, "collateral")) == (10_100, 99_949)


def test_an_order_by_hand_rests_holds_its_balance_and_can_be_cancelled(paper, client, token):
    body = {"assetId": token, "side": "SELL", "size": "9995", "price": "0.60"}
    order_id = placed_by_hand(paper, body)
    (listed,) = client.list_open_orders().first_page().items
    assert (listed.id, listed.original_size) == (order_id, 9995)
    assert listed.owner != client.credentials.key
    with pytest.raises(RequestRejectedError, match="sum of active orders: 9995000000"):
        client.post_order(sale(client, token))
    assert client.cancel_order(order_id=order_id).canceled == (order_id,)
    assert client.post_order(sale(client, token)).status == "matched"


def test_an_order_by_hand_survives_a_restart_and_is_filled(home):
    first = start_paper(home, OWNER, **FAST)
    token = first.markets()[0]["tokenIds"][0]
    first.put_book(token, [("0.48", 100)], [("0.50", 80)])
    body = {"assetId": token, "side": "SELL", "size": "10", "price": "0.55"}
    order_id = placed_by_hand(first, body)
    first.kill()
    with running_paper(home, OWNER, **FAST) as second:
        second.put_book(token, [("0.56", 100)])
        (trade,) = second.ledger()["trades"]
        assert (trade["orderId"], trade["price"], trade["size"]) == (order_id, "0.55", "10")


def test_a_closed_market_takes_no_orders_and_cancels_those_it_had(paper, client, market, token):
    placed = client.post_order(resting(client, token))
    signed, condition = sale(client, token), market["conditionId"]
    with listening(paper.url, client) as user:
        paper.call("POST", "/paper/market-state", {"conditionId": condition, "closed": True})
        (event,) = user.until(bool)
    assert (event["type"], event["status"]) == ("CANCELLATION", "CANCELED_MARKET_RESOLVED")
    assert client.get_order(order_id=placed.order_id).status == "CANCELED_MARKET_RESOLVED"
    with pytest.raises(RequestRejectedError, match="the market is closed"):
        client.post_order(signed)
    assert paper.http.get("/book", params={"token_id": token}).status_code == 404
    assert paper.http.get(f"/clob-markets/{condition}").json()["ao"] is False
    hidden = paper.http.get("/markets", params={"condition_ids": condition}).json()
    shown = paper.http.get("/markets", params={"condition_ids": condition, "closed": "true"}).json()
    assert (hidden, shown[0]["closed"], shown[0]["acceptingOrders"]) == ([], True, False)
    assert paper.http.get(f"/markets/{condition}").json()["closed"] is True
    assert balance(paper, token) == 10_000


def test_a_delayed_order_does_not_outlive_its_market(paper, client, market, token):
    paper.fault("POST /order", "delayed")
    accepted = client.post_order(sale(client, token))
    body = {"conditionId": market["conditionId"], "closed": True}
    paper.call("POST", "/paper/market-state", body)
    wait_until(
        lambda: client.get_order(order_id=accepted.order_id).status == "CANCELED_MARKET_RESOLVED"
    )


def test_a_paused_market_keeps_its_orders_and_goes_on(paper, client, market, token):
    placed = client.post_order(resting(client, token))
    body = {"conditionId": market["conditionId"], "acceptingOrders": False}
    paper.call("POST", "/paper/market-state", body)
    with pytest.raises(RequestRejectedError, match="not accepting orders"):
        client.post_order(sale(client, token))
    assert client.get_order(order_id=placed.order_id).status == "LIVE"
    paper.call("POST", "/paper/market-state", body | {"acceptingOrders": True})
    assert client.post_order(sale(client, token)).status == "matched"


def test_a_finer_tick_takes_finer_prices_and_is_shown(paper, client, market, token, connect):
    body = {"conditionId": market["conditionId"], "tickSize": "0.001"}
    paper.call("POST", "/paper/tick-size", body)
    assert paper.http.get("/tick-size", params={"token_id": token}).json() == {
        "minimum_tick_size": 0.001
    }
    assert paper.markets()[0]["tickSize"] == "0.001"
    paper.put_book(token, [("0.485", 100)])
    fresh = connect(paper.url)
    placed = fresh.place_limit_order(asset_id=token, side="SELL", price="0.555", size="10")
    assert fresh.get_order(order_id=placed.order_id).price == Decimal("0.555")


def test_a_coarser_tick_drops_others_orders_that_are_off_it(paper, client, market, token):
    placed = client.post_order(resting(client, token, "0.55"))
    body = {"conditionId": market["conditionId"], "tickSize": "0.1"}
    paper.put_book(token, [("0.48", 100), ("0.4", 5)], [("0.6", 80)])
    paper.call("POST", "/paper/tick-size", body)
    book = client.get_order_book(asset_id=token)
    assert [str(level.price) for level in book.bids] == ["0.4"]
    assert client.get_order(order_id=placed.order_id).status == "LIVE"


def test_a_markets_changes_survive_a_restart_and_end_with_a_reset(home):
    first = start_paper(home, OWNER, **FAST)
    one, two = (market["conditionId"] for market in first.markets()[:2])
    first.call("POST", "/paper/tick-size", {"conditionId": one, "tickSize": "0.001"})
    first.call("POST", "/paper/market-state", {"conditionId": two, "closed": True})
    first.kill()
    with running_paper(home, OWNER, **FAST | {"PAPER_GENERATOR": "1"}) as second:
        assert second.markets()[0]["tickSize"] == "0.001"
        assert second.http.get(f"/markets/{two}").json()["closed"] is True
        second.call("POST", "/paper/reset")
        assert second.markets()[0]["tickSize"] == "0.01"
        assert second.http.get(f"/markets/{two}").json()["closed"] is False


def test_the_clients_keep_working_across_a_restart_on_the_same_port(home):
    """An older file, without the columns of today, is brought up to date."""
    first = start_paper(home, OWNER, **FAST)
    token = first.markets()[0]["tokenIds"][0]
    first.put_book(token, [("0.48", 100)])
    with client_on(first.url) as client:
        placed = client.post_order(resting(client, token))
        first.stop()
        _make_older(home)
        port = first.url.rsplit(":", 1)[1]
        with running_paper(home, OWNER, **FAST, PAPER_PORT=port):
            assert client.get_order(order_id=placed.order_id).status == "LIVE"
            assert client.post_order(sale(client, token)).status == "matched"


def _make_older(home) -> None:
    """Take away the columns that came later."""
    db = sqlite3.connect(home / "paper" / "paper.sqlite3")
    for column in ("budget", "due_ms", "fate"):
        db.execute(f"ALTER TABLE orders DROP COLUMN {column}")
    for column in ("payouts", "version", "neg_risk_group"):
        db.execute(f"ALTER TABLE market_changes DROP COLUMN {column}")
    db.executescript(
        "DROP TABLE spot_orders; DROP TABLE receipts; DROP TABLE arranged; DROP INDEX reserving_orders;"
        "CREATE TABLE spot_orders (number INTEGER PRIMARY KEY, client_id TEXT NOT NULL UNIQUE,"
        " symbol TEXT, side TEXT, type TEXT, status TEXT, price INTEGER, quantity INTEGER,"
        " executed INTEGER, quote INTEGER, fill_price INTEGER, wallet TEXT, at_ms INTEGER)"
    )
    db.close()
