"""Trades: from the match to the last posting, and how the venue shows them.

A trade is MATCHED at once, MINED after half of the settlement time and CONFIRMED at its end, when the
balances move; one that fails goes MATCHED, RETRYING, FAILED and moves nothing.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from eth_hash.auto import keccak

from paper import ledger as accounts
from paper import money
from paper.agenda import now_ms
from paper.book import opposite
from paper.encoding import to_hex
from paper.faults import SLOW_SETTLEMENT_MS, Fate
from paper.ledger import COLLATERAL, Leg, move
from paper.markets import OUTCOMES, Market
from paper.money import UNIT
from paper.rules import anonymous
from paper.state import Paper
from paper.store import Row

NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Party:
    """One side of a trade; `signer` is None for somebody we do not know."""

    order_id: str
    wallet: str
    owner: str
    signer: str | None

    @classmethod
    def unknown(cls, trade_id: str) -> Party:
        """Invent somebody."""
        order_id, wallet = anonymous(trade_id)
        return cls(order_id, wallet, NOBODY, None)

    @classmethod
    def of(cls, order: Row) -> Party:
        """Name the party of a known order."""
        return cls(order["id"], order["wallet"], order["owner"], order["signer"])


@dataclass(frozen=True, slots=True)
class Deal:
    """What the taker does: side, token, shares, price and collateral in millionths."""

    index: int
    side: str
    shares: int
    price: int
    collateral: int
    maker_index: int
    maker_side: str


def record(
    paper: Paper, market: Market, deal: Deal, parties: tuple[Party | None, Party | None], fate: Fate
) -> str:
    """Write a matched trade of (taker, maker) and put its settlement on the agenda; gives its id.

    Call it inside a transaction. None stands for somebody we do not know.
    """
    trade_id = str(uuid.uuid4())
    taker, maker = (party or Party.unknown(trade_id) for party in parties)
    at = now_ms()
    settle = at + (SLOW_SETTLEMENT_MS if fate.settle == "slow" else paper.settings.settle_ms)
    same = deal.maker_index == deal.index
    maker_price = deal.price if same else UNIT - deal.price
    maker_collateral = deal.collateral if same else deal.shares - deal.collateral
    fee = market.fee(deal.shares, deal.price) if taker.signer else 0
    paper.store.write(
        "INSERT INTO trades VALUES (NULL" + ", ?" * 26 + ")",
        trade_id, market.condition_id, "MATCHED", int(fate.fails), at, at, settle,
        to_hex(keccak(b"trade " + trade_id.encode())),
        taker.order_id, taker.signer, taker.wallet, taker.owner,
        market.tokens[deal.index], deal.side, deal.shares, deal.price, deal.collateral, fee,
        maker.order_id, maker.signer, maker.wallet, maker.owner,
        market.tokens[deal.maker_index], deal.maker_side, maker_price, maker_collateral,
    )  # fmt: skip
    book = paper.book_of(market)
    first = deal.index == 0
    book.last_price = deal.price if first else UNIT - deal.price
    book.last_side = deal.side if first else opposite(deal.side)
    book.changed_ms = at
    schedule(paper, trade_id, at, settle)
    return trade_id


def schedule(paper: Paper, trade_id: str, matched_ms: int, settle_ms: int) -> None:
    """Put both steps of a trade's settlement on the agenda."""
    paper.agenda.at((matched_ms + settle_ms) // 2, lambda: mine(paper, trade_id))
    paper.agenda.at(settle_ms, lambda: settle(paper, trade_id))


def resume(paper: Paper) -> None:
    """Put every unsettled trade back on the agenda, after a start."""
    for row in paper.store.all("SELECT * FROM trades WHERE status NOT IN ('CONFIRMED', 'FAILED')"):
        schedule(paper, row["id"], row["matched_ms"], row["settle_ms"])


def mine(paper: Paper, trade_id: str) -> None:
    """Take a trade's first step; does nothing when it is past that."""
    with paper.store.transaction():
        paper.store.write(
            "UPDATE trades SET status = CASE fails WHEN 1 THEN 'RETRYING' ELSE 'MINED' END,"
            " updated_ms = ? WHERE id = ? AND status = 'MATCHED'",
            now_ms(), trade_id,
        )  # fmt: skip


def settle(paper: Paper, trade_id: str) -> None:
    """Take a trade's last step: post it to the ledger, or let it fail; does nothing when done."""
    with paper.store.transaction():
        row = paper.store.one("SELECT * FROM trades WHERE id = ?", trade_id)
        if row is None or row["status"] in ("CONFIRMED", "FAILED"):
            return
        legs = _legs(row)
        fails = row["fails"] or not _is_covered(paper, legs)
        paper.store.write(
            "UPDATE trades SET status = ?, updated_ms = ? WHERE id = ?",
            "FAILED" if fails else "CONFIRMED", now_ms(), trade_id,
        )  # fmt: skip
        if not fails:
            paper.ledger.post("trade", trade_id, now_ms(), legs)


def _legs(row: Row) -> list[Leg]:
    """Give the token leg, collateral leg and fee leg of each known party against the market."""
    legs: list[Leg] = []
    if row["taker_signer"]:
        legs += _party_legs(
            row["taker_wallet"], row["side"], row["token"], row["shares"], row["collateral"]
        )
        legs += move(row["taker_wallet"], accounts.FEES, COLLATERAL, row["fee"])
    if row["maker_signer"]:
        legs += _party_legs(
            row["maker_wallet"], row["maker_side"], row["maker_token"], row["shares"],
            row["maker_collateral"],
        )  # fmt: skip
    return legs


def _party_legs(wallet: str, side: str, token: str, shares: int, collateral: int) -> list[Leg]:
    giver, taker = (wallet, accounts.MARKET) if side == "SELL" else (accounts.MARKET, wallet)
    return move(giver, taker, token, shares) + move(taker, giver, COLLATERAL, collateral)


def _is_covered(paper: Paper, legs: list[Leg]) -> bool:
    changes: dict[tuple[str, str], int] = {}
    for account, asset, amount in legs:
        if account.startswith("0x"):
            changes[account, asset] = changes.get((account, asset), 0) + amount
    return all(
        change >= 0 or paper.ledger.balance(account, asset) + change >= 0
        for (account, asset), change in changes.items()
    )


def show(paper: Paper, row: Row, signer: str) -> dict[str, object]:
    """Show a trade as GET /data/trades has it, to the owner of either side."""
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
        "maker_orders": [maker],
        "trader_side": "TAKER" if row["taker_signer"] == signer else "MAKER",
    }  # fmt: skip
