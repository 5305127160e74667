"""`BinanceExchange`: the port over Binance spot.

Addresses of the API: developers.binance.com, spot REST. Orders are LIMIT, with time in force
IOC for what the port calls FAK. Spot settles at once: every trade is confirmed.
"""

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import structlog

from exchange.binance import terms, wire
from exchange.binance.client import (
    CANCEL_REJECTED,
    DEFAULT_BASE_URL,
    NO_SUCH_ORDER,
    BinanceClient,
    Trouble,
)
from exchange.binance.market_data import MarketData
from exchange.binance.records import Records
from exchange.errors import ExchangeError, OutcomeUnknown, Rejected, Unavailable
from exchange.types import (
    Acknowledgement,
    Book,
    InstrumentInfo,
    OpenOrder,
    OrderReport,
    OrderRequest,
    Quote,
    RejectionCode,
    SignedOrder,
    TradeReport,
)

log = structlog.get_logger(__name__)

_LONGEST_ID = 36


class BinanceExchange:
    """Spot symbols on Binance, its testnet, or the paper exchange's spot side.

    Satisfies `exchange.port.Exchange`; quotes and instruments need no key. `symbols` are
    those whose trades `wallet_trades` asks for, besides the ones described.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_BASE_URL,
        api_key: str = "",
        api_secret: str = "",
        *,
        timeout_ms: int = 5000,
        symbols: Iterable[str] = (),
    ) -> None:
        self._client = BinanceClient(base_url, api_key, api_secret, timeout_ms)
        self._market_data = MarketData(self._client)
        self._records = Records(self._client, self._market_data, tuple(symbols))

    def instrument(self, symbol: str) -> InstrumentInfo:
        """Describe a spot symbol from its exchange filters."""
        return self._market_data.instrument(symbol)

    def quotes(self, symbols: Iterable[str]) -> Mapping[str, Quote]:
        """Return best bid and ask of many symbols in one request; unknown ones are left out."""
        return self._market_data.quotes(symbols)

    def books(self, symbols: Iterable[str]) -> Mapping[str, Book]:
        """Return the best hundred levels of each side and the last price; unknown ones are left out."""
        return self._market_data.books(symbols)

    def refresh_balance(self, asset: str) -> None:
        """Nothing to do: its balances are no cache."""

    def log_in(self) -> None:
        """Nothing to do: each request carries its own signature."""

    def sign(self, request: OrderRequest) -> SignedOrder:
        """Name an order; the id is ours (`newClientOrderId`), no request is made.

        The id ends in the symbol, which Binance wants beside it in every look-up. The
        request's own signature carries the time and is made when it is posted. The least
        notional is checked where the symbol was described before.
        """
        order_id = f"pt{secrets.token_hex(8)}-{request.symbol}"
        if len(order_id) > _LONGEST_ID:
            raise Rejected(
                RejectionCode.UNKNOWN_INSTRUMENT, f"{request.symbol} is too long for a spot symbol"
            )
        info = self._market_data.described.get(request.symbol)
        if info is not None and request.quantity * request.price < info.min_notional:
            raise Rejected(
                RejectionCode.MIN_SIZE,
                f"expected an order of at least {info.min_notional} {info.quote_asset}, "
                f"found {request.quantity} at {request.price}",
            )
        order = terms.order(request, order_id)
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

    @property
    def largest_batch(self) -> int:
        """Spot takes orders singly."""
        return 1

    def post_many(self, signed: Sequence[SignedOrder]) -> list[Acknowledgement | ExchangeError]:
        """Send one order, and return what `post` would raise."""
        if len(signed) > self.largest_batch:
            raise ValueError(f"expected at most {self.largest_batch} order, found {len(signed)}")
        results: list[Acknowledgement | ExchangeError] = []
        for order in signed:
            try:
                results.append(self.post(order))
            except ExchangeError as error:
                results.append(error)
        return results

    def cancel(self, order_id: str) -> bool:
        """Cancel a resting order; `False` where Binance says that it no longer rests."""
        try:
            self._client.signed("DELETE", "/api/v3/order", wire.question(order_id))
        except Trouble as trouble:
            if trouble.code in (CANCEL_REJECTED, NO_SUCH_ORDER):
                return False
            raise trouble.of_writing() from None
        return True

    def cancel_many(self, order_ids: Sequence[str]) -> Mapping[str, bool]:
        """Cancel one after the other; those after the first trouble are left out."""
        said: dict[str, bool] = {}
        for order_id in dict.fromkeys(order_ids):
            try:
                said[order_id] = self.cancel(order_id)
            except ExchangeError as error:
                if not said:
                    raise
                log.warning("binance_cancels_unclear", order_id=order_id, error=str(error))
                break
        return said

    def find_order(self, order_id: str) -> OrderReport | None:
        """Look an order up by our id; `None` only when Binance says it does not exist."""
        return self._records.find_order(order_id)

    def open_orders(self) -> list[OpenOrder]:
        """Return every resting order of the account, of all symbols."""
        return self._records.open_orders()

    def trades(self, order_id: str, trade_ids: Sequence[str]) -> list[TradeReport]:
        """Return the fills of an order; `trade_ids` narrows them, the request is the same."""
        return self._records.trades(order_id, trade_ids)

    def wallet_trades(self, after: datetime) -> list[TradeReport]:
        """Return the fills since a moment, of the symbols this adapter was told of."""
        return self._records.wallet_trades(after)

    def server_time(self) -> datetime:
        """Return Binance's clock."""
        return self._market_data.server_time()

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
