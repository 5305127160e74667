"""What the venue has on record of the wallet: its orders and its parts of trades."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from exchange.errors import Rejected, Unavailable
from exchange.polymarket import trade_rows, wire
from exchange.polymarket.failures import Trouble
from exchange.polymarket.market_data import MarketData
from exchange.polymarket.session import Session
from exchange.polymarket.trade_rows import OwnPart
from exchange.types import OpenOrder, OrderReport, TradeReport

T = TypeVar("T")


class Records:
    """Reads `/data/...` for one wallet; raises `Unavailable`, or `Rejected` without access."""

    def __init__(self, session: Session, market_data: MarketData, wallet: str) -> None:
        self._session = session
        self._market_data = market_data
        self._wallet = wallet

    def find_order(self, order_id: str) -> OrderReport | None:
        """Look an order up; `None` only on the venue's own 404.

        An empty answer is no answer: filled orders have been seen to give one
        (github.com/Polymarket/py-clob-client issue 217), so the trades are asked.
        """
        row = self._order_row(order_id)
        if row is None:
            return None
        if row:
            return readable(lambda: wire.order_report(row, order_id))
        return self._report_of_trades(order_id)

    def open_orders(self) -> list[OpenOrder]:
        """Return every resting order of the wallet, on as many pages as there are."""
        found = (readable(partial(wire.open_order, row)) for row in self._pages("/data/orders", {}))
        return list({order.order_id: order for order in found if order is not None}.values())

    def trades(self, order_id: str, trade_ids: Sequence[str]) -> list[TradeReport]:
        """Return our part of an order's trades: one request per trade id.

        Without ids, those the order names are asked for; an order that names none (or
        that the venue shows no longer) is looked for in all of the market's trades of
        ours, or in all of ours.
        """
        if trade_ids:
            rows = [row for trade_id in trade_ids for row in self._trade_rows({"id": trade_id})]
            return self._of_order(rows, order_id)
        order = self._order_row(order_id)
        if not order:
            return self._of_order(self._trade_rows({"maker_address": self._wallet}), order_id)
        report = readable(lambda: wire.order_report(order, order_id))
        if report.trade_ids:
            return self.trades(order_id, report.trade_ids)
        if report.matched_quantity == 0:
            return []
        return self._of_order(self._trade_rows({"market": str(order["market"])}), order_id)

    def wallet_trades(self, after: datetime) -> list[TradeReport]:
        """Return our parts of all trades since a moment, a second earlier to miss none of it."""
        rows = self._trade_rows(
            {"maker_address": self._wallet, "after": max(0, int(after.timestamp()) - 1)}
        )
        key = self._session.credentials().key
        return self._with_fees(
            part
            for row in rows
            for part in readable(partial(trade_rows.parts_of_wallet, row, self._wallet, key))
        )

    def _order_row(self, order_id: str) -> Mapping[str, Any] | None:
        """Give the venue's row, empty for an empty answer, `None` for an order unknown to it."""
        try:
            row = self._session.get(f"/data/order/{order_id}")
        except Trouble as trouble:
            if trouble.status == 404 and trouble.is_json:
                return None
            if trouble.is_empty:
                return {}
            raise trouble.of_reading() from None
        if row is None:
            return {}
        if not isinstance(row, Mapping):
            raise Unavailable(f"expected order {order_id}, found {type(row).__name__}")
        return row

    def _report_of_trades(self, order_id: str) -> OrderReport:
        try:
            found = self._of_order(self._trade_rows({"maker_address": self._wallet}), order_id)
        except Rejected as error:  # of this question, not of the order
            raise Unavailable(str(error)) from None
        if not found:
            raise Unavailable(f"Polymarket says nothing of order {order_id}, nor has trades of it")
        return OrderReport(
            order_id=order_id,
            status="matched",
            matched_quantity=sum((trade.quantity for trade in found), Decimal(0)),
            trade_ids=tuple(trade.trade_id for trade in found),
        )

    def _of_order(self, rows: Iterable[object], order_id: str) -> list[TradeReport]:
        parts = (readable(partial(trade_rows.part_of_order, row, order_id)) for row in rows)
        return self._with_fees(part for part in parts if part is not None)

    def _with_fees(self, parts: Iterable[OwnPart]) -> list[TradeReport]:
        reports: dict[tuple[str, str], TradeReport] = {}
        for part in parts:
            report, schedule = part.report, self._market_data.fee_schedule(part.condition_id)
            fee = schedule.fee(report.quantity, report.price, is_taker=part.is_taker)
            reports[report.trade_id, report.order_id] = replace(report, fee=fee)
        return list(reports.values())

    def _trade_rows(self, question: dict[str, str | int]) -> list[object]:
        return self._pages("/data/trades", question)

    def _pages(self, path: str, question: dict[str, str | int]) -> list[object]:
        rows: list[object] = []
        cursor, seen = "", {""}
        while True:
            params = question | ({"next_cursor": cursor} if cursor else {})
            found, cursor = readable(partial(wire.page, read(self._session, path, params)))
            rows.extend(found)
            if cursor in seen:
                return rows
            seen.add(cursor)


def read(session: Session, path: str, params: Mapping[str, str | int]) -> Any:
    """Return the answer to a question that changes nothing."""
    try:
        return session.get(path, params)
    except Trouble as trouble:
        raise trouble.of_reading() from None


def readable(translate: Callable[[], T]) -> T:
    """Return what an answer says in our words; raises `Unavailable` where it cannot be read."""
    try:
        return translate()
    except (wire.Unreadable, KeyError, TypeError) as error:
        raise Unavailable(f"Polymarket's answer is unreadable: {error}") from None
