"""Orders the venue delays: taken now, matched some seconds later, not to be cancelled in between.

As in sports markets (`secondsDelay`): docs.polymarket.com/trading/orders, status `delayed`.
"""

from __future__ import annotations

from dataclasses import replace

from paper import events
from paper.entries import Entry, accept, fills_of, write
from paper.errors import Refused
from paper.faults import Fate
from paper.state import Paper
from paper.store import Row
from paper.trades import Party


def delay(paper: Paper, entry: Entry) -> None:
    """Take an order without matching it, and hold what it may give away."""
    with paper.store.transaction():
        write(paper, entry, 0, entry.given, "DELAYED")
        events.tell_order(paper, entry.order_id, "PLACEMENT")
    _schedule(paper, _row(paper, entry.order_id))


def resume(paper: Paper) -> None:
    """Put every delayed order back on the agenda, after a start."""
    for row in paper.store.all("SELECT * FROM orders WHERE status = 'DELAYED'"):
        _schedule(paper, row)


def _schedule(paper: Paper, row: Row | None) -> None:
    if row is not None:
        order_id = str(row["id"])
        paper.agenda.at(row["due_ms"], lambda: release(paper, order_id))


def release(paper: Paper, order_id: str) -> None:
    """Let a delayed order match; what finds nothing and may not rest is over.

    A FAK is UNMATCHED then, a FOK CANCELED: the venue has both words, and its documents do not say when.
    """
    row = _row(paper, order_id)
    if row is None:
        return
    entry = _entry(paper, row)
    if entry.market.closed:
        _kill(paper, order_id, "CANCELED_MARKET_RESOLVED")
        return
    try:
        fills = fills_of(paper, entry)
    except Refused as refused:
        if entry.type == "FAK":
            _kill(paper, order_id, "UNMATCHED")
        else:
            _kill(paper, order_id, "CANCELED", f"CANCELED_{refused.text}")
        return
    accept(paper, entry, fills)


def _row(paper: Paper, order_id: str) -> Row | None:
    return paper.store.one("SELECT * FROM orders WHERE id = ? AND status = 'DELAYED'", order_id)


def _kill(paper: Paper, order_id: str, status: str, told: str | None = None) -> None:
    with paper.store.transaction():
        paper.store.write(
            "UPDATE orders SET status = ?, reserve = 0 WHERE id = ?", status, order_id
        )
        events.tell_order(paper, order_id, "CANCELLATION", status=told or status)


def _entry(paper: Paper, row: Row) -> Entry:
    market, index = paper.tokens[row["token"]]
    settle, outcome = str(row["fate"]).split()
    return Entry(
        row["id"], Party.of(row), market, index, row["side"], row["type"], row["price"],
        row["shares"], row["reserve"], row["budget"], row["expiration"],
        fate=replace(Fate(delayed=True), settle=settle, outcome=outcome),  # type: ignore[arg-type]
    )  # fmt: skip
