"""Every order type and batches, with orders the real client signed."""

from __future__ import annotations

import dataclasses
import time
from decimal import Decimal

import pytest
from polymarket.errors import RequestRejectedError
from polymarket.models.clob.order_response import RejectedOrder

from tests.paper.conftest import FAST, OWNER, client_on
from tests.paper.raw import wire
from tests.paper_process import running_paper, start_paper, wait_until


@pytest.fixture
def token(paper) -> str:
    first = paper.markets()[0]["tokenIds"][0]
    paper.put_book(first, [("0.48", 100), ("0.47", 50)], [("0.50", 80)])
    return first


def limit(client, token: str, side: str = "SELL", price: str = "0.55", size: str = "10", **more):
    """Sign a limit order."""
    return client.create_limit_order(asset_id=token, side=side, price=price, size=size, **more)


def market_sale(client, token: str, shares: str = "10", price: str = "0.45", kind: str = "FAK"):
    """Sign a market SELL."""
    return client.create_market_order(
        asset_id=token, side="SELL", shares=shares, min_price=price, order_type=kind
    )


def market_buy(client, token: str, amount: str = "5", price: str = "0.50", kind: str = "FAK"):
    """Sign a market BUY, which spends an amount."""
    return client.create_market_order(
        asset_id=token, side="BUY", amount=amount, max_price=price, order_type=kind
    )


def with_expiration(signed, seconds: int):
    """Set a GTD order's expiration some seconds from now; it is not signed."""
    return dataclasses.replace(signed, order_type="GTD", expiration=int(time.time()) + seconds)


def test_a_gtc_order_takes_what_it_reaches_and_rests_with_what_is_left(client, token):
    accepted = client.post_order(limit(client, token, price="0.48", size="130"))
    assert (accepted.status, accepted.making_amount) == ("matched", 100)
    order = client.get_order(order_id=accepted.order_id)
    assert (order.status, order.size_matched, order.original_size) == ("LIVE", 100, 130)
    book = client.get_order_book(asset_id=token)
    assert (book.asks[-1].price, book.asks[-1].size) == (Decimal("0.48"), 30)


def test_a_gtc_buy_trades_at_the_makers_price(client, token):
    accepted = client.post_order(limit(client, token, "BUY", "0.55", "40"))
    assert (accepted.taking_amount, accepted.making_amount) == (40, 20)


@pytest.mark.parametrize(("kind", "filled"), [("FAK", 150), ("FOK", None)])
def test_fak_takes_what_is_there_and_fok_all_or_nothing(client, paper, token, kind, filled):
    signed = market_sale(client, token, "200", "0.45", kind)
    if filled is None:
        with pytest.raises(RequestRejectedError, match="fully filled or killed"):
            client.post_order(signed)
        assert paper.ledger()["orders"] == []
    else:
        assert client.post_order(signed).making_amount == filled


@pytest.mark.parametrize("kind", ["FAK", "FOK"])
def test_a_market_buy_is_filled(client, token, kind):
    accepted = client.post_order(market_buy(client, token, kind=kind))
    assert (accepted.status, accepted.making_amount, accepted.taking_amount) == ("matched", 5, 10)


@pytest.mark.parametrize(("side", "price"), [("SELL", "0.48"), ("BUY", "0.50")])
def test_a_post_only_order_never_takes(client, paper, token, side, price):
    with pytest.raises(RequestRejectedError, match="order crosses book"):
        client.post_order(limit(client, token, side, price, post_only=True))
    assert paper.ledger()["orders"] == []
    resting = limit(client, token, side, "0.49", post_only=True)
    assert client.post_order(resting).status == "live"


def test_a_market_order_cannot_be_post_only(client, token):
    body = wire(client, limit(client, token, price="0.45")) | {"orderType": "FAK", "postOnly": True}
    with pytest.raises(RequestRejectedError, match="only GTC and GTD orders can be post-only"):
        client._ctx.secure_clob.post_json("/order", json=body)


def test_a_gtd_order_rests_with_its_expiration(client, token):
    expiration = int(time.time()) + 300
    placed = client.post_order(limit(client, token, expiration=expiration))
    order = client.get_order(order_id=placed.order_id)
    assert (order.status, order.order_type) == ("LIVE", "GTD")
    assert int(order.expires_at.timestamp()) == expiration


