"""What crosses the border to a venue: frozen values, `Decimal` money, aware datetimes."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

Side = Literal["buy", "sell"]
OrderType = Literal["GTC", "GTD", "FAK", "FOK"]


class RejectionCode(StrEnum):
    """Why a venue said no, in our words; `exchange.errors.Rejected.code`."""

    UNKNOWN_INSTRUMENT = "unknown_instrument"
    UNMATCHED = "unmatched"
    DUPLICATED = "duplicated"
    NOT_ENOUGH_BALANCE = "not_enough_balance"
    TICK_SIZE = "tick_size"
    POST_ONLY = "post_only"
    EXPIRATION = "expiration"
    MIN_SIZE = "min_size"
    PRECISION = "precision"
    INVALID_SIGNATURE = "invalid_signature"
    NOT_ALLOWED = "not_allowed"
    MARKET_CLOSED = "market_closed"
    NONCE = "nonce"
    BLOCKED = "blocked"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class InstrumentInfo:
    """What is traded: an outcome token (`symbol` is its decimal token id) or a spot symbol."""

    symbol: str
    venue: str
    """`polymarket` or `binance`."""
    tick_size: Decimal
    min_quantity: Decimal
    quantity_step: Decimal
    """0.01 for outcome tokens in orders; the lot step for spot symbols."""
    base_asset: str
    """The asset a sale takes from: the token id itself, or for example BTC."""
    quote_asset: str
    """The asset a sale brings: `collateral`, or for example USDT."""
    condition_id: str = ""
    complement: str = ""
    """The token id of the other outcome."""
    outcome: str = ""
    question: str = ""
    neg_risk: bool = False
    fee_rate: Decimal = Decimal(0)
    fee_exponent: int = 0
    accepting_orders: bool = True
    is_closed: bool = False
    """Closed for good, resolved or delisted; otherwise a market without orders is only paused."""
    min_notional: Decimal = Decimal(0)
    """The least quantity times price of an order, in the quote asset; 0 where there is no rule."""


@dataclass(frozen=True, slots=True)
class Quote:
    """Best prices of one instrument; an empty side is `None`, never 0.

    `received_at` is when we received it, not the venue's own timestamp: a quiet
    book is not a stale one.
    """

    symbol: str
    bid: Decimal | None
    ask: Decimal | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One order to be signed: price and quantity already quantised.

    `expires_at` is when a GTD order shall stop resting; `post_only` goes with GTC and GTD.
    """

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    tick_size: Decimal
    neg_risk: bool = False
    order_type: OrderType = "FAK"
    expires_at: datetime | None = None
    post_only: bool = False


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """A signed order with the id the venue will know it by; `payload` is what gets posted.

    `payload` (JSON text) holds everything needed to post the very same bytes
    again from another process. An `is_urgent` one (an exit) is held back by no
    limiter and no breaker of ours.
    """

    order_id: str
    payload: str = field(repr=False)
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The venue's first answer to a post: it has the order."""

    order_id: str
    status: Literal["open", "matched", "delayed"]
    trade_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What the venue says of an order, looked up by its id."""

    order_id: str
    status: Literal["open", "matched", "delayed", "cancelled", "invalid"]
    matched_quantity: Decimal
    trade_ids: tuple[str, ...] = ()
    venue_status: str = ""
    """The venue's own word, such as LIVE or CANCELED_EXPIRED_ORDER, for people."""


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order of the wallet that rests in the venue's book, whoever placed it."""

    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    matched_quantity: Decimal
    trade_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserEvent:
    """A message of the venue's user stream: these orders of ours have news, ask about them.

    It may come late, twice, in any order or never; it is a reason to look, not the truth.
    """

    order_ids: tuple[str, ...]
    trade_id: str = ""
    status: str = ""
    """The venue's own word: PLACEMENT, UPDATE, CANCELLATION, or a trade's MATCHED to FAILED."""


@dataclass(frozen=True, slots=True)
class TradeReport:
    """Our part of one trade: quantity and price of *our* order, also where we were the maker."""

    trade_id: str
    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    """In `fee_asset`."""
    status: Literal["matched", "mined", "retrying", "confirmed", "failed"]
    matched_at: datetime
    transaction_hash: str = ""
    fee_asset: str = ""
    """What the fee was taken in; empty means the quote asset."""


@dataclass(frozen=True, slots=True)
class SignedSplit:
    """A signed split of collateral into both outcomes, with the nonce it will use."""

    wallet: str
    nonce: int
    deadline: datetime
    payload: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SplitReport:
    """What became of a submitted split."""

    transaction_id: str
    status: Literal["pending", "confirmed", "failed"]
    transaction_hash: str = ""
    message: str = ""
