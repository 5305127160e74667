"""`BinanceExchange`: the port over Binance spot.

Addresses of the API: developers.binance.com, spot REST. Our orders are LIMIT with time in
force IOC, what the port calls FAK. Spot settles at once: every trade is confirmed.
"""

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import structlog

from exchange.binance import wire
from exchange.binance.client import (
    CANCEL_REJECTED,
    DEFAULT_BASE_URL,
    NO_SUCH_ORDER,
    BinanceClient,
    Trouble,
)
from exchange.errors import OutcomeUnknown, Rejected, Unavailable
from exchange.quantising import is_on_grid
from exchange.types import (
    Acknowledgement,
    InstrumentInfo,
    OrderReport,
    OrderRequest,
    Quote,
    RejectionCode,
    SignedOrder,
    TradeReport,
)

log = structlog.get_logger(__name__)

_SYMBOLS_IN_ADDRESS = 100
_UNKNOWN_SYMBOL = -1121
_LONGEST_ID = 36


class BinanceExchange:
    """Spot symbols on Binance, its testnet, or the paper exchange's spot side.

    Satisfies `exchange.port.Exchange`; quotes and instruments need no key.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_BASE_URL,
        api_key: str = "",
        api_secret: str = "",
        *,
        timeout_ms: int = 5000,
    ) -> None:
        self._client = BinanceClient(base_url, api_key, api_secret, timeout_ms)

    def instrument(self, symbol: str) -> InstrumentInfo:
        """Describe a spot symbol from its exchange filters."""
        try:
            described = self._client.public("/api/v3/exchangeInfo", {"symbol": symbol})
            market = described["symbols"][0]
            filters = {entry["filterType"]: entry for entry in market["filters"]}
            return InstrumentInfo(
                symbol=str(market["symbol"]),
                venue="binance",
                tick_size=wire.decimal(filters["PRICE_FILTER"]["tickSize"]),
                min_quantity=wire.decimal(filters["LOT_SIZE"]["minQty"]),
                quantity_step=wire.decimal(filters["LOT_SIZE"]["stepSize"]),
                base_asset=str(market["baseAsset"]),
                quote_asset=str(market["quoteAsset"]),
                question=f"{market['baseAsset']}/{market['quoteAsset']}",
                accepting_orders=market["status"] == "TRADING",
            )
        except Trouble as trouble:
            raise trouble.of_reading() from None
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise Unavailable(f"Binance's description of {symbol} is unreadable: {error}") from None

    def quotes(self, symbols: Iterable[str]) -> Mapping[str, Quote]:
        """Return best bid and ask of many symbols in one request; unknown ones are left out."""
        wanted = list(dict.fromkeys(symbols))
        if not wanted:
            return {}
        rows, now = self._tickers(wanted), datetime.now(UTC)
        try:
            return {row["symbol"]: wire.quote(row, now) for row in rows if row["symbol"] in wanted}
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"Binance's prices are unreadable: {error}") from None

    def refresh_balance(self, asset: str) -> None:
        """Nothing to do: its balances are no cache."""

    def log_in(self) -> None:
        """Nothing to do: each request carries its own signature."""

    def sign(self, request: OrderRequest) -> SignedOrder:
        """Name an order; the id is ours (`newClientOrderId`), no request is made.

        The id ends in the symbol, which Binance wants beside it in every look-up. The
        request's own signature carries the time and is made when it is posted.
        """
        order_id = f"pt{secrets.token_hex(8)}-{request.symbol}"
        if len(order_id) > _LONGEST_ID:
            raise Rejected(
                RejectionCode.UNKNOWN_INSTRUMENT, f"{request.symbol} is too long for a spot symbol"
            )
        if request.quantity <= 0 or not is_on_grid(request.price, request.tick_size):
            raise Rejected(
                RejectionCode.TICK_SIZE,
                f"expected a positive quantity at a multiple of {request.tick_size}, "
                f"found {request.quantity} at {request.price}",
            )
        order = {
            "symbol": request.symbol,
            "side": request.side.upper(),
            "type": "LIMIT",
            "timeInForce": "IOC",
            "quantity": f"{request.quantity.normalize():f}",  # no zeros of a column's 20 decimals
            "price": f"{request.price.normalize():f}",
            "newClientOrderId": order_id,
            "newOrderRespType": "RESULT",
        }
        return SignedOrder(order_id, json.dumps(order, separators=(",", ":")))

    def post(self, signed: SignedOrder) -> Acknowledgement:
        """Send an order after making sure that Binance does not have it yet.

        Binance forgets the client ids of finished orders and would execute the same one
        again, so a repeat is caught by a look-up first: `Rejected('duplicated')`. An IOC
        that found nobody is acknowledged, and its look-up says cancelled with 0 matched.
        """
        if self.find_order(signed.order_id) is not None:
            raise Rejected(RejectionCode.DUPLICATED, f"Binance already has order {signed.order_id}")
        try:
            row = self._client.signed("POST", "/api/v3/order", json.loads(signed.payload))
            report = wire.order_report(row, signed.order_id)
        except Trouble as trouble:
            raise trouble.of_writing() from None
        except (KeyError, TypeError, ValueError) as error:
            raise OutcomeUnknown(f"Binance's answer is unreadable: {error}") from None
        return Acknowledgement(signed.order_id, "open" if report.status == "open" else "matched")

    def cancel(self, order_id: str) -> bool:
        """Cancel a resting order; `False` where Binance says that it no longer rests."""
        question = {"symbol": wire.symbol_of(order_id), "origClientOrderId": order_id}
        try:
            self._client.signed("DELETE", "/api/v3/order", question)
        except Trouble as trouble:
            if trouble.code in (CANCEL_REJECTED, NO_SUCH_ORDER):
                return False
            raise trouble.of_writing() from None
        return True

    def find_order(self, order_id: str) -> OrderReport | None:
        """Look an order up by our id; `None` only when Binance says it does not exist."""
        row = self._order_row(order_id)
        try:
            return None if row is None else wire.order_report(row, order_id)
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"Binance's order {order_id} is unreadable: {error}") from None

    def trades(self, order_id: str, trade_ids: Sequence[str]) -> list[TradeReport]:
        """Return the fills of an order; `trade_ids` narrows them, the request is the same."""
        row = self._order_row(order_id)
        if row is None:
            return []
        question = {"symbol": row["symbol"], "orderId": row["orderId"], "limit": 1000}
        try:
            rows = self._client.signed("GET", "/api/v3/myTrades", question)
            if not rows:
                return []
            info = self.instrument(str(row["symbol"]))
            found = [
                wire.trade_report(entry, order_id, info.base_asset, info.quote_asset)
                for entry in rows
            ]
        except Trouble as trouble:
            raise trouble.of_reading() from None
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"Binance's trades of {order_id} are unreadable: {error}") from None
        for report, note in found:
            if note:
                log.warning("binance_fee_in_other_asset", trade_id=report.trade_id, fee=note)
        return [report for report, _ in found if not trade_ids or report.trade_id in trade_ids]

    def balance(self, asset: str) -> Decimal:
        """Return what is held of an asset, locked in orders or not."""
        try:
            account = self._client.signed("GET", "/api/v3/account", {"omitZeroBalances": "true"})
            for row in account["balances"]:
                if row["asset"] == asset:
                    return wire.decimal(row["free"]) + wire.decimal(row["locked"])
        except Trouble as trouble:
            raise trouble.of_reading() from None
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"Binance's balances are unreadable: {error}") from None
        return Decimal(0)

    def _tickers(self, symbols: Sequence[str]) -> list[Mapping[str, Any]]:
        if len(symbols) <= _SYMBOLS_IN_ADDRESS:
            try:
                return list(self._client.public("/api/v3/ticker/bookTicker", {"symbols": symbols}))
            except Trouble as trouble:
                if trouble.code != _UNKNOWN_SYMBOL:
                    raise trouble.of_reading() from None
            if len(symbols) == 1:
                return []
        # Too many for an address, or an unknown one among them, which fails them all.
        try:
            return list(self._client.public("/api/v3/ticker/bookTicker"))
        except Trouble as trouble:
            raise trouble.of_reading() from None

    def _order_row(self, order_id: str) -> Mapping[str, Any] | None:
        question = {"symbol": wire.symbol_of(order_id), "origClientOrderId": order_id}
        try:
            row = self._client.signed("GET", "/api/v3/order", question)
        except Trouble as trouble:
            if trouble.code == NO_SUCH_ORDER:
                return None
            raise trouble.of_reading() from None
        if not isinstance(row, Mapping):
            raise Unavailable(f"expected order {order_id}, found {type(row).__name__}")
        return row
