"""`PolymarketExchange`: the port over the venue's order book."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property

from exchange.errors import ExchangeError, Rejected
from exchange.polymarket import placing, wire
from exchange.polymarket.connections import Connection
from exchange.polymarket.failures import Trouble
from exchange.polymarket.market_data import MarketData
from exchange.polymarket.records import Records, read, readable
from exchange.polymarket.session import Session
from exchange.polymarket.settings import Account, Endpoints, Timeouts
from exchange.polymarket.signing import OrderSigner, token_number
from exchange.polymarket.wallets import Wallet, wallet_of
from exchange.quantising import whole_units
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

COLLATERAL = "collateral"


class PolymarketExchange:
    """Outcome tokens on Polymarket's CLOB, or on the paper exchange that speaks like it.

    Make one per process and share it between threads; connections open on first use in
    each process. Without an account it quotes and describes, and loads nothing of the
    official client. Satisfies `exchange.port.Exchange`.
    """

    def __init__(
        self,
        endpoints: Endpoints | None = None,
        account: Account | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        endpoints, timeouts = endpoints or Endpoints(), timeouts or Timeouts()
        clob = Connection(endpoints.clob, timeouts)
        self._market_data = MarketData(clob, Connection(endpoints.gamma, timeouts))
        self._account = account
        self._session_of_account = Session(clob, account) if account is not None else None

    @cached_property
    def wallet(self) -> Wallet:
        """The wallet that trades; raises `Rejected('not_allowed')` where there is none."""
        return wallet_of(self._trader)

    def instrument(self, symbol: str) -> InstrumentInfo:
        """Describe one outcome token (three requests)."""
        return self._market_data.instrument(symbol)

    def quotes(self, symbols: Iterable[str]) -> Mapping[str, Quote]:
        """Return best prices, one request per 500 tokens."""
        return self._market_data.quotes(symbols)

    def books(self, symbols: Iterable[str]) -> Mapping[str, Book]:
        """Return whole books with the last trade's price, one request per 500 tokens."""
        return self._market_data.books(symbols)

    def log_in(self) -> None:
        """Load the client, the wallet and the credentials before the first order needs them."""
        self._signer  # noqa: B018 - cached
        self._session.log_in()

    def sign(self, request: OrderRequest) -> SignedOrder:
        """Sign an order; no request is made.

        The payload leaves out `owner`, the API key, which is no part of what is signed
        and is filled in by whoever posts.
        """
        order_id, order = self._signer.sign(request)
        body: dict[str, object] = {
            "deferExec": False,
            "order": order,
            "orderType": request.order_type,
        }
        if request.post_only:
            body["postOnly"] = True
        return SignedOrder(order_id, json.dumps(body, separators=(",", ":")))

    def post(self, signed: SignedOrder) -> Acknowledgement:
        """Send a signed order; repeating it cannot place a second one."""
        return placing.post(self._session, signed)

    @property
    def largest_batch(self) -> int:
        """The venue's own limit."""
        return placing.LARGEST_BATCH

    def post_many(self, signed: Sequence[SignedOrder]) -> list[Acknowledgement | ExchangeError]:
        """Send signed orders in one request; each is taken or refused by itself."""
        if len(signed) > self.largest_batch:
            raise ValueError(f"expected at most {self.largest_batch} orders, found {len(signed)}")
        if not signed:
            return []
        return placing.post_many(self._session, signed)

    def cancel(self, order_id: str) -> bool:
        """Cancel a resting order; after `OutcomeUnknown` look it up or cancel again."""
        return placing.cancel(self._session, order_id)

    def cancel_many(self, order_ids: Sequence[str]) -> Mapping[str, bool]:
        """Cancel resting orders, a request per hundred; no clear answer leaves an id out."""
        return placing.cancel_many(self._session, order_ids)

    def find_order(self, order_id: str) -> OrderReport | None:
        """Look an order up; `None` only on the venue's own 404."""
        return self._records.find_order(order_id)

    def open_orders(self) -> list[OpenOrder]:
        """Return every resting order of the wallet."""
        return self._records.open_orders()

    def trades(self, order_id: str, trade_ids: Sequence[str]) -> list[TradeReport]:
        """Return our part of an order's trades: one request per trade id."""
        return self._records.trades(order_id, trade_ids)

    def wallet_trades(self, after: datetime) -> list[TradeReport]:
        """Return our parts of all the wallet's trades since a moment."""
        return self._records.wallet_trades(after)

    def server_time(self) -> datetime:
        """Return the venue's clock, in whole seconds."""
        return self._market_data.server_time()

    def balance(self, asset: str) -> Decimal:
        """Return the venue's cached view of what the wallet holds (open orders included).

        The venue refreshes it on its own events; right after a deposit or a split it may
        lag, which `refresh_balance` ends.
        """
        data = read(self._session, "/balance-allowance", self._balance_of(asset))
        return readable(lambda: whole_units(int(wire.decimal(data["balance"]))))

    def refresh_balance(self, asset: str) -> None:
        """Make the venue look at the chain again (50 requests in 10 s at most)."""
        try:
            self._session.get("/balance-allowance/update", self._balance_of(asset))
        except Trouble as trouble:
            if trouble.status != 200:  # it answers with an empty body
                raise trouble.of_reading() from None

    @cached_property
    def _signer(self) -> OrderSigner:
        return OrderSigner(self._trader.private_key, self.wallet)

    @property
    def _trader(self) -> Account:
        if self._account is None:
            raise Rejected(
                RejectionCode.NOT_ALLOWED, "this process has no private key: it can only read"
            )
        return self._account

    @cached_property
    def _records(self) -> Records:
        return Records(self._session, self._market_data, self.wallet.address)

    @property
    def _session(self) -> Session:
        if self._session_of_account is None:
            self._trader  # noqa: B018 - raises
        assert self._session_of_account is not None
        return self._session_of_account

    def _balance_of(self, asset: str) -> dict[str, str | int]:
        params: dict[str, str | int] = {"signature_type": self.wallet.signature_type}
        if asset == COLLATERAL:
            return params | {"asset_type": "COLLATERAL"}
        return params | {"asset_type": "CONDITIONAL", "token_id": str(token_number(asset))}
