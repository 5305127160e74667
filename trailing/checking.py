"""The cross-check: REST restores what is in doubt, confirms what is quiet, and tells what is frozen.

A stream may stay open and say nothing. Lines that nothing was heard of for a while are compared
with REST; one that differs twice, with nothing heard in between, tells that its connection
is frozen.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence, Set
from datetime import timedelta

import structlog
from django.db import close_old_connections
from django.utils import timezone

from exchange.errors import ExchangeError
from exchange.port import Exchange
from trailing.books import Books
from trailing.tick import Observation

log = structlog.get_logger()

LOOK_EVERY = 0.2
COMPARE_EVERY = 3.0
"""Seconds between comparisons of quiet lines: a frozen stream is noticed within two and a pause."""

AGAIN_AFTER = 1.0
"""Seconds after which a line that differed is compared again."""

QUIET_AFTER = timedelta(seconds=2)
QUOTES_AT_ONCE = 250
BOOKS_AT_ONCE = 100
UNANSWERED_FOR = 2.0
"""Seconds before a book that REST did not give is asked for again."""


class Checker(threading.Thread):
    """Compares the books with REST. `put` takes observations, `leave` the symbols of frozen lines."""

    def __init__(
        self,
        books: Books,
        exchange: Callable[[], Exchange],
        put: Callable[[Iterable[Observation]], None],
        leave: Callable[[Set[str]], None],
    ) -> None:
        super().__init__(name="checker", daemon=True)
        self._books, self._exchange, self._put, self._leave = books, exchange, put, leave
        self._ended = threading.Event()
        self._asked: dict[str, float] = {}
        self._compared = self._compared_again = 0.0

    def end(self) -> None:
        """Stop soon."""
        self._ended.set()

    def run(self) -> None:
        """Look again and again; a venue that is away is asked again in a moment."""
        while not self._ended.wait(LOOK_EVERY):
            try:
                self.look()
            except ExchangeError as error:
                log.warning("not_cross_checked", error=str(error))
                self._ended.wait(1)
            except Exception:
                log.exception("cross_check_failed")
                self._ended.wait(1)
            finally:
                close_old_connections()

    def look(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        self._restore(now)
        if now - self._compared >= COMPARE_EVERY:
            self._compared = self._compared_again = now
            self._compare(self._books.quiet(timezone.now() - QUIET_AFTER))
        if now - self._compared_again >= AGAIN_AFTER:
            self._compared_again = now
            self._compare(self._books.suspect())

    def _restore(self, now: float) -> None:
        """Ask for the books of lines in doubt, each again after a moment."""
        doubtful = self._books.doubtful(timezone.now())
        self._asked = {symbol: self._asked.get(symbol, 0.0) for symbol in doubtful}
        due = [s for s in doubtful if now - self._asked[s] >= UNANSWERED_FOR][:BOOKS_AT_ONCE]
        if not due:
            return
        self._asked |= dict.fromkeys(due, now)
        asked_at = timezone.now()
        books = self._exchange().books(due).values()
        restored = [self._books.restore(book, asked_at) for book in books]
        self._put([observation for observation in restored if observation is not None])

    def _compare(self, symbols: Sequence[str]) -> None:
        frozen: set[str] = set()
        for at in range(0, len(symbols), QUOTES_AT_ONCE):
            asked_at = timezone.now()
            quotes = self._exchange().quotes(symbols[at : at + QUOTES_AT_ONCE]).values()
            found = [(quote.symbol, *self._books.compare(quote, asked_at)) for quote in quotes]
            frozen |= {symbol for symbol, what, _ in found if what == "frozen"}
            self._put([seen for _, _, seen in found if seen is not None])
        if frozen:
            self._leave(frozen)
