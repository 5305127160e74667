"""A venue behind its limiter and its breaker: what the rest of the system calls.

Urgent is what protects: an exit (`SignedOrder.is_urgent`), the prices that armed stops
follow, the look-ups of what was sent. It is held back by neither, and counted by both.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeVar

from exchange.breaker import Breaker, is_rate_limit, verdict_on
from exchange.errors import ExchangeError, Unavailable
from exchange.limits import Limiter, binance, polymarket
from exchange.port import Exchange
from exchange.sharing import Script, Shared
from exchange.types import (
    Acknowledgement,
    Book,
    InstrumentInfo,
    OpenOrder,
    OrderReport,
    OrderRequest,
    Quote,
    SignedOrder,
    TradeReport,
)

T = TypeVar("T")

ORDERS_PER_SECOND: Final = 40
ORDERS_BURST: Final = 60
SYMBOLS_PER_REQUEST: Final = 500
HOLD_AFTER_429: Final = 1.0
"""Seconds, where the venue did not say how long."""


class Guarded:
    """An adapter whose calls ask limiter and breaker first, and report to them what came of it."""

    def __init__(self, exchange: Exchange, limiter: Limiter, breaker: Breaker) -> None:
        self._exchange = exchange
        self._limiter = limiter
        self._breaker = breaker

    @property
    def largest_batch(self) -> int:
        """The most orders of one request."""
        return self._exchange.largest_batch

    def log_in(self) -> None:
        """Load what the first order would wait for; once per process, so nobody counts it."""
        self._exchange.log_in()

    def sign(self, request: OrderRequest) -> SignedOrder:
        """Sign; asks nobody."""
        return self._exchange.sign(request)

    def post(self, signed: SignedOrder) -> Acknowledgement:
        """Send the signed bytes."""
        return self._ask("post", lambda: self._exchange.post(signed), urgent=signed.is_urgent)

    def post_many(self, signed: Sequence[SignedOrder]) -> list[Acknowledgement | ExchangeError]:
        """Send a batch, urgent if any of it is; held back, it is `Unavailable` for each order."""
        if any(order.is_urgent for order in signed):
            ask = self._exchange.post_many
            answers = self._asked_at_once("post_many", len(signed), lambda: ask(signed))
        else:
            try:
                self._admit("post_many", len(signed), passes=False)
            except Unavailable as refusal:
                return [refusal for _ in signed]
            answers = self._exchange.post_many(signed)
        self._note_batch("post_many", answers)
        return answers

    def cancel(self, order_id: str) -> bool:
        """Cancel, whatever the breaker says; the venue's limit holds."""
        return self._ask("cancel", lambda: self._exchange.cancel(order_id), passes=True)

    def cancel_many(self, order_ids: Sequence[str]) -> Mapping[str, bool]:
        """Cancel several, as `cancel`."""
        cost = len(order_ids)
        ask = self._exchange.cancel_many
        return self._ask("cancel_many", lambda: ask(order_ids), cost, passes=True)

    def quotes(self, symbols: Iterable[str]) -> Mapping[str, Quote]:
        """Best prices, urgent."""
        symbols = list(symbols)
        requests = math.ceil(len(symbols) / SYMBOLS_PER_REQUEST)
        return self._ask("quotes", lambda: self._exchange.quotes(symbols), requests, urgent=True)

    def books(self, symbols: Iterable[str]) -> Mapping[str, Book]:
        """Whole books, urgent."""
        symbols = list(symbols)
        ask = self._exchange.books
        return self._ask("books", lambda: ask(symbols), len(symbols), urgent=True)

    def find_order(self, order_id: str) -> OrderReport | None:
        """Look an order up, urgent."""
        return self._ask("find_order", lambda: self._exchange.find_order(order_id), urgent=True)

    def trades(self, order_id: str, trade_ids: Sequence[str]) -> list[TradeReport]:
        """Our part of an order's trades, urgent."""
        requests = max(len(trade_ids), 1)
        ask = self._exchange.trades
        return self._ask("trades", lambda: ask(order_id, trade_ids), requests, urgent=True)

    def instrument(self, symbol: str) -> InstrumentInfo:
        """Describe one instrument."""
        return self._ask("instrument", lambda: self._exchange.instrument(symbol))

    def open_orders(self) -> list[OpenOrder]:
        """Every order of the wallet that rests in the book."""
        return self._ask("open_orders", self._exchange.open_orders)

    def wallet_trades(self, after: datetime) -> list[TradeReport]:
        """Our part of every trade of the wallet."""
        return self._ask("wallet_trades", lambda: self._exchange.wallet_trades(after))

    def server_time(self) -> datetime:
        """The venue's clock."""
        return self._ask("server_time", self._exchange.server_time)

    def balance(self, asset: str) -> Decimal:
        """What the wallet holds."""
        return self._ask("balance", lambda: self._exchange.balance(asset))

    def refresh_balance(self, asset: str) -> None:
        """Have the venue read the chain again."""
        self._ask("refresh_balance", lambda: self._exchange.refresh_balance(asset))

    def _ask(
        self,
        operation: str,
        ask: Callable[[], T],
        cost: int = 1,
        *,
        urgent: bool = False,
        passes: bool = False,
    ) -> T:
        """Ask the venue if it may be asked; `passes` is urgent in the eyes of the breaker only.

        What is urgent is granted anyhow, so it is counted after it was asked.
        """
        if not urgent:
            self._admit(operation, cost, passes)
        try:
            answer = self._asked_at_once(operation, cost, ask) if urgent else ask()
        except ExchangeError as error:
            self._note(operation, error)
            raise
        self._breaker.note("success")
        return answer

    def _asked_at_once(self, operation: str, cost: int, ask: Callable[[], T]) -> T:
        try:
            return ask()
        finally:
            self._limiter.take(operation, cost, urgent=True)

    def _admit(self, operation: str, cost: int, passes: bool) -> None:
        """Raise `Unavailable` with the seconds to wait, rounded up; nobody sleeps here."""
        wait = self._limiter.take(operation, cost)
        if wait > 0:
            venue = self._breaker.venue.capitalize()
            raise Unavailable(
                f"{venue}'s rate limit for {operation} is used up; next try in {wait:.1f} s",
                retry_after=math.ceil(wait),
            )
        self._breaker.check(urgent=passes)

    def _note(self, operation: str, error: ExchangeError) -> None:
        self._breaker.note(verdict_on(error))
        if isinstance(error, Unavailable) and is_rate_limit(error):
            self._limiter.hold(operation, error.retry_after or HOLD_AFTER_429)

    def _note_batch(
        self, operation: str, answers: Sequence[Acknowledgement | ExchangeError]
    ) -> None:
        """One request is one success or one failure: it worked if it did for any of its orders."""
        errors = [answer for answer in answers if isinstance(answer, ExchangeError)]
        if len(errors) < len(answers) or any(verdict_on(one) == "success" for one in errors):
            self._breaker.note("success")
            errors = [one for one in errors if is_rate_limit(one)]
        for error in errors[:1]:
            self._note(operation, error)


