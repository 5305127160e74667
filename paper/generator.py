"""Moves the books that nobody pinned: seeded, mean-reverting, a few ticks a second in all."""

from __future__ import annotations

import asyncio
import random

from paper.agenda import now_ms
from paper.book import BUY, SELL
from paper.markets import Market, catalogue
from paper.money import UNIT
from paper.resting import match_resting
from paper.spot import SYMBOLS
from paper.state import SPOT_START, Paper

STEP_SECONDS = 0.4
SAVE_EVERY = 12
LOW, HIGH = 50_000, 950_000
LEVELS = 6


class Generator:
    """The other traders of the six standing markets, and the spot prices."""

    def __init__(self, paper: Paper) -> None:
        self._paper = paper
        self._random = random.Random(paper.settings.seed)  # noqa: S311 - a market, not a secret
        self._conditions = [market.condition_id for market in catalogue()]
        self._steps = 0

    @property
    def _markets(self) -> list[Market]:
        """List the standing markets as they are now, without those that are closed."""
        known = (self._paper.markets[condition_id] for condition_id in self._conditions)
        return [market for market in known if not market.closed]

    def seed(self) -> None:
        """Fill the books that are empty and not pinned."""
        for market in self._markets:
            book = self._paper.book_of(market)
            if not book.pinned and not book.others[BUY] and not book.others[SELL]:
                self._quote(market, market.start_price)

    async def run(self) -> None:
        """Take a step now and then until cancelled."""
        while True:
            await asyncio.sleep(STEP_SECONDS)
            self.step()

    def step(self) -> None:
        """Move one book and, every other time, the spot prices."""
        self._steps += 1
        markets = self._markets
        market = self._random.choice(markets) if markets else None
        if market is not None and not self._paper.book_of(market).pinned:
            self._quote(market, self._walk(market))
            match_resting(self._paper, market.condition_id)
        if self._steps % 2:
            self._move_spot()
        if self._steps % SAVE_EVERY == 0:
            self.save()

    def _walk(self, market: Market) -> int:
        """Give the next middle: a random move, pulled back towards where the market began."""
        book = self._paper.book_of(market)
        bid, ask = book.best(0, BUY), book.best(0, SELL)
        middle = (bid + ask) // 2 if bid is not None and ask is not None else market.start_price
        pull = (market.start_price - middle) / 40
        moved = middle + round(self._random.gauss(pull, 8_000))
        return min(max(moved, LOW), HIGH)

    def _quote(self, market: Market, middle: int) -> None:
        """Put several levels of some hundred shares on each side of a middle price."""
        tick, draw = market.tick, self._random
        centre = min(max(middle, LOW), HIGH) // tick
        least, most = LOW // tick, HIGH // tick
        bids = {
            price * tick: draw.randint(150, 900) * UNIT
            for price in range(centre, centre - LEVELS, -1)
            if price >= least
        }
        asks = {
            price * tick: draw.randint(150, 900) * UNIT
            for price in range(centre + 1, centre + 1 + LEVELS)
            if price <= most
        }
        book = self._paper.book_of(market)
        book.replace(bids, asks)
        book.changed_ms = now_ms()

    def _move_spot(self) -> None:
        for name, symbol in SYMBOLS.items():
            if name in self._paper.spot_pinned:
                continue
            price, start = self._paper.spot_prices[name], SPOT_START[name]
            change = self._random.gauss((start - price) / 200, price / 20_000)
            self._paper.spot_prices[name] = (price + round(change)) // symbol.tick * symbol.tick

    def save(self) -> None:
        """Write the books and prices, so that a restart goes on where they were."""
        paper = self._paper
        with paper.store.transaction():
            for market in self._markets:
                if not paper.book_of(market).pinned:
                    paper.save_book(market.condition_id)
            for name in SYMBOLS:
                paper.save_spot_price(name)
