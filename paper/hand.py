"""What the wallet's owner does by hand, past our service: trades and orders nobody posted here."""

from __future__ import annotations

import secrets

from paper import money
from paper.entries import Entry, accept, check_funds, fills_of, record
from paper.markets import Market
from paper.matching import Fill, Offer
from paper.state import Paper
from paper.trades import Party

WEBSITE_KEY = "3b1f1f0a-4d0e-4f4b-9b57-0c1d6a5e2f10"
"""The API key such orders show as their owner."""


def trade(
    paper: Paper, place: tuple[Market, int], side: str, shares: int, price: int
) -> dict[str, object]:
    """Trade with the outside world at once, leaving the book alone; raises Refused without funds."""
    entry = _entry(paper, place, side, shares, price, "FOK")
    fills = [Fill(Offer(price, shares), shares, money.notional(shares, price))]
    check_funds(paper, entry, fills)
    with paper.store.transaction():
        ids = record(paper, entry, fills)
    return {"orderId": entry.order_id, "tradeIds": ids}


def order(
    paper: Paper, place: tuple[Market, int], side: str, shares: int, price: int
) -> dict[str, object]:
    """Put a GTC order into the book; what it reaches it takes. Raises Refused without funds."""
    entry = _entry(paper, place, side, shares, price, "GTC")
    fills = fills_of(paper, entry)
    check_funds(paper, entry, fills)
    return {"orderId": entry.order_id, "tradeIds": accept(paper, entry, fills)}


def _entry(
    paper: Paper, place: tuple[Market, int], side: str, shares: int, price: int, kind: str
) -> Entry:
    market, index = place
    order_id = "0x" + secrets.token_hex(32)
    party = Party(order_id, paper.settings.wallet, WEBSITE_KEY, paper.settings.owner)
    given = shares if side == "SELL" else money.notional(shares, price)
    return Entry(order_id, party, market, index, side, kind, price, shares, given)