def namespace(exchange: str, paper_port: int) -> str:
    """Keep what is known of the live venues apart from any paper exchange's."""
    return "polytrader:live:" if exchange == "live" else f"polytrader:paper-{paper_port}:"


def guarded(
    name: str,
    exchange: Exchange,
    redis_url: str,
    prefix: str,
    *,
    orders_per_second: int = ORDERS_PER_SECOND,
    orders_burst: int = ORDERS_BURST,
) -> Guarded:
    """Put a venue's adapter behind its guards; `prefix` is what `namespace` says.

    Make one per process, after any fork.
    """
    operations = polymarket(orders_per_second, orders_burst) if name == "polymarket" else binance()
    limiter = Limiter(shared_through(redis_url), f"{prefix}{name}:", operations)
    return Guarded(exchange, limiter, breaker_of(name, redis_url, prefix))


def breaker_of(name: str, redis_url: str, prefix: str) -> Breaker:
    """The breaker that this process's adapter of the venue asks."""
    key = (os.getpid(), redis_url, f"{prefix}{name}:")
    if (made := _breakers.get(key)) is not None:
        return made
    return _breakers.setdefault(key, Breaker(shared_through(redis_url), key[2], name))


def forget(redis_url: str, prefix: str) -> None:
    """Begin anew with what `namespace` says: nothing counted, every breaker closed (tests)."""
    shared_through(redis_url).run(_FORGET, [], [f"{prefix}*"])
    for key in [key for key in _breakers if key[2].startswith(prefix)]:
        _breakers.pop(key, None)


def shared_through(redis_url: str) -> Shared:
    """The one connection of this process to what is shared."""
    key = (os.getpid(), redis_url)
    if (made := _shares.get(key)) is not None:
        return made
    return _shares.setdefault(key, Shared(redis_url))


_FORGET: Final = Script("""
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  redis.call('DEL', key)
end
return 1
""")
_shares: dict[tuple[int, str], Shared] = {}
_breakers: dict[tuple[int, str, str], Breaker] = {}
