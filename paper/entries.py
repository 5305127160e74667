"""An order entering the book: what it takes there, and the rows that says so."""

from __future__ import annotations

from dataclasses import dataclass, field

from paper import events, money, trades
from paper.addresses import CONDITIONAL_TOKENS, PUSD, exchange_for
from paper.agenda import now_ms
from paper.approvals import allowance
from paper.book import opposite
from paper.errors import Refused
from paper.faults import TEXTS, Fate
from paper.ledger import COLLATERAL
from paper.markets import Market
from paper.matching import Fill, Incoming, is_complete, match
from paper.resting import fill_maker, schedule_expiry
from paper.state import Paper
from paper.trades import Deal, Party


@dataclass(frozen=True, slots=True)
class Entry:
    """An order as the book knows it, whoever placed it and however.

    A FAK or FOK BUY spends `budget` collateral, every other order trades `shares`. `given` is what
    it may give away: shares of a SELL, collateral of a BUY without its fee.
    """

    order_id: str
    party: Party
    market: Market
    index: int
    side: str
    type: str
    price: int
    shares: int
    given: int
    budget: int | None = None
    expiration: int = 0
    post_only: bool = False
    fate: Fate = field(default_factory=Fate)

    @property
    def token(self) -> str:
        """Give the id of the token it trades."""
        return self.market.tokens[self.index]

    @property
    def may_rest(self) -> bool:
        """Say whether what does not match at once stays in the book."""
        return self.type in ("GTC", "GTD")


def fills_of(paper: Paper, entry: Entry) -> list[Fill]:
    """Say what an order takes of the book now; raises Refused when its type forbids that."""
    incoming = Incoming(entry.side, entry.price, entry.shares, entry.budget)
    fills = match(incoming, paper.book_of(entry.market).offers(entry.index, entry.side))
    if entry.type == "FAK" and not fills:
        raise Refused(400, TEXTS["fak_not_filled"])
    if entry.type == "FOK" and not is_complete(incoming, fills):
        raise Refused(400, TEXTS["fok_not_filled"])
    if entry.post_only and fills:
        raise Refused(400, TEXTS["post_only_would_cross"])
    return fills


def check_funds(paper: Paper, entry: Entry, fills: list[Fill]) -> None:
    """Refuse what balance, less open orders and settling trades, or the approval do not cover.

    The taker's fee of a BUY comes on top.
    """
    selling, wallet = entry.side == "SELL", entry.party.wallet
    asset = entry.token if selling else COLLATERAL
    fees = sum(entry.market.fee(fill.shares, fill.offer.price) for fill in fills)
    needed = entry.given + (0 if selling else fees)
    balance = paper.ledger.balance(wallet, asset)
    live, settling = paper.ledger.reserved(wallet, asset)
    words = "not enough balance / allowance: the balance is not enough"
    if needed > balance - live - settling:
        parts = [f"balance: {balance}"]
        parts += [f"sum of active orders: {live}"] if live else []
        parts += [f"sum of matched orders: {settling}"] if settling else []
        raise Refused(400, f"{words} -> {', '.join(parts)}, order amount: {needed}")
    token = CONDITIONAL_TOKENS if selling else PUSD
    spender = exchange_for(entry.market.neg_risk)
    approved = allowance(paper.store, wallet, token, spender)
    if approved < needed:
        raise Refused(
            400,
            "not enough balance / allowance: the allowance is not enough"
            f" -> spender: {spender}, allowance: {approved}, order amount: {needed}",
        )


def accept(paper: Paper, entry: Entry, fills: list[Fill]) -> list[str]:
    """Let an order take its fills and rest with what is left; gives the trades' ids.

    All or nothing: when the rows cannot be written the book is as it was.
    """
    book = paper.book_of(entry.market)
    saved = book.snapshot()
    try:
        with paper.store.transaction():
            ids = record(paper, entry, fills)
            book.take(entry.index, entry.side, fills)
            left = entry.shares - sum(fill.shares for fill in fills)
            if entry.may_rest and left > 0:
                book.rest(entry.order_id, entry.index, entry.side, entry.price, left)
                schedule_expiry(paper, entry.order_id, entry.expiration)
            book.changed_ms = now_ms()
            paper.save_book(entry.market.condition_id)
            return ids
    except BaseException:
        book.restore(saved)
        raise


def record(paper: Paper, entry: Entry, fills: list[Fill]) -> list[str]:
    """Write an order's row and its trades; gives the trades' ids. Call it inside a transaction."""
    matched = sum(fill.shares for fill in fills)
    left = max(entry.shares - matched, 0)
    rests = entry.may_rest and left > 0
    reserve = 0
    if rests:
        reserve = left if entry.side == "SELL" else money.notional(left, entry.price)
    write(paper, entry, matched, reserve, "LIVE" if rests else "MATCHED")
    if not entry.fate.delayed:
        events.tell_order(
            paper, entry.order_id, "PLACEMENT", size_matched="0", status="LIVE",
            associate_trades=None,
        )  # fmt: skip
    ids = [_trade(paper, entry, fill) for fill in fills]
    if fills or entry.fate.delayed:
        events.tell_order(paper, entry.order_id, "UPDATE")
    return ids


def write(paper: Paper, entry: Entry, matched: int, reserve: int, status: str) -> None:
    """Write an order's row, or the new state of one that was delayed."""
    due = now_ms() + paper.settings.delay_ms if status == "DELAYED" else 0
    fate, party = entry.fate, entry.party
    paper.store.write(
        "INSERT INTO orders VALUES (NULL" + ", ?" * 18 + ") ON CONFLICT (id) DO UPDATE SET"
        " matched = excluded.matched, reserve = excluded.reserve, status = excluded.status",
        entry.order_id, party.signer, party.wallet, party.owner, entry.market.condition_id,
        entry.token, entry.side, entry.type, entry.price, entry.shares, matched, reserve, status,
        entry.expiration, now_ms(), entry.budget, due, f"{fate.settle} {fate.outcome}",
    )  # fmt: skip


def _trade(paper: Paper, entry: Entry, fill: Fill) -> str:
    maker = None
    maker_index, maker_side = entry.index, opposite(entry.side)
    if fill.offer.order_id is not None:
        order = fill_maker(paper, fill.offer.order_id, fill.shares)
        maker, maker_index, maker_side = (
            Party.of(order), entry.market.index_of(order["token"]), order["side"],
        )  # fmt: skip
    deal = Deal(
        entry.index, entry.side, fill.shares, fill.offer.price, fill.collateral,
        maker_index, maker_side,
    )  # fmt: skip
    trade_id = trades.record(paper, entry.market, deal, (entry.party, maker), entry.fate)
    if maker is not None:
        events.tell_order(paper, maker.order_id, "UPDATE")
    return trade_id
