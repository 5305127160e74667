"""Double-entry accounts: every posting adds up to nought per asset.

Accounts are wallet addresses and the counter-accounts below. Collateral and token amounts are in
millionths, spot assets in 1e-8.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from paper import money
from paper.store import Store

COLLATERAL = "collateral"
MARKET, FEES, DEPOSIT, OPENING, ADAPTER, SPOT = (
    "market", "fees", "deposit", "opening", "adapter", "spot",
)  # fmt: skip
SPOT_ASSETS = ("BTC", "ETH", "USDT")

Leg = tuple[str, str, int]
"""(account, asset, amount); negative amounts leave the account."""


def decimals_of(asset: str) -> int:
    """Give the number of decimals an asset is counted in."""
    return money.SPOT_DECIMALS if asset in SPOT_ASSETS else money.DECIMALS


def move(source: str, target: str, asset: str, amount: int) -> list[Leg]:
    """Give the two legs that move an amount from one account to another."""
    return [(source, asset, -amount), (target, asset, amount)]


class Ledger:
    """The accounts' rows."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def post(self, kind: str, reference: str, at_ms: int, legs: Iterable[Leg]) -> None:
        """Write one posting; raises ValueError unless it balances for every asset."""
        legs = [leg for leg in legs if leg[2]]
        sums: dict[str, int] = defaultdict(int)
        for _, asset, amount in legs:
            sums[asset] += amount
        if any(sums.values()):
            raise ValueError(f"posting {kind} {reference} does not balance: {dict(sums)}")
        with self._store.transaction():
            number = self._store.write(
                "INSERT INTO postings (kind, reference, at_ms) VALUES (?, ?, ?)",
                kind, reference, at_ms,
            )  # fmt: skip
            for account, asset, amount in legs:
                self._enter(number, account, asset, amount)

    def _enter(self, posting: int, account: str, asset: str, amount: int) -> None:
        self._store.write(
            "INSERT INTO entries VALUES (?, ?, ?, ?)", posting, account, asset, amount
        )
        self._store.write(
            "INSERT INTO balances VALUES (?1, ?2, ?3)"
            " ON CONFLICT (account, asset) DO UPDATE SET amount = amount + ?3",
            account, asset, amount,
        )  # fmt: skip

    def balance(self, account: str, asset: str) -> int:
        """Give what an account holds of an asset."""
        return self._store.number(
            "SELECT amount FROM balances WHERE account = ? AND asset = ?", account, asset
        )

    def balances(self, account: str) -> dict[str, int]:
        """Give everything an account holds or ever held."""
        rows = self._store.all(
            "SELECT asset, amount FROM balances WHERE account = ? ORDER BY asset", (account,)
        )
        return {str(row["asset"]): int(row["amount"]) for row in rows}

    def set_balance(self, account: str, asset: str, amount: int, at_ms: int) -> None:
        """Bring an account to an amount, as a deposit from outside or a withdrawal to there."""
        change = amount - self.balance(account, asset)
        self.post("deposit", account, at_ms, move(DEPOSIT, account, asset, change))

    def reserved(self, wallet: str, asset: str) -> tuple[int, int]:
        """Give what open orders, and matched but unsettled trades, hold of an asset."""
        store = self._store
        if asset == COLLATERAL:
            live = (
                "SELECT SUM(reserve) FROM orders WHERE wallet = ?1 AND reserve > 0 AND side = 'BUY'"
            )
            taken = (
                "SUM(CASE WHEN taker_wallet = ?1 AND side = 'BUY' THEN collateral + fee ELSE 0 END"
            )
            made = "CASE WHEN maker_wallet = ?1 AND maker_side = 'BUY' THEN maker_collateral ELSE 0 END)"
        else:
            live = (
                "SELECT SUM(reserve) FROM orders WHERE wallet = ?1 AND reserve > 0"
                " AND side = 'SELL' AND token = ?2"
            )
            taken = (
                "SUM(CASE WHEN taker_wallet = ?1 AND side = 'SELL' AND token = ?2"
                " THEN shares ELSE 0 END"
            )
            made = (
                "CASE WHEN maker_wallet = ?1 AND maker_side = 'SELL' AND maker_token = ?2"
                " THEN shares ELSE 0 END)"
            )
        settling = (
            f"SELECT {taken} + {made} FROM trades"  # noqa: S608 - built from the constants above
            " WHERE status NOT IN ('CONFIRMED', 'FAILED')"
        )
        parameters = (wallet,) if asset == COLLATERAL else (wallet, asset)
        return store.number(live, *parameters), store.number(settling, *parameters)
