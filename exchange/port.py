"""What every venue must offer. Adapters raise nothing but `exchange.errors`."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from exchange.errors import ExchangeError
from exchange.market_news import Heard
from exchange.types import (
    Acknowledgement,
    Approval,
    Book,
    Conversion,
    InstrumentInfo,
    OpenOrder,
    OrderReport,
    OrderRequest,
    Quote,
    SignedOrder,
    SignedTransaction,
    TradeReport,
    TransactionReport,
    UserEvent,
)


class Exchange(Protocol):
    """A venue that quotes prices and takes orders.

    Reads raise `Unavailable` (or `Rejected` where the question itself is wrong).
    `post` raises any of the three errors; after `OutcomeUnknown` ask `find_order`.
    """

    def instrument(self, symbol: str) -> InstrumentInfo:
        """Describe one instrument; `Rejected('unknown_instrument')` when there is none."""

    def quotes(self, symbols: Iterable[str]) -> Mapping[str, Quote]:
        """Best prices of many instruments, one request per 500; unknown ones are left out."""

    def books(self, symbols: Iterable[str]) -> Mapping[str, Book]:
        """Whole books (spot: the best hundred levels) with the last trade's price.

        Unknown instruments are left out.
        """

    def log_in(self) -> None:
        """Load what the first order would otherwise wait for; asks the venue for credentials."""

    def sign(self, request: OrderRequest) -> SignedOrder:
        """Sign without any request; the id is the one the venue will use.

        Raises `Rejected` for numbers and order types the venue would refuse.
        """

    def post(self, signed: SignedOrder) -> Acknowledgement:
        """Send the signed bytes; safe to repeat with the same ones."""

    def post_many(self, signed: Sequence[SignedOrder]) -> list[Acknowledgement | ExchangeError]:
        """Send up to `largest_batch` orders in one request; what became of each, in their order.

        The venue does not treat them as one: any may be refused alone. What `post`
        would raise stands in the place of that order; only asking for more than
        `largest_batch` raises, a `ValueError`.
        """

    @property
    def largest_batch(self) -> int:
        """The most orders of one request; 1 where the venue takes them singly."""

    def cancel(self, order_id: str) -> bool:
        """Cancel a resting order; `False` when the venue says it no longer rests.

        A `False` says nothing of why: look the order up.
        """

    def cancel_many(self, order_ids: Sequence[str]) -> Mapping[str, bool]:
        """Cancel several; what `cancel` would say of each.

        An id that is left out got no clear answer: look it up, or cancel it again.
        """

    def open_orders(self) -> list[OpenOrder]:
        """Every order of the wallet that rests in the book, also those placed elsewhere."""

    def wallet_trades(self, after: datetime) -> list[TradeReport]:
        """Our part of every trade of the wallet matched after a moment, whoever placed its order.

        One report for each order of ours in a trade. The venue's times are whole
        seconds: trades a little before `after` may come too.
        """

    def server_time(self) -> datetime:
        """The venue's clock."""

    def find_order(self, order_id: str) -> OrderReport | None:
        """Look an order up by id; `None` only when the venue says it does not know it."""

    def trades(self, order_id: str, trade_ids: Sequence[str]) -> list[TradeReport]:
        """Our part of the order's trades; `trade_ids` narrows the question where known."""

    def balance(self, asset: str) -> Decimal:
        """What the wallet holds of `collateral`, a token id or a spot asset, in whole units."""

    def refresh_balance(self, asset: str) -> None:
        """Have the venue read the chain again, where its balances are a cache."""


class UserStream(Protocol):
    """A venue's private stream, which tells sooner than asking that our orders have news."""

    def events(self, stop: threading.Event) -> Iterator[UserEvent | None]:
        """Yield what concerns our orders until `stop` is set; blocks, reconnects, never raises.

        `None` says that the stream is (re)connected: what happened meanwhile is not
        told again, so ask about everything.
        """


