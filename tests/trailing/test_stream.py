"""The stream with real rows: the lease, what is followed, a message that fires a stop, and its loss."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from exchange.errors import Unavailable
from exchange.polymarket.market_stream import MarketStream
from exchange.polymarket.settings import Endpoints
from exchange.polymarket.user_stream import Pace
from exchange.types import Book, Quote
from orders import sending
from orders.models import Instrument, Order
from polytrader.models import Heartbeat, Lease
from tests.paper_process import wait_until
from tests.rows import a_stop, an_instrument, seen
from trailing import lease, monitor, stream, watching
from trailing.conflating import Needs
from trailing.evaluating import Evaluator
from trailing.line import Watched
from trailing.maths import Trail
from trailing.models import TrailingStop
from trailing.stream import Following, Stream
from trailing.tick import tick
from trailing.waiting import Waiting

THREE_TICKS = Trail(amount=Decimal("0.03"))
QUICK = Pace(ping=0.1, silence=1.0, life=30, first_wait=0.01, longest_wait=0.05, notice=0.02)
rows = pytest.mark.django_db(transaction=True)


class Market:
    """A stub of the venue: one book per token, told over the socket and by REST."""

    def __init__(self) -> None:
        self.books: dict[str, tuple[str, str]] = {}
        self.is_frozen = False
        self.is_away = False
        self.lines: list[ServerConnection] = []
        self.followed: set[str] = set()
        self._told_at = 0
        self.server = serve(self._serve, "127.0.0.1", 0, compression=None)
        self.address = f"ws://127.0.0.1:{self.server.socket.getsockname()[1]}/"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def put(self, token: str, bid: str, ask: str, *, silently: bool = False) -> None:
        self.books[token] = (bid, ask)
        self._told_at += 1
        if not silently:
            self.say(
                {
                    "event_type": "best_bid_ask",
                    "asset_id": token,
                    "best_bid": bid,
                    "best_ask": ask,
                    "timestamp": str(self._told_at),
                }
            )

    def say(self, *frames: Any) -> None:
        for line in self.lines:
            with suppress(ConnectionClosed):
                for frame in frames:
                    line.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    def connect(self) -> MarketStream:
        endpoints = replace(Endpoints.paper("http://127.0.0.1:1"), market_ws=self.address)
        return MarketStream(endpoints, QUICK)

    def _serve(self, line: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            for said in line:
                if said == "PING":
                    line.send("PONG")
                else:
                    self._subscribe(line, json.loads(said))

    def _subscribe(self, line: ServerConnection, asked: dict[str, Any]) -> None:
        tokens = set(asked["assets_ids"])
        if asked.get("operation") == "unsubscribe":
            self.followed -= tokens
            return
        if self.is_frozen:
            return
        self.followed |= tokens
        line.send(json.dumps([self._book(token) for token in tokens if token in self.books]))
        self.lines.append(line)

    def _book(self, token: str) -> dict[str, Any]:
        bid, ask = self.books[token]
        return {
            "event_type": "book",
            "asset_id": token,
            "bids": [{"price": bid, "size": "100"}],
            "asks": [{"price": ask, "size": "100"}],
            "timestamp": str(self._told_at),
        }

    # its REST side, as `exchange.port.Exchange` has it

    def quotes(self, symbols: Any) -> dict[str, Quote]:
        self._answer()
        now = timezone.now()
        return {
            token: Quote(token, Decimal(self.books[token][0]), Decimal(self.books[token][1]), now)
            for token in symbols
            if token in self.books
        }

    def books_of(self, symbols: Any) -> dict[str, Book]:
        return {
            token: Book(
                token, ((quote.bid, Decimal(9)),), ((quote.ask, Decimal(9)),), None,
                quote.received_at, self._told_at,
            )
            for token, quote in self.quotes(symbols).items()
        }  # fmt: skip

    def _answer(self) -> None:
        if self.is_away:
            raise Unavailable("the venue is away")


class Rest:
    """The part of the port that the checker asks."""

    def __init__(self, market: Market) -> None:
        self.quotes, self.books = market.quotes, market.books_of


@pytest.fixture
def market(monkeypatch: Any, transactional_db: None) -> Iterator[Market]:
    found = Market()
    monkeypatch.setattr(stream, "market_stream", found.connect)
    monkeypatch.setattr(stream, "_exchange", lambda: Rest(found))
    monkeypatch.setattr(sending, "send_at_once", lambda orders: [])  # there is nobody to send to
    yield found
    for line in found.lines:
        line.close()
    found.server.shutdown()
    found.thread.join(5)


@contextmanager
def following() -> Iterator[Following]:
    found = Following()
    found.start()
    try:
        yield found
    finally:
        found.end()


def a_market(market: Market, bid: str = "0.50", ask: str = "0.52") -> Instrument:
    instrument = an_instrument()
    market.books[instrument.symbol] = (bid, ask)
    return instrument


def status(stop: TrailingStop) -> str:
    stop.refresh_from_db()
    return stop.status


def has(stop: TrailingStop, wanted: str) -> Callable[[], bool]:
    return lambda: status(stop) == wanted


def watermark(stop: TrailingStop) -> Decimal:
    stop.refresh_from_db()
    return stop.watermark_price


# the lease


@rows
def test_of_two_that_race_for_a_lease_one_wins_it():
    for name in (f"race {number}" for number in range(10)):
        barrier, won = threading.Barrier(2), []

        def race(holder: str, name: str = name, barrier: Any = barrier, won: Any = won) -> None:
            try:
                barrier.wait()
                if lease.take(name, holder):
                    won.append(holder)
            finally:
                connection.close()

        threads = [threading.Thread(target=race, args=(holder,)) for holder in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [Lease.objects.get(name=name).holder] == won


@rows
def test_of_two_that_race_for_an_old_lease_one_wins_it():
    for number in range(10):
        name = f"race {number}"
        Lease.objects.create(
            name=name, holder="dead", renewed_at=timezone.now() - timedelta(seconds=5)
        )
        barrier, won = threading.Barrier(2), []

        def race(holder: str, name: str = name, barrier: Any = barrier, won: Any = won) -> None:
            try:
                barrier.wait()
                if lease.take(name, holder):
                    won.append(holder)
            finally:
                connection.close()

        threads = [threading.Thread(target=race, args=(holder,)) for holder in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [Lease.objects.get(name=name).holder] == won


@pytest.mark.django_db
def test_a_lease_is_renewed_by_its_holder_and_taken_by_others_once_it_is_old():
    assert lease.take("x", "a")
    assert lease.take("x", "a")
    assert not lease.take("x", "b")
    assert lease.is_held("x")
    Lease.objects.update(renewed_at=timezone.now() - timedelta(seconds=3))
    assert not lease.take("x", "b")
    Lease.objects.update(renewed_at=timezone.now() - timedelta(seconds=4.1))
    assert not lease.is_held("x")
    assert lease.take("x", "b")
    assert not lease.take("x", "a")


@pytest.mark.django_db
def test_a_lease_that_is_released_is_free_at_once():
    lease.take("x", "a")
    lease.release("x", "b")
    assert not lease.take("x", "b")
    lease.release("x", "a")
    assert lease.take("x", "b")


def running(found: Stream) -> tuple[threading.Thread, threading.Event]:
    stop = threading.Event()

    def run() -> None:
        try:
            found.run(stop)
        finally:
            connection.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, stop


@rows
def test_a_standby_takes_over_from_a_dead_stream_within_five_seconds(market: Market):
    Lease.objects.create(name=lease.STREAM, holder="killed", renewed_at=timezone.now())
    stop = a_stop(a_market(market), THREE_TICKS, "0.50")
    began = time.monotonic()
    standby, end = running(Stream())
    wait_until(lambda: Heartbeat.objects.filter(role="stream", did="stands by").exists())
    wait_until(lambda: stop.instrument.symbol in market.followed)
    assert 3 < time.monotonic() - began < 5
    end.set()
    standby.join(5)
    assert not standby.is_alive()


@rows
def test_a_stream_that_ends_hands_over_at_once_and_says_what_it_did(market: Market):
    stop = a_stop(a_market(market), THREE_TICKS, "0.50")
    first, end_first = running(Stream())
    wait_until(lambda: stop.instrument.symbol in market.followed)
    second, end_second = running(Stream())
    wait_until(lambda: Heartbeat.objects.filter(role="stream", did="stands by").exists())
    market.followed.clear()
    end_first.set()
    wait_until(lambda: stop.instrument.symbol in market.followed, seconds=2.5)
    wait_until(
        lambda: Heartbeat.objects.filter(
            did__startswith="follows 1 instruments (1 trusted)"
        ).exists()
    )
    end_second.set()
    for thread in (first, second):
        thread.join(5)
        assert not thread.is_alive()
    assert not Lease.objects.exists()


# what is followed


@pytest.mark.django_db
def test_what_has_a_live_stop_is_followed_with_what_its_stops_need():
    plain, deep, pending, ended, closed, spot = (an_instrument() for _ in range(6))
    a_stop(plain, THREE_TICKS, "0.5")
    a_stop(plain, THREE_TICKS, "0.5", confirm_updates=5)
    for spread in ("0.02", "0.05", "0.02"):
        a_stop(plain, THREE_TICKS, "0.5", max_spread=Decimal(spread))
    a_stop(deep, THREE_TICKS, "0.5", reference="executable", quantity=None)
    for number in range(1, 10):
        a_stop(pending, THREE_TICKS, "0.5", max_spread=Decimal(number) / 100)
    a_stop(pending, THREE_TICKS, "0.5", activation="0.6", confirm_updates=1)
    a_stop(closed, THREE_TICKS, "0.5")
    a_stop(spot, THREE_TICKS, "0.5")
    a_stop(ended, THREE_TICKS, "0.5").move("cancelled")
    Instrument.objects.filter(pk=closed.pk).update(is_closed=True)
    Instrument.objects.filter(pk=spot.pk).update(venue="binance")
    assert watching.watched() == [
        Watched(plain.pk, plain.symbol, False, Needs(5, (Decimal("0.02"), Decimal("0.05")))),
        Watched(deep.pk, deep.symbol, True, Needs(2, (), (("sell", Decimal(10_000)),))),
        Watched(pending.pk, pending.symbol, False, Needs(2, None)),
    ]


@pytest.mark.django_db
def test_nothing_is_followed_without_a_live_stop():
    assert watching.watched() == []


@rows
def test_the_subscription_follows_the_rows_within_a_second(market: Market):
    first, second = a_market(market), a_market(market)
    old = a_stop(first, THREE_TICKS, "0.50")
    with following():
        wait_until(lambda: market.followed == {first.symbol})
        a_stop(second, THREE_TICKS, "0.50")
        old.move("cancelled")
        wait_until(lambda: market.followed == {second.symbol}, seconds=1)


# what a message does


@rows
def test_a_message_ratchets_and_the_next_one_fires_in_milliseconds(
    market: Market, monkeypatch: Any
):
    instrument, sent = a_market(market), []
    monkeypatch.setattr(sending, "send_at_once", sent.append)
    stop = a_stop(instrument, THREE_TICKS, "0.50")
    with following() as found:
        wait_until(lambda: found.books.count() == (1, 1))
        market.put(instrument.symbol, "0.60", "0.62")
        wait_until(lambda: watermark(stop) == Decimal("0.60"))
        market.put(instrument.symbol, "0.57", "0.59")
        wait_until(has(stop, "triggered"))
        wait_until(lambda: sent)
    order = Order.objects.get(leg__trade=stop.trade)
    assert sent == [[order]]
    assert len(found.evaluator.reactions) == 1
    assert "1 exits; reacted in" in found.did()


@rows
def test_a_dip_and_its_recovery_in_one_frame_fire_the_stop(market: Market):
    instrument = a_market(market)
    stop = a_stop(instrument, THREE_TICKS, "0.50")
    with following() as found:
        wait_until(lambda: found.books.count() == (1, 1))
        part = {"event_type": "best_bid_ask", "asset_id": instrument.symbol, "best_ask": "0.9"}
        prices = ["0.50", "0.46", "0.50"]
        market.say([{**part, "best_bid": bid, "timestamp": "99"} for bid in prices])
        wait_until(has(stop, "triggered"))
    assert stop.triggered_by_price == Decimal("0.46")


@rows
def test_a_breach_that_needs_time_fires_by_the_timer_though_nothing_more_is_told(market: Market):
    instrument = a_market(market)
    stop = a_stop(instrument, THREE_TICKS, "0.50", confirm_updates=9, confirm_ms=300)
    with following() as found:
        wait_until(lambda: found.books.count() == (1, 1))
        market.put(instrument.symbol, "0.40", "0.42")
        wait_until(lambda: bool(status(stop)) and stop.breached_since is not None)
        wait_until(has(stop, "triggered"), seconds=2)


@rows
def test_bad_frames_do_not_keep_the_next_good_one_from_firing(market: Market):
    instrument = a_market(market)
    stop = a_stop(instrument, THREE_TICKS, "0.50")
    with following() as found:
        wait_until(lambda: found.books.count() == (1, 1))
        book = {"event_type": "best_bid_ask", "asset_id": instrument.symbol, "timestamp": "99"}
        other = {**book, "asset_id": "5" * 20}
        market.say("what", "[", "3", {}, [[]], {**other, "best_bid": "7", "best_ask": "8"})
        market.say({**other, "best_bid": "0.1", "best_ask": "0.2"})
        market.say("x" * 10_000_000, {**book, "best_bid": "0.1", "best_ask": "0.2"})
        wait_until(has(stop, "triggered"))


# doubt and loss


@rows
def test_a_price_that_cannot_be_read_is_asked_for(market: Market):
    instrument = a_market(market)
    stop = a_stop(instrument, THREE_TICKS, "0.50")
    with following() as found:
        wait_until(lambda: found.books.count() == (1, 1))
        market.put(instrument.symbol, "0.46", "0.48", silently=True)
        said = {"event_type": "best_bid_ask", "asset_id": instrument.symbol, "timestamp": "99"}
        market.say({**said, "best_bid": "46", "best_ask": "48"})
        wait_until(has(stop, "triggered"), seconds=2)


@rows
def test_a_crossed_book_is_not_ticked_and_rest_restores_it(market: Market):
    instrument = a_market(market)
    stop = a_stop(instrument, THREE_TICKS, "0.50")
    with following() as found:
        wait_until(lambda: found.books.count() == (1, 1))
        market.put(instrument.symbol, "0.90", "0.30")
        market.put(instrument.symbol, "0.60", "0.62", silently=True)
        wait_until(lambda: watermark(stop) == Decimal("0.60"))
    instrument.refresh_from_db()
    assert instrument.ask == Decimal("0.62")


@rows
def test_a_stream_that_is_open_and_says_nothing_is_noticed_within_ten_seconds(market: Market):
    instrument = a_market(market)
    stop = a_stop(instrument, THREE_TICKS, "0.50")
    with following() as found:
        wait_until(lambda: found.books.count() == (1, 1))
        market.is_frozen = True
        connections, market.lines = list(market.lines), []
        market.put(instrument.symbol, "0.30", "0.32")
        wait_until(has(stop, "triggered"), seconds=10)
        wait_until(lambda: all(line.state.name == "CLOSED" for line in connections), seconds=2)


@rows
def test_a_quiet_book_is_kept_fresh_by_rest(market: Market):
    instrument = a_market(market)
    a_stop(instrument, THREE_TICKS, "0.50")
    with following() as found:
        wait_until(lambda: found.books.count() == (1, 1))

        def observed_at():
            return Instrument.objects.get(pk=instrument.pk).observed_at

        first = wait_until(observed_at)
        wait_until(lambda: observed_at() > first, seconds=8)


@rows
def test_two_streams_that_act_at_once_plan_one_exit(market: Market):
    instrument = a_market(market)
    stop = a_stop(instrument, THREE_TICKS, "0.50")
    with following() as first, following() as second:
        wait_until(lambda: first.books.count() == second.books.count() == (1, 1))
        market.put(instrument.symbol, "0.40", "0.42")
        wait_until(has(stop, "triggered"))
        wait_until(lambda: first.evaluator.ticks >= 2 and second.evaluator.ticks >= 2)
    assert Order.objects.count() == 1


@pytest.mark.django_db
def test_a_price_older_than_five_seconds_is_not_evaluated():
    instrument = an_instrument()
    stop = a_stop(instrument, THREE_TICKS, "0.50")
    evaluator = Evaluator(Waiting())
    evaluator._tick([seen(instrument, "0.10", timezone.now() - timedelta(seconds=6))])
    assert status(stop) == "active"


@rows
def test_the_sweep_leaves_alone_what_the_stream_has_just_evaluated(paper_token: Instrument):
    a_stop(paper_token, THREE_TICKS, "0.50")
    tick([seen(paper_token, "0.50", ask="0.52")])
    lease.take(lease.STREAM, "somebody")
    result = monitor.sweep()
    assert (result.left, result.evaluated) == (1, 0)
    lease.release(lease.STREAM, "somebody")
    assert monitor.sweep().evaluated == 1


@rows
def test_a_stream_that_is_lost_costs_no_more_than_two_seconds(
    paper: Any, paper_token: Instrument, monkeypatch: Any
):
    monkeypatch.setattr(sending, "send_at_once", lambda orders: [])
    stop = a_stop(paper_token, THREE_TICKS, "0.50")
    lease.take(lease.STREAM, "just killed")
    tick([seen(paper_token, "0.50", ask="0.52")])
    paper.put_book(paper_token.symbol, bids=[("0.40", 100)], asks=[("0.42", 100)])
    assert monitor.sweep().left == 1  # the beat rings every two seconds; it looks twice
    wait_until(has(stop, "triggered"), seconds=2)
