"""A recorded tick file, read whole into compact arrays (some 20 bytes a row).

Format: `data/README.md`, clob-ticks: one row per token and change, size is the level's new total.
"""

from __future__ import annotations

import csv
import gzip
from array import array
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from paper import money
from paper.money import UNIT

COLUMNS = (
    "timestamp_ms", "event_type", "asset_id", "side", "price", "size", "best_bid", "best_ask",
)  # fmt: skip
MOST_ROWS = 5_000_000
_LAST_TRADE, _ASK = 1, 2
_KINDS = {
    (event, side): trade | ask
    for event, trade in (("PRICE_CHANGE", 0), ("LAST_TRADE", _LAST_TRADE))
    for side, ask in (("BID", 0), ("BUY", 0), ("ASK", _ASK), ("SELL", _ASK))
}


class RecordingError(Exception):
    """The file is not a recording; the text says what was expected and where."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row: prices and sizes in millionths, best prices 0 for an empty side."""

    at_ms: int
    token: int
    is_trade: bool
    side: str
    price: int
    size: int
    best_bid: int
    best_ask: int


@dataclass
class Recording:
    """All rows of a file and the complement of each of its tokens."""

    tokens: list[str] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    ticks: list[int] = field(default_factory=list)
    _times: array[int] = field(default_factory=lambda: array("q"))
    _kinds: array[int] = field(default_factory=lambda: array("b"))
    _tokens: array[int] = field(default_factory=lambda: array("h"))
    _numbers: array[int] = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self._times)

    def time(self, row: int) -> int:
        """Give a row's recorded time in epoch milliseconds."""
        return self._times[row]

    def __getitem__(self, row: int) -> Change:
        kind = self._kinds[row]
        price, size, bid, ask = self._numbers[4 * row : 4 * row + 4]
        return Change(
            self._times[row], self._tokens[row], bool(kind & _LAST_TRADE),
            "SELL" if kind & _ASK else "BUY", price, size, bid, ask,
        )  # fmt: skip

    def are_mirrored(self, row: int, next_row: int) -> bool:
        """Say whether two rows are the same change as seen from two complementary tokens."""
        return (
            self._times[row] == self._times[next_row]
            and self._tokens[row] != self._tokens[next_row]
            and self._kinds[row] ^ self._kinds[next_row] == _ASK
            and not self._kinds[row] & _LAST_TRADE
            and self._numbers[4 * row] + self._numbers[4 * next_row] == UNIT
            and self._numbers[4 * row + 1] == self._numbers[4 * next_row + 1]
        )

    def tokens_of(self, row: int, next_row: int) -> tuple[int, int]:
        """Give two rows' token numbers, the lower first."""
        one, other = self._tokens[row], self._tokens[next_row]
        return (one, other) if one < other else (other, one)

    def add(self, token: int, at_ms: int, kind: int, numbers: tuple[int, int, int, int]) -> None:
        """Append one row."""
        self._times.append(at_ms)
        self._tokens.append(token)
        self._kinds.append(kind)
        self._numbers.extend(numbers)


def read_recording(path: Path) -> Recording:
    """Read a .csv or .csv.gz file; raises RecordingError saying what is wrong and in which line."""
    if not path.is_file():
        raise RecordingError(f"file: expected an existing file, got {str(path)!r}")
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", newline="", encoding="utf-8") as lines:
            return _read(lines)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"file: expected a CSV or gzipped CSV, got {error}") from error


def _read(lines: TextIO) -> Recording:
    rows = csv.reader(lines)
    if tuple(next(rows, ())) != COLUMNS:
        raise RecordingError(f"file: expected the columns {','.join(COLUMNS)}")
    recording = Recording()
    numbers: dict[str, int] = {}
    votes: Counter[tuple[int, int]] = Counter()
    waiting = -1
    for last, row in enumerate(rows):
        try:
            _read_row(recording, numbers, row)
            if last >= MOST_ROWS:
                raise ValueError(f"expected at most {MOST_ROWS} rows")
        except ValueError as error:
            raise RecordingError(f"file: line {last + 2}: {error}") from None
        if waiting >= 0 and recording.are_mirrored(waiting, last):
            votes[recording.tokens_of(waiting, last)] += 1
            waiting = -1
        else:
            waiting = last
    _pair_up(recording, votes)
    return recording


def _read_row(recording: Recording, numbers: dict[str, int], row: list[str]) -> None:
    """Add one row; raises ValueError saying what was expected."""
    if len(row) != len(COLUMNS):
        raise ValueError(f"expected {len(COLUMNS)} columns, got {len(row)}")
    at, event, asset, side, price_text, size, bid, ask = row
    kind = _KINDS.get((event, side))
    if kind is None:
        raise ValueError(f"expected PRICE_CHANGE or LAST_TRADE, BID or ASK, got {event} {side}")
    if not at.isdecimal() or len(at) > 15:
        raise ValueError(f"expected epoch milliseconds, got {at!r}")
    price = _figure(price_text)
    if not 0 < price < UNIT:
        raise ValueError(f"expected a price between 0 and 1, got {price_text}")
    token = numbers.get(asset)
    if token is None:
        token = numbers[asset] = _new_token(recording, asset)
    if price % recording.ticks[token]:
        recording.ticks[token] = 100 if price % 1_000 else 1_000
    recording.add(token, int(at), kind, (price, _figure(size), _figure(bid), _figure(ask)))


def _new_token(recording: Recording, asset: str) -> int:
    if not (asset.isascii() and asset.isdecimal()) or len(asset) > 78:
        raise ValueError(f"expected a token id, got {asset!r}")
    if len(recording.tokens) >= 30_000:
        raise ValueError("expected at most 30,000 tokens")
    recording.tokens.append(asset)
    recording.ticks.append(10_000)
    return len(recording.tokens) - 1


@lru_cache(maxsize=8192)
def _figure(text: str) -> int:
    """Read a price or size into millionths; the same few prices come again and again."""
    return money.parse(text)


def _pair_up(recording: Recording, votes: Counter[tuple[int, int]]) -> None:
    """Take for each token the complement whose changes stood next to its own most often."""
    paired: set[int] = set()
    for (one, other), _ in votes.most_common():
        if one in paired or other in paired:
            continue
        paired |= {one, other}
        first, second = sorted((one, other), key=lambda token: int(recording.tokens[token]))
        recording.pairs.append((first, second))
    alone = [name for token, name in enumerate(recording.tokens) if token not in paired]
    if alone or not recording.pairs:
        raise RecordingError(
            "file: expected the changes of each token next to its complement's"
            + (f", but token {alone[0][:12]}... has none" if alone else "")
        )
    recording.pairs.sort()
