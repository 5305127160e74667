"""The market channel in trouble, and recordings played on it."""

from __future__ import annotations

import gzip
import json
import socket as sockets
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from paper.readers import MOST_WAITING, Reader
from paper.recording import COLUMNS
from tests.paper.conftest import FAST, OWNER
from tests.paper.market_socket import MarketSocket, levels, market_url, reading
from tests.paper.user_socket import UserSocket
from tests.paper_process import running_paper, wait_until


@pytest.fixture
def tokens(paper) -> tuple[str, str]:
    first, second = paper.markets()[0]["tokenIds"]
    paper.put_book(first, [("0.48", 100)], [("0.50", 80)])
    return first, second


def bid(paper, token: str, *prices: str) -> None:
    for price in prices:
        paper.put_book(token, [(price, 7)], [("0.50", 80)])


def best_bids(socket: MarketSocket, token: str) -> list[str]:
    """List the best bids a token was told to have, once per frame."""
    return [
        next(c["best_bid"] for c in event["price_changes"] if c["asset_id"] == token)
        for event in socket.of("price_change")
    ]


def test_a_frozen_feed_is_silent_while_the_market_moves_on(paper, tokens):
    with reading(paper.url, *tokens) as socket:
        socket.forget()
        paper.call("POST", "/paper/feed", {"state": "frozen"})
        bid(paper, tokens[0], "0.40")
        with reading(paper.url, *tokens) as late:
            assert late.events == []
        paper.call("POST", "/paper/feed", {"state": "live"})
        socket.ping()
        assert socket.events == []
        bid(paper, tokens[0], "0.41")
        socket.ping()
        assert best_bids(socket, tokens[0]) == ["0.41"]
    with reading(paper.url, *tokens) as socket:
        assert socket.books[tokens[0]] == levels(
            paper.http.get("/book", params={"token_id": tokens[0]}).json()
        )


def test_the_generator_moves_on_while_the_feed_is_frozen(home):
    with running_paper(home, OWNER, **FAST | {"PAPER_GENERATOR": "1"}) as paper:
        first = [market["tokenIds"][0] for market in paper.markets()[:6]]
        paper.call("POST", "/paper/feed", {"state": "frozen"})

        def hashes() -> list[str]:
            return [
                paper.http.get("/book", params={"token_id": token}).json()["hash"]
                for token in first
            ]

        before = hashes()
        assert wait_until(lambda: hashes() != before)
        with reading(paper.url, *first) as socket:
            paper.call("POST", "/paper/feed", {"state": "live"})
            socket.until(lambda events: len(events) > 1)
            assert set(socket.kinds()) == {"price_change"}


def test_a_dropped_feed_breaks_connections_and_refuses_new_ones(paper, tokens):
    with reading(paper.url, *tokens) as socket:
        paper.call("POST", "/paper/feed", {"state": "dropped"})
        with pytest.raises(ConnectionClosed):
            socket.read()
    with pytest.raises(InvalidStatus):
        connect(market_url(paper.url))


def test_events_come_three_times(paper, tokens):
    paper.fault("ws", "duplicate")
    with reading(paper.url, *tokens) as socket:
        bid(paper, tokens[0], "0.40", "0.41")
        socket.ping()
        assert best_bids(socket, tokens[0]) == ["0.4"] * 3 + ["0.41"]


def test_events_come_out_of_order(paper, tokens):
    paper.fault("ws/market", "shuffle", 5)
    prices = ["0.4", "0.41", "0.42", "0.43", "0.44"]
    with reading(paper.url, *tokens) as socket:
        bid(paper, tokens[0], *prices)
        socket.until(lambda events: len(events) == 2 + len(prices))
        assert best_bids(socket, tokens[0]) == prices[::-1]


def test_slow_events_are_overtaken(paper, tokens):
    paper.fault("ws/market", "slow:300")
    with reading(paper.url, *tokens) as socket:
        bid(paper, tokens[0], "0.40", "0.41")
        socket.until(lambda events: len(events) == 4)
        assert best_bids(socket, tokens[0]) == ["0.41", "0.4"]


