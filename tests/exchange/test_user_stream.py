"""The user channel over a real WebSocket: what it tells, how it is lost and found again."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from exchange.polymarket.settings import Account, Endpoints
from exchange.polymarket.user_events import read_frame
from exchange.polymarket.user_stream import Pace, UserStream
from exchange.types import UserEvent
from tests.exchange.conftest import CREDENTIALS, KEY, OWNER, SECRET
from tests.exchange.stub import Stub

OURS, TAKER = "0x" + "aa" * 32, "0x" + "bb" * 32
ORDER = {"event_type": "order", "id": OURS, "type": "PLACEMENT", "status": "LIVE"}
TRADE = {
    "event_type": "trade",
    "type": "TRADE",
    "id": "t1",
    "status": "MATCHED",
    "taker_order_id": TAKER,
    "maker_orders": [{"order_id": OURS}, {"order_id": "0xcc"}, {"order_id": OURS}],
}
QUICK = Pace(ping=0.05, silence=0.4, life=30, first_wait=0.01, longest_wait=0.05, notice=0.02)
PLACED = UserEvent((OURS,), "", "PLACEMENT")


class Channel:
    """A stub of the venue's channel: each connection is served by the next script."""

    def __init__(self, *scripts: Callable[["Line"], None]) -> None:
        self.scripts = list(scripts)
        self.lines: list[Line] = []
        self.server: Server = serve(self._serve, "127.0.0.1", 0, compression=None)
        self.address = f"ws://127.0.0.1:{self.server.socket.getsockname()[1]}/ws/user"

    def _serve(self, socket: ServerConnection) -> None:
        line = Line(socket)
        self.lines.append(line)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        with suppress(ConnectionClosed):
            script(line)


class Line:
    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.got: list[str] = []

    def subscription(self) -> Any:
        return json.loads(self.hear())

    def hear(self) -> str:
        frame = self.socket.recv()
        assert isinstance(frame, str)
        self.got.append(frame)
        return frame

    def say(self, *frames: object) -> None:
        for frame in frames:
            self.socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    def answer_pings(self) -> None:
        while True:
            assert self.hear() == "PING"
            self.say("PONG")


def telling(*frames: object) -> Callable[[Line], None]:
    def script(line: Line) -> None:
        line.subscription()
        line.say(*frames)
        line.answer_pings()

    return script


def mute(line: Line) -> None:
    line.subscription()
    while True:
        line.hear()


@contextmanager
def listening(
    *scripts: Callable[[Line], None],
    pace: Pace = QUICK,
    account: Account | None = None,
    clob: str = "http://127.0.0.1:1",
) -> Iterator[tuple[UserStream, Iterator[UserEvent | None], Channel]]:
    channel = Channel(*scripts)
    thread = threading.Thread(target=channel.server.serve_forever, daemon=True)
    thread.start()
    account = account or Account(KEY, OWNER, CREDENTIALS)
    stream = UserStream(replace(Endpoints.paper(clob), user_ws=channel.address), account, pace=pace)
    stop = threading.Event()
    events = stream.events(stop)
    try:
        yield stream, events, channel
    finally:
        stop.set()
        events.close()
        for line in channel.lines:
            line.socket.close()
        channel.server.shutdown()
        thread.join(5)


def told(events: Iterator[UserEvent | None], count: int) -> list[UserEvent]:
    """The next events, whatever marks stand between them."""
    found: list[UserEvent] = []
    while len(found) < count:
        event = next(events)
        if event is not None:
            found.append(event)
    return found