@pytest.mark.parametrize("seconds", [-10, 30, 100, 170])
def test_a_gtd_order_that_ends_too_soon_is_refused(client, token, seconds):
    signed = with_expiration(limit(client, token), seconds)
    with pytest.raises(RequestRejectedError, match="invalid expiration"):
        client.post_order(signed)


def test_only_gtd_orders_expire(client, token):
    signed = dataclasses.replace(limit(client, token), expiration=int(time.time()) + 300)
    with pytest.raises(RequestRejectedError, match="invalid expiration"):
        client.post_order(signed)


def test_a_gtd_order_dies_a_minute_before_its_time(home):
    with (
        running_paper(home, OWNER, **FAST, PAPER_GTD_SECONDS="0") as soon,
        client_on(soon.url) as client,
    ):
        token = soon.markets()[0]["tokenIds"][0]
        soon.put_book(token, [("0.48", 100)], [("0.50", 80)])
        placed = client.post_order(with_expiration(limit(client, token), 62))
        assert client.get_order(order_id=placed.order_id).status == "LIVE"
        wait_until(
            lambda: client.get_order(order_id=placed.order_id).status == "CANCELED_EXPIRED_ORDER"
        )
        assert client.list_open_orders().first_page().items == ()
        assert list(client.cancel_order(order_id=placed.order_id).not_canceled)


def test_a_gtd_order_can_be_made_to_expire(client, paper, token):
    placed = client.post_order(with_expiration(limit(client, token), 300))
    paper.call("POST", "/paper/expire", {"orderId": placed.order_id})
    assert client.get_order(order_id=placed.order_id).status == "CANCELED_EXPIRED_ORDER"
    paper.call("POST", "/paper/expire", {"orderId": placed.order_id}, 400)
    whole = limit(client, token, size="10000")
    assert client.post_order(whole).status == "live"


def test_a_batch_of_every_type_answers_in_order(client, paper, token):
    batch = [
        limit(client, token, price="0.60"),
        with_expiration(limit(client, token, price="0.61"), 300),
        limit(client, token, price="0.62", post_only=True),
        limit(client, token, price="0.40", post_only=True),
        market_sale(client, token, "10"),
        market_sale(client, token, "500", kind="FOK"),
        market_buy(client, token),
        limit(client, token, size="20000", price="0.63"),
    ]
    answers = client.post_orders(batch)
    assert [getattr(row, "status", None) or row.code for row in answers] == [
        "live", "live", "live", "post_only_would_cross", "matched", "fok_not_filled", "matched",
        "not_enough_balance",
    ]  # fmt: skip
    orders = {order["id"]: order["posts"] for order in paper.ledger()["orders"]}
    assert orders == {row.order_id: 1 for row in answers if row.ok}


def test_a_batch_of_fifteen_and_none_larger(client, paper, token):
    rows = [limit(client, token, price=f"0.{51 + number}", size="5") for number in range(16)]
    assert all(row.ok for row in client.post_orders(rows[:15]))
    payload = [wire(client, row) for row in rows]
    with pytest.raises(
        RequestRejectedError, match="Too many orders in payload: 16, max allowed: 15"
    ):
        client._ctx.secure_clob.post_json("/orders", json=payload)
    assert len(paper.ledger()["orders"]) == 15


def test_the_same_order_twice_in_a_batch_is_taken_once(client, paper, token):
    signed = market_sale(client, token)
    first, second = client.post_orders([signed, signed])
    assert first.ok
    assert isinstance(second, RejectedOrder)
    assert second.message == f"order {first.order_id} is invalid. Duplicated."
    assert [order["posts"] for order in paper.ledger()["orders"]] == [2]


def test_dust_ticks_and_precision_are_refused_in_the_venues_words(client, paper, token):
    def words(signed) -> str:
        with pytest.raises(RequestRejectedError) as refused:
            client.post_order(signed)
        return str(refused.value)

    assert "Size (4.99) lower than the minimum: 5" in words(limit(client, token, size="4.99"))
    signed = limit(client, token, price="0.55")
    paper.call(
        "POST", "/paper/tick-size",
        {"conditionId": paper.markets()[0]["conditionId"], "tickSize": "0.1"},
    )  # fmt: skip
    assert "Price (0.55) breaks minimum tick size rule: 0.1" in words(signed)
    fine = paper.markets()[4]["tokenIds"][0]
    paper.put_book(fine, [("0.985", 100)], [])
    assert (
        "invalid amounts, the market sell orders maker amount supports a max accuracy of 2"
        " decimals, taker amount a max of 4 decimals"
    ) in words(market_sale(client, fine, "10.13", "0.985"))


