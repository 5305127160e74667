"""Placing orders: what the venue checks of a signed order, and how it answers."""

from __future__ import annotations

from paper import delays, events, money, rules
from paper.agenda import now_ms
from paper.entries import Entry, accept, check_funds, fills_of
from paper.errors import Refused
from paper.faults import Fate
from paper.keys import ApiKey
from paper.markets import Market
from paper.matching import Fill
from paper.payloads import PostedOrder, read_order
from paper.state import Paper
from paper.trades import Party

MOST_ARRIVALS = 10_000


def place(paper: Paper, key: ApiKey, body: object, fate: Fate) -> dict[str, object]:
    """Take one signed order and give POST /order's answer.

    Everything is committed when this returns. Raises Refused with the venue's words otherwise.
    """
    posted = read_order(body)
    paper.engine.check_takes(posted.post_only)
    listed = paper.tokens.get(posted.token)
    if listed is None:
        raise Refused(400, f"the orderbook {posted.token} does not exist")
    market, index = listed
    order_id = rules.order_id(posted, market)
    rules.check_authority(posted, key, market)
    if paper.store.one("SELECT 1 FROM orders WHERE id = ?", order_id):
        raise Refused(400, f"order {order_id} is invalid. Duplicated.")
    rules.check_open(market)
    price = rules.limit_price(posted, market, order_id)
    rules.check_terms(posted, market, order_id, now_ms() // 1000, paper.settings.gtd_seconds)
    entry = _entry(key, posted, (market, index), (order_id, price), fate)
    if fate.delayed and not entry.post_only:
        check_funds(paper, entry, [])
        delays.delay(paper, entry)
        return answer(order_id, "delayed", entry.side, [], [])
    fills = _fills(paper, entry, posted)
    check_funds(paper, entry, fills)
    ids = accept(paper, entry, fills)
    return answer(order_id, "matched" if fills else "live", entry.side, fills, ids)


def _entry(
    key: ApiKey,
    posted: PostedOrder,
    place_in: tuple[Market, int],
    terms: tuple[str, int],
    fate: Fate,
) -> Entry:
    market, index = place_in
    order_id, price = terms
    return Entry(
        order_id, Party(order_id, posted.signed.maker, key.key, key.address), market, index,
        posted.signed.side, posted.type, price, posted.shares, posted.signed.maker_amount,
        posted.collateral if posted.spends_budget else None, posted.expiration, posted.post_only,
        fate if not posted.post_only else Fate(fate.settle, fate.outcome),
    )  # fmt: skip


def _fills(paper: Paper, entry: Entry, posted: PostedOrder) -> list[Fill]:
    try:
        return fills_of(paper, entry)
    except Refused as refused:
        if not entry.may_rest:
            killed = (entry.order_id, posted, entry.market.condition_id)
            events.tell_killed(paper, str(entry.party.signer), killed, refused.text)
        raise


def answer(
    order_id: str, status: str, side: str, fills: list[Fill], ids: list[str]
) -> dict[str, object]:
    """Build POST /order's answer; amounts are what was filled, empty when nothing was."""
    shares = money.text(sum(fill.shares for fill in fills)) if fills else ""
    collateral = money.text(sum(fill.collateral for fill in fills)) if fills else ""
    return {
        "success": True,
        "errorMsg": "",
        "orderID": order_id,
        "status": status,
        "makingAmount": shares if side == "SELL" else collateral,
        "takingAmount": collateral if side == "SELL" else shares,
        "transactionsHashes": [],
        "tradeIDs": ids,
    }


def count_post(paper: Paper, body: object, at: float) -> None:
    """Count that a signed order arrived at a moment, whatever becomes of it; ignores what is no order."""
    try:
        posted = read_order(body)
    except Refused:
        return
    listed = paper.tokens.get(posted.token)
    if listed is None:
        return
    order_id = rules.order_id(posted, listed[0])
    paper.arrived_at.setdefault(order_id, at)
    if len(paper.arrived_at) > MOST_ARRIVALS:
        del paper.arrived_at[next(iter(paper.arrived_at))]
    with paper.store.transaction():
        paper.store.write(
            "INSERT INTO posts VALUES (?, 1) ON CONFLICT (order_id) DO UPDATE SET count = count + 1",
            order_id,
        )
