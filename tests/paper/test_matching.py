"""The pure match, the one book of two tokens, and the fee."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper.book import BUY, SELL, Book
from paper.markets import build_market
from paper.matching import Incoming, Offer, is_complete, match
from paper.money import UNIT, notional, parse, taker_fee, text


def cents(*levels: tuple[int, int]) -> list[Offer]:
    """Give offers of (price in cents, shares)."""
    return [Offer(price * 10_000, shares * UNIT) for price, shares in levels]


@pytest.mark.parametrize(
    ("side", "limit", "shares", "offers", "taken"),
    [
        ("SELL", 45, 120, [(48, 100), (47, 50)], [(48, 100), (47, 20)]),
        ("SELL", 48, 120, [(48, 100), (47, 50)], [(48, 100)]),
        ("SELL", 49, 120, [(48, 100)], []),
        ("SELL", 45, 10, [], []),
        ("BUY", 50, 10, [(49, 4), (50, 4), (51, 4)], [(49, 4), (50, 4)]),
        ("BUY", 50, 4, [(49, 4), (50, 4)], [(49, 4)]),
    ],
)
def test_shares_are_taken_best_price_first(side, limit, shares, offers, taken):
    incoming = Incoming(side, limit * 10_000, shares * UNIT)
    fills = match(incoming, cents(*offers))
    assert [(f.offer.price // 10_000, f.shares // UNIT) for f in fills] == taken
    assert is_complete(incoming, fills) == (sum(size for _, size in taken) == shares)


def test_a_budget_is_spent_to_the_base_unit():
    fills = match(Incoming("BUY", 600_000, budget=10 * UNIT), cents((53, 1_000)))
    assert [(f.shares, f.collateral) for f in fills] == [(18_867_924, 10 * UNIT)]


def test_a_budget_walks_the_book():
    incoming = Incoming("BUY", 600_000, budget=10 * UNIT)
    fills = match(incoming, cents((50, 4), (60, 4)))
    assert [f.collateral for f in fills] == [2_000_000, 2_400_000]
    assert not is_complete(incoming, fills)


def test_who_came_first_at_a_price_is_filled_first():
    book = Book()
    book.replace({}, {500_000: 10 * UNIT})
    book.rest("late", 0, SELL, 500_000, 5 * UNIT)
    book.rest("later", 0, SELL, 500_000, 5 * UNIT)
    book.rest("alone", 0, SELL, 510_000, 5 * UNIT)
    book.set_level(SELL, 510_000, 7 * UNIT)
    assert [offer.order_id for offer in book.offers(0, BUY)] == [
        None,
        "late",
        "later",
        "alone",
        None,
    ]


levels = st.dictionaries(st.integers(1, 49), st.integers(1, 10**9), max_size=6)


@given(levels, levels)
def test_the_complement_is_always_the_mirror(low: dict[int, int], high: dict[int, int]):
    book = Book()
    book.replace(
        {p * 10_000: s for p, s in low.items()}, {(50 + p) * 10_000: s for p, s in high.items()}
    )
    book.rest("mine", 1, BUY, 30_000, UNIT)
    for side, other in ((BUY, SELL), (SELL, BUY)):
        mirrored = [(UNIT - price, size) for price, size in book.levels(1, other)]
        assert book.levels(0, side) == mirrored
    best = book.best(1, SELL)
    assert best is None or best == UNIT - (book.best(0, BUY) or 0)


@given(
    st.integers(5, 10**6), st.integers(1, 99), st.lists(st.tuples(st.integers(1, 99), st.integers(1, 10**6)))
)  # fmt: skip
def test_nobody_gets_more_than_offered_or_worse_than_the_limit(shares, limit, offers):
    incoming = Incoming("SELL", limit * 10_000, shares * UNIT)
    offered = cents(*sorted(offers, reverse=True))
    fills = match(incoming, offered)
    assert sum(fill.shares for fill in fills) <= shares * UNIT
    for fill in fills:
        assert fill.offer in offered
        assert fill.shares <= fill.offer.shares
        assert fill.offer.price >= incoming.limit
        assert fill.collateral == notional(fill.shares, fill.offer.price)


@pytest.mark.parametrize(
    ("shares", "price", "rate", "fee"),
    [
        ("100", "0.5", "0.07", "1.75"),
        ("100", "0.5", "0.04", "1"),
        ("10", "0.48", "0.04", "0.09984"),
        ("0.01", "0.5", "0.04", "0.0001"),
        ("0.001", "0.5", "0.04", "0.00001"),
        ("100", "0.5", "0", "0"),
    ],
)
def test_the_taker_fee(shares: str, price: str, rate: str, fee: str):
    assert text(taker_fee(parse(shares), parse(price), Decimal(rate), 1)) == fee


@pytest.mark.parametrize(
    "bad", ["1e3", "-1", "0.0000001", True, None, "", "1.", "9" * 20, [], "NaN"]
)
def test_amounts_that_are_none_are_refused(bad: object):
    with pytest.raises(ValueError, match="expected"):
        parse(bad)


@given(st.integers(0, 10**15))
def test_amounts_survive_being_written(amount: int):
    assert parse(text(amount)) == amount
    assert "E" not in text(amount)


def test_market_ids_never_change():
    market = build_market(1, "Will the Fed cut?", "polytrader paper market 1")
    assert (
        market.condition_id == "0x1ff0a9d597ebf1909dd73b3c97bf5b7ad46250446aa47acbb345bec467a8d4ba"
    )
