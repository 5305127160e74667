"""Binance's JSON read into our words. Pure; `KeyError`, `TypeError`, `ValueError` if misshapen."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from exchange.types import OrderReport, Quote, TradeReport

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


def order_report(row: Mapping[str, Any], order_id: str) -> OrderReport:
    """Return what Binance says of an order of ours."""
    found = row["clientOrderId"]
    if found != order_id:
        raise ValueError(f"expected order {order_id}, found {found!r}")
    return OrderReport(order_id, _STATUSES[row["status"]], decimal(row["executedQty"]))


def trade_report(
    row: Mapping[str, Any], order_id: str, base_asset: str, quote_asset: str
) -> tuple[TradeReport, str]:
    """Return one fill, settled as all spot fills are, and a note about a fee that is not in it.

    A commission in the base asset is turned into the quote asset at the fill's price; one
    in a third asset (BNB) cannot be, and is left out of `fee`.
    """
    price, quantity = decimal(row["price"]), decimal(row["qty"])
    commission, asset = decimal(row["commission"]), str(row["commissionAsset"])
    fee, note = Decimal(0), ""
    if asset == quote_asset:
        fee = commission
    elif asset == base_asset:
        fee = commission * price
    elif commission:
        note = f"{commission} {asset}"
    report = TradeReport(
        trade_id=str(row["id"]),
        order_id=order_id,
        symbol=str(row["symbol"]),
        side="buy" if row["isBuyer"] else "sell",
        quantity=quantity,
        price=price,
        fee=fee,
        status="confirmed",
        matched_at=datetime.fromtimestamp(int(row["time"]) / 1000, UTC),
    )
    return report, note


def quote(row: Mapping[str, Any], received_at: datetime) -> Quote:
    """Return best bid and ask; Binance writes an empty side as 0."""
    bid, ask = decimal(row["bidPrice"]), decimal(row["askPrice"])
    return Quote(str(row["symbol"]), bid or None, ask or None, received_at)


def decimal(value: object) -> Decimal:
    """Return a number given as text."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"expected a number, found {value!r}") from None
    if not number.is_finite():
        raise ValueError(f"expected a finite number, found {value!r}")
    return number


def symbol_of(order_id: str) -> str:
    """Return the symbol at the end of an order id of ours."""
    return order_id.partition("-")[2]
