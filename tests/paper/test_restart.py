"""What was acknowledged is there after kill -9, and goes on settling."""

from __future__ import annotations

from tests.paper.conftest import FAST, OWNER, client_on
from tests.paper_process import running_paper, start_paper, wait_until


def test_a_killed_exchange_settles_what_it_acknowledged(home):
    first = start_paper(home, OWNER, **FAST | {"PAPER_SETTLE_SECONDS": "2"})
    token = first.markets()[0]["tokenIds"][0]
    first.put_book(token, [("0.48", 100)], [("0.60", 10)])
    client = client_on(first.url)
    signed = client.create_market_order(
        asset_id=token, side="SELL", shares="30", min_price="0.45", order_type="FAK"
    )
    accepted = client.post_order(signed)
    resting = client.place_limit_order(asset_id=token, side="SELL", price="0.55", size="10")
    key = client.credentials.key
    client.close()
    first.kill()

    with running_paper(home, OWNER, **FAST) as second, client_on(second.url) as again:
        assert again.credentials.key == key
        assert again.get_order(order_id=accepted.order_id).size_matched == 30
        book = again.get_order_book(asset_id=token)
        assert [(str(level.price), level.size) for level in book.bids] == [("0.48", 70)]
        assert [str(level.price) for level in book.asks] == ["0.60".rstrip("0"), "0.55"]
        wait_until(lambda: second.ledger()["trades"][0]["status"] == "CONFIRMED")
        (balances,) = second.ledger()["balances"].values()
        assert (balances["collateral"], balances[token]) == ("100014.4", "9970")
        assert again.cancel_order(order_id=resting.order_id).canceled == (resting.order_id,)
        assert len(second.ledger()["orders"]) == 2


def test_a_killed_exchange_finishes_a_split_once(home):
    first = start_paper(home, OWNER, **FAST | {"PAPER_SETTLE_SECONDS": "3"})
    market = first.markets()[0]
    client = client_on(first.url)
    client.split_position(condition_id=market["conditionId"], amount=5_000_000)
    client.close()
    first.kill()
    with running_paper(home, OWNER, **FAST) as second:
        splits = wait_until(lambda: second.ledger()["splits"])
        assert splits == [{"conditionId": market["conditionId"], "amount": "5"}]


def test_pins_survive_a_restart_and_a_clean_stop_is_clean(home):
    with running_paper(home, OWNER, **FAST | {"PAPER_GENERATOR": "1"}) as first:
        token = first.markets()[1]["tokenIds"][0]
        first.put_book(token, [("0.31", 7)])
        first.call("PUT", "/paper/prices/BTCUSDT", {"price": "49980"})
        assert first.stop() == 0
    with running_paper(home, OWNER, **FAST | {"PAPER_GENERATOR": "1"}) as second:
        book = second.http.get("/book", params={"token_id": token}).json()
        price = second.http.get("/api/v3/ticker/bookTicker", params={"symbol": "BTCUSDT"}).json()
        assert book["bids"] == [{"price": "0.31", "size": "7"}]
        assert (price["bidPrice"], price["askPrice"]) == ("49980.00000000",) * 2