class MarketStream(Protocol):
    """A venue's public stream of some symbols' books, over one connection."""

    @property
    def most_symbols(self) -> int:
        """How many symbols one connection may follow; the others need another one."""

    def follow(self, symbols: Set[str]) -> None:
        """Follow exactly these symbols from now on, any time and from any thread."""

    def leave(self) -> None:
        """Connect anew, from any thread: the connection was found to say nothing any more."""

    def news(self, stop: threading.Event) -> Iterator[Heard]:
        """Yield what is heard until `stop` is set; blocks, reconnects, never raises.

        A snapshot of each book comes first. `Lost` says that these symbols were not
        followed for a while: believe nothing of them until their next snapshot.
        """


class Minter(Protocol):
    """Whoever turns collateral into outcome tokens for the wallet, and back.

    One transaction of the wallet is under way at a time: sign, note down, submit, then
    look it up until its report is final. Reads raise `Unavailable`.
    """

    @property
    def wallet(self) -> str:
        """The address whose collateral and tokens are converted."""

    @property
    def approves_apart(self) -> bool:
        """Whether an approval is a transaction of its own (EOA), not a part of the conversion."""

    def check(self) -> None:
        """Make sure of the chain's id and of code at every contract used.

        Raises `Rejected` (`wrong_chain`, `no_code`) in words for the user; asks once per
        process what it found right.
        """

    def missing_approval(self, conversion: Conversion) -> Approval | None:
        """What the adapter may not take yet, exactly as much as the conversion needs."""

    def next_nonce(self) -> int:
        """The nonce the wallet's next transaction must carry.

        Raises `Unavailable` while another transaction of the wallet, not known to us, is pending.
        """

    def sign(
        self, conversion: Conversion, nonce: int, approval: Approval | None = None
    ) -> SignedTransaction:
        """Sign a conversion, together with its `approval` unless `approves_apart`; sends nothing.

        Raises `Rejected` where it could not work: `wrong_tokens` when the ids are not those
        the chain would make, `would_revert` when a trial run fails, `no_gas`.
        """

    def sign_approval(self, approval: Approval, nonce: int) -> SignedTransaction:
        """Sign an approval alone, where `approves_apart`. Raises like `sign`."""

    def sign_replacement(self, signed: SignedTransaction) -> SignedTransaction | None:
        """Sign the same call with the same nonce for higher fees; `None` at the cap, or without gas."""

    def submit(self, signed: SignedTransaction) -> str:
        """Send the signed bytes; return the transaction id, to be looked up by.

        `Rejected('nonce')` says that these bytes can execute no more, but *may have
        executed already*: ask `find`. `expiration` says that whoever sends them thinks their
        deadline too far away or past, by its clock. Any other `Rejected` of a first submission says that
        they were not taken.
        """

    def find(
        self, signed: Sequence[SignedTransaction], transaction_id: str
    ) -> TransactionReport | None:
        """Look a transaction up, in all its replacements (same nonce; oldest first).

        By `transaction_id`, by hash or signature, then by the nonce. `None` while nobody
        knows of it, its nonce is not used and no deadline has passed: the same bytes may be
        sent again.
        """

    def effects(self, conversion: Conversion, since_block: int) -> list[TransactionReport]:
        """What the chain's logs show to have done just what the conversion does, since that block.

        Whoever sent it: one `confirmed` report, with its hash and what it moved, for each
        transaction; oldest first. A split or a merge counts with exactly its quantity, a
        redemption with any. Raises `Unavailable` while one of them has too few blocks above
        it (so an empty list is final), and where `since_block` is 0 or too long ago.
        """

    def held(self, assets: Sequence[str]) -> dict[str, Decimal]:
        """What the wallet holds by the chain's latest block: `collateral`, token ids."""

    def payouts(self, condition_id: str) -> tuple[Decimal, Decimal] | None:
        """What one token of outcome 0 and of 1 pays, once the condition is resolved."""

    def now(self) -> datetime:
        """The chain's idea of the time, to judge deadlines by."""