@pytest.mark.parametrize(
    ("frame", "events"),
    [
        (ORDER, [PLACED]),
        ({**ORDER, "type": "CANCELLATION"}, [UserEvent((OURS,), "", "CANCELLATION")]),
        (TRADE, [UserEvent((TAKER, OURS, "0xcc"), "t1", "MATCHED")]),
        (
            {**TRADE, "status": "TRADE_STATUS_CONFIRMED", "maker_orders": None},
            [UserEvent((TAKER,), "t1", "CONFIRMED")],
        ),
        (
            {**TRADE, "taker_order_id": None, "maker_orders": [{"order_id": OURS}, "x", {}]},
            [UserEvent((OURS,), "t1", "MATCHED")],
        ),
        ([ORDER, TRADE], [PLACED, UserEvent((TAKER, OURS, "0xcc"), "t1", "MATCHED")]),
        ([], []),
    ],
)
def test_a_frame_names_every_order_it_may_concern(frame, events):
    assert read_frame(json.dumps(frame)) == (events, [])


@pytest.mark.parametrize(
    ("frame", "kinds"),
    [
        (b"PONG", ["binary"]),
        ("INVALID OPERATION", ["not_json"]),
        ("[" * 100_000, ["not_json"]),
        ("3", ["int"]),
        ("null", ["NoneType"]),
        ("{}", ["event ''"]),
        (json.dumps({"event_type": "x" * 500}), ["event '" + "x" * 40 + "'"]),
        (json.dumps({**ORDER, "id": 5}), ["misshapen order"]),
        (json.dumps({**TRADE, "id": ""}), ["misshapen trade"]),
        (json.dumps({**TRADE, "taker_order_id": "", "maker_orders": {}}), ["misshapen trade"]),
        (json.dumps([ORDER, 1, {}, 1]), ["int", "event ''", "int"]),
    ],
)
def test_what_cannot_be_read_is_named_and_never_raised(frame, kinds):
    assert read_frame(frame)[1] == kinds


def test_it_subscribes_with_its_credentials_before_anything_else():
    with listening(telling(ORDER)) as (_, events, channel):
        assert next(events) is None
        assert told(events, 1) == [PLACED]
        (line,) = channel.lines
        assert json.loads(line.got[0]) == {
            "type": "user",
            "auth": {"apiKey": CREDENTIALS.key, "secret": SECRET, "passphrase": "pp"},
        }
        assert set(line.got[1:]) <= {"PING"}
        request = line.socket.request
        assert request is not None
        assert "Sec-WebSocket-Extensions" not in request.headers


def test_the_first_answer_says_once_more_to_ask_about_everything():
    with listening(telling(), telling(ORDER), pace=replace(QUICK, life=0.3)) as (_, events, _c):
        assert [next(events) for _ in range(3)] == [None, None, None]
        assert told(events, 1) == [PLACED]


def test_a_closed_connection_is_made_again_and_marked():
    def closing(line: Line) -> None:
        line.subscription()
        line.say(ORDER)

    with listening(closing, telling(TRADE)) as (stream, events, channel):
        assert [next(events), next(events), next(events)] == [None, PLACED, None]
        assert told(events, 1)[0].trade_id == "t1"
        assert stream.connections == len(channel.lines) == 2


def test_a_connection_that_answers_no_ping_is_left():
    with listening(mute, telling(ORDER)) as (stream, events, channel):
        assert told(events, 1) == [PLACED]
        assert stream.connections == 2
        assert "PING" in channel.lines[0].got


def test_a_busy_listener_is_not_taken_for_a_silent_venue():
    with listening(telling(ORDER, ORDER)) as (stream, events, channel):
        assert told(events, 1) == [PLACED]
        threading.Event().wait(0.6)  # longer than the silence allowed; the line has answered
        assert told(events, 1) == [PLACED]
        for _ in range(3):  # a PING and its PONG after the pause
            channel.lines[0].say(ORDER)
            assert told(events, 1) == [PLACED]
        assert stream.connections == 1


def test_every_connection_is_replaced_after_its_life():
    with listening(telling(ORDER), pace=replace(QUICK, life=0.2)) as (stream, events, _):
        assert told(events, 3) == [PLACED] * 3
        assert stream.connections == 3


