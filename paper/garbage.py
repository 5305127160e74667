"""Frames no reader should stumble over, for the faults `garbage:...` of the market channel."""

from __future__ import annotations

import orjson

from paper.frames import Event

HUGE = 10_000_000
UNKNOWN_TOKEN = "1234567890" * 7
_UNKNOWN_MARKET = "0x" + "ee" * 32


def frame(kind: str, event: Event) -> bytes:
    """Make a frame that comes before an event; `kind` is one of KINDS."""
    return {
        "text": _text, "type": _type, "token": _token, "price": _price, "huge": _huge,
    }[kind](event)  # fmt: skip


def _text(_event: Event) -> bytes:
    return b"<html><h1>502 Bad Gateway</h1></html>"


def _type(event: Event) -> bytes:
    return orjson.dumps(event | {"event_type": "weather_forecast"})


def _token(event: Event) -> bytes:
    return _bid(_UNKNOWN_MARKET, UNKNOWN_TOKEN, "0.5")


def _price(event: Event) -> bytes:
    """Name a price above 1 for a token that the event is about."""
    changes = event.get("price_changes")
    about = changes[0] if isinstance(changes, list) else event
    return _bid(str(event["market"]), str(about.get("asset_id", UNKNOWN_TOKEN)), "1.5")


def _huge(_event: Event) -> bytes:
    return orjson.dumps({"event_type": "book", "asset_id": UNKNOWN_TOKEN, "bids": "9" * HUGE})


def _bid(market: str, token: str, price: str) -> bytes:
    change = {
        "asset_id": token, "price": price, "size": "100", "side": "BUY", "hash": "0" * 40,
        "best_bid": price, "best_ask": "1.6",
    }  # fmt: skip
    return orjson.dumps(
        {
            "market": market, "price_changes": [change], "timestamp": "1790000000000",
            "event_type": "price_change",
        }
    )  # fmt: skip


KINDS = frozenset({"text", "type", "token", "price", "huge"})
