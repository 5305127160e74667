"""The user channel: who hears what, in which shape, and how badly it may behave."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from datetime import UTC, datetime

import pytest
from polymarket import AsyncSecureClient
from polymarket.auth import RelayerApiKey
from polymarket.errors import RequestRejectedError
from polymarket.streams import UserSpec
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from paper.faults import Faults
from paper.feed import LONGEST_QUEUE, Feed, Listener
from tests.paper.conftest import FAST, OWNER, OWNER_KEY, client_on
from tests.paper.user_socket import listening, subscription, ws_url
from tests.paper_process import environment_for, running_paper, wait_until

STRANGER_KEY = "0x" + "b8" * 32
ORDER = frozenset(
    [
        "asset_id", "associate_trades", "created_at", "event_type", "expiration", "id",
        "maker_address", "market", "order_owner", "order_type", "original_size", "outcome", "owner",
        "price", "side", "size_matched", "status", "timestamp", "type",
    ]
)  # fmt: skip
TRADE = frozenset(
    [
        "asset_id", "bucket_index", "event_type", "fee_rate_bps", "id", "last_update",
        "maker_address", "maker_orders", "market", "match_time", "outcome", "owner", "price", "side",
        "size", "status", "taker_order_id", "timestamp", "trade_owner", "trader_side",
        "transaction_hash", "type",
    ]
)  # fmt: skip
"""The fields of the events recorded in 2024."""


@pytest.fixture
def token(paper) -> str:
    first = paper.markets()[0]["tokenIds"][0]
    paper.put_book(first, [("0.48", 100)], [("0.50", 80)])
    return first


def sale(client, token: str, shares: str = "10", price: str = "0.45", order_type: str = "FAK"):
    return client.create_market_order(
        asset_id=token, side="SELL", shares=shares, min_price=price, order_type=order_type
    )


def is_settled(events: list[dict]) -> bool:
    return any(event["status"] in ("CONFIRMED", "FAILED") for event in events)


def test_an_order_is_placed_and_cancelled(paper, client, token):
    with listening(paper.url, client) as user:
        placed = client.place_limit_order(asset_id=token, side="SELL", price="0.55", size="10")
        client.cancel_order(order_id=placed.order_id)
        placement, cancellation = user.until(lambda events: len(events) == 2)
    assert set(placement) == ORDER
    assert (placement["type"], placement["status"]) == ("PLACEMENT", "LIVE")
    assert (placement["id"], placement["owner"]) == (placed.order_id, client.credentials.key)
    assert (placement["original_size"], placement["size_matched"]) == ("10", "0")
    assert placement["associate_trades"] is None
    assert (placement["price"], placement["side"], placement["outcome"]) == ("0.55", "SELL", "Yes")
    assert len(placement["created_at"]) == 10
    assert len(placement["timestamp"]) == 13
    assert (cancellation["type"], cancellation["status"]) == ("CANCELLATION", "CANCELED")


def test_a_taker_hears_of_its_order_and_of_every_step_of_its_trade(paper, client, token):
    with listening(paper.url, client) as user:
        accepted = client.post_order(sale(client, token))
        user.until(is_settled)
    assert user.said() == [
        ("PLACEMENT", "LIVE"), ("TRADE", "MATCHED"), ("UPDATE", "MATCHED"), ("TRADE", "MINED"),
        ("TRADE", "CONFIRMED"),
    ]  # fmt: skip
    trades = [event for event in user.events if event["type"] == "TRADE"]
    assert {event["id"] for event in trades} == set(accepted.trade_ids)
    assert set(trades[0]) == TRADE
    assert [bool(event["transaction_hash"]) for event in trades] == [False, True, True]
    assert trades[0]["taker_order_id"] == accepted.order_id
    assert trades[0]["trader_side"] == "TAKER"
    assert (trades[0]["trade_owner"], trades[0]["side"]) == (client.credentials.key, "SELL")
    update = user.events[2]
    assert (update["size_matched"], update["associate_trades"]) == ("10", list(accepted.trade_ids))


def test_one_object_in_a_frame_or_an_array_of_several(paper, client, token):
    with listening(paper.url, client) as user:
        client.post_order(sale(client, token))
        user.until(is_settled)
    assert {type(frame) for frame in user.frames} == {list, dict}


def test_a_maker_sees_its_own_part(paper, client, token):
    placed = client.place_limit_order(asset_id=token, side="SELL", price="0.55", size="10")
    with listening(paper.url, client) as user:
        paper.put_book(token, [("0.56", 4)], [("0.60", 4)])
        user.until(is_settled)
    assert user.said()[:2] == [("TRADE", "MATCHED"), ("UPDATE", "LIVE")]
    trade, update = user.events[:2]
    assert trade["trader_side"] == "MAKER"
    assert trade["owner"] != client.credentials.key
    (part,) = trade["maker_orders"]
    assert (part["order_id"], part["matched_amount"], part["side"]) == (
        placed.order_id, "4", "SELL",
    )  # fmt: skip
    assert (update["id"], update["size_matched"]) == (placed.order_id, "4")


def test_a_killed_order_is_told_with_the_reason_in_its_status(paper, client, token):
    """Shape recorded in 2026-05: no matched size, no outcome, no creation time."""
    with listening(paper.url, client) as user:
        with pytest.raises(RequestRejectedError, match="FOK orders"):
            client.post_order(sale(client, token, "200", "0.45", "FOK"))
        (event,) = user.until(bool)
    assert event["status"].startswith("CANCELED_order couldn't be fully filled.")
    assert (event["type"], event["size_matched"], event["outcome"]) == ("CANCELLATION", "", "")


def test_nobody_hears_of_anothers_orders(paper, client, connect, token):
    stranger = connect(paper.url, STRANGER_KEY)
    paper.call(
        "POST", "/paper/balances", {"wallet": stranger.wallet, "asset": token, "amount": "10"}
    )
    with listening(paper.url, client) as ours, listening(paper.url, stranger) as theirs:
        client.place_limit_order(asset_id=token, side="SELL", price="0.60", size="10")
        stranger.post_order(sale(stranger, token, "10"))
        theirs.until(is_settled)
        ours.ping()
    assert ours.said() == [("PLACEMENT", "LIVE")]
    assert {event["owner"] for event in theirs.events} == {stranger.credentials.key}


def test_two_of_us_each_get_their_own_view_of_one_trade(paper, client, connect, token):
    stranger = connect(paper.url, STRANGER_KEY)
    paper.call(
        "POST", "/paper/balances", {"wallet": stranger.wallet, "asset": token, "amount": "10"}
    )
    placed = client.place_limit_order(asset_id=token, side="BUY", price="0.49", size="10")
    with listening(paper.url, client) as ours, listening(paper.url, stranger) as theirs:
        accepted = stranger.post_order(sale(stranger, token, "10", "0.49"))
        ours.until(is_settled)
        theirs.until(is_settled)
    (trade_id,) = accepted.trade_ids
    views = [
        next(event for event in user.events if event["type"] == "TRADE") for user in (ours, theirs)
    ]
    assert [view["id"] for view in views] == [trade_id, trade_id]
    assert [view["trader_side"] for view in views] == ["MAKER", "TAKER"]
    assert views[0]["maker_orders"] == views[1]["maker_orders"]
    assert views[0]["maker_orders"][0]["order_id"] == placed.order_id


def test_conditions_can_be_chosen_and_changed(paper, client, token):
    first, second = (market["conditionId"] for market in paper.markets()[:2])
    other = paper.markets()[1]["tokenIds"][0]
    paper.put_book(other, [("0.30", 100)], [("0.50", 80)])

    def place() -> None:
        for asset in (token, other):
            client.place_limit_order(asset_id=asset, side="SELL", price="0.60", size="5")

    with listening(paper.url, client, first) as user:
        place()
        user.ping()
        assert [event["market"] for event in user.events] == [first]
        user.send({"operation": "subscribe", "markets": [second]})
        user.send({"operation": "unsubscribe", "markets": [first]})
        user.ping()
        place()
        user.ping()
        assert [event["market"] for event in user.events] == [first, second]
        user.send({"operation": "sing"})
        assert user.read() == "INVALID OPERATION"


@pytest.mark.parametrize("first", ["PING", "{", "[]", '{"type": "user"}', '{"type": "market"}'])
def test_what_is_no_subscription_closes_the_connection(paper, first):
    with connect(ws_url(paper.url)) as connection:
        connection.send(first)
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
        1008, "invalid subscription payload",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["apiKey", "secret", "passphrase"])
def test_wrong_credentials_close_the_connection(paper, client, name):
    body = subscription(client)
    body["auth"] |= {name: "wrong"}
    with connect(ws_url(paper.url)) as connection:
        connection.send(json.dumps(body))
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert closed.value.rcvd.reason == "invalid api key, secret or passphrase"


def test_a_plain_request_is_refused(paper):
    assert paper.http.get("/ws/user").status_code == 400


def test_a_frozen_feed_answers_pings_and_tells_nothing(paper, client, token):
    with listening(paper.url, client) as user:
        paper.call("POST", "/paper/feed", {"state": "frozen"})
        client.place_limit_order(asset_id=token, side="SELL", price="0.60", size="5")
        user.ping()
        paper.call("POST", "/paper/feed", {"state": "live"})
        user.ping()
        assert user.events == []
        later = client.place_limit_order(asset_id=token, side="SELL", price="0.61", size="5")
        assert [event["id"] for event in user.until(bool)] == [later.order_id]


def test_a_dropped_feed_breaks_connections_and_refuses_new_ones(paper, client, token):
    with connect(ws_url(paper.url)) as connection:
        connection.send(json.dumps(subscription(client)))
        paper.call("POST", "/paper/feed", {"state": "dropped"})
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=5)
    with pytest.raises(InvalidStatus):
        connect(ws_url(paper.url))
    client.place_limit_order(asset_id=token, side="SELL", price="0.60", size="5")
    paper.call("POST", "/paper/feed", {"state": "live"})
    with listening(paper.url, client) as user:
        assert user.events == []


def test_an_open_connection_does_not_keep_the_exchange_from_stopping(home):
    with (
        running_paper(home, OWNER, **FAST) as process,
        client_on(process.url) as client,
        listening(process.url, client),
    ):
        assert process.stop() == 0


def test_a_delayed_order_is_told_of_when_it_matches_or_does_not(paper, client, token):
    paper.fault("POST /order", "delayed", 2)
    with listening(paper.url, client) as user:
        matched = client.post_order(sale(client, token)).order_id
        user.until(is_settled)
        paper.put_book(token, [("0.30", 100)])
        unmatched = client.post_order(sale(client, token)).order_id
        user.until(lambda events: events[-1]["status"] == "UNMATCHED")
    told = [
        (event["id"], event["type"], event["status"])
        for event in user.events
        if event["type"] != "TRADE"
    ]
    assert told == [
        (matched, "PLACEMENT", "DELAYED"), (matched, "UPDATE", "MATCHED"),
        (unmatched, "PLACEMENT", "DELAYED"), (unmatched, "CANCELLATION", "UNMATCHED"),
    ]  # fmt: skip


def test_events_come_three_times(paper, client, token):
    paper.fault("ws", "duplicate", 2)
    with listening(paper.url, client) as user:
        for price in ("0.60", "0.61", "0.62"):
            client.place_limit_order(asset_id=token, side="SELL", price=price, size="5")
        user.ping()
    assert [event["price"] for event in user.events] == ["0.6"] * 3 + ["0.61"] * 3 + ["0.62"]
    assert paper.call("GET", "/paper/faults") == {"faults": []}


def test_events_come_out_of_order(paper, client, token):
    paper.fault("ws", "shuffle", 5)
    with listening(paper.url, client) as user:
        client.post_order(sale(client, token))
        user.until(lambda events: len(events) == 5)
    assert user.said() == [
        ("TRADE", "CONFIRMED"), ("TRADE", "MINED"), ("UPDATE", "MATCHED"), ("TRADE", "MATCHED"),
        ("PLACEMENT", "LIVE"),
    ]  # fmt: skip


def test_held_up_events_come_although_no_handful_gathers(paper, client, token):
    paper.fault("ws", "shuffle", 5)
    with listening(paper.url, client) as user:
        client.place_limit_order(asset_id=token, side="SELL", price="0.60", size="5")
        client.place_limit_order(asset_id=token, side="SELL", price="0.61", size="5")
        user.until(lambda events: len(events) == 2)
    assert [event["price"] for event in user.events] == ["0.61", "0.6"]


def test_slow_events_are_overtaken(paper, client, token):
    paper.fault("ws", "slow:300")
    with listening(paper.url, client) as user:
        client.place_limit_order(asset_id=token, side="SELL", price="0.60", size="5")
        client.place_limit_order(asset_id=token, side="SELL", price="0.61", size="5")
        user.until(lambda events: len(events) == 2)
    assert [event["price"] for event in user.events] == ["0.61", "0.6"]


@pytest.mark.parametrize(
    "kind", ["http_500", "reject:x", "delayed", "duplicate+shuffle", "nothing"]
)
def test_other_kinds_make_no_sense_there(paper, kind):
    answer = paper.call("POST", "/paper/faults", {"on": "ws", "kind": kind}, 400)
    assert "ws" in answer["error"]


def test_event_kinds_make_no_sense_on_calls(paper):
    answer = paper.call("POST", "/paper/faults", {"on": "POST /order", "kind": "shuffle"}, 400)
    assert "unknown kind" in answer["error"]


def test_a_reader_too_slow_is_cut_off():
    cut: list[str] = []
    feed = Feed(Faults())
    with feed.listening(Listener(OWNER, set(), lambda: cut.append("cut"))):
        for number in range(LONGEST_QUEUE):
            feed.publish(OWNER, "0x01", {"number": number})
        assert cut == []
        feed.publish(OWNER, "0x01", {})
    assert cut == ["cut"]


def test_a_reader_that_stops_reading_holds_nobody_up(paper, client, token):
    """Its socket is full long before it is cut off; orders and other readers do not notice."""
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 2048)
    host, port = paper.url.removeprefix("http://").split(":")
    raw.connect((host, int(port)))
    with connect(ws_url(paper.url), sock=raw, max_queue=1, close_timeout=0.1) as stuck:
        stuck.send(json.dumps(subscription(client)))
        paper.fault("ws", "duplicate", 1_000_000)
        with listening(paper.url, client) as user:
            for _ in range(40):
                paper.call(
                    "POST", "/paper/hand-trade",
                    {"assetId": token, "side": "SELL", "size": "5", "price": "0.5"},
                )  # fmt: skip
            user.until(lambda events: len(events) >= 40 * 3 * 3)
            assert client.post_order(sale(client, token)).status == "matched"
        paper.call("POST", "/paper/faults", {"on": "ws", "kind": "duplicate", "times": 0})


async def _heard_by_the_official_client(paper, token: str) -> list:
    """Subscribe with the official client, let its wallet trade, and give the events it parsed."""
    client = await AsyncSecureClient.create(
        private_key=OWNER_KEY,
        environment=environment_for(paper.url),
        api_key=RelayerApiKey(key="any", address=OWNER),
    )
    heard = []
    async with client:
        handle = await client.subscribe(UserSpec())
        while True:
            await client.place_limit_order(asset_id=token, side="SELL", price="0.60", size="5")
            try:
                heard.append(await asyncio.wait_for(anext(handle), 1))
                break
            except TimeoutError:
                continue
        accepted = await client.post_order(
            await client.create_market_order(
                asset_id=token, side="SELL", shares="10", min_price="0.45", order_type="FAK"
            )
        )
        while not heard or getattr(heard[-1].payload, "status", "") != "CONFIRMED":
            heard.append(await asyncio.wait_for(anext(handle), 5))
        assert heard[-1].payload.id in accepted.trade_ids
        await handle.close()
    return heard


def test_the_official_client_understands_every_event(paper, token):
    began = datetime.now(UTC)
    heard = asyncio.run(_heard_by_the_official_client(paper, token))
    said = [(event.type, str(event.payload.status)) for event in heard]
    assert said[0] == ("order", "LIVE")
    assert said[-5:] == [
        ("order", "LIVE"), ("trade", "MATCHED"), ("order", "MATCHED"), ("trade", "MINED"),
        ("trade", "CONFIRMED"),
    ]  # fmt: skip
    trade = heard[-1].payload
    assert trade.maker_orders[0].side == "BUY"
    assert abs((trade.timestamp - began).total_seconds()) < 60
    assert wait_until(lambda: paper.ledger()["trades"][0]["status"] == "CONFIRMED")
