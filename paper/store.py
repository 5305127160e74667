"""The SQLite file that holds everything acknowledged.

WAL with synchronous=NORMAL: a commit is in the operating system's hands before the answer leaves, so
kill -9 loses nothing; only a power cut could lose the last moments of play money, and FULL would cost
an fsync (milliseconds) on every order for that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

Value = str | int | None
Row = sqlite3.Row

_SPOT_ORDERS = """
CREATE TABLE IF NOT EXISTS spot_orders (
    number INTEGER PRIMARY KEY, client_id TEXT NOT NULL, symbol TEXT NOT NULL,
    side TEXT NOT NULL, type TEXT NOT NULL, status TEXT NOT NULL, price INTEGER NOT NULL,
    quantity INTEGER NOT NULL, executed INTEGER NOT NULL, quote INTEGER NOT NULL,
    fill_price INTEGER NOT NULL, wallet TEXT NOT NULL, at_ms INTEGER NOT NULL,
    ledger_id TEXT NOT NULL UNIQUE);
CREATE INDEX IF NOT EXISTS spot_orders_by_client_id ON spot_orders (client_id);
"""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS api_keys (
    key TEXT PRIMARY KEY, address TEXT NOT NULL, nonce INTEGER NOT NULL,
    secret TEXT NOT NULL, passphrase TEXT NOT NULL, deleted INTEGER NOT NULL DEFAULT 0,
    UNIQUE (address, nonce));
CREATE TABLE IF NOT EXISTS replay_markets (
    number INTEGER PRIMARY KEY, first TEXT NOT NULL, second TEXT NOT NULL, tick INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS books (
    condition_id TEXT PRIMARY KEY, bids TEXT NOT NULL, asks TEXT NOT NULL, pinned INTEGER NOT NULL,
    last_price INTEGER, last_side TEXT NOT NULL, changed_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, signer TEXT NOT NULL, wallet TEXT NOT NULL,
    owner TEXT NOT NULL, condition_id TEXT NOT NULL, token TEXT NOT NULL, side TEXT NOT NULL,
    type TEXT NOT NULL, price INTEGER NOT NULL, shares INTEGER NOT NULL, matched INTEGER NOT NULL,
    reserve INTEGER NOT NULL, status TEXT NOT NULL, expiration INTEGER NOT NULL,
    created_ms INTEGER NOT NULL, budget INTEGER, due_ms INTEGER NOT NULL DEFAULT 0,
    fate TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS live_orders ON orders (wallet) WHERE status = 'LIVE';
CREATE INDEX IF NOT EXISTS reserving_orders ON orders (wallet) WHERE reserve > 0;
CREATE TABLE IF NOT EXISTS posts (order_id TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trades (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, condition_id TEXT NOT NULL,
    status TEXT NOT NULL, fails INTEGER NOT NULL, matched_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL, settle_ms INTEGER NOT NULL, hash TEXT NOT NULL,
    taker_order TEXT NOT NULL, taker_signer TEXT, taker_wallet TEXT NOT NULL, taker_owner TEXT NOT NULL,
    token TEXT NOT NULL, side TEXT NOT NULL, shares INTEGER NOT NULL, price INTEGER NOT NULL,
    collateral INTEGER NOT NULL, fee INTEGER NOT NULL,
    maker_order TEXT NOT NULL, maker_signer TEXT, maker_wallet TEXT NOT NULL, maker_owner TEXT NOT NULL,
    maker_token TEXT NOT NULL, maker_side TEXT NOT NULL, maker_price INTEGER NOT NULL,
    maker_collateral INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS unsettled_trades ON trades (settle_ms)
    WHERE status NOT IN ('CONFIRMED', 'FAILED');
CREATE INDEX IF NOT EXISTS trades_by_taker ON trades (taker_order);
CREATE INDEX IF NOT EXISTS trades_by_maker ON trades (maker_order);
CREATE TABLE IF NOT EXISTS postings (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, reference TEXT NOT NULL, at_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entries (
    posting INTEGER NOT NULL REFERENCES postings, account TEXT NOT NULL, asset TEXT NOT NULL,
    amount INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS balances (
    account TEXT NOT NULL, asset TEXT NOT NULL, amount INTEGER NOT NULL,
    PRIMARY KEY (account, asset)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transactions (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, wallet TEXT NOT NULL,
    owner TEXT NOT NULL, nonce INTEGER NOT NULL, signature TEXT NOT NULL, calls TEXT NOT NULL,
    metadata TEXT NOT NULL, state TEXT NOT NULL, fails INTEGER NOT NULL, hash TEXT NOT NULL,
    error TEXT, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, confirm_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS transactions_by_wallet ON transactions (wallet, nonce);
CREATE INDEX IF NOT EXISTS transactions_by_hash ON transactions (hash);
CREATE TABLE IF NOT EXISTS conversions (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, wallet TEXT NOT NULL, transaction_id TEXT NOT NULL,
    condition_id TEXT NOT NULL, amount INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS nonces (wallet TEXT PRIMARY KEY, nonce INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deployed (wallet TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS approvals (
    wallet TEXT NOT NULL, token TEXT NOT NULL, spender TEXT NOT NULL, amount TEXT NOT NULL,
    PRIMARY KEY (wallet, token, spender)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spot_prices (
    symbol TEXT PRIMARY KEY, price INTEGER NOT NULL, pinned INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS market_changes (
    condition_id TEXT PRIMARY KEY, tick INTEGER NOT NULL, accepting INTEGER NOT NULL,
    closed INTEGER NOT NULL, payouts TEXT NOT NULL DEFAULT '', version TEXT NOT NULL DEFAULT 'v1',
    neg_risk_group TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arranged (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pol (wallet TEXT PRIMARY KEY, amount TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS raw_transactions (
    number INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, sender TEXT NOT NULL,
    nonce INTEGER NOT NULL, raw TEXT NOT NULL, state TEXT NOT NULL, fails INTEGER NOT NULL,
    due_ms INTEGER NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS one_pooled_per_nonce ON raw_transactions (sender, nonce)
    WHERE state = 'pooled';
CREATE TABLE IF NOT EXISTS receipts (
    hash TEXT PRIMARY KEY, block INTEGER NOT NULL, position INTEGER NOT NULL, ok INTEGER NOT NULL,
    sender TEXT NOT NULL, target TEXT NOT NULL, gas_used INTEGER NOT NULL,
    gas_price INTEGER NOT NULL, type INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS receipts_by_block ON receipts (block);
CREATE TABLE IF NOT EXISTS logs (
    number INTEGER PRIMARY KEY, hash TEXT NOT NULL, block INTEGER NOT NULL,
    log_index INTEGER NOT NULL, address TEXT NOT NULL, topics TEXT NOT NULL, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS logs_by_hash ON logs (hash);
CREATE INDEX IF NOT EXISTS logs_by_block ON logs (block);
"""

