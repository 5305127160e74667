"""What the user channel is told, once it is committed: orders and trades, each to its owner."""

from __future__ import annotations

from functools import partial

from paper import money, shapes
from paper.agenda import now_ms
from paper.payloads import PostedOrder
from paper.state import Paper


def tell_order(paper: Paper, order_id: str, kind: str, **instead: object) -> None:
    """Tell an order's owner of its PLACEMENT, UPDATE or CANCELLATION, as its row is now.

    `instead` replaces fields, for a placement that is written together with its first fills.
    """
    if not paper.feed.is_heard:
        return
    row = paper.store.one("SELECT * FROM orders WHERE id = ?", order_id)
    if row is not None and paper.feed.has_listener(row["signer"], row["condition_id"]):
        event = shapes.order_event(paper, row, kind, now_ms()) | instead
        _send(paper, row["signer"], row["condition_id"], event)


def tell_trade(paper: Paper, trade_id: str) -> None:
    """Tell both sides of a trade its present status, each as it sees it."""
    if not paper.feed.is_heard:
        return
    row = paper.store.one("SELECT * FROM trades WHERE id = ?", trade_id)
    if row is None:
        return
    for trader_side, signer in (("TAKER", row["taker_signer"]), ("MAKER", row["maker_signer"])):
        if paper.feed.has_listener(signer, row["condition_id"]):
            event = shapes.trade_event(paper, row, trader_side, now_ms())
            _send(paper, signer, row["condition_id"], event)


def tell_killed(paper: Paper, signer: str, order: tuple[str, PostedOrder, str], text: str) -> None:
    """Tell of an order (id, as posted, condition) that was killed on arrival and has no row.

    With the gaps the venue leaves in such an event (recorded 2026-05: no matched size, no outcome).
    """
    order_id, posted, condition_id = order
    if not paper.feed.has_listener(signer, condition_id):
        return
    event: dict[str, object] = {
        "event_type": "order", "type": "CANCELLATION", "id": order_id, "owner": posted.owner,
        "order_owner": posted.owner, "market": condition_id, "asset_id": posted.token,
        "side": posted.signed.side, "original_size": money.text(posted.shares),
        "size_matched": "", "price": money.text(posted.collateral * money.UNIT // posted.shares),
        "associate_trades": [], "outcome": "", "created_at": "",
        "expiration": str(posted.expiration), "order_type": posted.type,
        "status": f"CANCELED_{text}", "maker_address": posted.signed.maker,
        "timestamp": str(now_ms()),
    }  # fmt: skip
    _send(paper, signer, condition_id, event)


def _send(paper: Paper, signer: str, condition_id: str, event: dict[str, object]) -> None:
    paper.store.after_commit(partial(paper.feed.publish, signer, condition_id, event))
