"""`manage.py replay FILE ...`: what would this stop have done in a recorded market?"""

import random
import time
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser

from polytrader.numbers import plain_or_none
from trailing.guards import Guard
from trailing.maths import Side, Trail
from trailing.recorded import Print, RecordedMarket
from trailing.recordings import RecordingError, read_recording
from trailing.replaying import Stop, Watching, replay
from trailing.reporting import HEADINGS, cells, summary
from trailing.requests import CONFIRM_MS, CONFIRM_UPDATES

SECOND = timedelta(seconds=1)
TELL_EVERY = 2.0
NAME_LENGTH = 24
Markets = Mapping[str, RecordedMarket]


def above_zero(text: str) -> Decimal:
    """Read a positive number."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ArgumentTypeError(f"expected a number, found {text!r}") from None
    if not number.is_finite() or number <= 0:
        raise ArgumentTypeError(f"expected a number above zero, found {text!r}")
    return number


def count(text: str) -> int:
    """Read a whole number from 1."""
    number = above_zero(text)
    if number != int(number):
        raise ArgumentTypeError(f"expected a whole number, found {text!r}")
    return int(number)


def moment(text: str) -> datetime:
    """Read a moment; without a zone it is UTC."""
    try:
        told = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ArgumentTypeError(
            f"expected a moment as 2026-06-07T01:35:00Z, found {text!r}"
        ) from None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


class Command(BaseCommand):
    """Needs neither a running system nor a database; exit status 0 unless it could not replay."""

    help = "Replay recorded markets and tell what such a stop would have done. Trades nothing."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """The recordings, the stop as the API knows it, when it is made, how it is watched."""
        parser.add_argument("files", nargs="+", metavar="FILE", help="a .csv or .csv.gz recording")
        trail = parser.add_mutually_exclusive_group(required=True)
        trail.add_argument("--percent", type=above_zero, help="trail in percent of the best price")
        trail.add_argument("--amount", type=above_zero, help="trail in units of price")
        trail.add_argument("--ticks", type=count, help="trail in ticks")
        parser.add_argument("--side", choices=("sell", "buy"), default="sell")
        parser.add_argument("--quantity", type=above_zero, default=Decimal(10), help="default 10")
        parser.add_argument("--trigger-by", choices=("bid", "ask", "mid", "last"))
        parser.add_argument("--entry-price", type=above_zero, help="default: the price of --at")
        for name in ("--activation-price", "--stop-price", "--take-profit-price"):
            parser.add_argument(name, type=above_zero)
        parser.add_argument("--max-slippage", type=above_zero, help="how far an exit may go")
        parser.add_argument("--max-spread", type=above_zero)
        parser.add_argument("--confirm-updates", type=count, help="default 2 for outcome tokens")
        parser.add_argument("--confirm-ms", type=count, help="default 1000 for outcome tokens")
        parser.add_argument("--symbol", help="only instruments whose name begins so")
        when = parser.add_mutually_exclusive_group()
        when.add_argument("--at", type=moment, help="when it is made; default: at the beginning")
        when.add_argument("--count", type=count, help="so many, at random moments and instruments")
        parser.add_argument("--seed", type=int, default=1, help="of the random moments")
        parser.add_argument("--tick", type=above_zero, help="tick size; default: by the prices")
        parser.add_argument("--every", type=above_zero, help="seconds between polls; else streamed")
        parser.add_argument("--delay-ms", type=count, default=60, help="decision to book; 60")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, replay, print."""
        markets = self._markets(options)
        if not markets:
            raise CommandError(f"no instrument's name begins with {options['symbol']!r}")
        stops = list(_stops(markets, options))
        every = options["every"]
        watching = Watching(
            None if every is None else timedelta(seconds=float(every)),
            timedelta(milliseconds=options["delay_ms"]),
        )
        self._warn(markets, stops)
        self._row("instrument", *HEADINGS)
        outcomes = []
        told = time.monotonic()
        for number, (symbol, stop) in enumerate(stops, 1):
            outcomes.append((markets[symbol], replay(markets[symbol], stop, watching)))
            self._row(_short(symbol), *cells(*outcomes[-1]))
            if time.monotonic() - told > TELL_EVERY:
                told = time.monotonic()
                self._progress(f"{number} of {len(stops)} stops")
        self.stdout.write("")
        self.stdout.write(summary(outcomes))

    def _markets(self, options: dict[str, Any]) -> Markets:
        markets: dict[str, RecordedMarket] = {}
        for path in map(Path, options["files"]):
            try:
                recorded = read_recording(path, partial(self._tell_rows, path.name))
            except RecordingError as error:
                raise CommandError(str(error)) from error
            for symbol, happenings in recorded.items():
                if symbol.startswith(options["symbol"] or ""):
                    name = symbol if symbol not in markets else f"{path.name} {symbol}"
                    markets[name] = RecordedMarket(happenings, options["tick"])
        return {symbol: market for symbol, market in markets.items() if market.states}

    def _warn(self, markets: Markets, stops: Sequence[tuple[str, Stop]]) -> None:
        """Say of which stops the system would refuse to be made: the trail is below a tick."""
        narrow = [symbol for symbol, stop in stops if _is_narrow(markets[symbol], stop)]
        if narrow:
            self.stderr.write(
                f"{len(narrow)} of these stops would be refused, their trail is less than one tick:"
                f" {', '.join(sorted({_short(symbol) for symbol in narrow}))}"
            )

    def _row(self, name: str, *told: str) -> None:
        self.stdout.write(f"{name:<{NAME_LENGTH}}" + "".join(f"{cell:>12}" for cell in told))

    def _tell_rows(self, name: str, rows: int) -> None:
        self._progress(f"{name}: {rows} rows")

    def _progress(self, text: str) -> None:
        self.stderr.write(f"... {text}")


