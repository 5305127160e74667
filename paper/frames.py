"""What the market channel says, in the venue's shapes.

Sources: docs.polymarket.com/api-reference/wss/market; frames recorded in 2026-08 and 2026-09 (the order of
fields and levels, `event_type` near the end, the book's last price with three decimals). Docs only: "0"
for the best bid of an empty side and "1" for its best ask.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from paper import money
from paper.book import BUY, SELL, Book, to_first
from paper.journal import Moved, Traded
from paper.markets import OUTCOMES, Market
from paper.money import UNIT

Event = dict[str, object]
_text = lru_cache(maxsize=1 << 14)(money.text)
"""The same few prices are written thousands of times a second."""
Touch = tuple[int, int]
"""Best bid and best ask of the first token; 0 and 1 stand for an empty side."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A market's book when it is told of: its best prices, each token's hash, the time."""

    market: Market
    book: Book
    touch: Touch
    hashes: tuple[str, str]
    at: str


def moment(market: Market, book: Book, at_ms: int) -> Moment:
    """Look at a book once, for all that is said of it now."""
    return Moment(market, book, touch_of(book), _hashes(market, book), str(at_ms))


def touch_of(book: Book) -> Touch:
    """Give a book's best bid and best ask."""
    bid, ask = book.best(0, BUY), book.best(0, SELL)
    return (0 if bid is None else bid, UNIT if ask is None else ask)


def digest(market: Market, index: int, book: Book) -> str:
    """Give the hash of a token's book: the same over REST and in every frame while nothing changes."""
    return _hashes(market, book)[index]


def _hashes(market: Market, book: Book) -> tuple[str, str]:
    levels = repr((book.levels(0, BUY), book.levels(0, SELL))).encode()
    first, second = (
        hashlib.sha1(token.encode() + levels, usedforsecurity=False).hexdigest()
        for token in market.tokens
    )
    return first, second


def sides(book: Book, index: int) -> Event:
    """Show both sides of a token's book, the best level last."""
    return {
        name: [
            {"price": _text(price), "size": _text(size)} for price, size in book.levels(index, side)
        ]
        for name, side in (("bids", BUY), ("asks", SELL))
    }


def book(now: Moment, index: int) -> Event:
    """Show a whole book; its time is that of its last change."""
    return {
        "market": now.market.condition_id, "asset_id": now.market.tokens[index],
        "timestamp": str(now.book.changed_ms or now.at), "hash": now.hashes[index],
        **sides(now.book, index), "tick_size": _text(now.market.tick), "event_type": "book",
        "last_trade_price": _last_price(now.book, index),
    }  # fmt: skip


def _last_price(held: Book, index: int) -> str:
    if held.last_price is None:
        return ""
    whole, _, decimals = _text(_seen(held.last_price, index)).partition(".")
    return f"{whole}.{decimals.ljust(3, '0')}"


def price_change(now: Moment, moved: Moved) -> Event:
    """Show changed levels, each as both tokens see it; a burst's frames all carry its last best prices."""
    order = (moved.index, 1 - moved.index)
    touches = [_touch_texts(now.touch, index) for index in (0, 1)]
    changes = [
        _change(now, touches[index], index, *to_first(index, side, price), size)
        for (side, price), size in moved.levels.items()
        for index in order
    ]
    return {
        "market": now.market.condition_id, "price_changes": changes, "timestamp": now.at,
        "event_type": "price_change",
    }  # fmt: skip


def _change(
    now: Moment, touch: tuple[str, str], index: int, side: str, price: int, size: int
) -> Event:
    return {
        "asset_id": now.market.tokens[index], "price": _text(price), "size": _text(size),
        "side": side, "hash": now.hashes[index], "best_bid": touch[0], "best_ask": touch[1],
    }  # fmt: skip


def best_bid_ask(now: Moment, index: int) -> Event:
    """Show a token's best prices."""
    bid, ask = _touch_texts(now.touch, index)
    return {
        "market": now.market.condition_id, "asset_id": now.market.tokens[index], "best_bid": bid,
        "best_ask": ask, "spread": _text(now.touch[1] - now.touch[0]), "timestamp": now.at,
        "event_type": "best_bid_ask",
    }  # fmt: skip


def last_trade_price(now: Moment, traded: Traded) -> Event:
    """Show a trade, of the taker's token alone."""
    return {
        "market": now.market.condition_id, "asset_id": now.market.tokens[traded.index],
        "price": _text(traded.price), "size": _text(traded.shares), "fee_rate_bps": "0",
        "side": traded.side, "timestamp": now.at, "transaction_hash": traded.transaction,
        "event_type": "last_trade_price",
    }  # fmt: skip


def tick_size_change(market: Market, index: int, old_tick: int, at_ms: int) -> Event:
    """Show that a token's tick is another now."""
    return {
        "market": market.condition_id, "asset_id": market.tokens[index],
        "old_tick_size": _text(old_tick), "new_tick_size": _text(market.tick),
        "timestamp": str(at_ms), "event_type": "tick_size_change",
    }  # fmt: skip


def new_market(market: Market, at_ms: int) -> Event:
    """Show a market that is listed now."""
    tokens = list(market.tokens)
    about = {"id": market.id, "slug": market.slug, "title": market.question}
    return {
        "id": market.id, "question": market.question, "market": market.condition_id,
        "slug": market.slug, "description": market.question, "assets_ids": tokens,
        "outcomes": list(OUTCOMES), "event_message": about, "timestamp": str(at_ms), "tags": [],
        "condition_id": market.condition_id, "active": True, "clob_token_ids": tokens,
        "order_price_min_tick_size": _text(market.tick), "event_type": "new_market",
    }  # fmt: skip


def market_resolved(market: Market, at_ms: int) -> Event:
    """Show a resolved market; of a tie, which the venue never showed, no outcome is the winner."""
    payouts = market.payouts or ()
    winner = next((index for index, paid in enumerate(payouts) if paid == sum(payouts)), None)
    return {
        "id": market.id, "market": market.condition_id, "assets_ids": list(market.tokens),
        "winning_asset_id": None if winner is None else market.tokens[winner],
        "winning_outcome": None if winner is None else OUTCOMES[winner],
        "timestamp": str(at_ms), "tags": [], "event_type": "market_resolved",
    }  # fmt: skip


def _touch_texts(touch: Touch, index: int) -> tuple[str, str]:
    bid, ask = touch if index == 0 else (UNIT - touch[1], UNIT - touch[0])
    return _text(bid), _text(ask)


def _seen(price: int, index: int) -> int:
    return price if index == 0 else UNIT - price
