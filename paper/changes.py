"""What happens to a market while it lives: it pauses, closes, or gets another tick."""

from __future__ import annotations

from functools import partial

from paper.agenda import now_ms
from paper.book import BUY, SELL
from paper.markets import Market
from paper.resting import cancel_all_in
from paper.state import Paper

TICKS = (100_000, 10_000, 5_000, 2_500, 1_000, 100)
"""The venue's tick sizes, in millionths."""


def change_state(
    paper: Paper,
    market: Market,
    accepting: bool,
    closed: bool,
    payouts: tuple[int, ...] | None = None,
) -> None:
    """Open, pause, close or, with payouts, resolve a market; a closed one has no orders left."""
    with paper.store.transaction():
        market = paper.change_market(
            market.condition_id, accepting=accepting, closed=closed, payouts=payouts
        )
        _save(paper, market)
        if closed:
            cancel_all_in(paper, market.condition_id, "CANCELED_MARKET_RESOLVED")
            paper.book_of(market).replace({}, {})
            paper.save_book(market.condition_id)
        if payouts is not None:
            paper.store.after_commit(partial(paper.tape.tell_resolved, market))


def change_tick(paper: Paper, market: Market, tick: int) -> None:
    """Set the tick; others' orders that are off it leave the book, ours stay."""
    book, old_tick = paper.book_of(market), market.tick
    on_tick = {
        side: {price: size for price, size in book.others[side].items() if not price % tick}
        for side in (BUY, SELL)
    }
    with paper.store.transaction():
        market = paper.change_market(market.condition_id, tick=tick)
        _save(paper, market)
        book.replace(on_tick[BUY], on_tick[SELL])
        book.changed_ms = now_ms()
        paper.save_book(market.condition_id)
        if tick != old_tick:
            paper.store.after_commit(partial(paper.tape.tell_tick, market, old_tick))


def change_fields(paper: Paper, market: Market, version: str, neg_risk_group: str | None) -> None:
    """Set what Gamma says of a market's protocol version and of its neg-risk group."""
    with paper.store.transaction():
        changed = paper.change_market(
            market.condition_id, version=version, neg_risk_group=neg_risk_group
        )
        _save(paper, changed)


def _save(paper: Paper, market: Market) -> None:
    payouts = " ".join(map(str, market.payouts or ()))
    paper.store.write(
        "INSERT OR REPLACE INTO market_changes VALUES (?, ?, ?, ?, ?, ?, ?)",
        market.condition_id, market.tick, int(market.accepting), int(market.closed), payouts,
        market.version, market.neg_risk_group,
    )  # fmt: skip