def test_the_user_channels_faults_are_its_own(paper, tokens):
    paper.fault("ws/user", "duplicate")
    with reading(paper.url, *tokens) as socket:
        bid(paper, tokens[0], "0.40")
        socket.ping()
        assert best_bids(socket, tokens[0]) == ["0.4"]
    assert len(paper.call("GET", "/paper/faults")["faults"]) == 1


@pytest.mark.parametrize(
    ("kind", "has"),
    [
        ("text", lambda text: text.startswith("<html>")),
        ("type", lambda text: json.loads(text)["event_type"] == "weather_forecast"),
        ("token", lambda text: "1234567890" * 7 in text),
        ("price", lambda text: json.loads(text)["price_changes"][0]["price"] == "1.5"),
        ("huge", lambda text: len(text) > 10_000_000),
    ],
)
def test_nonsense_comes_before_an_event(paper, tokens, kind, has):
    paper.fault("ws", f"garbage:{kind}")
    with reading(paper.url, *tokens) as socket:
        bid(paper, tokens[0], "0.40")
        assert has(str(socket.connection.recv(timeout=5)))
        socket.ping()
        assert best_bids(socket, tokens[0]) == ["0.4"]


def test_nonsense_is_not_for_the_user_channel(paper):
    answer = paper.call("POST", "/paper/faults", {"on": "ws/user", "kind": "garbage:text"}, 400)
    assert "ws/user" in answer["error"]


def test_a_reader_too_slow_is_cut_off_and_holds_nothing():
    cut: list[str] = []
    reader = Reader(lambda: cut.append("cut"))
    frame = b"x" * (MOST_WAITING // 4)
    for _ in range(4):
        reader.put(frame)
    assert cut == []
    reader.put(frame)
    assert (cut, reader.waiting_bytes) == (["cut"], 0)


def read_on(connection) -> None:
    """Read until the connection ends."""
    while True:
        connection.recv(timeout=5)


def test_a_reader_that_stops_reading_holds_nobody_up(paper, tokens):
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 2048)
    host, port = paper.url.removeprefix("http://").split(":")
    raw.connect((host, int(port)))
    with connect(market_url(paper.url), sock=raw, max_queue=1, close_timeout=0.1) as stuck:
        stuck.send(json.dumps({"type": "market", "assets_ids": list(tokens)}))
        paper.fault("ws/market", "garbage:huge", 3)
        with connect(market_url(paper.url), max_size=None) as connection:
            socket = UserSocket(connection)
            socket.send({"type": "market", "assets_ids": list(tokens)})
            for price in ("0.40", "0.41", "0.42", "0.43"):
                bid(paper, tokens[0], price)
                socket.ping()
            assert len(socket.events) == 2 + 4 + 3
        with pytest.raises(ConnectionClosed):
            read_on(stuck)


def recording(path: Path, rows: list[tuple]) -> str:
    """Write (ms, kind, token, side, price, size, bid, ask) rows, mirrored unless they are trades."""
    lines = [",".join(COLUMNS)]
    for at, kind, token, side, price, size, best_bid, best_ask in rows:
        lines.append(f"{at},{kind},{token},{side},{price},{size},{best_bid},{best_ask}")
        if kind == "PRICE_CHANGE":
            mirror, back = (
                333 - token if token < 300 else 1555 - token,
                "ASK" if side == "BID" else "BID",
            )
            cents = [f"{100 - round(float(p) * 100)}e-2" for p in (price, best_ask, best_bid)]
            price, best_bid, best_ask = (f"{float(cent):.2f}" for cent in cents)
            lines.append(f"{at},{kind},{mirror},{back},{price},{size},{best_bid},{best_ask}")
    with gzip.open(path, "wt") as out:
        out.write("\n".join(lines) + "\n")
    return str(path)


