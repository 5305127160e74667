"""What every venue must offer. Adapters raise nothing but `exchange.errors`."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from exchange.errors import ExchangeError
from exchange.types import (
    Acknowledgement,
    InstrumentInfo,
    OpenOrder,
    OrderReport,
    OrderRequest,
    Quote,
    SignedOrder,
    SignedSplit,
    SplitReport,
    TradeReport,
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


class Minter(Protocol):
    """Whoever turns collateral into outcome tokens for the wallet."""

    @property
    def wallet(self) -> str:
        """The address that splits and receives the tokens."""

    def next_nonce(self) -> int:
        """The nonce the wallet's next transaction must carry."""

    def sign_split(
        self, condition_id: str, neg_risk: bool, quantity: Decimal, nonce: int
    ) -> SignedSplit:
        """Sign a split of `quantity` collateral into as many of each outcome; sends nothing."""

    def submit(self, signed: SignedSplit) -> str:
        """Send the signed bytes and return the transaction id.

        `Rejected('nonce')` says that these bytes can never execute any more.
        """

    def find_split(self, signed: SignedSplit, transaction_id: str) -> SplitReport | None:
        """Look a submitted split up, by `transaction_id` or, where empty, by wallet and nonce.

        `None` only when the relayer says it does not know it.
        """

    def now(self) -> datetime:
        """The chain's idea of the time, to judge deadlines by."""
