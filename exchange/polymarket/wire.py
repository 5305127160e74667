"""The venue's JSON read into our words. Pure; `Unreadable` for what does not fit.

Shapes: docs.polymarket.com/api-reference (orders, trades) and the official client's
`models/clob`. Sizes and prices are decimal strings in whole units, amounts of balances
are integers in millionths.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, cast

from exchange.errors import OtherOrderId, OutcomeUnknown, Rejected
from exchange.polymarket.failures import refusal
from exchange.types import Acknowledgement, OrderReport, RejectionCode, Side, TradeReport

_ACCEPTED: dict[str, Literal["open", "matched", "delayed"]] = {
    "live": "open",
    "matched": "matched",
    "delayed": "delayed",
}
_ORDER_STATUSES: dict[str, Literal["open", "matched", "delayed", "cancelled", "invalid"]] = {
    "LIVE": "open",
    "MATCHED": "matched",
    "DELAYED": "delayed",
    # The delay failed and the order was placed after all (docs); never taken for finished.
    "UNMATCHED": "open",
    "INVALID": "invalid",
}
_TRADE_STATUSES: dict[str, Literal["matched", "mined", "retrying", "confirmed", "failed"]] = {
    "MATCHED": "matched",
    "MATCHED_NOT_BROADCASTED": "matched",
    "MINED": "mined",
    "RETRYING": "retrying",
    "CONFIRMED": "confirmed",
    "FAILED": "failed",
}


class Unreadable(ValueError):
    """An answer that does not have the documented shape."""


@dataclass(frozen=True, slots=True)
class OwnPart:
    """Our part of a trade, before its fee, with what the fee depends on."""

    report: TradeReport
    condition_id: str
    is_taker: bool


def acknowledgement(data: object, order_id: str) -> Acknowledgement:
    """Return the venue's yes to a posted order, or raise its no.

    An order counts as placed only with success, an empty error, an id and a status of
    live, matched or delayed: the official client's rule (`order_response.py`).
    """
    row = _mapping(data)
    text = str(row.get("errorMsg") or "")
    venue_id = str(row.get("orderID") or "")
    status = str(row.get("status") or "").lower()
    if venue_id and venue_id.lower() != order_id.lower():
        raise OtherOrderId(order_id, venue_id)
    if row.get("success") is True and not text and venue_id and status in _ACCEPTED:
        return Acknowledgement(order_id, _ACCEPTED[status], _ids(row.get("tradeIDs")))
    if (said := refusal(text)) is not None:
        raise said
    if row.get("success") is False and text:
        raise Rejected(RejectionCode.OTHER, f"Polymarket: {text}")
    raise OutcomeUnknown(f"Polymarket neither took nor refused the order: {status!r} {text!r}")


def order_report(data: object, order_id: str) -> OrderReport:
    """Return what the venue says of an order it knows."""
    row = _mapping(data)
    if str(row.get("id", "")).lower() != order_id.lower():
        raise Unreadable(f"expected order {order_id}, found {row.get('id')!r}")
    return OrderReport(
        order_id=order_id,
        status=_order_status(str(row.get("status", ""))),
        matched_quantity=decimal(row.get("size_matched")),
        trade_ids=_ids(row.get("associate_trades")),
    )


def own_part(data: object, order_id: str) -> OwnPart | None:
    """Return the part of a trade that belongs to our order, `None` where none does.

    The top level of a trade row is the taker's; a maker's fill is its entry in
    `maker_orders`, and may be in the other outcome (a complementary match).
    """
    row = _mapping(data)
    is_taker = _same(row.get("taker_order_id"), order_id)
    if is_taker:
        parts, size_key = [row], "size"
    else:
        makers = [_mapping(entry) for entry in row.get("maker_orders") or ()]
        parts = [entry for entry in makers if _same(entry.get("order_id"), order_id)]
        size_key = "matched_amount"
    if not parts:
        return None
    status = str(row.get("status", "")).removeprefix("TRADE_STATUS_")
    if status not in _TRADE_STATUSES:
        raise Unreadable(f"unknown trade status {status!r}")
    report = TradeReport(
        trade_id=_text(row, "id"),
        order_id=order_id,
        symbol=_text(parts[0], "asset_id"),
        side=_side(parts[0].get("side")),
        quantity=sum((decimal(part.get(size_key)) for part in parts), Decimal(0)),
        price=decimal(parts[0].get("price")),
        fee=Decimal(0),
        status=_TRADE_STATUSES[status],
        matched_at=moment(row.get("match_time")),
        transaction_hash=str(row.get("transaction_hash") or ""),
    )
    return OwnPart(report, _text(row, "market"), is_taker)


def page(data: object) -> tuple[list[object], str]:
    """Return the rows of a page and the cursor of the next one, empty at the end (`LTE=`)."""
    row = _mapping(data)
    rows = row.get("data")
    if not isinstance(rows, list):
        raise Unreadable("a page without rows")
    cursor = str(row.get("next_cursor") or "")
    return rows, "" if cursor == "LTE=" else cursor


def cancelled(data: object, order_id: str) -> bool:
    """Tell whether a cancel did it; a 200 alone does not say so."""
    row = _mapping(data)
    done, refused = row.get("canceled"), row.get("not_canceled")
    if isinstance(done, list) and any(_same(entry, order_id) for entry in done):
        return True
    if isinstance(refused, Mapping) and any(_same(entry, order_id) for entry in refused):
        return False
    raise Unreadable("a cancel that names neither outcome")


def decimal(value: object) -> Decimal:
    """Return a finite number given as text or JSON number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unreadable(f"expected a number, found {value!r}")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise Unreadable(f"expected a number, found {value!r}") from None
    if not number.is_finite():
        raise Unreadable(f"expected a finite number, found {value!r}")
    return number


def moment(value: object) -> datetime:
    """Return a moment given in seconds, milliseconds or ISO 8601."""
    text = str(value)
    try:
        if text.isdigit():
            number = int(text)
            return datetime.fromtimestamp(number / 1000 if number > 10**11 else number, UTC)
        when = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise Unreadable(f"expected a time, found {value!r}") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _order_status(text: str) -> Literal["open", "matched", "delayed", "cancelled", "invalid"]:
    status = text.upper().removeprefix("ORDER_STATUS_")
    if status.startswith(("CANCELED", "CANCELLED")):
        return "cancelled"
    if status not in _ORDER_STATUSES:
        raise Unreadable(f"unknown order status {text!r}")
    return _ORDER_STATUSES[status]


def _mapping(data: object) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise Unreadable(f"expected an object, found {type(data).__name__}")
    return data


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"expected text in {key}, found {value!r}")
    return value


def _side(value: object) -> Side:
    side = str(value).lower()
    if side not in ("buy", "sell"):
        raise Unreadable(f"expected a side, found {value!r}")
    return cast(Side, side)


def _ids(value: object) -> tuple[str, ...]:
    return tuple(str(entry) for entry in value) if isinstance(value, list | tuple) else ()


def _same(left: object, right: str) -> bool:
    return isinstance(left, str) and left.lower() == right.lower()
