"""Recorded markets: what was offered and traded, read from CSV files, one sequence per instrument.

Plain or gzipped, told apart by their columns: every change of Polymarket's books, quotes, single
prices, and bars with or without a header.
"""

import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import TextIO, TypeVar, cast

CHANGES = {
    "timestamp_ms",
    "event_type",
    "asset_id",
    "side",
    "price",
    "size",
    "best_bid",
    "best_ask",
}
QUOTES = {"ts", "slug", "bid", "ask"}
FEED = {"feed_ts_ms", "value"}
PRICES = {"timestamp", "price"}
BARS = {"timestamp", "open", "high", "low", "close"}
KNOWN = "; ".join(", ".join(sorted(columns)) for columns in (CHANGES, QUOTES, FEED, PRICES, BARS))

OHLC = ("open", "high", "low", "close")
TRADED_BARS = ("timestamp", *OHLC, "volume")
BIDS, ASKS = (tuple(f"{side}_{name}" for name in OHLC) for side in ("bid", "ask"))
QUOTED_BARS = ("timestamp", *BIDS, "bid_size", *ASKS, "ask_size")
"""What stands in files of bars without a header, as those of QuantConnect's Lean."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TELL_EVERY = 50_000

Row = Mapping[str, str]
Progress = Callable[[int], None]
T = TypeVar("T")


class RecordingError(Exception):
    """The file is no recording; the text says what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One recorded moment of an instrument; what it does not tell is `None`.

    `level` is the new total offered at a price, and whether it is a bid's.
    """

    symbol: str
    at: datetime
    bid: Decimal | None = None
    ask: Decimal | None = None
    traded: Decimal | None = None
    level: tuple[bool, Decimal, Decimal] | None = None


@dataclass(frozen=True, slots=True)
class _Bar:
    """A bar of trades, or of bids and asks: open, high, low and close of each."""

    at: datetime
    bids: tuple[Decimal, ...]
    asks: tuple[Decimal, ...]
    is_traded: bool


def read_recording(
    path: Path, progress: Progress = lambda rows: None
) -> dict[str, list[Happening]]:
    """Read a file; what happened to each instrument, in the order of time.

    `progress` is told the number of rows read now and then. Raises RecordingError.
    """
    if not path.is_file():
        raise RecordingError(f"{path.name}: there is no such file")
    try:
        with _opened(path) as lines:
            happenings = list(_counted(_read(lines, path.name), progress))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path.name}: expected a CSV or gzipped CSV: {error}") from None
    if not happenings:
        raise RecordingError(f"{path.name}: expected recorded prices, found no row")
    by_symbol: dict[str, list[Happening]] = {}
    for happening in sorted(happenings, key=lambda one: one.at):
        by_symbol.setdefault(happening.symbol, []).append(happening)
    return by_symbol


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", newline="", encoding="utf-8"))
    return path.open(newline="", encoding="utf-8-sig")


def _counted(happenings: Iterable[Happening], progress: Progress) -> Iterator[Happening]:
    for number, happening in enumerate(happenings, 1):
        yield happening
        if number % TELL_EVERY == 0:
            progress(number)


def _read(lines: TextIO, name: str) -> Iterator[Happening]:
    rows = csv.reader(lines)
    first = next(rows, None)
    if first is None:
        raise RecordingError(f"{name}: expected recorded prices, found nothing")
    symbol = name.removesuffix(".gz").removesuffix(".csv")
    if first and _is_whole(first[0]):
        yield from _without_header(first, rows, name, symbol)
    else:
        yield from _with_header([column.strip() for column in first], rows, name, symbol)


def _with_header(
    columns: Sequence[str], rows: Iterator[list[str]], name: str, symbol: str
) -> Iterator[Happening]:
    known = set(columns)
    if known >= BARS:
        yield from _paths(_each(rows, columns, _traded_bar, name), symbol)
    elif known >= CHANGES:
        yield from _each(rows, columns, _change, name)
    elif known >= QUOTES:
        yield from _each(rows, columns, _quote, name)
    elif known >= FEED or known >= PRICES:
        yield from _each(rows, columns, partial(_price, symbol), name)
    else:
        found = ", ".join(columns)[:200]
        raise RecordingError(f"{name}: expected the columns of one of: {KNOWN}. Found: {found!r}")


def _without_header(
    first: list[str], rows: Iterator[list[str]], name: str, symbol: str
) -> Iterator[Happening]:
    """Bars of a day that only the file's name tells, in milliseconds since its midnight."""
    kinds = {len(TRADED_BARS): (TRADED_BARS, _traded_bar), len(QUOTED_BARS): (QUOTED_BARS, _quoted)}
    if len(first) not in kinds:
        raise RecordingError(
            f"{name}: expected a header, or bars of {' or '.join(map(str, kinds))} columns;"
            f" found {len(first)} columns without a header"
        )
    columns, read = kinds[len(first)]
    dated = partial(read, midnight=_day_of(name))
    yield from _paths(_each(chain([first], rows), columns, dated, name, first_line=1), symbol)