AT = 1_780_000_000_000
ROWS = [
    (AT, "PRICE_CHANGE", 111, "BID", "0.50", "30", "0.50", "0.55"),
    (AT, "PRICE_CHANGE", 777, "BID", "0.20", "30", "0.20", "0.25"),
    (AT + 1, "PRICE_CHANGE", 222, "ASK", "0.51", "12", "0.45", "0.50"),
    (AT + 1, "PRICE_CHANGE", 111, "BID", "0.50", "0", "0.49", "0.55"),
    (AT + 1, "PRICE_CHANGE", 111, "BID", "0.50", "0", "0.49", "0.55"),
    (AT + 9, "LAST_TRADE", 222, "BUY", "0.51", "3.5", "0.0", "0.0"),
    (AT + 9, "PRICE_CHANGE", 778, "BID", "0.76", "8", "0.76", "0.80"),
    (AT + 4, "PRICE_CHANGE", 111, "BID", "0.40", "30", "0.40", "0.55"),
]


def replayed(paper, file: str, speed: float = 10_000) -> tuple[dict[str, str], MarketSocket]:
    """Play a file to a reader of all its tokens; gives what each paper token was recorded as."""
    held = paper.call(
        "POST", "/paper/replay", {"file": file, "speed": speed, "hold": True, "waits": True}
    )
    recorded = {
        token: name
        for row in held["mapping"]
        for token, name in zip(row["tokenIds"], row["recorded"], strict=True)
    }
    with reading(paper.url, *recorded) as socket:
        socket.forget()
        paper.call("POST", "/paper/replay", {"resume": True})
        while paper.call("GET", "/paper/replay")["running"]:
            socket.ping()
        socket.ping()
    return recorded, socket


def numbers(shown: dict) -> list[float]:
    """List a change's or a trade's numbers."""
    names = ("price", "size", "best_bid", "best_ask")
    return [float(shown[name]) for name in names if name in shown]


def test_a_recording_comes_out_frame_by_frame_as_it_was_recorded(paper, tmp_path):
    recorded, socket = replayed(paper, recording(tmp_path / "ticks.csv.gz", ROWS))
    told = [
        (recorded[first["asset_id"]], first["side"], *numbers(first))
        for event in socket.events
        if event["event_type"] != "book"
        for first in event.get("price_changes", [event])[:1]
    ]
    assert told == [
        ("111", "BUY", 0.5, 30, 0.5, 0.55), ("777", "BUY", 0.2, 30, 0.2, 0.25),
        ("222", "SELL", 0.51, 12, 0.45, 0.5),
        ("111", "BUY", 0.5, 0, 0.49, 0.55), ("111", "BUY", 0.5, 0, 0.49, 0.55),
        ("222", "BUY", 0.51, 3.5), ("778", "BUY", 0.76, 8, 0.76, 0.8),
        ("111", "BUY", 0.4, 30, 0.4, 0.55),
    ]  # fmt: skip
    for token in recorded:
        assert socket.books[token] == levels(
            paper.http.get("/book", params={"token_id": token}).json()
        )


def test_a_new_market_is_told_to_custom_readers(paper, tokens, tmp_path):
    with reading(paper.url, tokens[0], custom_feature_enabled=True) as socket:
        file = recording(tmp_path / "ticks.csv.gz", ROWS)
        paper.call("POST", "/paper/replay", {"file": file, "speed": 1, "hold": True})
        socket.ping()
        (first, second) = socket.of("new_market")
        assert first["condition_id"] != second["condition_id"]


def test_who_waits_for_a_token_hears_of_it_once_it_is_listed(paper, tmp_path):
    file = recording(tmp_path / "ticks.csv.gz", ROWS)
    body = {"file": file, "speed": 1, "hold": True}
    token = paper.call("POST", "/paper/replay", body)["mapping"][0]["tokenIds"][0]
    paper.call("POST", "/paper/reset")
    with reading(paper.url, token) as socket:
        assert socket.events == []
        paper.call("POST", "/paper/replay", body)
        socket.ping()
        assert socket.books[token] == levels(
            paper.http.get("/book", params={"token_id": token}).json()
        )
