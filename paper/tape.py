"""Tells the market channel's readers what happened to the books, whoever changed them.

A book keeps a journal while somebody reads it. The first entry puts `flush` on the event loop, which runs
once the step that changes the book is over, committed or undone; so nobody has to announce a change.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from functools import partial

import orjson

from paper import frames, garbage
from paper.agenda import now_ms
from paper.book import Book
from paper.faults import MARKET_CHANNEL, Faults
from paper.feed import Feed
from paper.frames import Event, Moment, Touch
from paper.journal import Journal, Moved, Traded
from paper.markets import Market
from paper.readers import Reader, Readers

MOST_TIMES = 2_000
Places = Mapping[str, tuple[Market, int]]


class Tape:
    """The market channel's source, over the exchange's own books and tokens.

    `told` are the best prices, by condition, that the readers know; it names the books that are read.
    `told_at` says when a condition's latest frames left, in seconds since 1970; `frames` counts all.
    """

    def __init__(
        self, feed: Feed, faults: Faults, books: Mapping[str, Book], tokens: Places
    ) -> None:
        self.readers = Readers()
        self._feed, self._faults = feed, faults
        self._books, self._tokens = books, tokens
        self.told_at: defaultdict[str, deque[float]] = defaultdict(
            partial(deque, maxlen=MOST_TIMES)
        )
        self.frames = 0
        self._told: dict[str, Touch] = {}
        self._due: dict[str, Market] = {}

    def subscribe(self, reader: Reader, tokens: Iterable[str], dump: bool) -> None:
        """Let a reader have tokens as well; with `dump` their books come first, in one array."""
        self.flush()
        new = [token for token in self.readers.add(reader, tokens) if token in self._tokens]
        for token in new:
            self._watch(self._tokens[token][0])
        books = self._books_of(new) if dump and self._feed.state == "live" else []
        if books:
            reader.put(orjson.dumps(books))

    def unsubscribe(self, reader: Reader, tokens: Iterable[str]) -> None:
        """Let a reader no longer have tokens."""
        self.readers.remove(reader, tokens)
        self._unwatch()

    def forget(self, reader: Reader) -> None:
        """Forget a reader that is gone."""
        self.readers.forget(reader)
        self._unwatch()

    def flush(self) -> None:
        """Tell what is in the journals."""
        due, self._due = self._due, {}
        for market in due.values():
            self.tell(market)

    def tell(self, market: Market) -> None:
        """Tell what is in one market's journal, now; best prices first, as the venue does."""
        book = self._books.get(market.condition_id)
        entries = [] if book is None or book.journal is None else book.journal.take()
        if book is None or not entries or market.condition_id not in self._told:
            return
        now = self._moment(market.tokens[0])
        self.told_at[market.condition_id].append(time.time())
        self._tell_touch(now)
        for entry in entries:
            self._tell_entry(now, entry)
        if any(isinstance(entry, Traded) for entry in entries):
            for index, token in enumerate(market.tokens):
                self._send(self.readers.of(token), frames.book(now, index))

    def tell_tick(self, market: Market, old_tick: int) -> None:
        """Tell that a market's tick is another now."""
        for index, token in enumerate(market.tokens):
            event = frames.tick_size_change(market, index, old_tick, now_ms())
            self._send(self.readers.of(token), event)

    def tell_resolved(self, market: Market) -> None:
        """Tell that a market is resolved."""
        readers = [r for r in self.readers.of(*market.tokens) if r.custom]
        self._send(readers, frames.market_resolved(market, now_ms()))

    def tell_listed(self, market: Market) -> None:
        """Tell everybody of a new market, and who waited for its tokens of their books."""
        self._send(self.readers.custom(), frames.new_market(market, now_ms()))
        self._tell_books(market)

    def attach(self, market: Market) -> None:
        """Begin to watch a market's book that was just made, when somebody reads its tokens."""
        self._told.pop(market.condition_id, None)
        if self.readers.of(*market.tokens):
            self._watch(market)

    def start_over(self) -> None:
        """Tell the books as they are, after a reset."""
        for condition_id in list(self._told.keys() - self._books.keys()):
            del self._told[condition_id]
        for market, index in list(self._tokens.values()):
            if index == 0 and market.condition_id in self._told:
                self._tell_books(market)

    def _tell_books(self, market: Market) -> None:
        book = self._books[market.condition_id]
        if book.journal is not None:
            book.journal.take()
        now = self._moment(market.tokens[0])
        self._tell_touch(now)
        for index, token in enumerate(market.tokens):
            self._send(self.readers.of(token), frames.book(now, index))

    def _tell_touch(self, now: Moment) -> None:
        if self._told.get(now.market.condition_id) == now.touch:
            return
        self._told[now.market.condition_id] = now.touch
        for index, token in enumerate(now.market.tokens):
            if readers := [r for r in self.readers.of(token) if r.custom]:
                self._send(readers, frames.best_bid_ask(now, index))

    def _tell_entry(self, now: Moment, entry: Moved | Traded) -> None:
        if isinstance(entry, Moved):
            readers = self.readers.of(*now.market.tokens)
            self._send(readers, frames.price_change(now, entry))
        else:
            readers = self.readers.of(now.market.tokens[entry.index])
            self._send(readers, frames.last_trade_price(now, entry))

    def _send(self, readers: Collection[Reader], event: Event) -> None:
        """Send an event to its readers, as well or badly as arranged."""
        if not readers or self._feed.state != "live":
            return
        fault = self._faults.take_for_event(MARKET_CHANNEL)
        if fault is not None and fault.garbage is not None:
            self._deliver(readers, garbage.frame(fault.garbage, event))
            fault = None
        self._feed.misdeliver(partial(self._deliver, readers, orjson.dumps(event)), fault)

    def _deliver(self, readers: Collection[Reader], frame: bytes) -> None:
        if self._feed.state == "live":
            self.frames += len(readers)
            for reader in readers:
                reader.put(frame)

    def _books_of(self, tokens: Iterable[str]) -> list[Event]:
        """Show the books of tokens, without those of closed markets."""
        places = [self._tokens[token] for token in tokens]
        return [
            frames.book(self._moment(market.tokens[0]), index)
            for market, index in places
            if not market.closed
        ]

    def _moment(self, token: str) -> Moment:
        market, _ = self._tokens[token]
        return frames.moment(market, self._books[market.condition_id], now_ms())

    def _watch(self, market: Market) -> None:
        book = self._books[market.condition_id]
        if book.journal is None:
            book.journal = Journal(partial(self._wake, market))
            self._told[market.condition_id] = frames.touch_of(book)

    def _unwatch(self) -> None:
        """Let the books rest that nobody reads any more."""
        for market, _ in {id(place[0]): place for place in self._tokens.values()}.values():
            if market.condition_id in self._told and not self.readers.of(*market.tokens):
                del self._told[market.condition_id]
                self._books[market.condition_id].journal = None

    def _wake(self, market: Market) -> None:
        if not self._due:
            asyncio.get_running_loop().call_soon(self.flush)
        self._due[market.condition_id] = market
