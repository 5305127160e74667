"""One symbol as the market stream tells of it: its prices, and whether they are to be trusted.

No threads, no clock, no rows: news and moments come in, observations for the tick come out. A
line in doubt gives none, until a fresh snapshot of the stream or of REST. What the venue states
as best counts, since in a burst the levels of the depth are told one by one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from exchange.market_news import Level, PricesChanged, Snapshot, Traded
from exchange.types import Quote
from trailing.conflating import PLAIN, Needs
from trailing.executable import Depth
from trailing.tick import Observation

REPEAT_AFTER = timedelta(seconds=1)
"""A price told again is observed again after so long, as news that it still stands."""

CLOCK_STEP = 30_000
"""Milliseconds; news later than this is of a venue whose clock was wrong before."""

MOST_UNPLACED = 2_000
"""So many changes wait for the snapshot that they follow."""

_INSTANT = timedelta(microseconds=1)
Comparison = Literal["same", "differs", "frozen", "unknown"]


@dataclass(frozen=True, slots=True)
class Watched:
    """An instrument with a live stop; `is_deep` where one needs the whole book."""

    instrument_id: int
    symbol: str
    is_deep: bool = False
    needs: Needs = PLAIN


@dataclass(slots=True)
class Line:
    """What is known of one symbol; `doubted_at` is `None` while it is trusted."""

    watched: Watched
    doubted_at: datetime | None
    doubt: str = "no snapshot yet"
    doubted_again_at: datetime | None = None
    """When the latest reason arose: what REST was asked before that does not end the doubt."""
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    told_at: int = 0
    traded_at: int = 0
    known_at: datetime | None = None
    """When it was last heard of, or confirmed by REST."""
    torn_at: datetime | None = None
    """Since when the depth has not fitted the best prices."""
    _bids: dict[Decimal, Decimal] = field(default_factory=dict)
    _asks: dict[Decimal, Decimal] = field(default_factory=dict)
    _sorted_bids: tuple[Level, ...] | None = None
    _sorted_asks: tuple[Level, ...] | None = None
    """The levels best first; `None` once they have changed."""
    _unplaced: list[PricesChanged] = field(default_factory=list)
    _differed: bool = False
    _seen: Observation | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether its prices may be evaluated."""
        return self.doubted_at is None

    @property
    def is_suspect(self) -> bool:
        """Whether REST showed other prices once, which may be a race."""
        return self._differed and self.is_trusted

    def distrust(self, why: str, now: datetime) -> None:
        """Believe nothing until the next snapshot."""
        self.doubted_again_at = max(now, self.doubted_again_at or now)
        if self.doubted_at is None:
            self.doubted_at, self.doubt = now, why
            self._unplaced.clear()

    def lose(self, now: datetime) -> None:
        """The connection ended: whatever comes next is a new beginning, the venue's times too."""
        self.distrust("the connection was lost", now)
        self.told_at = self.traded_at = 0
        self._unplaced.clear()
        self.bid = self.ask = None

    def is_late(self, told_at: int, now: datetime) -> bool:
        """Whether news is older than what is known, and so is not to be used."""
        if told_at >= self.told_at:
            return False
        if self.told_at - told_at > CLOCK_STEP:
            self.distrust("the venue's clock has stepped back", now)
            self.told_at = 0
        return True

    def may_be_restored(self, asked_at: datetime) -> bool:
        """Whether it is in doubt, for no reason that came after REST was asked."""
        if self.doubted_at is None:
            return False
        return (self.doubted_again_at or self.doubted_at) <= asked_at

    def restart(self, told: Snapshot, at: datetime) -> Observation | None:
        """Begin from a whole book; changes told since then stand."""
        if told.told_at >= self.told_at:
            self.bid, self.ask = _best(told.bids), _best(told.asks)
        self._place(told)
        self.told_at = max(self.told_at, told.told_at)
        if told.last is not None and told.told_at >= self.traded_at:
            self.last, self.traded_at = told.last, told.told_at
        self.doubted_at, self.doubted_again_at, self.doubt = None, None, ""
        self._differed, self.torn_at = False, None
        return self._observed(at)

    def change(self, told: PricesChanged, at: datetime) -> Observation | None:
        """Take new best prices, and the levels where the depth is wanted."""
        self.bid, self.ask, self.told_at = told.bid, told.ask, told.told_at
        self._differed = False
        if self.watched.is_deep:
            if not self.is_trusted and len(self._unplaced) < MOST_UNPLACED:
                self._unplaced.append(told)
            self._apply(told)
        return self._observed(at)

    def trade(self, told: Traded, at: datetime) -> Observation | None:
        """Take the price of a trade, unless a later one is known."""
        if told.told_at < self.traded_at <= told.told_at + CLOCK_STEP:
            return None
        self.last, self.traded_at = told.price, told.told_at
        return self._observed(at)

    def compare(self, quote: Quote, asked_at: datetime) -> Comparison:
        """Compare with REST: a quiet line that differs twice in a row is frozen."""
        if not self.is_trusted or self.known_at is None or self.known_at >= asked_at:
            return "unknown"
        if (quote.bid, quote.ask) == (self.bid, self.ask):
            self._differed = False
            return "same"
        if not self._differed:
            self._differed = True
            return "differs"
        self.distrust("REST shows other prices", asked_at)
        return "frozen"

    def confirm(self, at: datetime) -> Observation | None:
        """Observe again what REST has just shown, too."""
        return self._observed(at)

    def _observed(self, at: datetime) -> Observation | None:
        """What the tick is to see now, if it is to be trusted and says anything new."""
        self.known_at = at
        if not self.is_trusted or (self.bid is None and self.ask is None):
            return None
        if self.bid is not None and self.ask is not None and self.bid > self.ask:
            self.distrust("the book is crossed", at)
            return None
        if self._seen is not None:
            at = max(at, self._seen.received_at + _INSTANT)
        key = self.watched.instrument_id
        seen = Observation(key, self.bid, self.ask, at, self.last, self._depth(at))
        if self._seen is not None and _repeats(seen, self._seen):
            return None
        self._seen = seen
        return seen

    def _place(self, told: Snapshot) -> None:
        unplaced, self._unplaced = self._unplaced, []
        self._sorted_bids = self._sorted_asks = None
        if not self.watched.is_deep:
            self._bids, self._asks = {}, {}
            return
        self._bids, self._asks = dict(told.bids), dict(told.asks)
        for change in unplaced:
            if change.told_at >= told.told_at:
                self._apply(change)

    def _apply(self, told: PricesChanged) -> None:
        for side, price, quantity in told.changes:
            if side == "buy":
                levels, self._sorted_bids = self._bids, None
            else:
                levels, self._sorted_asks = self._asks, None
            if quantity:
                levels[price] = quantity
            else:
                levels.pop(price, None)

    def _depth(self, at: datetime) -> Depth | None:
        """The book's levels, once they fit the best prices that the venue states."""
        if not self.watched.is_deep:
            return None
        if self._sorted_bids is None:
            self._sorted_bids = _sorted(self._bids, is_bid=True)
        if self._sorted_asks is None:
            self._sorted_asks = _sorted(self._asks, is_bid=False)
        depth = Depth(self._sorted_bids, self._sorted_asks)
        if (_best(depth.bids), _best(depth.asks)) == (self.bid, self.ask):
            self.torn_at = None
            return depth
        self.torn_at = self.torn_at or at
        return None


def _best(levels: Iterable[Level]) -> Decimal | None:
    return next((price for price, _ in levels), None)


def _sorted(levels: Mapping[Decimal, Decimal], *, is_bid: bool) -> tuple[Level, ...]:
    """Best first. Of the prices alone: comparing pairs took three times as long."""
    return tuple((price, levels[price]) for price in sorted(levels, reverse=is_bid))


def _repeats(now: Observation, before: Observation) -> bool:
    return (
        (now.bid, now.ask, now.last) == (before.bid, before.ask, before.last)
        and (now.depth is None or now.depth == before.depth)
        and now.received_at - before.received_at < REPEAT_AFTER
    )
