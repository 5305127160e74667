"""GET /paper/ledger: what really happened to the installation's wallet, from rows only."""

from __future__ import annotations

from paper import money
from paper.ledger import decimals_of
from paper.money import SPOT_DECIMALS
from paper.state import Paper

_ORDERS = """
SELECT id, token, side, shares, price, COALESCE(count, 0) AS posts
FROM orders LEFT JOIN posts ON order_id = id WHERE wallet = ? ORDER BY number
"""
_TRADES = """
SELECT id, taker_order AS order_id, token, side, shares, price, status, number, 0 AS part
FROM trades WHERE taker_wallet = ?1 AND taker_signer IS NOT NULL
UNION ALL
SELECT id, maker_order, maker_token, maker_side, shares, maker_price, status, number, 1
FROM trades WHERE maker_wallet = ?1 AND maker_signer IS NOT NULL
ORDER BY number, part
"""
_SPOT_ORDERS = """
SELECT spot_orders.*, COALESCE(count, 0) AS posts
FROM spot_orders LEFT JOIN posts ON order_id = ledger_id WHERE wallet = ? ORDER BY number
"""


def ledger(paper: Paper) -> dict[str, object]:
    """Give orders (one row per order id), trades (one per fill), balances, splits, merges, redemptions.

    A redemption's amount is the collateral it paid. Amounts are plain decimal text, in shares or whole units; a spot order's id is its client id,
    with #2 and so on when that was used again; its price is the limit or, for a MARKET order, the
    price it was filled at.
    """
    wallet = paper.settings.wallet
    spot = paper.store.all(_SPOT_ORDERS, (wallet,))
    orders = [
        {"id": row["id"], "assetId": row["token"], "side": row["side"],
         "size": money.text(row["shares"]), "price": money.text(row["price"]),
         "posts": row["posts"]}
        for row in paper.store.all(_ORDERS, (wallet,))
    ] + [
        {"id": row["ledger_id"], "assetId": row["symbol"], "side": row["side"],
         "size": money.text(row["quantity"], SPOT_DECIMALS),
         "price": money.text(row["price"] or row["fill_price"], SPOT_DECIMALS),
         "posts": row["posts"]}
        for row in spot
    ]  # fmt: skip
    trades = [
        {"id": row["id"], "orderId": row["order_id"], "assetId": row["token"],
         "side": row["side"], "size": money.text(row["shares"]),
         "price": money.text(row["price"]), "status": row["status"]}
        for row in paper.store.all(_TRADES, (wallet,))
    ] + [
        {"id": str(row["number"]), "orderId": row["ledger_id"], "assetId": row["symbol"],
         "side": row["side"], "size": money.text(row["executed"], SPOT_DECIMALS),
         "price": money.text(row["fill_price"], SPOT_DECIMALS), "status": "CONFIRMED"}
        for row in spot
        if row["executed"]
    ]  # fmt: skip
    balances = {
        asset: money.text(amount, decimals_of(asset))
        for asset, amount in paper.ledger.balances(wallet).items()
    }
    return {
        "orders": orders,
        "trades": trades,
        "balances": {wallet: balances},
        "splits": _conversions(paper, "split"),
        "merges": _conversions(paper, "merge"),
        "redemptions": _conversions(paper, "redeem"),
    }


def _conversions(paper: Paper, kind: str) -> list[dict[str, str]]:
    rows = paper.store.all(
        "SELECT * FROM conversions WHERE kind = ? AND wallet = ? ORDER BY number",
        (kind, paper.settings.wallet),
    )
    return [
        {"conditionId": row["condition_id"], "amount": money.text(row["amount"])} for row in rows
    ]
