"""Frames of the user channel read as `UserEvent`s; what cannot be read is named, never raised.

Shapes: docs.polymarket.com/api-reference/wss/user. A frame holds one object or an array.
"""

import json
from collections.abc import Mapping
from typing import Any

from exchange.types import UserEvent

_LONGEST_NAME = 40


def read_frame(frame: str | bytes) -> tuple[list[UserEvent], list[str]]:
    """Return the events of a frame, and for each part that is none what kind it was."""
    if not isinstance(frame, str):
        return [], ["binary"]
    try:
        data = json.loads(frame)
    except (ValueError, RecursionError):
        return [], ["not_json"]
    events: list[UserEvent] = []
    skipped: list[str] = []
    for part in data if isinstance(data, list) else [data]:
        event = _event(part)
        if event is None:
            skipped.append(_kind_of(part))
        else:
            events.append(event)
    return events, skipped


def _event(part: object) -> UserEvent | None:
    if not isinstance(part, Mapping):
        return None
    kind, name = part.get("event_type"), _text(part.get("id"))
    if kind == "order" and name:
        return UserEvent((name,), status=_text(part.get("type")).upper())
    if kind == "trade" and name:
        status = _text(part.get("status")).upper().removeprefix("TRADE_STATUS_")
        order_ids = _order_ids(part)
        return UserEvent(order_ids, trade_id=name, status=status) if order_ids else None
    return None


def _order_ids(trade: Mapping[str, Any]) -> tuple[str, ...]:
    """Name every order of the trade: which of them are ours the caller knows best."""
    makers = trade.get("maker_orders")
    entries = makers if isinstance(makers, list) else []
    named = [_text(trade.get("taker_order_id"))] + [
        _text(entry.get("order_id")) for entry in entries if isinstance(entry, Mapping)
    ]
    return tuple(dict.fromkeys(order_id for order_id in named if order_id))


def _kind_of(part: object) -> str:
    if not isinstance(part, Mapping):
        return type(part).__name__
    kind = _text(part.get("event_type"))[:_LONGEST_NAME]
    return f"misshapen {kind}" if kind in ("order", "trade") else f"event {kind!r}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
