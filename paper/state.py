"""Everything the process knows while it runs, and how it comes back from the store."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import orjson

from paper import ledger as accounts
from paper import money
from paper.agenda import Agenda, now_ms
from paper.blocks import read_blocks
from paper.book import BUY, SELL, Book
from paper.engine import Engine
from paper.faults import Faults
from paper.feed import Feed
from paper.ledger import COLLATERAL, Ledger, move
from paper.markets import Market, catalogue, replay_market
from paper.settings import Settings
from paper.store import Store
from paper.tape import Tape

SPOT_START = {"BTCUSDT": 50_000 * 10**8, "ETHUSDT": 2_500 * 10**8}
"""Opening spot prices in 1e-8 USDT."""
_SPOT_OPENING = {"BTC": 10, "ETH": 100, "USDT": 100_000}


class Paper:
    """The markets, their books, the accounts, and what is arranged to go wrong."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.home)
        self.ledger = Ledger(self.store)
        with self.store.transaction():
            self.blocks = read_blocks(self.store, settings.settle_ms)
        self.agenda = Agenda()
        self.faults = Faults()
        self.feed = Feed(self.faults)
        self.engine = Engine()
        self.clock_offset = 0
        self.submits: deque[float] = deque()
        self.markets: dict[str, Market] = {}
        self.books: dict[str, Book] = {}
        self.tokens: dict[str, tuple[Market, int]] = {}
        self.tape = Tape(self.feed, self.faults, self.books, self.tokens)
        self.arrived_at: dict[str, float] = {}
        """When each order's bytes first came, in seconds since 1970; of this process only."""
        self.spot_prices: dict[str, int] = {}
        self.spot_pinned: set[str] = set()
        self.load()

    def load(self) -> None:
        """Read markets, books and prices from the store, and book what a new wallet opens with."""
        self.markets.clear()
        self.books.clear()
        self.tokens.clear()
        for market in catalogue():
            self.list_market(market)
        for row in self.store.all("SELECT * FROM replay_markets ORDER BY number"):
            pair = (str(row["first"]), str(row["second"]))
            self.list_market(replay_market(row["number"], pair, row["tick"]))
        for row in self.store.all("SELECT * FROM market_changes"):
            if row["condition_id"] in self.markets:
                self.change_market(
                    row["condition_id"], tick=row["tick"], accepting=bool(row["accepting"]),
                    closed=bool(row["closed"]), version=row["version"],
                    payouts=tuple(map(int, row["payouts"].split())) or None,
                    neg_risk_group=row["neg_risk_group"],
                )  # fmt: skip
        self.spot_prices = dict(SPOT_START)
        self.spot_pinned.clear()
        for row in self.store.all("SELECT * FROM spot_prices"):
            self.spot_prices[row["symbol"]] = row["price"]
            if row["pinned"]:
                self.spot_pinned.add(row["symbol"])
        self._load_books()
        with self.store.transaction():
            self.store.write("INSERT OR IGNORE INTO deployed VALUES (?)", self.settings.wallet)
            self.book_opening()

    def _load_books(self) -> None:
        for row in self.store.all("SELECT * FROM books"):
            book = self.books.get(row["condition_id"])
            if book is None:
                continue
            book.others = {
                BUY: dict(orjson.loads(row["bids"])),
                SELL: dict(orjson.loads(row["asks"])),
            }
            book.pinned = bool(row["pinned"])
            book.last_price, book.last_side = row["last_price"], row["last_side"]
            book.changed_ms = row["changed_ms"]
        for row in self.store.all("SELECT * FROM orders WHERE status = 'LIVE' ORDER BY number"):
            market, index = self.tokens[row["token"]]
            self.books[market.condition_id].rest(
                row["id"], index, row["side"], row["price"], row["shares"] - row["matched"]
            )

    def list_market(self, market: Market) -> None:
        """Offer a market, with an empty book."""
        self.markets[market.condition_id] = market
        self.books[market.condition_id] = Book()
        for index, token in enumerate(market.tokens):
            self.tokens[token] = (market, index)
        self.tape.attach(market)

    def change_market(self, condition_id: str, **changes: object) -> Market:
        """Replace a market's tick, or whether it is open, and keep its book."""
        market = replace(self.markets[condition_id], **changes)  # type: ignore[arg-type]
        self.markets[condition_id] = market
        for index, token in enumerate(market.tokens):
            self.tokens[token] = (market, index)
        return market

    def book_opening(self) -> None:
        """Book the opening balances of the installation's wallet that are not booked yet."""
        wallet = self.settings.wallet
        opening = {COLLATERAL: 100_000 * money.UNIT} | dict.fromkeys(
            self.tokens, 10_000 * money.UNIT
        )
        opening |= {asset: n * 10**money.SPOT_DECIMALS for asset, n in _SPOT_OPENING.items()}
        booked = {
            str(row["asset"])
            for row in self.store.all(
                "SELECT DISTINCT asset FROM entries JOIN postings ON number = posting"
                " WHERE kind = 'opening' AND account = ?",
                (wallet,),
            )
        }
        legs = [
            leg
            for asset, amount in opening.items()
            if asset not in booked
            for leg in move(accounts.OPENING, wallet, asset, amount)
        ]
        if legs:
            self.ledger.post("opening", wallet, now_ms(), legs)

    def book_of(self, market: Market) -> Book:
        """Give a market's book."""
        return self.books[market.condition_id]

    def save_book(self, condition_id: str) -> None:
        """Write one book's present state."""
        book = self.books[condition_id]
        self.store.write(
            "INSERT OR REPLACE INTO books VALUES (?, ?, ?, ?, ?, ?, ?)",
            condition_id,
            orjson.dumps(list(book.others[BUY].items())).decode(),
            orjson.dumps(list(book.others[SELL].items())).decode(),
            int(book.pinned),
            book.last_price,
            book.last_side,
            book.changed_ms,
        )

    def save_spot_price(self, symbol: str) -> None:
        """Write one spot symbol's price and whether it is pinned."""
        self.store.write(
            "INSERT OR REPLACE INTO spot_prices VALUES (?, ?, ?)",
            symbol, self.spot_prices[symbol], int(symbol in self.spot_pinned),
        )  # fmt: skip

    def unpin(self) -> None:
        """Let the generator have every book and price again."""
        for book in self.books.values():
            book.pinned = False
        self.spot_pinned.clear()
        self.store.write("UPDATE books SET pinned = 0")
        self.store.write("UPDATE spot_prices SET pinned = 0")

    def reset(self) -> None:
        """Go back to the opening state; API keys and chain nonces stay."""
        with self.store.transaction():
            self.store.clear()
        self.agenda.clear()
        self.faults.clear()
        self.feed.switch("live")
        self.engine.restart(0, 0)
        self.clock_offset = 0
        self.submits.clear()
        self.load()
        self.tape.start_over()
