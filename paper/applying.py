"""How one recorded row changes a book."""

from __future__ import annotations

from eth_hash.auto import keccak

from paper.book import BUY, SELL, Book, to_first
from paper.encoding import to_hex
from paper.journal import Traded
from paper.money import UNIT
from paper.recording import Change

SEED_SHARES = 100 * UNIT
"""Depth assumed at a recorded best price whose size was never recorded (there is no snapshot)."""


def apply(book: Book, index: int, change: Change) -> None:
    """Apply one recorded row to a book: the level's new total, or a trade that happened."""
    side, price = to_first(index, change.side, change.price)
    if change.is_trade:
        hashed = keccak(f"replay {change.at_ms} {price} {change.size}".encode())
        traded = Traded(index, change.side, change.price, change.size, to_hex(hashed))
        book.trade(traded)
        return
    with book.together(index):
        book.eaten.discard((side, price))
        book.set_level(side, price, change.size)
        agree(book, index, change)


def agree(book: Book, index: int, change: Change) -> None:
    """Make the book's best prices those sent with a change.

    Drops levels beyond them (their removal was not recorded) and assumes some depth at them where
    none was recorded, unless it was our own order that ate it.
    """
    bid, ask = change.best_bid, change.best_ask
    if index == 1:
        bid, ask = (UNIT - ask if ask else 0), (UNIT - bid if bid else 0)
    bids, asks = book.others[BUY], book.others[SELL]
    if bids and max(bids) > bid:
        for price in [price for price in bids if price > bid]:
            book.set_level(BUY, price, 0)
    if asks and (not ask or min(asks) < ask):
        for price in [price for price in asks if not ask or price < ask]:
            book.set_level(SELL, price, 0)
    for side, price in ((BUY, bid), (SELL, ask)):
        if price and price not in book.others[side] and (side, price) not in book.eaten:
            book.set_level(side, price, SEED_SHARES)
