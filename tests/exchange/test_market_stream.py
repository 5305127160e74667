"""The market channel over a real WebSocket: what it tells, how it is lost and found again."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from exchange.market_news import (
    Garbled,
    Heard,
    Lost,
    PricesChanged,
    Snapshot,
    TickSizeChanged,
    Traded,
)
from exchange.polymarket import market_stream
from exchange.polymarket.market_events import read_frame
from exchange.polymarket.market_stream import MarketStream
from exchange.polymarket.settings import Endpoints
from exchange.polymarket.user_stream import Pace

A, B, C = (digit * 20 for digit in "123")
BOOK: dict[str, Any] = {
    "event_type": "book",
    "asset_id": A,
    "market": "0xab",
    "bids": [{"price": "0.48", "size": "30"}, {"price": "0.50", "size": "15"}],
    "asks": [{"price": "0.54", "size": "10"}, {"price": "0.52", "size": "25"}],
    "timestamp": "1757908892351",
    "hash": "0xabc",
}
BEST: dict[str, Any] = {
    "event_type": "best_bid_ask",
    "asset_id": A,
    "best_bid": "0.4",
    "best_ask": "0.6",
    "timestamp": "7",
}
CHANGE: dict[str, Any] = {
    "event_type": "price_change",
    "price_changes": [
        {"asset_id": A, "price": "0.5", "size": "0", "side": "BUY", "best_bid": "0.48", "best_ask": "1"},
        {"asset_id": B, "price": "0.5", "size": "0", "side": "SELL", "best_bid": "0", "best_ask": "0.52"},
        {"asset_id": A, "price": "0.49", "size": "3", "side": "BUY", "best_bid": "0.49", "best_ask": "1"},
    ],
    "timestamp": "9",
}  # fmt: skip
TRADE = {"event_type": "last_trade_price", "asset_id": A, "price": "0.456", "timestamp": "8"}
TICK = {"event_type": "tick_size_change", "asset_id": A, "new_tick_size": "0.001", "timestamp": "9"}
QUICK = Pace(ping=0.05, silence=0.4, life=30, first_wait=0.01, longest_wait=0.05, notice=0.02)


def d(text: str) -> Decimal:
    return Decimal(text)


SNAPSHOT = Snapshot(
    A,
    ((d("0.50"), d("15")), (d("0.48"), d("30"))),
    ((d("0.52"), d("25")), (d("0.54"), d("10"))),
    None,
    1757908892351,
)
PRICES = PricesChanged(A, d("0.4"), d("0.6"), 7)


@pytest.mark.parametrize(
    ("frame", "news"),
    [
        (BOOK, [SNAPSHOT]),
        ({**BOOK, "last_trade_price": "0.510"}, [replace(SNAPSHOT, last=d("0.510"))]),
        ({**BOOK, "last_trade_price": ""}, [SNAPSHOT]),
        (BEST, [PRICES]),
        ([BOOK, BEST], [SNAPSHOT, PRICES]),
        ({**BEST, "best_bid": "0", "best_ask": "1"}, [PricesChanged(A, None, None, 7)]),
        ({**BEST, "best_bid": "", "best_ask": "0"}, [PricesChanged(A, None, None, 7)]),
        (TRADE, [Traded(A, d("0.456"), 8)]),
        (TICK, [TickSizeChanged(A)]),
        (
            CHANGE,
            [
                PricesChanged(
                    A, d("0.49"), None, 9, (("buy", d("0.5"), d("0")), ("buy", d("0.49"), d("3")))
                ),
                PricesChanged(B, None, d("0.52"), 9, (("sell", d("0.5"), d("0")),)),
            ],
        ),
        ({"event_type": "new_market", "id": "1"}, []),
        ({"event_type": "market_resolved", "id": "1"}, []),
        ([], []),
    ],
)
def test_a_frame_is_read_as_its_news_in_order(frame, news):
    assert read_frame(json.dumps(frame)) == (news, [])


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ("what", "not_json"),
        (b"\xff\xfe", "not_json"),
        ("[" * 5000, "not_json"),
        ("x" * 10_000_000, "not_json"),
        ("3", "int"),
        ('["a"]', "str"),
        ("null", "NoneType"),
        ({"event_type": "magic", "asset_id": A}, "event 'magic'"),
        ({"event_type": ["book"], "asset_id": A}, "event ''"),
        ({**BOOK, "asset_id": None}, "misshapen book"),
        ({**CHANGE, "price_changes": None}, "misshapen price_change"),
        ({**CHANGE, "price_changes": [3]}, "misshapen price_change"),
        ({**TRADE, "price": "0"}, "misshapen last_trade_price"),
        ({**TICK, "asset_id": ""}, "misshapen tick_size_change"),
    ],
)
def test_what_cannot_be_read_is_named(frame, kind):
    text = frame if isinstance(frame, str | bytes) else json.dumps(frame)
    assert read_frame(text) == ([], [kind])


@pytest.mark.parametrize(
    "frame",
    [
        {**BOOK, "bids": None},
        {**BOOK, "bids": [{"price": "1.2", "size": "1"}]},
        {**BOOK, "bids": [{"price": "0.5", "size": "-1"}]},
        {**BOOK, "bids": [{"price": "0.5", "size": "1e99"}]},
        {**BOOK, "bids": [{"price": "0.5"}]},
        {**BOOK, "last_trade_price": "7"},
        {**BOOK, "timestamp": "soon"},
        {**BEST, "best_bid": "1"},
        {**BEST, "best_bid": "-0.2"},
        {**BEST, "best_ask": "NaN"},
        {**BEST, "best_bid": "1e-400"},
        {**BEST, "best_bid": {}},
        {key: value for key, value in BEST.items() if key != "best_ask"},
        {**CHANGE, "price_changes": [{"asset_id": A}]},
        {**CHANGE, "price_changes": [{**CHANGE["price_changes"][0], "side": "HOLD"}, None]},
    ],
)
def test_what_cannot_be_read_of_a_book_names_the_token_it_was_about(frame):
    text = json.dumps([frame, TICK])
    news, skipped = read_frame(text)
    assert news == [Garbled(frozenset({A})), TickSizeChanged(A)]
    assert skipped == [f"misshapen {frame['event_type']}"]


def test_every_token_of_a_change_is_in_doubt_by_one_row_that_cannot_be_read():
    rows = [*CHANGE["price_changes"][:2], {"asset_id": C, "price": "2"}]
    news, _ = read_frame(json.dumps({**CHANGE, "price_changes": rows}))
    assert news == [Garbled(frozenset({A, B, C}))]


def test_what_cannot_be_read_does_not_take_the_rest_of_its_frame_along():
    assert read_frame(json.dumps([{}, BEST, 3])) == ([PRICES], ["event ''", "int"])


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(st.sampled_from([BOOK, BEST, CHANGE, TRADE, TICK]), st.data())
def test_no_frame_raises(frame, data):
    changed = dict(frame)
    changed[data.draw(st.sampled_from(sorted(frame)))] = data.draw(_json)
    news, skipped = read_frame(json.dumps(changed))
    assert all(isinstance(each, Garbled) for each in news) or not skipped


@given(st.sampled_from([BOOK["bids"], CHANGE["price_changes"]]), st.data())
def test_no_row_raises_and_none_that_cannot_be_read_goes_unnoticed(rows, data):
    changed = dict(rows[0])
    changed[data.draw(st.sampled_from(sorted(changed)))] = data.draw(_json)
    frame = (
        {**BOOK, "bids": [changed]}
        if rows is BOOK["bids"]
        else {**CHANGE, "price_changes": [changed]}
    )
    news, skipped = read_frame(json.dumps(frame))
    assert len(news) == 1 or "asset_id" not in changed or not isinstance(changed["asset_id"], str)
    assert bool(skipped) == all(isinstance(each, Garbled) for each in news)


def test_a_frame_of_ten_megabytes_is_read_whole():
    rows = [{**CHANGE["price_changes"][0], "price": f"0.{at:05}"} for at in range(1, 90_000)]
    frame = json.dumps({**CHANGE, "price_changes": rows})
    assert len(frame) > 10_000_000
    news, skipped = read_frame(frame)
    assert (len(news), len(news[0].changes), skipped) == (1, len(rows), [])


class Channel:
    """A stub of the venue's channel: each connection is served by the next script."""

    def __init__(self, *scripts: Callable[["Line"], None]) -> None:
        self.scripts = list(scripts)
        self.lines: list[Line] = []
        self.server: Server = serve(self._serve, "127.0.0.1", 0, compression=None)
        self.address = f"ws://127.0.0.1:{self.server.socket.getsockname()[1]}/ws/market"

    def _serve(self, socket: ServerConnection) -> None:
        line = Line(socket)
        self.lines.append(line)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        with suppress(ConnectionClosed):
            script(line)


