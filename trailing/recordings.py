"""Recorded markets: what was offered and traded, read from CSV files, one sequence per instrument.

Formats: every change of Polymarket books (`timestamp_ms, event_type, asset_id, side, price, size,
best_bid, best_ask`), quotes (`ts, slug, bid, ask`), and single prices (`feed_ts_ms, value` or
`timestamp, close`). Plain or gzipped.
"""

import csv
import gzip
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

CHANGES = {"timestamp_ms", "event_type", "asset_id", "side", "price", "size"}


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


def read_recording(path: Path) -> dict[str, list[Happening]]:
    """Read a file; what happened to each instrument, in the order of time. Raises RecordingError."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", newline="", encoding="utf-8") as lines:
            happenings = list(_read(csv.DictReader(lines), path.name))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path.name}: expected a CSV or gzipped CSV, found {error}") from None
    by_symbol: dict[str, list[Happening]] = {}
    for happening in sorted(happenings, key=lambda one: one.at):
        by_symbol.setdefault(happening.symbol, []).append(happening)
    if not by_symbol:
        raise RecordingError(f"{path.name}: expected recorded prices, found no row")
    return by_symbol


def _read(rows: "csv.DictReader[str]", name: str) -> Iterator[Happening]:
    columns = set(rows.fieldnames or ())
    if columns >= CHANGES:
        read = _change
    elif columns >= {"ts", "slug", "bid", "ask"}:
        read = _quote
    elif columns & {"feed_ts_ms", "timestamp"} and columns & {"value", "close", "price"}:
        read = _price
    else:
        raise RecordingError(f"{name}: no known columns, found {', '.join(sorted(columns))[:200]}")
    for number, row in enumerate(rows, 2):
        try:
            yield read(row)
        except (InvalidOperation, KeyError, TypeError, ValueError) as error:
            raise RecordingError(f"{name}, line {number}: unreadable: {error}") from None


def _change(row: Mapping[str, str]) -> Happening:
    at, symbol = _moment(row["timestamp_ms"]), row["asset_id"]
    price = Decimal(row["price"])
    if row["event_type"] == "LAST_TRADE":
        return Happening(symbol, at, traded=price)
    level = (row["side"] in ("BID", "BUY"), price, Decimal(row["size"]))
    return Happening(symbol, at, _best(row["best_bid"]), _best(row["best_ask"]), None, level)


def _quote(row: Mapping[str, str]) -> Happening:
    return Happening(row["slug"], _moment(row["ts"]), _best(row["bid"]), _best(row["ask"]))


def _price(row: Mapping[str, str]) -> Happening:
    at = _moment(row.get("feed_ts_ms") or row["timestamp"])
    price = Decimal(next(row[name] for name in ("value", "close", "price") if name in row))
    return Happening(row.get("symbol") or "price", at, price, price, price)


def _best(text: str) -> Decimal | None:
    """A best price; 0 and empty mean that the side is empty."""
    price = Decimal(text or "0")
    return price if price > 0 else None


def _moment(text: str) -> datetime:
    """Milliseconds or seconds since 1970, or ISO 8601."""
    if text.replace(".", "", 1).isdigit():
        number = Decimal(text)
        seconds = number / 1000 if number > 10**11 else number
        return datetime.fromtimestamp(float(seconds), UTC)  # a moment, no money
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def symbols_in(paths: Iterable[Path]) -> dict[str, list[Happening]]:
    """What several files tell, by instrument; each file's instruments stand for themselves."""
    found: dict[str, list[Happening]] = {}
    for path in paths:
        for symbol, happenings in read_recording(path).items():
            found[symbol if symbol not in found else f"{path.name} {symbol}"] = happenings
    return found
