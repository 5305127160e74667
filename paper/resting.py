"""Orders in the book: the market comes to them, they are cancelled, or their time is over."""

from __future__ import annotations

from collections.abc import Iterable

from paper import events, money, rules, trades
from paper.agenda import now_ms
from paper.book import opposite
from paper.faults import Fate
from paper.state import Paper
from paper.store import Row
from paper.trades import Deal, Party


def fill_maker(paper: Paper, order_id: str, shares: int) -> Row:
    """Count a fill of a resting order and give its row as it was before."""
    order = paper.store.one("SELECT * FROM orders WHERE id = ?", order_id)
    if order is None:
        raise LookupError(f"resting order {order_id} has no row")
    left = order["shares"] - order["matched"] - shares
    reserve = left if order["side"] == "SELL" else money.notional(left, order["price"])
    paper.store.write(
        "UPDATE orders SET matched = matched + ?, reserve = ?, status = ? WHERE id = ?",
        shares, reserve, "LIVE" if left > 0 else "MATCHED", order_id,
    )  # fmt: skip
    return order


def match_resting(paper: Paper, condition_id: str) -> None:
    """Let others' orders that moved across our resting ones trade with them, at our price."""
    market, book = paper.markets[condition_id], paper.books[condition_id]
    while crossed := book.crossed_resting():
        resting, price, shares = crossed[0]
        with paper.store.transaction():
            order = fill_maker(paper, resting.order_id, shares)
            index = market.index_of(order["token"])
            deal = Deal(
                index, opposite(order["side"]), shares, order["price"],
                money.notional(shares, order["price"]), index, order["side"],
            )  # fmt: skip
            trades.record(paper, market, deal, (None, Party.of(order)), Fate())
            events.tell_order(paper, resting.order_id, "UPDATE")
            book.fill_resting(resting.order_id, shares)
            against = opposite(resting.side)
            book.set_level(against, price, book.others[against][price] - shares)
            paper.save_book(condition_id)


def cancel(paper: Paper, signer: str, order_ids: Iterable[str]) -> dict[str, object]:
    """Cancel an owner's orders and say which were and which were not, with the reason."""
    canceled: list[str] = []
    refused: dict[str, str] = {}
    with paper.store.transaction():
        for order_id in dict.fromkeys(order_ids):
            row = paper.store.one(
                "SELECT * FROM orders WHERE id = ? AND signer = ?", order_id, signer
            )
            if row is None:
                refused[order_id] = "order can't be found - already canceled or matched"
            elif row["status"] == "DELAYED":
                refused[order_id] = "order is delayed and can't be canceled"
            elif row["status"] != "LIVE":
                refused[order_id] = "order already canceled or matched"
            else:
                withdraw(paper, row, "CANCELED")
                canceled.append(order_id)
    return {"canceled": canceled, "not_canceled": refused}


def cancel_all_in(paper: Paper, condition_id: str, status: str) -> None:
    """Take everybody's orders out of one market, with a status that says why."""
    rows = paper.store.all(
        "SELECT * FROM orders WHERE status = 'LIVE' AND condition_id = ?", (condition_id,)
    )
    for row in rows:
        withdraw(paper, row, status)


def withdraw(paper: Paper, row: Row, status: str) -> None:
    """Take an order out of the book; `status` is CANCELED or one of its reasons."""
    paper.store.write("UPDATE orders SET status = ?, reserve = 0 WHERE id = ?", status, row["id"])
    book = paper.books[row["condition_id"]]
    book.withdraw(row["id"])
    book.changed_ms = now_ms()
    events.tell_order(paper, row["id"], "CANCELLATION")


def schedule_expiry(paper: Paper, order_id: str, expiration: int) -> None:
    """Put a GTD order's end on the agenda; 0 never ends."""
    if expiration:
        paper.agenda.at((expiration - rules.GTD_NOTICE) * 1000, lambda: expire(paper, order_id))


def expire(paper: Paper, order_id: str) -> bool:
    """End a resting order as if its time had come; says whether it was still there."""
    with paper.store.transaction():
        row = paper.store.one("SELECT * FROM orders WHERE id = ? AND status = 'LIVE'", order_id)
        if row is not None:
            withdraw(paper, row, "CANCELED_EXPIRED_ORDER")
        return row is not None


def resume(paper: Paper) -> None:
    """Put every GTD order's end back on the agenda, after a start."""
    for row in paper.store.all("SELECT id, expiration FROM orders WHERE status = 'LIVE'"):
        schedule_expiry(paper, row["id"], row["expiration"])
