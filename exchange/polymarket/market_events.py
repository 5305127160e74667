"""Frames of the market channel read as news; what cannot be read is named, never raised.

Shapes: docs.polymarket.com/api-reference/wss/market. A frame holds one object or an array. Levels
come in any order. An empty side's best price is "0" for a bid and "1" (recorders: "0") for an
ask. In a burst every `price_change` carries the best prices of the burst's end (seen 2026-09),
so the stated best prices count, not those that its levels would make.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import orjson

from exchange.market_news import (
    Garbled,
    Level,
    MarketNews,
    PricesChanged,
    Snapshot,
    TickSizeChanged,
    Traded,
)
from exchange.polymarket.wire import Unreadable, decimal, side, text_in
from exchange.types import Side

_LONGEST_NAME = 40
_FINEST = -12
"""Decimals of a price; the venue's have four."""
_LARGEST = Decimal(10) ** 15
_NO_NEWS = frozenset({"new_market", "market_resolved"})
_ONE, _ZERO = Decimal(1), Decimal(0)


def read_frame(frame: str | bytes) -> tuple[list[MarketNews], list[str]]:
    """Return the news of a frame in its order, and for each part that is none what kind it was.

    A part of which no more than its tokens can be read is `Garbled` in its place.
    """
    try:
        data = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return [], ["not_json"]
    news: list[MarketNews] = []
    skipped: list[str] = []
    for part in data if isinstance(data, list) else [data]:
        try:
            news += _read(part)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            skipped.append(_kind_of(part))
            if tokens := _tokens_in(part):
                news.append(Garbled(tokens))
    return news, skipped


def _read(part: Any) -> Iterable[MarketNews]:
    kind = part["event_type"]
    if kind in _NO_NEWS:
        return ()
    return _READERS[kind](part)


def _book(part: Mapping[str, Any]) -> list[MarketNews]:
    last = part.get("last_trade_price")
    return [
        Snapshot(
            symbol=text_in(part, "asset_id"),
            bids=_levels(part["bids"], is_bid=True),
            asks=_levels(part["asks"], is_bid=False),
            last=None if last in (None, "") else _price(last),
            told_at=_told_at(part),
        )
    ]


def _price_change(part: Mapping[str, Any]) -> list[MarketNews]:
    """One piece of news per token, with the best prices stated last."""
    told_at = _told_at(part)
    levels: dict[str, list[tuple[Side, Decimal, Decimal]]] = {}
    best: dict[str, tuple[Decimal | None, Decimal | None]] = {}
    for row in part["price_changes"]:
        symbol = text_in(row, "asset_id")
        best[symbol] = _best(row)
        levels.setdefault(symbol, []).append(
            (side(row["side"]), _price(row["price"]), _quantity(row["size"]))
        )
    return [
        PricesChanged(symbol, *best[symbol], told_at, tuple(changes))
        for symbol, changes in levels.items()
    ]


def _best_bid_ask(part: Mapping[str, Any]) -> list[MarketNews]:
    return [PricesChanged(text_in(part, "asset_id"), *_best(part), _told_at(part))]


def _last_trade_price(part: Mapping[str, Any]) -> list[MarketNews]:
    return [Traded(text_in(part, "asset_id"), _price(part["price"]), _told_at(part))]


def _tick_size_change(part: Mapping[str, Any]) -> list[MarketNews]:
    return [TickSizeChanged(text_in(part, "asset_id"))]


_READERS: Mapping[str, Callable[[Mapping[str, Any]], list[MarketNews]]] = {
    "book": _book,
    "price_change": _price_change,
    "best_bid_ask": _best_bid_ask,
    "last_trade_price": _last_trade_price,
    "tick_size_change": _tick_size_change,
}
_OF_BOOKS = ("book", "price_change", "best_bid_ask")


def _best(row: Mapping[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    bid, ask = row["best_bid"], row["best_ask"]
    return (
        None if _is_empty(bid, _ZERO) else _price(bid),
        None if _is_empty(ask, _ZERO, _ONE) else _price(ask),
    )


def _is_empty(price: object, *marks: Decimal) -> bool:
    return price == "" or price is None or decimal(price) in marks


def _levels(rows: Iterable[Mapping[str, Any]], *, is_bid: bool) -> tuple[Level, ...]:
    """Best first; REST and stream sort them differently."""
    levels = ((_price(row["price"]), _quantity(row["size"])) for row in rows)
    return tuple(sorted((level for level in levels if level[1] > 0), reverse=is_bid))


def _price(value: object) -> Decimal:
    price = decimal(value)
    exponent = price.as_tuple().exponent
    if not 0 < price < 1 or not isinstance(exponent, int) or exponent < _FINEST:
        raise Unreadable(f"expected a price between 0 and 1, found {value!r}")
    return price


def _quantity(value: object) -> Decimal:
    quantity = decimal(value)
    if not 0 <= quantity < _LARGEST:
        raise Unreadable(f"expected a quantity, found {value!r}")
    return quantity


def _told_at(part: Mapping[str, Any]) -> int:
    return int(part["timestamp"])


def _tokens_in(part: object) -> frozenset[str]:
    """The tokens whose book a part was about. A lost trade says nothing of the book."""
    if not isinstance(part, Mapping) or part.get("event_type") not in _OF_BOOKS:
        return frozenset()
    changes = part.get("price_changes")
    rows = [part, *changes] if isinstance(changes, list) else [part]
    named = (row.get("asset_id") for row in rows if isinstance(row, Mapping))
    return frozenset(token for token in named if isinstance(token, str))


def _kind_of(part: object) -> str:
    if not isinstance(part, Mapping):
        return type(part).__name__
    kind = part.get("event_type")
    name = kind[:_LONGEST_NAME] if isinstance(kind, str) else ""
    return f"misshapen {name}" if name in _READERS else f"event {name!r}"
