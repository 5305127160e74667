"""What Binance has on record of the account: its orders and its fills."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from exchange.binance import wire
from exchange.binance.client import NO_SUCH_ORDER, BinanceClient, Trouble
from exchange.binance.market_data import MarketData, readable
from exchange.errors import Unavailable
from exchange.types import OpenOrder, OrderReport, TradeReport

_ROWS = 1000


class Records:
    """Reads of one account; raises `Unavailable`, or `Rejected` without a key."""

    def __init__(
        self, client: BinanceClient, market_data: MarketData, symbols: Sequence[str]
    ) -> None:
        self._client = client
        self._market_data = market_data
        self._symbols = symbols
        self._order_ids: dict[tuple[str, str], str] = {}

    def find_order(self, order_id: str) -> OrderReport | None:
        """Look an order up; `None` only when Binance says it does not exist."""
        row = self._order_row(wire.question(order_id))
        if row is None:
            return None
        return readable(f"order {order_id}", lambda: wire.order_report(row, order_id))

    def open_orders(self) -> list[OpenOrder]:
        """Return every resting order, of all symbols in one request."""
        rows = self._rows("/api/v3/openOrders", {})
        return readable("list of orders", lambda: [wire.open_order(row) for row in rows])

    def trades(self, order_id: str, trade_ids: Sequence[str]) -> list[TradeReport]:
        """Return the fills of an order; `trade_ids` narrows them, the request is the same."""
        row = self._order_row(wire.question(order_id))
        if row is None:
            return []
        symbol, number = readable("order", lambda: (str(row["symbol"]), row["orderId"]))
        rows = self._fills({"symbol": symbol, "orderId": number})
        reports = [self._report(fill, symbol, order_id) for fill in rows]
        return [report for report in reports if not trade_ids or report.trade_id in trade_ids]

    def wallet_trades(self, after: datetime) -> list[TradeReport]:
        """Return the fills since a moment of every symbol that is known here.

        Binance answers by symbol only: those given at the start, and those described since.
        """
        since = int(after.timestamp() * 1000)
        return [
            self._report(fill, symbol, self._order_id_of(fill, symbol))
            for symbol in dict.fromkeys([*self._symbols, *self._market_data.described])
            for fill in self._fills({"symbol": symbol, "startTime": since})
        ]

    def _order_row(self, question: Mapping[str, object]) -> Mapping[str, Any] | None:
        try:
            row = self._client.signed("GET", "/api/v3/order", question)
        except Trouble as trouble:
            if trouble.code == NO_SUCH_ORDER:
                return None
            raise trouble.of_reading() from None
        if not isinstance(row, Mapping):
            raise Unavailable(f"expected an order, found {type(row).__name__}")
        return row

    def _fills(self, question: dict[str, object]) -> list[Mapping[str, Any]]:
        """Give all fills a question is about: the first page by it, the others by number."""
        found: dict[int, Mapping[str, Any]] = {}
        asked = {**question, "limit": _ROWS}
        while True:
            rows = self._rows("/api/v3/myTrades", asked)
            page = readable("list of fills", partial(_by_number, rows))
            is_last = len(rows) < _ROWS or page.keys() <= found.keys()
            found |= page
            if is_last:
                return [found[number] for number in sorted(found)]
            asked["fromId"] = max(found) + 1
            asked.pop("startTime", None)  # Binance takes one of the two

    def _rows(self, path: str, question: Mapping[str, object]) -> list[Mapping[str, Any]]:
        try:
            rows = self._client.signed("GET", path, question)
        except Trouble as trouble:
            raise trouble.of_reading() from None
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise Unavailable(f"expected rows from {path}, found {type(rows).__name__}")
        return rows

    def _report(self, fill: Mapping[str, Any], symbol: str, order_id: str) -> TradeReport:
        info = self._market_data.described.get(symbol) or self._market_data.instrument(symbol)
        return readable("fill", lambda: wire.trade_report(fill, order_id, info.quote_asset))

    def _order_id_of(self, fill: Mapping[str, Any], symbol: str) -> str:
        """Give the id of a fill's order, which the fill does not carry: asked for once each."""
        number = readable("fill", lambda: str(fill["orderId"]))
        if (known := self._order_ids.get((symbol, number))) is not None:
            return known
        row = self._order_row({"symbol": symbol, "orderId": number})
        named = f"{number}-{symbol}"  # one that Binance has archived
        if row is not None:
            named = readable("order", lambda: wire.order_id_in(row))
        return self._order_ids.setdefault((symbol, number), named)


def _by_number(fills: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    return {int(fill["id"]): fill for fill in fills}
