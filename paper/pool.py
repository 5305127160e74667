"""The pool of raw transactions: taken or refused, replaced, waiting.

Words of refusal: go-ethereum `core/txpool` and `core/error.go`, which Polygon's bor uses.
"""

from __future__ import annotations

from functools import partial

from paper import gas, pol
from paper.agenda import now_ms
from paper.encoding import from_hex, to_hex
from paper.errors import NOT_TAKEN, RpcError
from paper.faults import SLOW_SETTLEMENT_MS, Fate
from paper.mining import mine, waiting_of
from paper.nonces import nonce_of
from paper.raw_transactions import RawTransaction, decode
from paper.state import Paper


class NotTaken(RpcError):
    """The node refuses a transaction; the text is geth's."""

    def __init__(self, text: str) -> None:
        super().__init__(NOT_TAKEN, text)


def submit(paper: Paper, raw: bytes, fate: Fate) -> str:
    """Take a signed transaction into the pool and give its hash; raises NotTaken."""
    try:
        sent = decode(raw)
    except ValueError as error:
        raise NotTaken(str(error)) from None
    waiting = {row["nonce"]: decode(from_hex(row["raw"])) for row in waiting_of(paper, sent.sender)}
    _check(paper, sent, waiting)
    at = now_ms()
    slow = fate.settle == "slow"
    due = at + (SLOW_SETTLEMENT_MS if slow else paper.settings.settle_ms * 3 // 4)
    with paper.store.transaction():
        paper.store.write(
            "UPDATE raw_transactions SET state = 'replaced'"
            " WHERE sender = ? AND nonce = ? AND state = 'pooled'",
            sent.sender, sent.nonce,
        )  # fmt: skip
        paper.store.write(
            "INSERT OR REPLACE INTO raw_transactions VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
            sent.hash, sent.sender, sent.nonce, to_hex(raw), "pooled", int(fate.fails), due,
        )  # fmt: skip
    paper.agenda.at(due, partial(mine, paper, sent.sender))
    return sent.hash


def _check(paper: Paper, sent: RawTransaction, waiting: dict[int, RawTransaction]) -> None:
    """Refuse what geth refuses, in its order."""
    known = waiting.get(sent.nonce)
    if known is not None and known.hash == sent.hash:
        raise NotTaken("already known")
    nonce, least = nonce_of(paper.store, sent.sender), gas.intrinsic(sent.data)
    if sent.gas > gas.BLOCK_LIMIT:
        raise NotTaken("exceeds block gas limit")
    if sent.max_tip > sent.max_fee:
        raise NotTaken("max priority fee per gas higher than max fee per gas")
    if sent.gas < least:
        raise NotTaken(f"intrinsic gas too low: gas {sent.gas}, minimum needed {least}")
    if sent.max_tip < gas.LEAST_TIP:
        raise NotTaken(
            f"transaction underpriced: gas tip cap {sent.max_tip}, minimum needed {gas.LEAST_TIP}"
        )
    if sent.nonce < nonce:
        raise NotTaken(f"nonce too low: next nonce {nonce}, tx nonce {sent.nonce}")
    _check_funds(paper, sent, waiting)
    if known is not None and not _outbids(sent, known):
        raise NotTaken("replacement transaction underpriced")


def _check_funds(paper: Paper, sent: RawTransaction, waiting: dict[int, RawTransaction]) -> None:
    held = pol.balance(paper.store, sent.sender)
    words = "insufficient funds for gas * price + value"
    if held < sent.most_cost:
        over = sent.most_cost - held
        raise NotTaken(f"{words}: balance {held}, tx cost {sent.most_cost}, overshot {over}")
    queued = sum(other.most_cost for nonce, other in waiting.items() if nonce != sent.nonce)
    over = queued + sent.most_cost - held
    if over > 0:
        raise NotTaken(
            f"{words}: balance {held}, queued cost {queued}, tx cost {sent.most_cost},"
            f" overshot {over}"
        )


def _outbids(sent: RawTransaction, known: RawTransaction) -> bool:
    """Say whether both fees are a tenth higher."""
    return sent.max_fee * 10 >= known.max_fee * 11 and sent.max_tip * 10 >= known.max_tip * 11


def pending_nonce(paper: Paper, sender: str) -> int:
    """Give the nonce after those that wait without a gap."""
    nonce = nonce_of(paper.store, sender)
    for row in waiting_of(paper, sender):
        nonce += row["nonce"] == nonce
    return nonce
