"""Placing, filling and cancelling orders: the pure match in between, rows before and after."""

from __future__ import annotations

from collections.abc import Iterable

from paper import money, rules, trades
from paper.addresses import CONDITIONAL_TOKENS, PUSD, exchange_for
from paper.agenda import now_ms
from paper.approvals import allowance
from paper.book import Book, opposite
from paper.errors import Refused
from paper.faults import TEXTS, Fate
from paper.keys import ApiKey
from paper.ledger import COLLATERAL
from paper.markets import OUTCOMES, Market
from paper.matching import Fill, Incoming, is_complete, match
from paper.payloads import PostedOrder, read_order
from paper.state import Paper
from paper.store import Row
from paper.trades import Deal, Party


def place(paper: Paper, key: ApiKey, body: object, fate: Fate) -> dict[str, object]:
    """Take one signed order and give POST /order's answer.

    Everything is committed when this returns. Raises Refused with the venue's words otherwise.
    """
    posted = read_order(body)
    listed = paper.tokens.get(posted.token)
    if listed is None:
        raise Refused(400, f"the orderbook {posted.token} does not exist")
    market, index = listed
    order_id = rules.order_id(posted, market)
    rules.check_authority(posted, key, market)
    if paper.store.one("SELECT 1 FROM orders WHERE id = ?", order_id):
        raise Refused(400, f"order {order_id} is invalid. Duplicated.")
    price = rules.limit_price(posted, market, order_id)
    rules.check_terms(posted, market, order_id, now_ms() // 1000)
    book = paper.book_of(market)
    fills = _fills(posted, book, index, price)
    fees = sum(market.fee(fill.shares, fill.offer.price) for fill in fills)
    _check_funds(paper, posted, market, fees)
    saved = book.snapshot()
    try:
        with paper.store.transaction():
            return _accept(paper, key, posted, (market, index), (order_id, price), fills, fate)
    except BaseException:
        book.restore(saved)
        raise


def count_post(paper: Paper, body: object) -> None:
    """Count that a signed order arrived, whatever becomes of it; ignores what is no order."""
    try:
        posted = read_order(body)
    except Refused:
        return
    listed = paper.tokens.get(posted.token)
    if listed is None:
        return
    with paper.store.transaction():
        paper.store.write(
            "INSERT INTO posts VALUES (?, 1) ON CONFLICT (order_id) DO UPDATE SET count = count + 1",
            rules.order_id(posted, listed[0]),
        )


def _fills(posted: PostedOrder, book: Book, index: int, price: int) -> list[Fill]:
    side = posted.signed.side
    incoming = Incoming(
        side, price, posted.shares, posted.collateral if posted.spends_budget else None
    )
    fills = match(incoming, book.offers(index, side))
    if posted.type == "FAK" and not fills:
        raise Refused(400, TEXTS["fak_not_filled"])
    if posted.type == "FOK" and not is_complete(incoming, fills):
        raise Refused(400, TEXTS["fok_not_filled"])
    if posted.post_only and fills:
        raise Refused(400, TEXTS["post_only_would_cross"])
    return fills


def _check_funds(paper: Paper, posted: PostedOrder, market: Market, fees: int) -> None:
    """Refuse what balance, less open orders and settling trades, or the approval do not cover."""
    signed = posted.signed
    selling = signed.side == "SELL"
    asset = posted.token if selling else COLLATERAL
    needed = signed.maker_amount + (0 if selling else fees)
    balance = paper.ledger.balance(signed.maker, asset)
    live, settling = paper.ledger.reserved(signed.maker, asset)
    words = "not enough balance / allowance: the balance is not enough"
    if needed > balance - live - settling:
        parts = [f"balance: {balance}"]
        parts += [f"sum of active orders: {live}"] if live else []
        parts += [f"sum of matched orders: {settling}"] if settling else []
        raise Refused(400, f"{words} -> {', '.join(parts)}, order amount: {needed}")
    token = CONDITIONAL_TOKENS if selling else PUSD
    spender = exchange_for(market.neg_risk)
    approved = allowance(paper.store, signed.maker, token, spender)
    if approved < needed:
        raise Refused(
            400,
            "not enough balance / allowance: the allowance is not enough"
            f" -> spender: {spender}, allowance: {approved}, order amount: {needed}",
        )


def _accept(
    paper: Paper,
    key: ApiKey,
    posted: PostedOrder,
    place_in: tuple[Market, int],
    terms: tuple[str, int],
    fills: list[Fill],
    fate: Fate,
) -> dict[str, object]:
    market, index = place_in
    order_id, price = terms
    side = posted.signed.side
    matched = sum(fill.shares for fill in fills)
    left = max(posted.shares - matched, 0)
    rests = posted.type in ("GTC", "GTD") and left > 0
    reserve = 0
    if rests:
        reserve = left if side == "SELL" else money.notional(left, price)
    paper.store.write(
        "INSERT INTO orders VALUES (NULL" + ", ?" * 15 + ")",
        order_id, key.address, posted.signed.maker, key.key, market.condition_id, posted.token,
        side, posted.type, price, posted.shares, matched, reserve, "LIVE" if rests else "MATCHED",
        posted.expiration, now_ms(),
    )  # fmt: skip
    taker = Party(order_id, posted.signed.maker, key.key, key.address)
    ids = [_trade(paper, market, index, side, fill, taker, fate) for fill in fills]
    book = paper.book_of(market)
    book.take(index, side, fills)
    if rests:
        book.rest(order_id, index, side, price, left)
        schedule_expiry(paper, order_id, posted.expiration)
    book.changed_ms = now_ms()
    paper.save_book(market.condition_id)
    return _answer(order_id, side, fills, ids)


def _answer(order_id: str, side: str, fills: list[Fill], ids: list[str]) -> dict[str, object]:
    shares = money.text(sum(fill.shares for fill in fills)) if fills else ""
    collateral = money.text(sum(fill.collateral for fill in fills)) if fills else ""
    return {
        "success": True,
        "errorMsg": "",
        "orderID": order_id,
        "status": "matched" if fills else "live",
        "makingAmount": shares if side == "SELL" else collateral,
        "takingAmount": collateral if side == "SELL" else shares,
        "transactionsHashes": [],
        "tradeIDs": ids,
    }


def _trade(
    paper: Paper, market: Market, index: int, side: str, fill: Fill, taker: Party, fate: Fate
) -> str:
    maker = None
    maker_index, maker_side = index, opposite(side)
    if fill.offer.order_id is not None:
        order = _fill_maker(paper, fill.offer.order_id, fill.shares)
        maker, maker_index, maker_side = (
            Party.of(order), market.index_of(order["token"]), order["side"],
        )  # fmt: skip
    deal = Deal(
        index, side, fill.shares, fill.offer.price, fill.collateral, maker_index, maker_side
    )
    return trades.record(paper, market, deal, (taker, maker), fate)


def _fill_maker(paper: Paper, order_id: str, shares: int) -> Row:
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
            order = _fill_maker(paper, resting.order_id, shares)
            index = market.index_of(order["token"])
            deal = Deal(
                index, opposite(order["side"]), shares, order["price"],
                money.notional(shares, order["price"]), index, order["side"],
            )  # fmt: skip
            trades.record(paper, market, deal, (None, Party.of(order)), Fate())
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
            elif row["status"] != "LIVE":
                refused[order_id] = "order already canceled or matched"
            else:
                _withdraw(paper, row)
                canceled.append(order_id)
    return {"canceled": canceled, "not_canceled": refused}


def _withdraw(paper: Paper, row: Row) -> None:
    paper.store.write("UPDATE orders SET status = 'CANCELED', reserve = 0 WHERE id = ?", row["id"])
    book = paper.books[row["condition_id"]]
    book.resting.pop(row["id"], None)
    book.changed_ms = now_ms()


def schedule_expiry(paper: Paper, order_id: str, expiration: int) -> None:
    """Put a GTD order's end on the agenda; 0 never ends."""
    if expiration:
        paper.agenda.at((expiration - rules.GTD_NOTICE) * 1000, lambda: _expire(paper, order_id))


def _expire(paper: Paper, order_id: str) -> None:
    with paper.store.transaction():
        row = paper.store.one("SELECT * FROM orders WHERE id = ? AND status = 'LIVE'", order_id)
        if row is not None:
            _withdraw(paper, row)


def resume(paper: Paper) -> None:
    """Put every GTD order's end back on the agenda, after a start."""
    for row in paper.store.all("SELECT id, expiration FROM orders WHERE status = 'LIVE'"):
        schedule_expiry(paper, row["id"], row["expiration"])


def show(paper: Paper, row: Row) -> dict[str, object]:
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
