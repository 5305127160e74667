"""Plays a recording as the market.

Books change in memory only, thousands of rows a second; they are written when the replay pauses,
every few seconds, and when one of our orders touches them.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from paper.agenda import now_ms
from paper.book import BUY, SELL, Book, to_first
from paper.markets import Market, replay_market
from paper.money import UNIT
from paper.recording import Change, Recording, read_recording
from paper.resting import match_resting
from paper.state import Paper

BATCH_SECONDS = 0.02
SAVE_SECONDS = 5
SEED_SHARES = 100 * UNIT
"""Depth assumed at a recorded best price whose size was never recorded (there is no snapshot)."""


@dataclass
class Playing:
    """One recording on its way."""

    file: str
    speed: float
    recording: Recording
    markets: list[Market]
    places: list[tuple[Market, int]]
    row: int = 0
    held: bool = False
    touched: set[str] = field(default_factory=set)


class Player:
    """The replay: at most one at a time."""

    def __init__(self, paper: Paper) -> None:
        self._paper = paper
        self._playing: Playing | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, file: str, speed: float, hold: bool) -> None:
        """Read a file and play it `speed` times as fast as it was recorded.

        With `hold` the books show the first best prices and nothing moves before `resume`. Raises
        RecordingError when the file is none.
        """
        recording = await asyncio.to_thread(read_recording, Path(file))
        await self.stop()
        paper = self._paper
        with paper.store.transaction():
            paper.unpin()
            markets = [self._list(recording, pair) for pair in recording.pairs]
            paper.book_opening()
        places: dict[int, tuple[Market, int]] = {}
        for market, (first, second) in zip(markets, recording.pairs, strict=True):
            places[first], places[second] = (market, 0), (market, 1)
        self._playing = Playing(
            file, speed, recording, markets, [places[token] for token in sorted(places)], held=hold
        )
        self._seed(self._playing)
        self._save(self._playing)
        if not hold:
            self.resume()

    def resume(self) -> bool:
        """Let a held replay run; says whether there was one."""
        if self._playing is None or self.running:
            return False
        self._playing.held = False
        self._task = asyncio.create_task(self._run(self._playing))
        return True

    @property
    def running(self) -> bool:
        """Say whether rows are being played."""
        return self._task is not None and not self._task.done()

    async def stop(self) -> None:
        """Stop playing; the books stay as they are."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._playing is not None:
            self._save(self._playing)
            self._playing.held = False

    def forget(self) -> None:
        """Drop the last replay from sight, after a reset."""
        self._playing = None

    def show(self) -> dict[str, object]:
        """Show GET /paper/replay; `progress` from 0 to 1, `recordedAt` in epoch milliseconds."""
        playing = self._playing
        if playing is None:
            return {
                "running": False, "held": False, "file": None, "speed": None, "rows": 0,
                "totalRows": 0, "progress": 0, "recordedAt": None, "mapping": [],
            }  # fmt: skip
        total, row = len(playing.recording), playing.row
        return {
            "running": self.running,
            "held": playing.held,
            "file": playing.file,
            "speed": playing.speed,
            "rows": row,
            "totalRows": total,
            "progress": round(row / total, 4),
            "recordedAt": playing.recording.time(max(row - 1, 0)),
            "mapping": [
                {
                    "recorded": list(market.recorded or ()),
                    "conditionId": market.condition_id,
                    "tokenIds": list(market.tokens),
                }
                for market in playing.markets
            ],
        }

    def _list(self, recording: Recording, pair: tuple[int, int]) -> Market:
        paper = self._paper
        names = (recording.tokens[pair[0]], recording.tokens[pair[1]])
        tick = min(recording.ticks[pair[0]], recording.ticks[pair[1]])
        number = len(paper.markets) + 1
        market = replay_market(number, names, tick)
        known = paper.markets.get(market.condition_id)
        if known is not None and known.tick == tick:
            paper.books[known.condition_id].replace({}, {})
            return known
        paper.store.write(
            "INSERT OR REPLACE INTO replay_markets VALUES (?, ?, ?, ?)", number, *names, tick
        )
        paper.list_market(market)
        return market

    def _seed(self, playing: Playing) -> None:
        """Show each market's first recorded best prices."""
        waiting = {market.condition_id for market in playing.markets}
        for row in range(len(playing.recording)):
            if not waiting:
                break
            change = playing.recording[row]
            market, index = playing.places[change.token]
            if market.condition_id in waiting and not change.is_trade:
                waiting.discard(market.condition_id)
                _agree(self._paper.books[market.condition_id], index, change)

    async def _run(self, playing: Playing) -> None:
        recording = playing.recording
        began, first = time.monotonic(), recording.time(playing.row)
        saved = began
        while playing.row < len(recording):
            now = time.monotonic()
            until = first + (now - began) * 1000 * playing.speed
            if self._paper.feed.state == "frozen":
                began += BATCH_SECONDS
            else:
                self._play(playing, until)
            if now - saved > SAVE_SECONDS:
                saved = now
                self._save(playing)
            await asyncio.sleep(BATCH_SECONDS)
        self._save(playing)

    def _play(self, playing: Playing, until: float) -> None:
        """Apply all rows due; a row whose time steps back is due with the one before it."""
        recording, paper, at = playing.recording, self._paper, now_ms()
        touched: set[str] = set()
        deadline = time.monotonic() + 5 * BATCH_SECONDS
        while playing.row < len(recording) and recording.time(playing.row) <= until:
            change = recording[playing.row]
            market, index = playing.places[change.token]
            book = paper.books[market.condition_id]
            apply(book, index, change)
            book.changed_ms = at
            touched.add(market.condition_id)
            playing.row += 1
            if playing.row % 200 == 0 and time.monotonic() > deadline:
                break
        for condition_id in touched:
            if paper.books[condition_id].resting:
                match_resting(paper, condition_id)
        playing.touched |= touched

    def _save(self, playing: Playing) -> None:
        with self._paper.store.transaction():
            for market in playing.markets:
                if market.condition_id in self._paper.books:
                    self._paper.save_book(market.condition_id)
        playing.touched.clear()


def apply(book: Book, index: int, change: Change) -> None:
    """Apply one recorded row to a book: the level's new total, or a trade that happened."""
    side, price = to_first(index, change.side, change.price)
    if change.is_trade:
        book.last_price, book.last_side = price, side
        return
    book.eaten.discard((side, price))
    book.set_level(side, price, change.size)
    _agree(book, index, change)


def _agree(book: Book, index: int, change: Change) -> None:
    """Make the book's best prices those sent with a change.

    Drops levels beyond them (their removal was not recorded) and assumes some depth at them where
    none was recorded, unless it was our own order that ate it.
    """
    bid, ask = change.best_bid, change.best_ask
    if index == 1:
        bid, ask = (UNIT - ask if ask else 0), (UNIT - bid if bid else 0)
    bids, asks = book.others[BUY], book.others[SELL]
    if bids and max(bids) > bid:
        for price in [price for price in bids if price > bid]:
            book.set_level(BUY, price, 0)
    if asks and (not ask or min(asks) < ask):
        for price in [price for price in asks if not ask or price < ask]:
            book.set_level(SELL, price, 0)
    for side, price in ((BUY, bid), (SELL, ask)):
        if price and price not in book.others[side] and (side, price) not in book.eaten:
            book.set_level(side, price, SEED_SHARES)
