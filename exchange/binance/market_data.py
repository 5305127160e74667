"""Public reads of Binance spot: prices, symbols, the clock. Needs no key."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from exchange.binance import wire
from exchange.binance.client import BinanceClient, Trouble
from exchange.errors import Unavailable
from exchange.types import Book, InstrumentInfo, Quote

T = TypeVar("T")
_SYMBOLS_IN_ADDRESS = 100
_UNKNOWN_SYMBOL = -1121
_LEVELS = 100
"""Of each side of a book: the most that weighs 5, 500 weigh 25 (spot REST API, order book)."""


class MarketData:
    """Binance's public side; it remembers the symbols it described."""

    def __init__(self, client: BinanceClient) -> None:
        self._client = client
        self.described: dict[str, InstrumentInfo] = {}

    def instrument(self, symbol: str) -> InstrumentInfo:
        """Describe a spot symbol from its exchange filters."""
        answer = self._asked("/api/v3/exchangeInfo", {"symbol": symbol})
        info = readable(f"description of {symbol}", lambda: wire.instrument(answer["symbols"][0]))
        self.described[info.symbol] = info
        return info

    def quotes(self, symbols: Iterable[str]) -> Mapping[str, Quote]:
        """Return best bid and ask of many symbols in one request; unknown ones are left out."""
        wanted = list(dict.fromkeys(symbols))
        if not wanted:
            return {}
        rows = self._tickers("/api/v3/ticker/bookTicker", wanted)
        now = datetime.now(UTC)
        return readable(
            "answer about prices",
            lambda: {
                row["symbol"]: wire.quote(row, now) for row in rows if row["symbol"] in wanted
            },
        )

    def books(self, symbols: Iterable[str]) -> Mapping[str, Book]:
        """Return the best hundred levels of each side and the last price; unknown ones are left out.

        One request for the last prices and one more for each symbol.
        """
        wanted = list(dict.fromkeys(symbols))
        if not wanted:
            return {}
        rows = self._tickers("/api/v3/ticker/price", wanted)
        last = readable(
            "answer about last prices", lambda: {row["symbol"]: wire.last(row) for row in rows}
        )
        books = [self._book(symbol, last[symbol]) for symbol in wanted if symbol in last]
        return {book.symbol: book for book in books if book is not None}

    def server_time(self) -> datetime:
        """Return Binance's clock."""
        answer = self._asked("/api/v3/time")
        return readable("time", lambda: wire.moment(answer["serverTime"]))

    def _book(self, symbol: str, last: Decimal | None) -> Book | None:
        try:
            levels = self._client.public("/api/v3/depth", {"symbol": symbol, "limit": _LEVELS})
        except Trouble as trouble:
            if trouble.code == _UNKNOWN_SYMBOL:
                return None
            raise trouble.of_reading() from None
        now = datetime.now(UTC)
        return readable(f"book of {symbol}", lambda: wire.book(levels, symbol, last, now))

    def _tickers(self, path: str, symbols: Sequence[str]) -> Any:
        if len(symbols) <= _SYMBOLS_IN_ADDRESS:
            try:
                return self._client.public(path, {"symbols": symbols})
            except Trouble as trouble:
                if trouble.code != _UNKNOWN_SYMBOL:
                    raise trouble.of_reading() from None
            if len(symbols) == 1:
                return []
        # Too many for an address, or an unknown one among them, which fails them all.
        return self._asked(path)

    def _asked(self, path: str, params: Mapping[str, object] | None = None) -> Any:
        try:
            return self._client.public(path, params)
        except Trouble as trouble:
            raise trouble.of_reading() from None


def readable(what: str, translate: Callable[[], T]) -> T:
    """Return what an answer says in our words; raises `Unavailable` where it cannot be read."""
    try:
        return translate()
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise Unavailable(f"Binance's {what} is unreadable: {error}") from None