class Line:
    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.got: list[Any] = []

    def hear(self) -> Any:
        frame = self.socket.recv()
        said = frame if frame == "PING" else json.loads(frame)
        self.got.append(said)
        return said

    def say(self, *frames: object) -> None:
        for frame in frames:
            self.socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    def answer_pings(self) -> None:
        while True:
            if self.hear() == "PING":
                self.say("PONG")


def telling(*frames: object) -> Callable[[Line], None]:
    def script(line: Line) -> None:
        line.hear()
        line.say(*frames)
        line.answer_pings()

    return script


def mute(line: Line) -> None:
    while True:
        line.hear()


@contextmanager
def listening(
    *scripts: Callable[[Line], None], pace: Pace = QUICK, symbols: tuple[str, ...] = (A, B)
) -> Iterator[tuple[MarketStream, Iterator[Heard], Channel]]:
    channel = Channel(*scripts)
    thread = threading.Thread(target=channel.server.serve_forever, daemon=True)
    thread.start()
    endpoints = replace(Endpoints.paper("http://127.0.0.1:1"), market_ws=channel.address)
    stream = MarketStream(endpoints, pace)
    stream.follow(set(symbols))
    stop = threading.Event()
    news = stream.news(stop)
    try:
        yield stream, news, channel
    finally:
        stop.set()
        news.close()
        for line in channel.lines:
            line.socket.close()
        channel.server.shutdown()
        thread.join(5)


