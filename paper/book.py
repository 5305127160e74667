"""One book per market, kept in prices of the first outcome's token.

The second outcome's book is never stored: a bid at p on Yes *is* an ask at 1 - p on No, of the same
size, so the two cannot disagree. Prices and sizes in millionths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from paper.journal import Journal, Traded
from paper.matching import Fill, Offer
from paper.money import UNIT

BUY, SELL = "BUY", "SELL"
Levels = dict[int, int]
Saved = tuple[dict[str, Levels], dict[str, "Resting"], set[tuple[str, int]], int]


@dataclass(slots=True)
class Resting:
    """A resting order of a wallet we know, in the first token's frame.

    `behind` says that others' orders at that price were there first and are filled first.
    """

    order_id: str
    side: str
    price: int
    shares: int
    number: int
    behind: bool


def opposite(side: str) -> str:
    """Name the other side."""
    return SELL if side == BUY else BUY


def to_first(index: int, side: str, price: int) -> tuple[str, int]:
    """Translate a side and price of token `index` (0 or 1) into the first token's frame and back."""
    return (side, price) if index == 0 else (opposite(side), UNIT - price)


class Book:
    """Everybody's orders in one market; keeps a `journal` of its changes while somebody listens."""

    def __init__(self) -> None:
        self.others: dict[str, Levels] = {BUY: {}, SELL: {}}
        self.resting: dict[str, Resting] = {}
        self.eaten: set[tuple[str, int]] = set()
        self.pinned = False
        self.last_price: int | None = None
        self.last_side = ""
        self.changed_ms = 0
        self.journal: Journal | None = None
        self._numbers = 0

    def offers(self, index: int, side: str) -> Iterator[Offer]:
        """List what a taker with this side on token `index` can take, best first, oldest first."""
        frame_side, _ = to_first(index, side, 0)
        maker_side = opposite(frame_side)
        mine: dict[int, list[Resting]] = {}
        for order in self.resting.values():
            if order.side == maker_side:
                mine.setdefault(order.price, []).append(order)
        others = self.others[maker_side]
        for price in sorted({*others, *mine}, reverse=maker_side == BUY):
            seen = price if index == 0 else UNIT - price
            queue = sorted(mine.get(price, ()), key=lambda order: order.number)
            yield from (Offer(seen, o.shares, o.order_id) for o in queue if not o.behind)
            if price in others:
                yield Offer(seen, others[price])
            yield from (Offer(seen, o.shares, o.order_id) for o in queue if o.behind)

    def take(self, index: int, side: str, fills: list[Fill]) -> None:
        """Remove what a taker took."""
        frame_side, _ = to_first(index, side, 0)
        maker_side = opposite(frame_side)
        for fill in fills:
            price = fill.offer.price if index == 0 else UNIT - fill.offer.price
            if fill.offer.order_id is None:
                self._reduce(maker_side, price, fill.shares, index)
            else:
                self.fill_resting(fill.offer.order_id, fill.shares, index)

    def _reduce(self, side: str, price: int, shares: int, index: int) -> None:
        left = self.others[side].get(price, 0) - shares
        if left <= 0:
            self.eaten.add((side, price))
        self.set_level(side, price, max(left, 0), index)

    def fill_resting(self, order_id: str, shares: int, index: int = 0) -> None:
        """Reduce a resting order by what was filled; drop it when nothing is left."""
        order = self.resting[order_id]
        order.shares -= shares
        if order.shares <= 0:
            del self.resting[order_id]
        self._note(order.side, order.price, index)

    def withdraw(self, order_id: str) -> None:
        """Take a resting order out; does nothing when it is not there."""
        order = self.resting.pop(order_id, None)
        if order is not None:
            self._note(order.side, order.price, 0)

    def rest(self, order_id: str, index: int, side: str, price: int, shares: int) -> None:
        """Queue an order behind what is already at its price."""
        frame_side, frame_price = to_first(index, side, price)
        self._numbers += 1
        behind = frame_price in self.others[frame_side]
        self.resting[order_id] = Resting(
            order_id, frame_side, frame_price, shares, self._numbers, behind
        )
        self._note(frame_side, frame_price, index)

    def set_level(self, side: str, price: int, shares: int, index: int = 0) -> None:
        """Set the total size of others' orders at a price of the first token; 0 removes the level."""
        if shares > 0:
            self.others[side][price] = shares
        else:
            self.others[side].pop(price, None)
            for order in self.resting.values():
                if order.side == side and order.price == price:
                    order.behind = False
        self._note(side, price, index)

    def _note(self, side: str, price: int, index: int) -> None:
        if self.journal is not None:
            self.journal.level(index, side, price, self.total(side, price))

    def total(self, side: str, price: int) -> int:
        """Give the size of everybody's orders at a price of the first token."""
        ours = (o.shares for o in self.resting.values() if (o.side, o.price) == (side, price))
        return self.others[side].get(price, 0) + sum(ours)

    def trade(self, traded: Traded) -> None:
        """Remember a trade as the last one."""
        self.last_side, self.last_price = to_first(traded.index, traded.side, traded.price)
        if self.journal is not None:
            self.journal.trade(traded)

    def together(self, index: int = 0) -> AbstractContextManager[None]:
        """Let the levels that change meanwhile be told as one change."""
        return nullcontext() if self.journal is None else self.journal.together(index)

    def replace(self, bids: Mapping[int, int], asks: Mapping[int, int]) -> None:
        """Replace all of others' orders, in the first token's frame."""
        with self.together():
            for side, levels in ((BUY, bids), (SELL, asks)):
                had = self.others[side]
                for price in sorted({*had, *levels}):
                    if had.get(price, 0) != levels.get(price, 0):
                        self.set_level(side, price, levels.get(price, 0))
        self.eaten.clear()

    def best(self, index: int, side: str) -> int | None:
        """Give the best price on a side of token `index`; None when that side is empty."""
        frame_side, _ = to_first(index, side, 0)
        prices = list(self.others[frame_side])
        prices += [order.price for order in self.resting.values() if order.side == frame_side]
        if not prices:
            return None
        price = max(prices) if frame_side == BUY else min(prices)
        return price if index == 0 else UNIT - price

    def levels(self, index: int, side: str) -> list[tuple[int, int]]:
        """List (price, size) on a side of token `index`, the best last, as GET /book has it."""
        frame_side, _ = to_first(index, side, 0)
        total = dict(self.others[frame_side])
        for order in self.resting.values():
            if order.side == frame_side:
                total[order.price] = total.get(order.price, 0) + order.shares
        seen = ((p if index == 0 else UNIT - p, size) for p, size in total.items())
        return sorted(seen, reverse=side == SELL)

    def crossed_resting(self) -> list[tuple[Resting, int, int]]:
        """List resting orders that others' orders now reach: (order, others' price, shares)."""
        found = []
        for order in sorted(self.resting.values(), key=lambda order: order.number):
            against = self.others[opposite(order.side)]
            if order.side == BUY:
                reached = sorted(price for price in against if price <= order.price)
            else:
                reached = sorted((price for price in against if price >= order.price), reverse=True)
            if reached:
                price = reached[0]
                found.append((order, price, min(order.shares, against[price])))
        return found

    def snapshot(self) -> Saved:
        """Copy what a failed transaction must put back."""
        return (
            {side: dict(levels) for side, levels in self.others.items()},
            {
                key: Resting(o.order_id, o.side, o.price, o.shares, o.number, o.behind)
                for key, o in self.resting.items()
            },
            set(self.eaten),
            0 if self.journal is None else self.journal.mark(),
        )

    def restore(self, saved: Saved) -> None:
        """Put back what `snapshot` copied; nobody hears of what was undone."""
        self.others, self.resting, self.eaten, mark = saved
        if self.journal is not None:
            self.journal.cut(mark)