def _stops(markets: Markets, options: dict[str, Any]) -> Sequence[tuple[str, Stop]]:
    """The stop in every instrument, or stops of its kind at random."""
    if options["count"] is None:
        return [
            (symbol, _stop(market, options["at"] or market.moments[0], options))
            for symbol, market in markets.items()
        ]
    chance, symbols = random.Random(options["seed"]), sorted(markets)  # noqa: S311 - no secret
    stops = []
    for _ in range(options["count"]):
        symbol = chance.choice(symbols)
        market = markets[symbol]
        at = market.moments[0] + (market.ends_at - market.moments[0]) * chance.uniform(0, 0.8)
        stops.append((symbol, _stop(market, at, options)))
    return stops


def _stop(market: RecordedMarket, at: datetime, options: dict[str, Any]) -> Stop:
    if at > market.ends_at:
        raise CommandError(
            f"--at {at:%Y-%m-%dT%H:%M:%S%z}: the recording ends at {market.ends_at:%Y-%m-%dT%H:%M:%S%z}"
        )
    side = cast(Side, options["side"])
    reference = options["trigger_by"] or ("bid" if side == "sell" else "ask")
    return Stop(
        at,
        _trail(market, options),
        options["quantity"],
        side,
        cast(Print, reference),
        _guard(market, options),
        options["entry_price"],
        options["activation_price"],
        options["stop_price"],
        options["take_profit_price"],
        options["max_slippage"],
    )


def _trail(market: RecordedMarket, options: dict[str, Any]) -> Trail:
    if options["ticks"] is not None:
        return Trail.of_ticks(options["ticks"], market.tick)
    if options["amount"] is not None:
        return Trail(amount=options["amount"])
    try:
        return Trail.of_percent(options["percent"])
    except ValueError as error:
        raise CommandError(f"--percent {plain_or_none(options['percent'])}: {error}") from error


def _guard(market: RecordedMarket, options: dict[str, Any]) -> Guard:
    """As given; else what its venue's stops have by default."""
    updates, ms = options["confirm_updates"], options["confirm_ms"]
    if updates is None and ms is None and market.is_outcome:
        updates, ms = CONFIRM_UPDATES, CONFIRM_MS
    time = None if ms is None else timedelta(milliseconds=ms)
    return Guard(updates, time, options["max_spread"])


def _is_narrow(market: RecordedMarket, stop: Stop) -> bool:
    seen = market.at(stop.at) or market.states[0]
    entry = stop.entry_price or seen.price_of(stop.reference)
    return entry is not None and stop.trail.distance(entry) < market.tick


def _short(symbol: str) -> str:
    room = NAME_LENGTH - 2
    return symbol if len(symbol) <= room else f"{symbol[: room - 5]}..{symbol[-3:]}"
