"""The venue's trades read as our parts of them. Pure; `Unreadable` for what does not fit.

The top level of a row (side, size, price, asset, owner) is the taker's; a maker's fill is its
entry in `maker_orders`, and may be in the other outcome (a complementary match). One trade
may hold several orders of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from exchange.polymarket.wire import Unreadable, decimal, mapping, moment, same, side, text_in
from exchange.types import TradeReport

_STATUSES: dict[str, Literal["matched", "mined", "retrying", "confirmed", "failed"]] = {
    "MATCHED": "matched",
    "MATCHED_NOT_BROADCASTED": "matched",
    "MINED": "mined",
    "RETRYING": "retrying",
    "CONFIRMED": "confirmed",
    "FAILED": "failed",
}


@dataclass(frozen=True, slots=True)
class OwnPart:
    """Our part of a trade, before its fee, with what the fee depends on."""

    report: TradeReport
    condition_id: str
    is_taker: bool


def part_of_order(data: object, order_id: str) -> OwnPart | None:
    """Return the part of a trade that belongs to one order, `None` where none does."""
    row = mapping(data)
    if same(row.get("taker_order_id"), order_id):
        return _taken(row, order_id)
    entries = [entry for entry in _maker_orders(row) if same(entry.get("order_id"), order_id)]
    return _made(row, entries, order_id) if entries else None


def parts_of_wallet(data: object, wallet: str, api_key: str) -> list[OwnPart]:
    """Return our part of a trade for each order of the wallet in it, whoever placed it."""
    row = mapping(data)
    parts = [_taken(row, text_in(row, "taker_order_id"))] if _we_took(row, wallet, api_key) else []
    ours: dict[str, list[Mapping[str, Any]]] = {}
    for entry in _maker_orders(row):
        if _is_ours(entry, wallet, api_key):
            ours.setdefault(text_in(entry, "order_id"), []).append(entry)
    return parts + [_made(row, entries, order_id) for order_id, entries in ours.items()]


def _we_took(row: Mapping[str, Any], wallet: str, api_key: str) -> bool:
    # Believed before the addresses: whose they are at the top of a maker's row is
    # documented nowhere (a recorded one names the taker's).
    trader_side = str(row.get("trader_side") or "").upper()
    if trader_side in ("TAKER", "MAKER"):
        return trader_side == "TAKER"
    return _is_ours(row, wallet, api_key)


def _is_ours(row: Mapping[str, Any], wallet: str, api_key: str) -> bool:
    return same(row.get("maker_address"), wallet) or same(row.get("owner"), api_key)


def _maker_orders(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [mapping(entry) for entry in row.get("maker_orders") or ()]


def _taken(row: Mapping[str, Any], order_id: str) -> OwnPart:
    return _part(row, row, order_id, decimal(row.get("size")), is_taker=True)


def _made(row: Mapping[str, Any], entries: list[Mapping[str, Any]], order_id: str) -> OwnPart:
    matched = sum((decimal(entry.get("matched_amount")) for entry in entries), Decimal(0))
    own = dict(entries[0])
    own["side"] = own.get("side") or _side_of_maker(row, own)
    return _part(row, own, order_id, matched, is_taker=False)


def _side_of_maker(row: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    # Older rows do not say. In one token one buys what the other sells; two tokens meet
    # when both are bought (minted) or both sold (merged).
    taken = side(row.get("side"))
    if own.get("asset_id") != row.get("asset_id"):
        return taken
    return "sell" if taken == "buy" else "buy"


def _part(
    trade: Mapping[str, Any],
    own: Mapping[str, Any],
    order_id: str,
    quantity: Decimal,
    *,
    is_taker: bool,
) -> OwnPart:
    status = str(trade.get("status", "")).removeprefix("TRADE_STATUS_")
    if status not in _STATUSES:
        raise Unreadable(f"unknown trade status {status!r}")
    report = TradeReport(
        trade_id=text_in(trade, "id"),
        order_id=order_id,
        symbol=text_in(own, "asset_id"),
        side=side(own.get("side")),
        quantity=quantity,
        price=decimal(own.get("price")),
        fee=Decimal(0),
        status=_STATUSES[status],
        matched_at=moment(trade.get("match_time")),
        transaction_hash=str(trade.get("transaction_hash") or ""),
    )
    return OwnPart(report, text_in(trade, "market"), is_taker)
