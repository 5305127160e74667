"""`PolymarketExchange`: the port over the venue's order book."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import cached_property, partial
from typing import Any, TypeVar

import structlog

from exchange.errors import OtherOrderId, OutcomeUnknown, Rejected, Unavailable
from exchange.polymarket import wire
from exchange.polymarket.connections import Connection
from exchange.polymarket.failures import Trouble
from exchange.polymarket.market_data import MarketData
from exchange.polymarket.session import Session
from exchange.polymarket.settings import Account, Endpoints, Timeouts
from exchange.polymarket.signing import OrderSigner, token_number
from exchange.polymarket.wallets import Wallet, wallet_of
from exchange.quantising import whole_units
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

T = TypeVar("T")
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

    def log_in(self) -> None:
        """Load the client, the wallet and the credentials before the first order needs them."""
        self._signer  # noqa: B018 - cached
        self._session.log_in()

    def sign(self, request: OrderRequest) -> SignedOrder:
        """Sign a FAK order; no request is made.

        The payload leaves out `owner`, the API key, which is no part of what is signed
        and is filled in by whoever posts.
        """
        order_id, order = self._signer.sign(request)
        body = {"deferExec": False, "order": order, "orderType": request.order_type}
        return SignedOrder(order_id, json.dumps(body, separators=(",", ":")))

    def post(self, signed: SignedOrder) -> Acknowledgement:
        """Send a signed order; repeating it cannot place a second one."""
        body = json.loads(signed.payload)
        try:
            answer = self._session.post("/order", lambda owner: {**body, "owner": owner})
            return wire.acknowledgement(answer, signed.order_id)
        except Trouble as trouble:
            raise trouble.of_writing() from None
        except wire.Unreadable as error:
            raise OutcomeUnknown(f"Polymarket's answer is unreadable: {error}") from None
        except OtherOrderId as error:
            log.exception("polymarket_other_order_id", expected=signed.order_id, found=error.found)
            raise

    def cancel(self, order_id: str) -> bool:
        """Cancel a resting order; after `OutcomeUnknown` look it up or cancel again."""
        try:
            return wire.cancelled(self._session.delete("/order", {"orderID": order_id}), order_id)
        except Trouble as trouble:
            raise trouble.of_writing() from None
        except wire.Unreadable as error:
            raise OutcomeUnknown(f"Polymarket's answer is unreadable: {error}") from None

    def find_order(self, order_id: str) -> OrderReport | None:
        """Look an order up; `None` only on the venue's own 404."""
        row = self._order_row(order_id)
        return None if row is None else _readable(lambda: wire.order_report(row, order_id))

    def trades(self, order_id: str, trade_ids: Sequence[str]) -> list[TradeReport]:
        """Return our part of an order's trades: one request per trade id.

        Without ids, those the order names are asked for; an order that names none (or
        that the venue shows no longer) is looked for in all of the market's trades of
        ours, or in all of ours.
        """
        if trade_ids:
            rows = [row for trade_id in trade_ids for row in self._pages({"id": trade_id})]
            return self._own_parts(rows, order_id)
        order = self._order_row(order_id)
        if order is None:
            return self._own_parts(self._pages({"maker_address": self.wallet.address}), order_id)
        report = _readable(lambda: wire.order_report(order, order_id))
        if report.trade_ids:
            return self.trades(order_id, report.trade_ids)
        if report.matched_quantity == 0:
            return []
        return self._own_parts(self._pages({"market": str(order["market"])}), order_id)

    def balance(self, asset: str) -> Decimal:
        """Return the venue's cached view of what the wallet holds (open orders included).

        The venue refreshes it on its own events; right after a deposit or a split it may
        lag, which `refresh_balance` ends.
        """
        data = self._read("/balance-allowance", self._balance_of(asset))
        return _readable(lambda: whole_units(int(wire.decimal(data["balance"]))))

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

    def _order_row(self, order_id: str) -> Mapping[str, Any] | None:
        try:
            row = self._session.get(f"/data/order/{order_id}")
        except Trouble as trouble:
            if trouble.status == 404 and trouble.is_json:
                return None
            raise trouble.of_reading() from None
        if not isinstance(row, Mapping):
            raise Unavailable(f"expected order {order_id}, found {type(row).__name__}")
        return row

    def _own_parts(self, rows: Iterable[object], order_id: str) -> list[TradeReport]:
        reports: dict[str, TradeReport] = {}
        for row in rows:
            part = _readable(partial(wire.own_part, row, order_id))
            if part is None:
                continue
            schedule = self._market_data.fee_schedule(part.condition_id)
            fee = schedule.fee(part.report.quantity, part.report.price, is_taker=part.is_taker)
            reports[part.report.trade_id] = replace(part.report, fee=fee)
        return list(reports.values())

    def _pages(self, question: dict[str, str | int]) -> list[object]:
        rows: list[object] = []
        cursor, seen = "", {""}
        while True:
            params = question | ({"next_cursor": cursor} if cursor else {})
            found, cursor = _readable(partial(wire.page, self._read("/data/trades", params)))
            rows.extend(found)
            if cursor in seen:
                return rows
            seen.add(cursor)

    def _read(self, path: str, params: Mapping[str, str | int]) -> Any:
        try:
            return self._session.get(path, params)
        except Trouble as trouble:
            raise trouble.of_reading() from None


def _readable(read: Callable[[], T]) -> T:
    try:
        return read()
    except (wire.Unreadable, KeyError, TypeError) as error:
        raise Unavailable(f"Polymarket's answer is unreadable: {error}") from None
