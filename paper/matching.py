"""Which offers an incoming order takes. Pure: offers and the order come in, fills come out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from paper.money import UNIT, notional


@dataclass(frozen=True, slots=True)
class Offer:
    """What one maker offers at one price, seen from the taker's token.

    `order_id` names a resting order; None stands for everybody else's orders at that price.
    """

    price: int
    shares: int
    order_id: str | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """What is taken of one offer; `collateral` in base units at the maker's price."""

    offer: Offer
    shares: int
    collateral: int


@dataclass(frozen=True, slots=True)
class Incoming:
    """A taker's order: side, limit price, and how much.

    A FAK or FOK BUY spends `budget` collateral; every other order trades `shares`.
    """

    side: str
    limit: int
    shares: int = 0
    budget: int | None = None

    def accepts(self, price: int) -> bool:
        """Say whether an offer's price is at or better than the limit."""
        return price <= self.limit if self.side == "BUY" else price >= self.limit


def match(incoming: Incoming, offers: Iterable[Offer]) -> list[Fill]:
    """Take offers, best first as they come, until the order is filled or the limit is reached.

    The price is always the maker's. A budget is spent to the base unit: the fill that exhausts it
    gets as many whole base units of shares as it buys.
    """
    fills: list[Fill] = []
    shares, budget = incoming.shares, incoming.budget
    for offer in offers:
        if not incoming.accepts(offer.price):
            break
        if budget is None:
            taken = min(shares, offer.shares)
            paid = notional(taken, offer.price)
            shares -= taken
        else:
            taken = min(offer.shares, budget * UNIT // offer.price)
            paid = budget if taken < offer.shares else min(budget, notional(taken, offer.price))
            budget -= paid
        if taken <= 0:
            break
        fills.append(Fill(offer, taken, paid))
        if shares <= 0 if budget is None else budget <= 0:
            break
    return fills


def is_complete(incoming: Incoming, fills: list[Fill]) -> bool:
    """Say whether the fills satisfy the whole order, as FOK demands."""
    if incoming.budget is None:
        return sum(fill.shares for fill in fills) >= incoming.shares
    return sum(fill.collateral for fill in fills) >= incoming.budget