def _each(
    rows: Iterable[list[str]],
    columns: Sequence[str],
    read: Callable[[Row], T],
    name: str,
    first_line: int = 2,
) -> Iterator[T]:
    for number, row in enumerate(rows, first_line):
        if not row:
            continue
        try:
            if len(row) != len(columns):
                raise ValueError(f"expected {len(columns)} columns, found {len(row)}")
            yield read(dict(zip(columns, row, strict=True)))
        except (ValueError, OverflowError) as error:
            raise RecordingError(f"{name}, line {number}: unreadable: {error}") from None


def _change(row: Row) -> Happening:
    at, symbol, price = _moment(row["timestamp_ms"]), row["asset_id"], _above_zero(row["price"])
    if row["event_type"] == "LAST_TRADE":
        return Happening(symbol, at, traded=price)
    if row["side"] not in ("BID", "ASK", "BUY", "SELL"):
        raise ValueError(f"expected BID or ASK, found {row['side'][:20]!r}")
    level = (row["side"] in ("BID", "BUY"), price, _number(row["size"]))
    return Happening(symbol, at, _best(row["best_bid"]), _best(row["best_ask"]), None, level)


def _quote(row: Row) -> Happening:
    return Happening(row["slug"], _moment(row["ts"]), _best(row["bid"]), _best(row["ask"]))


def _price(symbol: str, row: Row) -> Happening:
    at = _moment(row.get("feed_ts_ms") or row["timestamp"])
    price = _above_zero(row["value"] if "value" in row else row["price"])
    return Happening(row.get("symbol") or symbol, at, price, price, price)


def _traded_bar(row: Row, midnight: datetime | None = None) -> _Bar:
    prices = tuple(_above_zero(row[name]) for name in OHLC)
    return _Bar(_start(row, midnight), prices, prices, is_traded=True)


def _quoted(row: Row, midnight: datetime | None = None) -> _Bar:
    bids = tuple(_above_zero(row[name]) for name in BIDS)
    asks = tuple(_above_zero(row[name]) for name in ASKS)
    return _Bar(_start(row, midnight), bids, asks, is_traded=False)


def _start(row: Row, midnight: datetime | None) -> datetime:
    if midnight is None:
        return _moment(row["timestamp"])
    return midnight + timedelta(milliseconds=int(row["timestamp"]))


def _paths(bars: Iterable[_Bar], symbol: str) -> Iterator[Happening]:
    """The path through each bar: open, the extreme nearer to the open, the other one, close.

    Which extreme came first a bar does not tell; this is the guess of NautilusTrader
    (`bar_adaptive_high_low_ordering`).
    """
    bars = sorted(bars, key=lambda bar: bar.at)
    gaps = {later.at - bar.at for bar, later in pairwise(bars)} - {timedelta(0)}
    length = min(gaps, default=MINUTE)
    for bar in bars:
        start, high, low, _ = bar.bids
        order = (0, 1, 2, 3) if high - start < start - low else (0, 2, 1, 3)
        for step, which in enumerate(order):
            bid, ask = bar.bids[which], bar.asks[which]
            at = bar.at + length * step / len(order)
            yield Happening(symbol, at, bid, ask, bid if bar.is_traded else None)


def _best(text: str) -> Decimal | None:
    """A best price; 0 and empty mean that the side is empty."""
    return (_number(text) or None) if text else None


def _above_zero(text: str) -> Decimal:
    if not (number := _number(text)):
        raise ValueError(f"expected a price above zero, found {text[:40]!r}")
    return number


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"expected a number, found {text[:40]!r}") from None
    if not number.is_finite() or number < 0:
        raise ValueError(f"expected a number that is not negative, found {text[:40]!r}")
    return number


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _moment(text: str) -> datetime:
    """Milliseconds or seconds since 1970, or ISO 8601; without a zone it is UTC."""
    if _is_whole(text):
        number = int(text)
        return EPOCH + (timedelta(milliseconds=number) if number > 10**11 else timedelta(0, number))
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _day_of(name: str) -> datetime:
    """The last date in a file's name, as 20221213; 1970 where there is none."""
    for text in reversed(re.findall(r"(?<!\d)20\d{6}(?!\d)", name)):
        try:
            return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
        except ValueError:
            continue
    return EPOCH
