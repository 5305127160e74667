"""Raw transactions going into a block: each once, in the order of its sender's nonces.

One waits in the pool until its time has come, its nonce is the sender's next and its fee covers the base
fee. One that reverts has used its nonce and its gas all the same.
"""

from __future__ import annotations

from functools import partial

from paper import gas, pol, receipts
from paper.agenda import now_ms
from paper.contracts import gas_needed, transact
from paper.encoding import from_hex
from paper.execution import Reverted
from paper.logs import Log
from paper.nonces import nonce_of, use_nonce
from paper.raw_transactions import RawTransaction, decode
from paper.receipts import Inclusion
from paper.state import Paper
from paper.store import Row


def waiting_of(paper: Paper, sender: str) -> list[Row]:
    """List what of a sender waits in the pool, lowest nonce first."""
    return paper.store.all(
        "SELECT * FROM raw_transactions WHERE sender = ? AND state = 'pooled' ORDER BY nonce",
        (sender,),
    )


def resume(paper: Paper) -> None:
    """Put every waiting transaction back on the agenda, after a start."""
    for row in paper.store.all("SELECT * FROM raw_transactions WHERE state = 'pooled'"):
        paper.agenda.at(row["due_ms"], partial(mine, paper, row["sender"]))


def look_again(paper: Paper) -> None:
    """Mine what waited for a lower base fee or more POL only."""
    for row in paper.store.all(
        "SELECT DISTINCT sender FROM raw_transactions WHERE state = 'pooled'"
    ):
        mine(paper, row["sender"])


def mine(paper: Paper, sender: str) -> None:
    """Mine a sender's transactions as far as they are due, in the order of their nonces."""
    for row in waiting_of(paper, sender):
        sent, base_fee = decode(from_hex(row["raw"])), gas.base_fee(paper.store)
        if (
            row["nonce"] != nonce_of(paper.store, sender)
            or row["due_ms"] > now_ms()
            or sent.max_fee < base_fee
            or pol.balance(paper.store, sender) < sent.most_cost
        ):
            return
        _include(paper, row, sent, base_fee)


def _include(paper: Paper, row: Row, sent: RawTransaction, base_fee: int) -> None:
    """Let a transaction take effect, or only use its nonce and gas when it reverts."""
    needed = gas_needed(paper, sent.sender, sent.target, sent.data)
    try:
        with paper.store.transaction():
            if row["fails"] or sent.gas < needed:
                raise Reverted
            logs = transact(paper, sent.sender, sent.target, sent.value, sent.data, sent.hash)
            _book(paper, sent, base_fee, needed, logs)
    except Reverted:
        with paper.store.transaction():
            _book(paper, sent, base_fee, min(sent.gas, needed), None)


def _book(
    paper: Paper, sent: RawTransaction, base_fee: int, used: int, logs: list[Log] | None
) -> None:
    """Write a mined transaction's nonce, gas and receipt; `logs` is None when it reverted."""
    price = sent.price_at(base_fee)
    use_nonce(paper.store, sent.sender)
    pol.pay(paper.store, sent.sender, used * price)
    ok, target = logs is not None, sent.target or ""
    inclusion = Inclusion(sent.hash, ok, sent.sender, target, used, price, sent.type)
    receipts.include(paper, inclusion, logs or [])
    paper.store.write("UPDATE raw_transactions SET state = 'mined' WHERE hash = ?", sent.hash)
