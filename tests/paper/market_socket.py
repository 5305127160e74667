"""A plain WebSocket on the market channel; every event it gets must suit the official client's models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from polymarket.models.clob.market_events import parse_market_event
from websockets.sync.client import connect

from tests.paper.user_socket import UserSocket


class MarketSocket(UserSocket):
    """A subscribed connection; rebuilds the books from what it hears, as any reader has to."""

    def __init__(self, connection) -> None:
        super().__init__(connection)
        self.books: dict[str, dict[str, dict[Decimal, Decimal]]] = {}
        self.best: dict[str, tuple[str, str]] = {}

    def read(self, seconds: float = 5) -> str:
        """Read one frame, check its events and apply them."""
        seen = len(self.events)
        text = super().read(seconds)
        for event in self.events[seen:]:
            parse_market_event(event)
            self._apply(event)
        return text

    def of(self, kind: str) -> list[dict]:
        """List the events of a type."""
        return [event for event in self.events if event["event_type"] == kind]

    def kinds(self) -> list[str]:
        """List the types of what came."""
        return [event["event_type"] for event in self.events]

    def forget(self) -> None:
        """Forget the events so far, not the books."""
        self.events.clear()
        self.frames.clear()

    def _apply(self, event: dict) -> None:
        if event["event_type"] == "book":
            self.books[event["asset_id"]] = levels(event)
        for change in event.get("price_changes", ()):
            side = "bids" if change["side"] == "BUY" else "asks"
            book = self.books.setdefault(change["asset_id"], {"bids": {}, "asks": {}})
            book[side][Decimal(change["price"])] = Decimal(change["size"])
            if change["size"] == "0":
                del book[side][Decimal(change["price"])]
            self.best[change["asset_id"]] = (change["best_bid"], change["best_ask"])


def levels(book: dict) -> dict[str, dict[Decimal, Decimal]]:
    """Read a book's sides, whatever their order."""
    return {
        side: {Decimal(level["price"]): Decimal(level["size"]) for level in book[side]}
        for side in ("bids", "asks")
    }


def market_url(url: str) -> str:
    """Give the market channel's address."""
    return url.replace("http://", "ws://") + "/ws/market"


@contextmanager
def reading(url: str, *tokens: str, **more: object) -> Iterator[MarketSocket]:
    """Read tokens for the length of a `with` block; the books are there when it begins."""
    with connect(market_url(url), open_timeout=5, close_timeout=1, max_size=None) as connection:
        connection.send(json.dumps({"type": "market", "assets_ids": list(tokens)} | more))
        socket = MarketSocket(connection)
        socket.ping()
        yield socket
