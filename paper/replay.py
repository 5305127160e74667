"""Plays a recording as the market.

Books change in memory only, thousands of rows a second; they are written when the replay pauses,
every few seconds, and when one of our orders touches them.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from paper.agenda import now_ms
from paper.applying import agree, apply
from paper.markets import Market, replay_market
from paper.recording import Recording, read_recording
from paper.resting import match_resting
from paper.state import Paper

BATCH_SECONDS = 0.005
LONGEST_STEP_SECONDS = 0.004
"""A step is cut short, so that others have their turn; the next one follows at once."""
SAVE_SECONDS = 5


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
    waits: bool = False


class Player:
    """The replay: at most one at a time."""

    def __init__(self, paper: Paper) -> None:
        self._paper = paper
        self._playing: Playing | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, file: str, speed: float, hold: bool, waits: bool) -> None:
        """Read a file and play it `speed` times as fast as it was recorded.

        With `hold` the books show the first best prices and nothing moves before `resume`. A replay that
        `waits` stands still while a reader of the market channel is behind. Raises RecordingError when
        the file is none.
        """
        recording = await asyncio.to_thread(read_recording, Path(file))
        await self.stop()
        paper = self._paper
        with paper.store.transaction():
            paper.unpin()
            known = dict(paper.markets)
            markets = [self._list(recording, pair) for pair in recording.pairs]
            paper.book_opening()
        new = [market for market in markets if known.get(market.condition_id) is not market]
        places: dict[int, tuple[Market, int]] = {}
        for market, (first, second) in zip(markets, recording.pairs, strict=True):
            places[first], places[second] = (market, 0), (market, 1)
        self._playing = Playing(
            file, speed, recording, markets, [places[token] for token in sorted(places)], held=hold,
            waits=waits,
        )  # fmt: skip
        self._seed(self._playing)
        for market in new:
            paper.tape.tell_listed(market)
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
                agree(self._paper.books[market.condition_id], index, change)

    async def _run(self, playing: Playing) -> None:
        recording = playing.recording
        until = float(recording.time(playing.row))
        last = saved = time.monotonic()
        while playing.row < len(recording):
            now = time.monotonic()
            on_time = True
            if not (playing.waits and self._paper.tape.readers.are_behind):
                until += (now - last) * 1000 * playing.speed
                on_time = self._play(playing, until)
            last = now
            if now - saved > SAVE_SECONDS:
                saved = now
                self._save(playing)
            await asyncio.sleep(BATCH_SECONDS if on_time else 0)
        self._save(playing)

    def _play(self, playing: Playing, until: float) -> bool:
        """Apply all rows due; a row whose time steps back is due with the one before it.

        Says whether there was time for all of them.
        """
        recording, at = playing.recording, now_ms()
        deadline = time.monotonic() + LONGEST_STEP_SECONDS
        while playing.row < len(recording) and recording.time(playing.row) <= until:
            self._play_frame(playing, at)
            if time.monotonic() > deadline:
                return False
        return True

    def _play_frame(self, playing: Playing, at: int) -> None:
        """Apply one row, or the two that were one frame of the venue's, and tell of it."""
        paper, change = self._paper, playing.recording[playing.row]
        market, index = playing.places[change.token]
        book = paper.books[market.condition_id]
        book.changed_ms = at
        playing.row += 2 if _is_doubled(playing) else 1
        apply(book, index, change)
        if book.resting:
            match_resting(paper, market.condition_id)
        paper.tape.tell(market)

    def _save(self, playing: Playing) -> None:
        with self._paper.store.transaction():
            for market in playing.markets:
                if market.condition_id in self._paper.books:
                    self._paper.save_book(market.condition_id)


def _is_doubled(playing: Playing) -> bool:
    """Say whether the next row is this one as the other token of its market sees it."""
    recording, row = playing.recording, playing.row
    if row + 1 >= len(recording) or not recording.are_mirrored(row, row + 1):
        return False
    one, other = recording.tokens_of(row, row + 1)
    return playing.places[one][0] is playing.places[other][0]
