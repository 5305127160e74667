"""What crosses the border to a venue: frozen values, `Decimal` money, aware datetimes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

Side = Literal["buy", "sell"]
OrderType = Literal["GTC", "GTD", "FAK", "FOK"]
Status = Literal["pending", "confirmed", "reverted", "replaced", "unaccounted", "open"]
"""Of a transaction; see `TransactionReport`."""


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
    NO_GAS = "no_gas"
    NO_CODE = "no_code"
    WRONG_CHAIN = "wrong_chain"
    WRONG_TOKENS = "wrong_tokens"
    WOULD_REVERT = "would_revert"
    OTHER = "other"


CONVERSIONS_ALONE = frozenset(
    {
        RejectionCode.NO_GAS,
        RejectionCode.NO_CODE,
        RejectionCode.WRONG_CHAIN,
        RejectionCode.WRONG_TOKENS,
        RejectionCode.WOULD_REVERT,
    }
)
"""Refusals of the chain: no order meets them."""


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
    neg_risk_id: str = ""
    """The id of the neg-risk event a market belongs to; it must not be converted without."""
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
class Book:
    """All offers of one instrument, best first, as prices and quantities; the last trade's price."""

    symbol: str
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    last: Decimal | None
    received_at: datetime
    told_at: int = 0
    """The venue's own time of its last change, in epoch milliseconds; 0 where it does not say."""


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
class Conversion:
    """What a wallet asks of a market's collateral adapter.

    `split` turns `quantity` collateral into as many of each outcome, `merge` turns them
    back, `redeem` turns *everything* the wallet holds of a resolved market into what it
    pays (its `quantity` says nothing to the chain).
    """

    kind: Literal["split", "merge", "redeem"]
    condition_id: str
    neg_risk: bool
    tokens: tuple[str, str]
    """The token ids of outcome 0 and 1, in the condition's order."""
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Approval:
    """What the wallet must let a contract move first.

    `amount` is in collateral, infinite where somebody asked for that; `None` means the
    wallet's outcome tokens, of which ERC-1155 knows only all or nothing. `allowed` is the
    collateral that the spender may move already: with less than that nothing is missing.
    """

    spender: str
    amount: Decimal | None
    allowed: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A signed transaction of a wallet, with the nonce it will use; `payload` is what gets sent.

    `payload` (text) holds everything needed to send the very same bytes again from
    another process. `transaction_hash` is known beforehand for an EOA alone. Without a
    `deadline` it can execute for as long as its nonce is not used. `max_fee` is the most
    it may cost, in POL; 0 where somebody else pays. `since_block` is the chain's height
    when it was signed, before which it cannot have executed; 0 where that is not known.
    """

    wallet: str
    nonce: int
    payload: str = field(repr=False)
    transaction_hash: str = ""
    deadline: datetime | None = None
    max_fee: Decimal = Decimal(0)
    since_block: int = 0


@dataclass(frozen=True, slots=True)
class TransactionReport:
    """What became of a transaction.

    - `pending`: it may still execute, or has too few blocks above it.
    - `confirmed`: it executed; `moved` says what the chain's logs show.
    - `reverted`: it executed to no effect, for good; the nonce is used.
    - `replaced`: another transaction used its nonce, for good: it cannot execute.
    - `unaccounted`: its nonce is used, and by what nobody says: look at the `effects`.
    - `open`: whoever sends it has given it up, but its nonce is not used: these bytes may
      still execute. Sign the same again *with the same nonce*.
    """

    transaction_id: str
    status: Status
    transaction_hash: str = ""
    message: str = ""
    moved: Mapping[str, Decimal] = field(default_factory=dict)
    """What the wallet gained (lost, below 0) by asset: `collateral` and token ids."""
    cost: Decimal = Decimal(0)
    """What the wallet paid for gas, in POL."""
    is_mined: bool = False
    """It is in a block, or what used its nonce is, with too few above it: bid no more for it."""
