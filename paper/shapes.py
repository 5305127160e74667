"""How the venue shows an order and a trade, over REST and on the user channel.

Sources: docs.polymarket.com/api-reference/trade and /wss/user, answers and events recorded 2024-2026.
"""

from __future__ import annotations

from paper import money
from paper.markets import OUTCOMES
from paper.state import Paper
from paper.store import Row


def order(paper: Paper, row: Row) -> dict[str, object]:
    """Show an order as GET /data/order/{id} has it; sizes in decimal shares."""
    _, index = paper.tokens[row["token"]]
    ids = paper.store.all(
        "SELECT id FROM trades WHERE taker_order = ?1 OR maker_order = ?1 ORDER BY number",
        (row["id"],),
    )
    return {
        "id": row["id"], "status": row["status"], "owner": row["owner"],
        "maker_address": row["wallet"], "market": row["condition_id"], "asset_id": row["token"],
        "side": row["side"], "original_size": money.text(row["shares"]),
        "size_matched": money.text(row["matched"]), "price": money.text(row["price"]),
        "outcome": OUTCOMES[index], "expiration": str(row["expiration"]),
        "order_type": row["type"], "associate_trades": [trade["id"] for trade in ids],
        "created_at": row["created_ms"] // 1000,
    }  # fmt: skip


def order_event(paper: Paper, row: Row, kind: str, at_ms: int) -> dict[str, object]:
    """Show an order on the user channel; `kind` is PLACEMENT, UPDATE or CANCELLATION."""
    shown = order(paper, row)
    return shown | {
        "event_type": "order", "type": kind, "order_owner": row["owner"],
        "associate_trades": shown["associate_trades"] or None,
        "created_at": str(shown["created_at"]), "timestamp": str(at_ms),
    }  # fmt: skip


def trade(paper: Paper, row: Row, trader_side: str) -> dict[str, object]:
    """Show a trade as GET /data/trades has it, to its TAKER or its MAKER."""
    market, index = paper.tokens[row["token"]]
    _, maker_index = paper.tokens[row["maker_token"]]
    mined = row["status"] in ("MINED", "CONFIRMED")
    maker = {
        "order_id": row["maker_order"], "owner": row["maker_owner"],
        "maker_address": row["maker_wallet"], "matched_amount": money.text(row["shares"]),
        "price": money.text(row["maker_price"]), "fee_rate_bps": "0",
        "asset_id": row["maker_token"], "outcome": OUTCOMES[maker_index],
        "outcome_index": maker_index, "side": row["maker_side"],
    }  # fmt: skip
    return {
        "id": row["id"], "taker_order_id": row["taker_order"], "market": market.condition_id,
        "asset_id": row["token"], "side": row["side"], "size": money.text(row["shares"]),
        "fee_rate_bps": "0", "price": money.text(row["price"]),
        "status": "TRADE_STATUS_" + row["status"], "match_time": str(row["matched_ms"] // 1000),
        "last_update": str(row["updated_ms"] // 1000), "outcome": OUTCOMES[index],
        "bucket_index": 0, "owner": row["taker_owner"], "maker_address": row["taker_wallet"],
        "transaction_hash": row["hash"] if mined else "", "err_msg": None,
        "maker_orders": [maker], "trader_side": trader_side,
    }  # fmt: skip


def trade_event(paper: Paper, row: Row, trader_side: str, at_ms: int) -> dict[str, object]:
    """Show a trade on the user channel, where statuses come without their prefix."""
    shown = trade(paper, row, trader_side)
    del shown["err_msg"]
    return shown | {
        "event_type": "trade", "type": "TRADE", "status": row["status"],
        "trade_owner": row["taker_owner"], "timestamp": str(at_ms),
    }  # fmt: skip
