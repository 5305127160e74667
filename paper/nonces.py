"""Nonces on the chain: of addresses that send transactions, and of wallets that others send for."""

from __future__ import annotations

from paper.store import Store


def nonce_of(store: Store, wallet: str) -> int:
    """Give the nonce that a wallet's, or an address's, next transaction must carry."""
    return store.number("SELECT nonce FROM nonces WHERE wallet = ?", wallet)


def use_nonce(store: Store, wallet: str) -> None:
    """Count one more."""
    store.write(
        "INSERT INTO nonces VALUES (?, 1) ON CONFLICT (wallet) DO UPDATE SET nonce = nonce + 1",
        wallet,
    )
