"""Trades: from the match to the last posting, and how the venue shows them.

A trade is MATCHED at once and takes its other steps evenly until the end of the settlement time. Balances
move with CONFIRMED; a trade that fails moves nothing.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import partial

from eth_hash.auto import keccak

from paper import events
from paper import ledger as accounts
from paper.agenda import now_ms
from paper.encoding import to_hex
from paper.faults import SLOW_SETTLEMENT_MS, Fate, Outcome
from paper.journal import Traded
from paper.ledger import COLLATERAL, Leg, move
from paper.markets import Market
from paper.money import UNIT
from paper.rules import anonymous
from paper.state import Paper
from paper.store import Row

NOBODY = "00000000-0000-0000-0000-000000000000"
OUTCOMES: tuple[Outcome, ...] = ("settles", "fails", "retries")
"""As the column `fails` counts them."""
STEPS: dict[Outcome, tuple[str, ...]] = {
    "settles": ("MATCHED", "MINED", "CONFIRMED"),
    "fails": ("MATCHED", "MINED", "RETRYING", "FAILED"),
    "retries": ("MATCHED", "RETRYING", "MINED", "CONFIRMED"),
}
FINAL = ("CONFIRMED", "FAILED")


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
    transaction = to_hex(keccak(b"trade " + trade_id.encode()))
    paper.store.write(
        "INSERT INTO trades VALUES (NULL" + ", ?" * 26 + ")",
        trade_id, market.condition_id, "MATCHED", OUTCOMES.index(fate.outcome), at, at, settle,
        transaction,
        taker.order_id, taker.signer, taker.wallet, taker.owner,
        market.tokens[deal.index], deal.side, deal.shares, deal.price, deal.collateral, fee,
        maker.order_id, maker.signer, maker.wallet, maker.owner,
        market.tokens[deal.maker_index], deal.maker_side, maker_price, maker_collateral,
    )  # fmt: skip
    book = paper.book_of(market)
    book.trade(Traded(deal.index, deal.side, deal.price, deal.shares, transaction))
    book.changed_ms = at
    events.tell_trade(paper, trade_id)
    schedule(paper, trade_id, fate.outcome, at, settle)
    return trade_id


def schedule(
    paper: Paper, trade_id: str, outcome: Outcome, matched_ms: int, settle_ms: int
) -> None:
    """Put the steps of a trade's settlement on the agenda."""
    steps = len(STEPS[outcome]) - 1
    for step in range(1, steps):
        due = matched_ms + (settle_ms - matched_ms) * step // steps
        paper.agenda.at(due, partial(advance, paper, trade_id, step))
    paper.agenda.at(settle_ms, partial(settle, paper, trade_id))


def resume(paper: Paper) -> None:
    """Put every unsettled trade back on the agenda, after a start."""
    for row in paper.store.all("SELECT * FROM trades WHERE status NOT IN ('CONFIRMED', 'FAILED')"):
        outcome = OUTCOMES[row["fails"]]
        schedule(paper, row["id"], outcome, row["matched_ms"], row["settle_ms"])


def advance(paper: Paper, trade_id: str, step: int) -> None:
    """Take a trade's step before the last; does nothing when it is past that."""
    with paper.store.transaction():
        row = paper.store.one("SELECT * FROM trades WHERE id = ?", trade_id)
        if row is None or row["status"] in FINAL:
            return
        steps = STEPS[OUTCOMES[row["fails"]]]
        if row["status"] not in steps or steps.index(row["status"]) < step:
            _move(paper, trade_id, steps[step])


def settle(paper: Paper, trade_id: str) -> None:
    """Take a trade's last step: post it to the ledger, or let it fail; does nothing when done."""
    with paper.store.transaction():
        row = paper.store.one("SELECT * FROM trades WHERE id = ?", trade_id)
        if row is None or row["status"] in FINAL:
            return
        legs = _legs(row)
        if OUTCOMES[row["fails"]] == "fails" or not _is_covered(paper, legs):
            _move(paper, trade_id, "FAILED")
            return
        _move(paper, trade_id, "CONFIRMED")
        paper.ledger.post("trade", trade_id, now_ms(), legs)


def _move(paper: Paper, trade_id: str, status: str) -> None:
    paper.store.write(
        "UPDATE trades SET status = ?, updated_ms = ? WHERE id = ?", status, now_ms(), trade_id
    )
    events.tell_trade(paper, trade_id)


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
