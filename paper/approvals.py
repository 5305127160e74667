"""Which contracts may move a wallet's collateral and tokens.

Every wallet starts with everything approved; only what a wallet changes itself is a row.
"""

from __future__ import annotations

from paper.store import Store

UNLIMITED = (1 << 256) - 1


def allowance(store: Store, wallet: str, token: str, spender: str) -> int:
    """Give what a spender may move, in base units; all or nothing for ERC-1155 tokens."""
    row = store.one(
        "SELECT amount FROM approvals WHERE wallet = ? AND token = ? AND spender = ?",
        wallet.lower(), token.lower(), spender.lower(),
    )  # fmt: skip
    return UNLIMITED if row is None else int(row["amount"])


def approve(store: Store, wallet: str, token: str, spender: str, amount: int) -> None:
    """Set what a spender may move."""
    store.write(
        "INSERT OR REPLACE INTO approvals VALUES (?, ?, ?, ?)",
        wallet.lower(), token.lower(), spender.lower(), str(amount),
    )  # fmt: skip


def spend(store: Store, wallet: str, token: str, spender: str, amount: int) -> None:
    """Use up a part of a limited approval."""
    left = allowance(store, wallet, token, spender)
    if left != UNLIMITED:
        approve(store, wallet, token, spender, left - amount)