def told(news: Iterator[Heard], count: int) -> list[object]:
    found: list[object] = []
    while len(found) < count:
        found += next(news).news
    return found


def test_it_subscribes_with_the_books_first_and_tells_what_comes():
    with listening(telling([BOOK], BEST)) as (_, news, channel):
        assert told(news, 2) == [SNAPSHOT, PRICES]
        assert channel.lines[0].got[0] == {
            "type": "market",
            "assets_ids": [A, B],
            "initial_dump": True,
            "level": 2,
            "custom_feature_enabled": True,
        }


def test_the_subscription_follows_what_is_wanted_on_the_same_connection():
    def answering(line: Line) -> None:
        line.hear()
        line.say(BEST)
        while line.hear() == "PING" or line.got[-1]["operation"] != "unsubscribe":
            pass
        line.say(BOOK)
        line.answer_pings()

    with listening(answering) as (stream, news, channel):
        told(news, 1)
        stream.follow({B, C})
        assert told(news, 1) == [SNAPSHOT]
        changes = [each for each in channel.lines[0].got[1:] if each != "PING"]
        assert [(each["operation"], each["assets_ids"]) for each in changes] == [
            ("subscribe", [C]),
            ("unsubscribe", [A]),
        ]
        assert stream.connections == 1


def test_a_connection_that_has_named_too_many_tokens_is_replaced(monkeypatch):
    monkeypatch.setattr(market_stream, "MOST_NAMED", 2)
    with listening(telling(BEST)) as (stream, news, channel):
        told(news, 1)
        stream.follow({A, C})
        assert told(news, 2) == [Lost(frozenset({A, B})), PRICES]
        assert channel.lines[1].got[0]["assets_ids"] == [A, C]


def test_a_connection_without_tokens_is_closed_and_opened_when_there_are_some():
    with listening(telling(BEST)) as (stream, news, _):
        told(news, 1)
        stream.follow(set())
        assert told(news, 1) == [Lost(frozenset({A, B}))]
        threading.Timer(0.05, stream.follow, [{A}]).start()
        assert told(news, 1) == [PRICES]
        assert stream.connections == 2


def test_a_connection_that_is_lost_says_so_and_begins_anew():
    def closing(line: Line) -> None:
        line.hear()
        line.say(BEST)

    with listening(closing, telling(BOOK)) as (_, news, _c):
        assert told(news, 3) == [PRICES, Lost(frozenset({A, B})), SNAPSHOT]


def test_a_connection_that_answers_no_ping_is_left():
    with listening(mute, telling(BEST)) as (stream, news, channel):
        assert told(news, 2) == [Lost(frozenset({A, B})), PRICES]
        assert "PING" in channel.lines[0].got
        assert stream.connections == 2


def test_a_connection_found_to_be_frozen_is_left_although_it_answers_pings():
    with listening(telling(), telling(BEST)) as (stream, news, _):
        threading.Timer(0.1, stream.leave).start()
        assert told(news, 2) == [Lost(frozenset({A, B})), PRICES]
        assert stream.connections == 2


def test_every_connection_is_replaced_after_its_life():
    with listening(telling(BEST), pace=replace(QUICK, life=0.1)) as (stream, news, _):
        told(news, 5)
        assert stream.connections == 3


def test_unreadable_frames_are_counted_and_logged_once_a_kind():
    garbled = {**BEST, "best_bid": "7"}
    strange = ["what", "what", 3, {"event_type": "new"}, "x" * 10_000_000, [garbled, garbled]]
    with capture_logs() as logs, listening(telling(*strange, BEST)) as (stream, news, _):
        assert told(news, 3) == [Garbled(frozenset({A}))] * 2 + [PRICES]
        assert stream.skipped == 7
        assert stream.connections == 1
    kinds = [each["kind"] for each in logs if each["event"] == "market_stream_frame_skipped"]
    assert kinds == ["not_json", "int", "event 'new'", "misshapen best_bid_ask"]


def test_a_venue_that_is_away_is_tried_again_until_it_is_told_to_stop():
    stop = threading.Event()
    stream = MarketStream(replace(Endpoints(), market_ws="ws://127.0.0.1:1/ws/market"), QUICK)
    stream.follow({A})
    with capture_logs() as logs:
        thread = threading.Thread(target=lambda: list(stream.news(stop)), daemon=True)
        thread.start()
        while len(logs) < 3:
            thread.join(0.01)
        stop.set()
        thread.join(5)
    assert not thread.is_alive()
    assert [each["failures"] for each in logs[:3]] == [1, 2, 3]
