"""POL, which pays for gas: balances in wei, kept apart from the ledger, whose amounts are smaller numbers."""

from __future__ import annotations

from paper.store import Store

DECIMALS = 18
OPENING = 100 * 10**DECIMALS
"""What every address has until it spends some."""


def balance(store: Store, wallet: str) -> int:
    """Give an address's POL."""
    row = store.one("SELECT amount FROM pol WHERE wallet = ?", wallet)
    return OPENING if row is None else int(row["amount"])


def set_balance(store: Store, wallet: str, amount: int) -> None:
    """Set an address's POL; call it inside a transaction."""
    store.write("INSERT OR REPLACE INTO pol VALUES (?, ?)", wallet, str(amount))


def pay(store: Store, wallet: str, amount: int) -> None:
    """Take POL from an address, which has it."""
    set_balance(store, wallet, balance(store, wallet) - amount)


def receive(store: Store, wallet: str, amount: int) -> None:
    """Give POL to an address."""
    set_balance(store, wallet, balance(store, wallet) + amount)
