"""Our book against the paper exchange's ledger: what each says happened, to the last unit."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

from tests.system.installation import Installation, eventually

_POSITIONS = "SELECT asset, matched, settled, pending_transactions FROM orders_position"
_ORDERS = """
SELECT o.order_id, i.symbol, upper(o.side) AS side, o.quantity, o.price, o.status, o.posts,
       o.matched_quantity
FROM orders_order o JOIN orders_instrument i ON i.id = o.instrument_id
WHERE o.order_id IS NOT NULL
"""
_FILLS = """
SELECT f.trade_id, o.order_id, f.quantity, f.price, upper(f.status) AS status
FROM orders_fill f JOIN orders_order o ON o.id = f.order_id
"""
_SPLITS = "SELECT condition_id, quantity FROM minting_transaction WHERE status = 'confirmed'"
_LEGS = """
SELECT l.id, l.side, l.quantity, l.price, l.status, array_agg(o.order_id) AS orders,
       max(o.price) AS highest
FROM orders_leg l JOIN orders_order o ON o.leg_id = l.id GROUP BY l.id
"""
_REPLENISHED = """
SELECT f.trade_id, f.quantity, m.quantity AS minted, m.status
FROM orders_fill f JOIN orders_order o ON o.id = f.order_id JOIN orders_leg l ON l.id = o.leg_id
  JOIN orders_trade t ON t.id = l.trade_id LEFT JOIN minting_mint m ON m.fill_id = f.id
WHERE t.mint_after_sell AND o.side = 'sell' AND f.status = 'confirmed'
"""
_MINTED = """
SELECT i.condition_id, m.quantity FROM minting_mint m
  JOIN orders_instrument i ON i.id = m.instrument_id WHERE m.status = 'confirmed'
"""
_UNFINISHED = """
SELECT (SELECT count(*) FROM orders_order WHERE status IN ('planned', 'sent', 'open'))
     + (SELECT count(*) FROM orders_fill WHERE status = 'matched')
     + (SELECT count(*) FROM orders_leg WHERE status = 'working')
     + (SELECT count(*) FROM minting_mint WHERE status IN ('requested', 'delayed', 'sent'))
     + (SELECT count(*) FROM orders_fill f JOIN orders_order o ON o.id = f.order_id
          JOIN orders_leg l ON l.id = o.leg_id JOIN orders_trade t ON t.id = l.trade_id
         WHERE t.mint_after_sell AND o.side = 'sell' AND f.status = 'confirmed'
           AND NOT EXISTS (SELECT 1 FROM minting_mint m WHERE m.fill_id = f.id)) AS unfinished