def test_balances_and_allowances_that_do_not_suffice(client, paper, token):
    def words(signed) -> str:
        with pytest.raises(RequestRejectedError) as refused:
            client.post_order(signed)
        return str(refused.value)

    client.post_order(limit(client, token, price="0.60", size="9995"))
    assert words(limit(client, token, price="0.61", size="6")) == (
        "not enough balance / allowance: the balance is not enough -> balance: 10000000000,"
        " sum of active orders: 9995000000, order amount: 6000000"
    )
    client.cancel_all()
    paper.call("POST", "/paper/balances", {"asset": "collateral", "amount": "4"})
    assert words(market_buy(client, token)).endswith("balance: 4000000, order amount: 5000000")
    assert client.post_order(market_buy(client, token, "2.5")).status == "matched"


def test_the_taker_of_a_purchase_pays_its_fee_on_top_and_a_maker_none(client, paper):
    paying = paper.markets()[5]["tokenIds"][0]
    paper.put_book(paying, [("0.40", 500)], [("0.50", 500)])
    bought = client.post_order(market_buy(client, paying, "50", "0.50"))
    client.wait_for_order_fill_settlement(bought)
    (balances,) = paper.ledger()["balances"].values()
    assert (balances["collateral"], balances[paying]) == ("99949", "10100")
    resting = client.place_limit_order(asset_id=paying, side="SELL", price="0.60", size="100")
    paper.put_book(paying, [("0.60", 100)], [])
    wait_until(lambda: paper.ledger()["trades"][-1]["status"] == "CONFIRMED")
    assert client.get_order(order_id=resting.order_id).status == "MATCHED"
    (balances,) = paper.ledger()["balances"].values()
    assert balances["collateral"] == "100009"


def test_the_fee_of_a_purchase_has_to_be_covered(client, paper):
    paying = paper.markets()[5]["tokenIds"][0]
    paper.put_book(paying, [], [("0.50", 500)])
    paper.call("POST", "/paper/balances", {"asset": "collateral", "amount": "50.99999"})
    signed = market_buy(client, paying, "50", "0.50")
    with pytest.raises(RequestRejectedError, match="order amount: 51000000"):
        client.post_order(signed)
    paper.call("POST", "/paper/balances", {"asset": "collateral", "amount": "51"})
    assert client.post_order(signed).status == "matched"


def test_a_delayed_order_matches_later(client, paper, token):
    paper.fault("POST /order", "delayed")
    accepted = client.post_order(market_sale(client, token))
    assert (accepted.status, accepted.trade_ids) == ("delayed", ())
    order = client.get_order(order_id=accepted.order_id)
    assert (order.status, order.size_matched) == ("DELAYED", 0)
    refused = client.cancel_order(order_id=accepted.order_id)
    assert refused.not_canceled == {accepted.order_id: "order is delayed and can't be canceled"}
    assert client.cancel_all().canceled == ()
    wait_until(lambda: client.get_order(order_id=accepted.order_id).status == "MATCHED")
    order = client.get_order(order_id=accepted.order_id)
    assert order.size_matched == 10
    trades = wait_until(lambda: [t for t in paper.ledger()["trades"] if t["status"] == "CONFIRMED"])
    assert [trade["id"] for trade in trades] == list(order.associate_trades)


def test_a_delayed_gtc_order_rests_with_what_it_does_not_reach(client, paper, token):
    paper.fault("POST /order", "delayed")
    accepted = client.post_order(limit(client, token, price="0.48", size="130"))
    wait_until(lambda: client.get_order(order_id=accepted.order_id).status == "LIVE")
    assert client.get_order(order_id=accepted.order_id).size_matched == 100
    assert client.cancel_order(order_id=accepted.order_id).canceled == (accepted.order_id,)


@pytest.mark.parametrize(("kind", "status"), [("FAK", "UNMATCHED"), ("FOK", "CANCELED")])
def test_a_delayed_market_order_that_finds_nothing_is_over(client, paper, token, kind, status):
    paper.fault("POST /order", "delayed")
    accepted = client.post_order(market_sale(client, token, kind=kind))
    paper.put_book(token, [("0.30", 100)])
    wait_until(lambda: client.get_order(order_id=accepted.order_id).status == status)
    assert client.get_order(order_id=accepted.order_id).size_matched == 0
    assert list(client.cancel_order(order_id=accepted.order_id).not_canceled)
    assert client.post_order(limit(client, token, size="10000", price="0.9")).status == "live"


