"""Public reads of Binance spot: prices, symbols, the clock. Needs no key."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from exchange.binance import wire
from exchange.binance.client import BinanceClient, Trouble
from exchange.errors import Unavailable
from exchange.types import InstrumentInfo, Quote

T = TypeVar("T")
_SYMBOLS_IN_ADDRESS = 100
_UNKNOWN_SYMBOL = -1121


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
        rows, now = self._tickers(wanted), datetime.now(UTC)
        return readable(
            "answer about prices",
            lambda: {
                row["symbol"]: wire.quote(row, now) for row in rows if row["symbol"] in wanted
            },
        )

    def server_time(self) -> datetime:
        """Return Binance's clock."""
        answer = self._asked("/api/v3/time")
        return readable("time", lambda: wire.moment(answer["serverTime"]))

    def _tickers(self, symbols: Sequence[str]) -> Any:
        if len(symbols) <= _SYMBOLS_IN_ADDRESS:
            try:
                return self._client.public("/api/v3/ticker/bookTicker", {"symbols": symbols})
            except Trouble as trouble:
                if trouble.code != _UNKNOWN_SYMBOL:
                    raise trouble.of_reading() from None
            if len(symbols) == 1:
                return []
        # Too many for an address, or an unknown one among them, which fails them all.
        return self._asked("/api/v3/ticker/bookTicker")

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