def test_unreadable_frames_are_counted_skipped_and_logged_once_a_kind():
    strange = ["what", b"bytes", 3, {"event_type": "new"}, {"event_type": "new"}]
    with capture_logs() as logs, listening(telling(*strange, [ORDER])) as (stream, events, _):
        assert told(events, 1) == [PLACED]
        assert stream.skipped == 5
        assert stream.heard_at is not None
    kinds = [entry["kind"] for entry in logs if entry["event"] == "user_stream_frame_skipped"]
    assert kinds == ["not_json", "binary", "int", "event 'new'"]


def test_a_frame_of_more_than_a_megabyte_is_refused():
    with listening(telling("x" * (2**20 + 1)), telling(ORDER)) as (stream, events, _):
        assert told(events, 1) == [PLACED]
        assert stream.connections == 2


def test_waits_between_attempts_grow_and_stay_within_their_limits():
    stream = UserStream(Endpoints(), Account(KEY, OWNER, CREDENTIALS))
    for failures, longest in ((1, 1), (2, 2), (3, 4), (6, 30), (500, 30)):
        waits = {stream._wait_after(failures) for _ in range(50)}
        assert min(waits) >= 0.5
        assert max(waits) <= longest
        assert len(waits) > 1


def test_a_venue_that_is_away_is_tried_again_until_it_is_told_to_stop():
    stop = threading.Event()
    endpoints = replace(Endpoints(), user_ws="ws://127.0.0.1:1/ws/user")
    stream = UserStream(endpoints, Account(KEY, OWNER, CREDENTIALS), pace=QUICK)
    found: list[UserEvent | None] = []
    with capture_logs() as logs:
        thread = threading.Thread(target=lambda: found.extend(stream.events(stop)), daemon=True)
        thread.start()
        while len(logs) < 3:
            thread.join(0.01)
        stop.set()
        thread.join(5)
    assert not thread.is_alive()
    assert found == []
    assert [entry["failures"] for entry in logs[:3]] == [1, 2, 3]


def test_a_stop_ends_it_although_nothing_comes():
    with listening(telling()) as (_, events, channel):
        stop = threading.Event()
        stream = UserStream(
            replace(Endpoints(), user_ws=channel.address),
            Account(KEY, OWNER, CREDENTIALS),
            pace=QUICK,
        )
        threading.Timer(0.2, stop.set).start()
        assert set(stream.events(stop)) <= {None}
        events.close()


def test_credentials_are_derived_and_again_after_the_venue_refused_them(venue: Stub):
    keys = iter(["old", "new"])
    venue.on("POST", "/auth/api-key", {"error": "exists"}, 400)
    venue.on(
        "GET",
        "/auth/derive-api-key",
        lambda asked: {"apiKey": next(keys), "secret": SECRET, "passphrase": "pp"},
    )

    def checking(line: Line) -> None:
        if line.subscription()["auth"]["apiKey"] != "new":
            line.socket.close(1008, "invalid api key")
            return
        line.say(ORDER)
        line.answer_pings()

    with listening(checking, account=Account(KEY, OWNER), clob=venue.url) as (_, events, _c):
        assert told(events, 1) == [PLACED]


def test_no_secret_is_logged_even_when_everything_is(caplog):
    def closing(line: Line) -> None:
        line.subscription()
        line.say("what")

    caplog.set_level(logging.INFO, "websockets.server")  # the stub's own side of the line
    caplog.set_level(logging.DEBUG)
    account = Account(KEY, OWNER, replace(CREDENTIALS, passphrase="phrase-x"))
    scripts = [closing, telling(ORDER)]
    with capture_logs() as logs, listening(*scripts, account=account) as (_, events, _c):
        assert told(events, 1) == [PLACED]
    said = caplog.text + repr(logs)
    assert "user_stream_connected" in said
    for secret in (SECRET, CREDENTIALS.key, "phrase-x", KEY, KEY[2:]):
        assert secret not in said