def test_a_delayed_order_holds_what_it_may_give(client, paper, token):
    paper.fault("POST /order", "delayed")
    client.post_order(market_sale(client, token, "9995"))
    with pytest.raises(RequestRejectedError, match="sum of active orders: 9995000000"):
        client.post_order(limit(client, token, size="6"))


def test_a_delayed_order_survives_a_restart(home):
    first = start_paper(home, OWNER, **FAST | {"PAPER_DELAY_SECONDS": "5"})
    token = first.markets()[0]["tokenIds"][0]
    first.put_book(token, [("0.48", 100)])
    with client_on(first.url) as client:
        first.fault("POST /order", "delayed+settlement_retries")
        accepted = client.post_order(market_sale(client, token))
        first.kill()
        port = first.url.rsplit(":", 1)[1]
        with running_paper(
            home, OWNER, **FAST | {"PAPER_SETTLE_SECONDS": "1"}, PAPER_PORT=port
        ) as p:
            assert client.get_order(order_id=accepted.order_id).status == "DELAYED"
            wait_until(lambda: p.ledger()["trades"])
            seen = set()
            while "CONFIRMED" not in seen:
                seen.add(p.ledger()["trades"][0]["status"])
            assert "RETRYING" in seen


def test_each_row_of_a_batch_is_delayed_by_itself(client, paper, token):
    paper.fault("POST /order", "delayed", 2)
    answers = client.post_orders([market_sale(client, token) for _ in range(3)])
    assert [row.status for row in answers] == ["delayed", "delayed", "matched"]


def test_own_orders_match_each_other(client, paper, token):
    """Two rows, one per part: the wallet sells to itself, and nothing is won or lost."""
    paper.put_book(token, [("0.40", 100)], [("0.60", 80)])
    before = paper.ledger()["balances"]
    resting = client.place_limit_order(asset_id=token, side="SELL", price="0.5", size="10")
    taken = client.post_order(market_buy(client, token, "5", "0.5"))
    ledger = wait_until(lambda: _confirmed(paper))
    assert [(t["orderId"], t["side"], t["size"], t["price"]) for t in ledger["trades"]] == [
        (taken.order_id, "BUY", "10", "0.5"), (resting.order_id, "SELL", "10", "0.5"),
    ]  # fmt: skip
    assert len({t["id"] for t in ledger["trades"]}) == 1
    assert ledger["balances"] == before
    (trade,) = client.list_account_trades().first_page().items
    assert (trade.trader_side, trade.taker_order_id) == ("TAKER", taken.order_id)
    assert trade.maker_orders[0].order_id == resting.order_id
    assert trade.maker_orders[0].owner == trade.owner == client.credentials.key


def _confirmed(paper) -> dict | None:
    ledger = paper.ledger()
    done = ledger["trades"] and all(t["status"] == "CONFIRMED" for t in ledger["trades"])
    return ledger if done else None


@pytest.mark.parametrize(
    ("side", "price", "change"), [("BUY", "0.6", Decimal(-10)), ("SELL", "0.4", Decimal(10))]
)
def test_own_orders_on_both_outcomes_mint_or_merge(client, paper, token, side, price, change):
    """Yes at 0.6 and No at 0.4: a set of both is made for a dollar, or given back for one."""
    yes, no = paper.markets()[0]["tokenIds"]
    paper.put_book(yes, [("0.30", 100)], [("0.70", 100)])
    other = str(1 - Decimal(price))
    resting = client.place_limit_order(asset_id=no, side=side, price=other, size="10")
    assert resting.status == "live"
    taken = client.place_limit_order(asset_id=yes, side=side, price=price, size="10")
    assert taken.status == "matched"
    ledger = wait_until(lambda: _confirmed(paper))
    assert [(t["orderId"], t["assetId"], t["side"], t["price"]) for t in ledger["trades"]] == [
        (taken.order_id, yes, side, price), (resting.order_id, no, side, other),
    ]  # fmt: skip
    (balances,) = ledger["balances"].values()
    assert Decimal(balances["collateral"]) == 100_000 + change
    assert {Decimal(balances[asset]) for asset in (yes, no)} == {10_000 - change}
    (trade,) = client.list_account_trades().first_page().items
    assert (trade.asset_id, trade.maker_orders[0].asset_id) == (yes, no)