"""


def assert_books_agree(system: Installation, seconds: float = 30) -> dict[str, Any]:
    """Wait until nothing of ours is under way, then compare everything; return the ledger.

    A comparison of balances with the venue would book a difference as an outside
    movement, so that there must be none of those either (`assert_nothing_came_from_outside`).
    What was traded by hand (`system.by_hand`) is in the balances, and no order of ours.
    """
    eventually("nothing under way", lambda: _unfinished(system) == 0, seconds)
    ledger = system.ledger()
    (balances,) = ledger["balances"].values()
    for row in system.rows(_POSITIONS):
        held = Decimal(balances.get(row["asset"], "0"))
        assert row["settled"] == held, f"{row['asset'][:12]}: {row['settled']}, really {held}"
        assert row["matched"] == held, f"{row['asset'][:12]}: {row['matched']}, really {held}"
        assert row["pending_transactions"] == 0
    theirs = [trade for trade in ledger["trades"] if trade["orderId"] not in system.by_hand]
    assert _values(system.rows(_FILLS), "trade_id", "order_id", "quantity", "price", "status") == (
        _values(theirs, "id", "orderId", "size", "price", "status")
    )
    splits = _values(system.rows(_SPLITS), "condition_id", "quantity")
    assert splits == _values(ledger["splits"], "conditionId", "amount")
    _assert_orders_agree(system, ledger)
    _assert_each_intent_once(system, ledger)
    _assert_minted_what_was_sold(system, ledger)
    return ledger


def _assert_orders_agree(system: Installation, ledger: dict[str, Any]) -> None:
    """Every order at the venue is ours as we wrote it down, and posted no more often than we know."""
    ours = {row["order_id"]: row for row in system.rows(_ORDERS)}
    theirs = {row["id"]: row for row in ledger["orders"] if row["id"] not in system.by_hand}
    assert theirs.keys() <= ours.keys(), f"not ours: {theirs.keys() - ours.keys()}"
    names = ("symbol", "side", "quantity", "price")
    mine = [ours[order_id] for order_id in theirs]
    assert _values(mine, "order_id", *names) == _values(
        list(theirs.values()), "id", "assetId", "side", "size", "price"
    )
    assert {i for i, row in ours.items() if row["matched_quantity"] > 0} <= theirs.keys()
    for order_id, row in theirs.items():
        assert row["posts"] <= ours[order_id]["posts"], (row, ours[order_id])


def _assert_each_intent_once(system: Installation, ledger: dict[str, Any]) -> None:
    """No leg had more than it wanted; a sale never, a purchase by what a round amount brings."""
    done: dict[str, list[tuple[Decimal, Decimal]]] = defaultdict(list)
    for trade in ledger["trades"]:
        if trade["status"] != "FAILED":
            done[trade["orderId"]].append((Decimal(trade["size"]), Decimal(trade["price"])))
    for leg in system.rows(_LEGS):
        parts = [part for order_id in leg["orders"] for part in done.get(order_id, ())]
        if leg["side"] == "sell":
            assert sum(size for size, _ in parts) <= leg["quantity"], leg
        else:
            spent = sum(size * price for size, price in parts)
            assert spent <= leg["quantity"] * leg["highest"] + Decimal("0.01"), leg


def _assert_minted_what_was_sold(system: Installation, ledger: dict[str, Any]) -> None:
    """Each settled sale that wants it was minted again once, in splits that add up to the mints."""
    for row in system.rows(_REPLENISHED):
        assert (row["minted"], row["status"]) == (row["quantity"], "confirmed"), row
    minted: Counter[str] = Counter()
    for row in system.rows(_MINTED):
        minted[row["condition_id"]] += row["quantity"]
    split: Counter[str] = Counter()
    for row in ledger["splits"]:
        split[row["conditionId"]] += Decimal(row["amount"])  # type: ignore[assignment]
    assert minted == split


def last_entry(system: Installation) -> int:
    """The number of the last entry of our book."""
    return int(system.rows("SELECT coalesce(max(id), 0) AS last FROM orders_entry")[0]["last"])


def assert_nothing_came_from_outside(system: Installation, since: int = 0) -> None:
    """Every change of our book after that entry was caused by something of ours."""
    statement = "SELECT * FROM orders_entry WHERE kind = 'outside' AND id > %s"
    outside = system.rows(statement, since)
    assert outside == []


def _unfinished(system: Installation) -> int:
    return int(system.rows(_UNFINISHED)[0]["unfinished"])


def _values(rows: list[dict[str, Any]], *names: str) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(_value(row[name]) for name in names) for row in rows)


def _value(value: Any) -> Any:
    """Numbers compare as numbers, however they are written; ids stay text."""
    if isinstance(value, str) and len(value) < 30:
        try:
            return Decimal(value)
        except ArithmeticError:
            return value
    return value


def sold(ledger: dict[str, Any], stop: dict[str, Any]) -> Decimal:
    """Return what was really sold for a stop: the trades of its orders that did not fail."""
    ids = {order["orderId"] for order in stop["orders"]}
    parts = [
        Decimal(trade["size"])
        for trade in ledger["trades"]
        if trade["orderId"] in ids and trade["status"] != "FAILED"
    ]
    return sum(parts, start=Decimal(0))


def sold_of(ledger: dict[str, Any], token: str) -> Decimal:
    """Return what was really sold of a token by anybody of ours."""
    trades = [t for t in ledger["trades"] if t["assetId"] == token and t["status"] != "FAILED"]
    return sum((Decimal(trade["size"]) for trade in trades), start=Decimal(0))


def minted_of(ledger: dict[str, Any], condition_id: str) -> list[Decimal]:
    """Return the amounts of a condition's splits."""
    return [Decimal(s["amount"]) for s in ledger["splits"] if s["conditionId"] == condition_id]


def described(ledger: dict[str, Any]) -> str:
    """Return the ledger as text for a failure's message."""
    return json.dumps(ledger, indent=1)
