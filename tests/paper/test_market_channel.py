"""The market channel: what readers are told of the books, whoever changes them."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest
from polymarket import AsyncPublicClient
from polymarket.streams import MarketSpec
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from paper.book import BUY, SELL, Book
from paper.journal import Journal
from tests.paper.market_socket import levels, market_url, reading
from tests.paper_process import environment_for

BOOK = {
    "asset_id", "asks", "bids", "event_type", "hash", "last_trade_price", "market", "tick_size",
    "timestamp",
}  # fmt: skip
"""The fields of a snapshot recorded in 2026-08."""


@pytest.fixture
def market(paper) -> dict:
    return paper.markets()[0]


@pytest.fixture
def tokens(paper, market) -> tuple[str, str]:
    first, second = market["tokenIds"]
    paper.put_book(first, [("0.48", 100), ("0.47", 50)], [("0.50", 80), ("0.52", 20)])
    return first, second


def rest_book(paper, token: str) -> dict:
    return paper.http.get("/book", params={"token_id": token}).json()


def sell(client, token: str, shares: str = "10", price: str = "0.45"):
    return client.post_order(
        client.create_market_order(
            asset_id=token, side="SELL", shares=shares, min_price=price, order_type="FAK"
        )
    )


def test_a_subscription_brings_the_books_as_rest_has_them(paper, tokens):
    with reading(paper.url, *tokens) as socket:
        assert [type(frame) for frame in socket.frames] == [list]
        for token, event in zip(tokens, socket.events, strict=True):
            shown = rest_book(paper, token)
            assert set(event) == BOOK
            assert event["asset_id"] == token
            same = ("bids", "asks", "hash", "market", "timestamp", "tick_size")
            assert {name: event[name] for name in same} == {name: shown[name] for name in same}


def test_no_books_at_first_for_who_wants_none(paper, tokens):
    with reading(paper.url, *tokens, initial_dump=False) as socket:
        assert socket.events == []


def test_a_replaced_book_is_one_frame_with_both_tokens(paper, tokens):
    first, second = tokens
    with reading(paper.url, first) as socket:
        socket.forget()
        paper.put_book(first, [("0.48", 70)], [("0.50", 80), ("0.53", 5.5)])
        socket.ping()
        (event,) = socket.events
    told = [(c["asset_id"], c["side"], c["price"], c["size"]) for c in event["price_changes"]]
    assert told == [
        (first, "BUY", "0.47", "0"), (second, "SELL", "0.53", "0"),
        (first, "BUY", "0.48", "70"), (second, "SELL", "0.52", "70"),
        (first, "SELL", "0.52", "0"), (second, "BUY", "0.48", "0"),
        (first, "SELL", "0.53", "5.5"), (second, "BUY", "0.47", "5.5"),
    ]  # fmt: skip
    assert len(event["timestamp"]) == 13
    for token, best in ((first, ("0.48", "0.5")), (second, ("0.5", "0.52"))):
        changes = [c for c in event["price_changes"] if c["asset_id"] == token]
        assert {(c["best_bid"], c["best_ask"]) for c in changes} == {best}
        assert {c["hash"] for c in changes} == {rest_book(paper, token)["hash"]}


def test_empty_sides_show_as_0_and_1(paper, tokens):
    with reading(paper.url, *tokens) as socket:
        paper.put_book(tokens[0], [("0.48", 70)])
        socket.ping()
        assert socket.best == {tokens[0]: ("0.48", "1"), tokens[1]: ("0", "0.52")}


def test_our_own_orders_show_until_they_are_cancelled(paper, client, tokens):
    with reading(paper.url, *tokens) as socket:
        socket.forget()
        placed = client.place_limit_order(asset_id=tokens[1], side="SELL", price="0.52", size="10")
        client.cancel_order(order_id=placed.order_id)
        socket.ping()
        told = [
            [(c["asset_id"], c["side"], c["price"], c["size"]) for c in event["price_changes"]]
            for event in socket.events
        ]
    assert told[0] == [(tokens[1], "SELL", "0.52", "110"), (tokens[0], "BUY", "0.48", "110")]
    assert sorted(told[1]) == sorted(
        [(tokens[0], "BUY", "0.48", "100"), (tokens[1], "SELL", "0.52", "100")]
    )


def test_a_trade_is_told_with_what_it_took_and_the_books_after_it(paper, client, tokens):
    with reading(paper.url, *tokens, custom_feature_enabled=True) as socket:
        socket.forget()
        sell(client, tokens[0], "110")
        socket.ping()
    assert socket.kinds() == [
        "best_bid_ask", "best_bid_ask", "last_trade_price", "last_trade_price", "price_change",
        "price_change", "book", "book",
    ]  # fmt: skip
    (at_48, at_47) = socket.of("last_trade_price")
    assert (at_48["asset_id"], at_48["side"]) == (tokens[0], "SELL")
    assert (at_48["price"], at_48["size"]) == ("0.48", "100")
    assert (at_47["price"], at_47["size"]) == ("0.47", "10")
    assert at_48["transaction_hash"].startswith("0x")
    bests = {change["best_bid"] for e in socket.of("price_change") for change in e["price_changes"]}
    assert bests == {"0.47", "0.5"}, "a burst's frames all carry its last best prices"
    best = socket.of("best_bid_ask")[0]
    assert (best["best_bid"], best["best_ask"], best["spread"]) == ("0.47", "0.5", "0.03")
    for token in tokens:
        assert socket.books[token] == levels(rest_book(paper, token))
    assert [book["last_trade_price"] for book in socket.of("book")] == ["0.470", "0.530"]


def test_a_resting_order_that_is_hit_is_told(paper, client, tokens):
    client.place_limit_order(asset_id=tokens[0], side="SELL", price="0.49", size="10")
    with reading(paper.url, *tokens) as socket:
        paper.put_book(tokens[0], [("0.49", 4)], [("0.60", 4)])
        socket.ping()
        assert [event["price"] for event in socket.of("last_trade_price")] == ["0.49"]
        assert socket.books[tokens[0]] == levels(rest_book(paper, tokens[0]))


def test_a_refused_order_is_not_told(paper, client, tokens):
    with reading(paper.url, *tokens) as socket:
        socket.forget()
        with pytest.raises(Exception, match="FOK"):
            client.post_order(
                client.create_market_order(
                    asset_id=tokens[0], side="SELL", shares="500", min_price="0.45",
                    order_type="FOK",
                )
            )  # fmt: skip
        socket.ping()
        assert socket.events == []


def test_what_is_undone_is_not_in_the_journal():
    book, woken = Book(), []
    book.journal = Journal(lambda: woken.append(1))
    book.set_level(BUY, 480_000, 7)
    saved = book.snapshot()
    book.set_level(SELL, 500_000, 7)
    book.restore(saved)
    assert [entry.levels for entry in book.journal.take()] == [{(BUY, 480_000): 7}]
    assert woken


def test_a_book_nobody_reads_keeps_no_journal():
    book = Book()
    book.set_level(BUY, 480_000, 7)
    with book.together():
        book.replace({470_000: 5}, {})
    assert book.journal is None


def test_tokens_can_be_added_and_dropped(paper, tokens):
    other = paper.markets()[1]["tokenIds"][0]
    with reading(paper.url, tokens[0]) as socket:
        socket.send({"operation": "subscribe", "assets_ids": [other, tokens[0]]})
        socket.ping()
        assert [event["asset_id"] for event in socket.events] == [tokens[0], other]
        assert isinstance(socket.frames[1], list)
        socket.send({"operation": "unsubscribe", "assets_ids": [tokens[0]]})
        socket.ping()
        socket.forget()
        paper.put_book(tokens[0], [("0.20", 7)])
        paper.put_book(other, [("0.20", 7)])
        socket.ping()
        assert {e["market"] for e in socket.events} == {paper.markets()[1]["conditionId"]}


def test_best_prices_are_told_when_asked_for_and_no_longer(paper, tokens):
    def bids(price: str) -> list[str]:
        socket.forget()
        paper.put_book(tokens[0], [(price, 7)])
        socket.ping()
        return socket.kinds()

    with reading(paper.url, *tokens) as socket:
        assert bids("0.30") == ["price_change"]
        again = {"operation": "subscribe", "assets_ids": [tokens[0]]}
        socket.send(again | {"custom_feature_enabled": True})
        socket.ping()
        assert bids("0.31") == ["best_bid_ask", "best_bid_ask", "price_change"]
        socket.send(again | {"custom_feature_enabled": False})
        socket.ping()
        assert bids("0.32") == ["price_change"]


@pytest.mark.parametrize(
    "body",
    [
        '{"type": "market", "assets_ids": ["1"]}', '{"operation": "sing", "assets_ids": ["1"]}',
        '{"operation": "subscribe", "assets_ids": [1]}', '{"operation": "subscribe"}', "[]", "{",
    ],
)  # fmt: skip
def test_what_is_no_operation_is_called_so(paper, tokens, body):
    with reading(paper.url, tokens[0]) as socket:
        socket.send(body)
        assert socket.read() == "INVALID OPERATION"


@pytest.mark.parametrize(
    "first",
    [
        "PING",
        "{",
        "[]",
        '{"type": "user", "assets_ids": []}',
        '{"type": "market", "assets_ids": 3}',
    ],
)
def test_what_is_no_subscription_closes_the_connection(paper, first):
    with connect(market_url(paper.url)) as connection:
        connection.send(first)
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
        1008, "invalid subscription payload",
    )  # fmt: skip


def test_more_than_500_tokens_silence_a_connection(paper, tokens):
    most = [tokens[0], *map(str, range(499))]
    with reading(paper.url, *most) as socket:
        assert socket.kinds() == ["book"]
        socket.forget()
        socket.send({"operation": "subscribe", "assets_ids": [tokens[1]]})
        paper.put_book(tokens[0], [("0.20", 7)])
        socket.ping()
        assert socket.events == []


def test_thousands_of_tokens_in_one_message_close_the_connection(paper):
    with connect(market_url(paper.url)) as connection:
        connection.send(json.dumps({"type": "market", "assets_ids": ["7" * 77] * 4_000}))
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=5)


def test_a_tick_change_comes_before_the_levels_that_leave(paper, market, tokens):
    paper.call(
        "POST", "/paper/tick-size", {"conditionId": market["conditionId"], "tickSize": "0.001"}
    )
    paper.put_book(tokens[0], [("0.481", 7)])
    with reading(paper.url, *tokens) as socket:
        socket.forget()
        paper.call(
            "POST", "/paper/tick-size", {"conditionId": market["conditionId"], "tickSize": "0.01"}
        )
        socket.ping()
        assert socket.kinds() == ["tick_size_change", "tick_size_change", "price_change"]
        change = socket.events[0]
        assert (change["old_tick_size"], change["new_tick_size"]) == ("0.001", "0.01")


def test_a_resolution_is_told_to_custom_readers(paper, market, tokens):
    with (
        reading(paper.url, tokens[1], custom_feature_enabled=True) as custom,
        reading(paper.url, tokens[1]) as plain,
    ):
        paper.call(
            "POST", "/paper/market-state",
            {"conditionId": market["conditionId"], "state": "resolved", "payouts": [0, 1]},
        )  # fmt: skip
        custom.ping()
        plain.ping()
    (event,) = custom.of("market_resolved")
    assert (event["winning_asset_id"], event["winning_outcome"]) == (tokens[1], "No")
    assert plain.of("market_resolved") == []
    assert custom.books[tokens[1]] == {"bids": {}, "asks": {}}


def test_a_reset_tells_the_books_anew(paper, tokens):
    with reading(paper.url, *tokens) as socket:
        paper.call("POST", "/paper/reset")
        socket.ping()
        for token in tokens:
            assert socket.books[token] == levels(rest_book(paper, token))


async def _heard_by_the_official_client(paper, tokens: tuple[str, str]) -> list:
    async with AsyncPublicClient(environment=environment_for(paper.url)) as client:
        spec = MarketSpec(token_ids=list(tokens), custom_feature_enabled=True)
        handle = await client.subscribe(spec)
        heard = [await asyncio.wait_for(anext(handle), 5) for _ in tokens]
        paper.put_book(tokens[0], [("0.20", 7)], [("0.22", 9)])
        heard += [await asyncio.wait_for(anext(handle), 5) for _ in range(3)]
        await handle.close()
    return heard


def test_the_official_client_reads_it(paper, tokens):
    heard = asyncio.run(_heard_by_the_official_client(paper, tokens))
    assert [event.type for event in heard] == [
        "book", "book", "best_bid_ask", "best_bid_ask", "price_change",
    ]  # fmt: skip
    change = heard[-1].payload.price_changes[-1]
    assert (change.best_bid, change.best_ask) == (Decimal("0.78"), Decimal("0.8"))
