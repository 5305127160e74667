"""What a venue's market stream says of its books, in our words: frozen values, nothing venue-specific.

`told_at` is the venue's own time in epoch milliseconds; it orders what is said of one symbol
and says nothing of how old a price is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from exchange.types import Side

Level = tuple[Decimal, Decimal]
"""A price and the quantity offered at it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole book, both sides best first."""

    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    last: Decimal | None
    told_at: int


@dataclass(frozen=True, slots=True)
class PricesChanged:
    """The best prices after a change, as the venue states them; an empty side is `None`.

    `changes` are levels with their new total quantity, 0 for one that is gone.
    """

    symbol: str
    bid: Decimal | None
    ask: Decimal | None
    told_at: int
    changes: tuple[tuple[Side, Decimal, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class Traded:
    """A trade's price."""

    symbol: str
    price: Decimal
    told_at: int


@dataclass(frozen=True, slots=True)
class TickSizeChanged:
    """The price grid is another: what is known of the book has to be asked for anew."""

    symbol: str


@dataclass(frozen=True, slots=True)
class Lost:
    """These symbols were not followed for a while; nothing of it is told again."""

    symbols: frozenset[str]


@dataclass(frozen=True, slots=True)
class Garbled:
    """Something was said of these symbols' books that could not be read: it is lost."""

    symbols: frozenset[str]


MarketNews = Snapshot | PricesChanged | Traded | TickSizeChanged | Lost | Garbled


@dataclass(frozen=True, slots=True)
class Heard:
    """The news of one message, in order, and when we received it."""

    at: datetime
    news: Sequence[MarketNews]
