"""What requests for stops are checked against: instruments, positions, prices, each looked up once."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from django.utils import timezone

from exchange.errors import ExchangeError, Rejected, Unavailable
from exchange.types import Book, Quote
from orders import balances, instruments
from orders.models import Instrument, Position
from orders.venues import venue, venue_name
from polytrader import prepared
from polytrader.prepared import Columns
from trailing.models import is_fresh

Found = TypeVar("Found")

_INSTRUMENTS, _BASES, _QUOTES = (
    Columns(Instrument, "i"),
    Columns(Position, "b"),
    Columns(Position, "q"),
)

_OF_SYMBOLS = f"""
SELECT {_INSTRUMENTS.sql}, {_BASES.sql}, {_QUOTES.sql} FROM orders_instrument i
  LEFT JOIN orders_position b ON b.asset = i.base_asset AND b.compared_at IS NOT NULL
  LEFT JOIN orders_position q ON q.asset = i.quote_asset AND q.compared_at IS NOT NULL
 WHERE i.symbol = ANY(%(symbols)s::text[])
"""  # noqa: S608
"""With the positions on both sides, as far as they have been compared with the venue."""


class Lookups:
    """Looks things up for any number of requests; what is told of `symbols` is read at once.

    What a venue refused is not asked again, and one that did not answer is asked no more.
    """

    def __init__(self, symbols: Iterable[str] = ()) -> None:
        self._instruments: dict[str, Instrument] = {}
        self._positions: dict[str, Position] = {}
        self._quotes: dict[str, Quote] = {}
        self._books: dict[str, Book] = {}
        self._failures: dict[tuple[str, str], ExchangeError] = {}
        self._looked_again: set[str] = set()
        self._read(set(symbols))

    def instrument(self, symbol: str) -> Instrument:
        """The instrument of a symbol. Raises `Rejected` or `Unavailable`, as `instruments.known`."""
        if symbol not in self._instruments:
            self._read({symbol})
        if symbol not in self._instruments:
            found = self._asked(venue_name(symbol), symbol, lambda: instruments.known(symbol))
            self._instruments[symbol] = found
        return self._instruments[symbol]

    def position(self, asset: str, venue_name: str) -> Position:
        """The opened position of an asset. Raises `Unavailable`."""
        if asset not in self._positions:
            found = self._asked(venue_name, asset, lambda: balances.opened(asset, venue_name))
            self._positions[asset] = found
        return self._positions[asset]

    def look_again(self, instrument: Instrument) -> None:
        """Something may have come from outside since the last comparison; a silent venue adds nothing."""
        asset = instrument.base_asset
        if asset in self._looked_again:
            return
        self._looked_again.add(asset)
        with suppress(ExchangeError):
            balances.compare(asset, instrument.venue)
            del self._positions[asset]

    def quote(self, instrument: Instrument) -> Quote | None:
        """The best prices at the venue; asked for all instruments without a fresh price at once."""
        if instrument.symbol not in self._quotes:
            symbols = {row.symbol for row in self._instruments.values() if _is_stale(row)}
            symbols = {s for s in symbols if self._instruments[s].venue == instrument.venue}
            wanted = sorted({instrument.symbol, *symbols})
            exchange = venue(instrument.venue)
            self._quotes |= self._asked(
                instrument.venue, "its quotes", lambda: exchange.quotes(wanted)
            )
        return self._quotes.get(instrument.symbol)

    def book(self, instrument: Instrument) -> Book | None:
        """The whole book at the venue."""
        symbol, exchange = instrument.symbol, venue(instrument.venue)
        if symbol not in self._books:
            found = self._asked(instrument.venue, symbol, lambda: exchange.books([symbol]))
            self._books |= found
        return self._books.get(symbol)

    def _read(self, symbols: set[str]) -> None:
        if not symbols:
            return
        (rows,) = prepared.run((_OF_SYMBOLS, {"symbols": list(symbols)}))
        for row in map(iter, rows):
            instrument = _INSTRUMENTS.read(row)
            self._instruments[instrument.symbol] = instrument
            for position in (_BASES.read(row), _QUOTES.read(row)):
                if position.pk is not None:
                    self._positions.setdefault(position.asset, position)

    def _asked(self, venue_name: str, what: str, ask: Callable[[], Found]) -> Found:
        for known in ((venue_name, ""), (venue_name, what)):
            if known in self._failures:
                raise self._failures[known]
        try:
            return ask()
        except Rejected as error:
            self._failures[venue_name, what] = error
            raise
        except Unavailable as error:
            self._failures[venue_name, ""] = error
            raise


def _is_stale(instrument: Instrument) -> bool:
    return not is_fresh(instrument.observed_at, timezone.now())
