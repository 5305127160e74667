"""Binance's JSON read into our words. Pure; `KeyError`, `TypeError`, `ValueError` if misshapen."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from exchange.types import Book, InstrumentInfo, OpenOrder, OrderReport, Quote, TradeReport

_STATUSES: dict[str, Literal["open", "matched", "cancelled", "invalid"]] = {
    "NEW": "open",
    "PENDING_NEW": "open",
    "PARTIALLY_FILLED": "open",
    "FILLED": "matched",
    "CANCELED": "cancelled",
    "PENDING_CANCEL": "cancelled",
    "EXPIRED": "cancelled",
    "EXPIRED_IN_MATCH": "cancelled",
    "REJECTED": "invalid",
}


def instrument(market: Mapping[str, Any]) -> InstrumentInfo:
    """Return a symbol's description, its rules taken from its filters."""
    filters = {entry["filterType"]: entry for entry in market["filters"]}
    # NOTIONAL replaced MIN_NOTIONAL in 2023; a symbol has one of them
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {"minNotional": "0"}
    return InstrumentInfo(
        symbol=str(market["symbol"]),
        venue="binance",
        tick_size=decimal(filters["PRICE_FILTER"]["tickSize"]),
        min_quantity=decimal(filters["LOT_SIZE"]["minQty"]),
        quantity_step=decimal(filters["LOT_SIZE"]["stepSize"]),
        base_asset=str(market["baseAsset"]),
        quote_asset=str(market["quoteAsset"]),
        question=f"{market['baseAsset']}/{market['quoteAsset']}",
        accepting_orders=market["status"] == "TRADING",
        min_notional=decimal(notional["minNotional"]),
    )


def order_report(row: Mapping[str, Any], order_id: str) -> OrderReport:
    """Return what Binance says of an order."""
    if (found := order_id_in(row)) != order_id and str(row["clientOrderId"]) != order_id:
        raise ValueError(f"expected order {order_id}, found {found!r}")
    return OrderReport(
        order_id,
        _STATUSES[row["status"]],
        decimal(row["executedQty"]),
        venue_status=str(row["status"]),
    )


def open_order(row: Mapping[str, Any]) -> OpenOrder:
    """Return a resting order, whoever placed it."""
    return OpenOrder(
        order_id=order_id_in(row),
        symbol=str(row["symbol"]),
        side="buy" if row["side"] == "BUY" else "sell",
        quantity=decimal(row["origQty"]),
        price=decimal(row["price"]),
        matched_quantity=decimal(row["executedQty"]),
    )


def trade_report(row: Mapping[str, Any], order_id: str, quote_asset: str) -> TradeReport:
    """Return one fill, settled as all spot fills are, its fee in what it was taken in."""
    commission, asset = decimal(row["commission"]), str(row["commissionAsset"])
    return TradeReport(
        trade_id=str(row["id"]),
        order_id=order_id,
        symbol=str(row["symbol"]),
        side="buy" if row["isBuyer"] else "sell",
        quantity=decimal(row["qty"]),
        price=decimal(row["price"]),
        fee=commission,
        status="confirmed",
        matched_at=moment(row["time"]),
        fee_asset="" if asset == quote_asset or not commission else asset,
    )


def quote(row: Mapping[str, Any], received_at: datetime) -> Quote:
    """Return best bid and ask; Binance writes an empty side as 0."""
    bid, ask = decimal(row["bidPrice"]), decimal(row["askPrice"])
    return Quote(str(row["symbol"]), bid or None, ask or None, received_at)


def last(row: Mapping[str, Any]) -> Decimal | None:
    """Return the price of a symbol's last trade; 0 is one that has never traded."""
    return decimal(row["price"]) or None


def book(row: Mapping[str, Any], symbol: str, last: Decimal | None, received_at: datetime) -> Book:
    """Return the levels of a book, which Binance lists best first."""
    bids, asks = (
        tuple((decimal(price), decimal(quantity)) for price, quantity in row[side])
        for side in ("bids", "asks")
    )
    return Book(symbol, bids, asks, last, received_at)


def decimal(value: object) -> Decimal:
    """Return a number given as text."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"expected a number, found {value!r}") from None
    if not number.is_finite():
        raise ValueError(f"expected a finite number, found {value!r}")
    return number


def moment(milliseconds: object) -> datetime:
    """Return a time of Binance's."""
    return datetime.fromtimestamp(int(str(milliseconds)) / 1000, UTC)


def order_id_in(row: Mapping[str, Any]) -> str:
    """Return by which id we know an order.

    Ours carry their symbol, which every look-up needs. One placed elsewhere is called
    by Binance's own number and its symbol.
    """
    client_id, symbol = str(row["clientOrderId"]), str(row["symbol"])
    if symbol_of(client_id) == symbol and not _number_in(client_id):
        return client_id
    return f"{row['orderId']}-{symbol}"


def question(order_id: str) -> dict[str, object]:
    """Return the parameters that name an order to Binance."""
    if number := _number_in(order_id):
        return {"symbol": symbol_of(order_id), "orderId": number}
    return {"symbol": symbol_of(order_id), "origClientOrderId": order_id}


def symbol_of(order_id: str) -> str:
    """Return the symbol at the end of an order id of ours."""
    return order_id.partition("-")[2]


def _number_in(order_id: str) -> str:
    number = order_id.partition("-")[0]
    return number if number.isascii() and number.isdigit() else ""
