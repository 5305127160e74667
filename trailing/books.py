"""All watched lines: who has news, who is in doubt, who has been quiet. Safe from any thread.

Read `line.py` for what happens to one of them.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import structlog

from exchange.market_news import (
    Garbled,
    Heard,
    Lost,
    MarketNews,
    PricesChanged,
    Snapshot,
    TickSizeChanged,
    Traded,
)
from exchange.types import Book, Quote
from trailing.line import Comparison, Line, Watched
from trailing.tick import Observation

log = structlog.get_logger()

GRACE = timedelta(seconds=0.5)
"""How long a line in doubt waits for a snapshot of the stream before REST is asked."""

TORN_FOR = timedelta(seconds=2)
"""How long the depth may lag behind the best prices."""


class Books:
    """The lines by symbol. `skipped` counts what was heard and not used, by kind."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._lock = threading.Lock()
        self.skipped: Counter[str] = Counter()

    def watch(self, watched: Iterable[Watched], now: datetime) -> None:
        """Watch exactly these from now on."""
        with self._lock:
            before, self._lines = self._lines, {}
            for each in watched:
                line = before.get(each.symbol) or Line(each, now)
                if each.is_deep and not line.watched.is_deep:
                    line.distrust("its depth is wanted now", now)
                line.watched = each
                self._lines[each.symbol] = line

    def hear(self, heard: Heard) -> list[Observation]:
        """Take the news of one message; give what the tick is to see, in order."""
        with self._lock:
            seen = [self._take(news, heard.at) for news in heard.news]
        return [observation for observation in seen if observation is not None]

    def restore(self, book: Book, asked_at: datetime) -> Observation | None:
        """Trust a line again by a whole book of REST, asked for after the doubt arose."""
        with self._lock:
            line = self._lines.get(book.symbol)
            if line is None or not line.may_be_restored(asked_at):
                return None
            told_at = book.told_at or line.told_at
            told = Snapshot(book.symbol, book.bids, book.asks, book.last, told_at)
            return line.restart(told, book.received_at)

    def compare(self, quote: Quote, asked_at: datetime) -> tuple[Comparison, Observation | None]:
        """Compare a line with REST; one that is the same is observed again."""
        with self._lock:
            line = self._lines.get(quote.symbol)
            if line is None:
                return "unknown", None
            found = line.compare(quote, asked_at)
            return found, line.confirm(quote.received_at) if found == "same" else None

    def doubtful(self, now: datetime) -> list[str]:
        """Lines to be asked for: in doubt for a while, or with a depth that does not fit."""
        with self._lock:
            for line in self._lines.values():
                if line.torn_at is not None and now - line.torn_at > TORN_FOR:
                    line.distrust("its levels do not fit its best prices", line.torn_at)
                    line.torn_at = None
        return self._symbols(
            lambda line: line.doubted_at is not None and now - line.doubted_at > GRACE
        )

    def quiet(self, since: datetime) -> list[str]:
        """Trusted lines that nothing has been heard of since then."""
        return self._symbols(
            lambda line: line.is_trusted and line.known_at is not None and line.known_at < since
        )

    def suspect(self) -> list[str]:
        """Lines of which REST showed other prices, to be compared once more."""
        return self._symbols(lambda line: line.is_suspect)

    def count(self) -> tuple[int, int]:
        """How many lines there are, and how many are trusted."""
        with self._lock:
            return len(self._lines), sum(line.is_trusted for line in self._lines.values())

    def _symbols(self, wanted: Callable[[Line], bool]) -> list[str]:
        with self._lock:
            return [symbol for symbol, line in self._lines.items() if wanted(line)]

    def _take(self, news: MarketNews, at: datetime) -> Observation | None:
        if isinstance(news, Lost):
            for lost in self._lines_of(news.symbols):
                lost.lose(at)
            return None
        if isinstance(news, Garbled):
            self._skip("garbled")
            for garbled in self._lines_of(news.symbols):
                garbled.distrust("a message about it could not be read", at)
            return None
        line = self._lines.get(news.symbol)
        if line is None:
            if not isinstance(news, PricesChanged):  # whose frames name both tokens of a market
                self._skip("unknown token")
            return None
        return self._tell(line, news, at)

    def _tell(
        self, line: Line, news: Snapshot | PricesChanged | Traded | TickSizeChanged, at: datetime
    ) -> Observation | None:
        if isinstance(news, TickSizeChanged):
            line.distrust("the tick size has changed", at)
            return None
        if isinstance(news, Traded):
            return line.trade(news, at)
        # A snapshot that ends a doubt may be older than best prices told since, which stand.
        may_be_old = isinstance(news, Snapshot) and not line.is_trusted
        if not may_be_old and line.is_late(news.told_at, at):
            self._skip("late")
            return None
        return line.change(news, at) if isinstance(news, PricesChanged) else line.restart(news, at)

    def _lines_of(self, symbols: Iterable[str]) -> list[Line]:
        return [line for symbol in symbols if (line := self._lines.get(symbol)) is not None]

    def _skip(self, kind: str) -> None:
        self.skipped[kind] += 1
        if self.skipped[kind] == 1:
            log.warning("market_news_skipped", kind=kind)
