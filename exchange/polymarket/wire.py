"""The venue's answers about orders, read into our words. Pure; `Unreadable` for what does not fit.

Shapes: docs.polymarket.com/api-reference (orders, trades) and the official client's
`models/clob`. Sizes and prices are decimal strings in whole units, amounts of balances
are integers in millionths.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, cast

from exchange.errors import ExchangeError, OtherOrderId, OutcomeUnknown, Rejected
from exchange.polymarket.failures import refusal
from exchange.types import Acknowledgement, OpenOrder, OrderReport, RejectionCode, Side

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


class Unreadable(ValueError):
    """An answer that does not have the documented shape."""


def acknowledgement(data: object, order_id: str) -> Acknowledgement:
    """Return the venue's yes to a posted order, or raise its no.

    An order counts as placed only with success, an empty error, an id and a status of
    live, matched or delayed: the official client's rule (`order_response.py`). A refusal
    is believed by its words, unless trades are named beside it.
    """
    row = mapping(data)
    text = str(row.get("errorMsg") or "")
    venue_id = str(row.get("orderID") or "")
    status = str(row.get("status") or "").lower()
    trade_ids = ids(row.get("tradeIDs"))
    if venue_id and not same(venue_id, order_id):
        raise OtherOrderId(order_id, venue_id)
    if row.get("success") is True and not text and venue_id and status in _ACCEPTED:
        return Acknowledgement(order_id, _ACCEPTED[status], trade_ids)
    if trade_ids:
        raise OutcomeUnknown(f"Polymarket refused the order and named its trades: {text!r}")
    if (said := refusal(text)) is not None:
        raise said
    if row.get("success") is False and text:
        raise Rejected(RejectionCode.OTHER, f"Polymarket: {text}")
    raise OutcomeUnknown(f"Polymarket neither took nor refused the order: {status!r} {text!r}")


def acknowledgements(
    data: object, order_ids: Sequence[str]
) -> list[Acknowledgement | ExchangeError]:
    """Return what became of each order of a batch; row i answers order i.

    Rows that do not line up with the orders say nothing of any of them.
    """
    if not isinstance(data, list) or len(data) != len(order_ids):
        found = f"{len(data)} rows" if isinstance(data, list) else type(data).__name__
        unknown = OutcomeUnknown(f"expected {len(order_ids)} answers, found {found}")
        return [unknown for _ in order_ids]
    if _is_shuffled(data, order_ids):
        return [OutcomeUnknown("Polymarket answered the orders out of order") for _ in order_ids]
    return [_row_of_batch(row, order_id) for row, order_id in zip(data, order_ids, strict=True)]


def order_report(data: object, order_id: str) -> OrderReport:
    """Return what the venue says of an order it knows."""
    row = mapping(data)
    if not same(row.get("id"), order_id):
        raise Unreadable(f"expected order {order_id}, found {row.get('id')!r}")
    status = str(row.get("status", ""))
    return OrderReport(
        order_id=order_id,
        status=_order_status(status),
        matched_quantity=decimal(row.get("size_matched")),
        trade_ids=ids(row.get("associate_trades")),
        venue_status=status,
    )


def open_order(data: object) -> OpenOrder | None:
    """Return a resting order, `None` for one that the venue lists although it is finished."""
    row = mapping(data)
    if _order_status(str(row.get("status") or "LIVE")) not in ("open", "delayed"):
        return None
    return OpenOrder(
        order_id=text_in(row, "id"),
        symbol=text_in(row, "asset_id"),
        side=side(row.get("side")),
        quantity=decimal(row.get("original_size")),
        price=decimal(row.get("price")),
        matched_quantity=decimal(row.get("size_matched")),
        trade_ids=ids(row.get("associate_trades")),
    )


def page(data: object) -> tuple[list[object], str]:
    """Return the rows of a page and the cursor of the next one, empty at the end (`LTE=`)."""
    row = mapping(data)
    rows = row.get("data")
    if not isinstance(rows, list):
        raise Unreadable("a page without rows")
    cursor = str(row.get("next_cursor") or "")
    return rows, "" if cursor == "LTE=" else cursor


def cancellations(data: object, order_ids: Iterable[str]) -> dict[str, bool]:
    """Tell which orders a cancel took out; those it names in neither list are left out.

    A 200 alone does not say so: it goes with a list of refusals too.
    """
    row = mapping(data)
    done = {str(entry).lower() for entry in _entries(row.get("canceled"))}
    refused = {str(entry).lower() for entry in _entries(row.get("not_canceled"))}
    return {
        order_id: order_id.lower() in done
        for order_id in order_ids
        if order_id.lower() in done | refused
    }


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


def mapping(data: object) -> Mapping[str, Any]:
    """Return a JSON object as it is."""
    if not isinstance(data, Mapping):
        raise Unreadable(f"expected an object, found {type(data).__name__}")
    return data


def text_in(row: Mapping[str, Any], key: str) -> str:
    """Return a text that must be there and not empty."""
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"expected text in {key}, found {value!r}")
    return value


def side(value: object) -> Side:
    """Return BUY or SELL in our words."""
    lowered = str(value).lower()
    if lowered not in ("buy", "sell"):
        raise Unreadable(f"expected a side, found {value!r}")
    return cast(Side, lowered)


def ids(value: object) -> tuple[str, ...]:
    """Return a list of ids, empty for `null`."""
    return tuple(str(entry) for entry in value) if isinstance(value, list | tuple) else ()


def same(left: object, right: str) -> bool:
    """Tell whether two hexadecimal ids or addresses are the same, however they are spelled."""
    return isinstance(left, str) and left.lower() == right.lower()


def _entries(value: object) -> Iterable[object]:
    return value if isinstance(value, list | Mapping) else ()


def _is_shuffled(rows: Sequence[object], order_ids: Sequence[str]) -> bool:
    ours = {order_id.lower() for order_id in order_ids}
    named = [
        str(row.get("orderID") or "").lower() if isinstance(row, Mapping) else "" for row in rows
    ]
    return any(
        name in ours and not same(name, order_id)
        for name, order_id in zip(named, order_ids, strict=True)
    )


def _row_of_batch(row: object, order_id: str) -> Acknowledgement | ExchangeError:
    try:
        return acknowledgement(row, order_id)
    except ExchangeError as error:
        return error
    except Unreadable as error:
        return OutcomeUnknown(f"Polymarket's answer is unreadable: {error}")