_UPGRADES = (
    (
        "orders", "fate",
        "ALTER TABLE orders ADD COLUMN budget INTEGER",
        "ALTER TABLE orders ADD COLUMN due_ms INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE orders ADD COLUMN fate TEXT NOT NULL DEFAULT ''",
    ),
    (
        "spot_orders", "ledger_id",
        "ALTER TABLE spot_orders RENAME TO old_spot_orders",
        _SPOT_ORDERS,
        "INSERT INTO spot_orders SELECT *, client_id FROM old_spot_orders",
        "DROP TABLE old_spot_orders",
    ),
    (
        "market_changes", "neg_risk_group",
        "ALTER TABLE market_changes ADD COLUMN payouts TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE market_changes ADD COLUMN version TEXT NOT NULL DEFAULT 'v1'",
        "ALTER TABLE market_changes ADD COLUMN neg_risk_group TEXT",
    ),
)  # fmt: skip
"""(table, its newest column, what brings an older file there)."""

_KEPT_ON_RESET = ("meta", "api_keys", "nonces", "deployed")


class Store:
    """One connection; every write happens inside `transaction()`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "paper.sqlite3", isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA cache_size = -4000")
        self._after: list[Callable[[], None]] = []
        self._upgrade()
        self._db.executescript(_SCHEMA + _SPOT_ORDERS)

    def _upgrade(self) -> None:
        """Bring a file of an earlier release to the present columns."""
        for table, newest, *statements in _UPGRADES:
            columns = {str(row["name"]) for row in self.all(f"PRAGMA table_info({table})")}
            if columns and newest not in columns:
                self._db.executescript(";".join(["BEGIN", *statements, "COMMIT"]))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything written inside, or nothing; an inner one joins the outer."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._after.clear()
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        calls, self._after = self._after, []
        for call in calls:
            call()

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call something once what is being written is committed; never when it is rolled back."""
        if self._db.in_transaction:
            self._after.append(call)
        else:
            call()

    def write(self, statement: str, *values: Value) -> int:
        """Run one statement and give the row number it inserted, or the count of rows it changed."""
        cursor = self._db.execute(statement, values)
        inserted = statement.lstrip().upper().startswith("INSERT")
        return (cursor.lastrowid or 0) if inserted else cursor.rowcount

    def one(self, statement: str, *values: Value) -> Row | None:
        """Fetch the first row."""
        row: Row | None = self._db.execute(statement, values).fetchone()
        return row

    def all(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        """Fetch every row."""
        return self._db.execute(statement, values).fetchall()

    def number(self, statement: str, *values: Value) -> int:
        """Fetch one number; 0 when there is none."""
        row = self._db.execute(statement, values).fetchone()
        return 0 if row is None or row[0] is None else int(row[0])

    def meta(self, name: str) -> str | None:
        """Read a remembered value."""
        row = self.one("SELECT value FROM meta WHERE name = ?", name)
        return None if row is None else str(row["value"])

    def remember(self, name: str, value: str) -> None:
        """Remember a value."""
        self.write("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)

    def arranged(self, name: str) -> str | None:
        """Read what a control call set; a reset forgets it."""
        row = self.one("SELECT value FROM arranged WHERE name = ?", name)
        return None if row is None else str(row["value"])

    def arrange(self, name: str, value: str) -> None:
        """Keep what a control call sets."""
        with self.transaction():
            self.write("INSERT OR REPLACE INTO arranged VALUES (?, ?)", name, value)

    def clear(self) -> None:
        """Forget everything but API keys, deployed wallets and chain nonces, which never go back."""
        tables = self.all("SELECT name FROM sqlite_master WHERE type = 'table'")
        for name in (str(row["name"]) for row in tables):
            if name not in _KEPT_ON_RESET and not name.startswith("sqlite"):
                self._db.execute(f"DELETE FROM {name}")  # noqa: S608 - names come from the schema

    def close(self) -> None:
        """Close the file."""
        self._db.close()
