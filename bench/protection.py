"""What stops are worth: the same thousand seeded stops in recorded markets, watched in several ways.

`docs/protection.md` tells what the columns mean, what is assumed of the others, and what the figures
say. With `--guards` it compares what this system may be told to wait for instead.

Run: python -m bench.protection DIRECTORY [stops] [--guards]   (with clob-ticks and reference-prices in it)
"""

import argparse
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from statistics import fmean, median
from time import monotonic

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from trailing.guards import Guard
from trailing.maths import Trail
from trailing.recorded import Print, RecordedMarket
from trailing.recordings import read_recording
from trailing.replaying import Outcome, Stop, Watching, replay

SEED = 20261122
SECOND = timedelta(seconds=1)
A_WHILE = timedelta(minutes=1)
LIVELY = 1000
OURS, THEIRS = timedelta(seconds=0.06), timedelta(seconds=0.3)
"""From the decision to the book: ours is the aim of `bench/reaction.py`, theirs is supposed."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way of watching: what it refers to, what it waits for, how it sees prices."""

    name: str
    watching: Watching
    reference: Print = "bid"
    guard: Guard = field(default_factory=Guard)


@dataclass(frozen=True, slots=True)
class Arena:
    """A recording with the stops that suit it; slippage is told in `unit`s of price."""

    title: str
    file: str
    unit: Decimal
    percents: Sequence[str]
    quantities: Sequence[int]
    ours: Sequence[Way]


DEFAULT = Guard(2, SECOND)
STREAM = Watching(delay=OURS)
OTHERS = (
    Way("any single best bid", STREAM),
    Way("any single print", STREAM, "any"),
    Way("last price every 2 s", Watching(2 * SECOND, THEIRS), "last"),
    Way("last price every 60 s", Watching(60 * SECOND, THEIRS), "last"),
)
ARENAS = (
    Arena(
        "Polymarket in play, cents",
        "clob-ticks/polymarket_20260607_0130.csv.gz",
        Decimal("0.01"),
        ("3", "5", "8", "10"),
        (10, 50, 200),
        (
            Way("this system", STREAM, guard=DEFAULT),
            Way("... triggerBy mid", STREAM, "mid", DEFAULT),
            Way("... stream lost", Watching(2 * SECOND, OURS), guard=DEFAULT),
        ),
    ),
    Arena(
        "BTC once a second, dollars",
        "reference-prices/chainlink_btcusd_1hz_20260724.csv.gz",
        Decimal(1),
        ("0.2", "0.5", "1"),
        (1,),
        (Way("this system", Watching(2 * SECOND, OURS)),),  # spot symbols are polled
    ),
)
Entrants = Sequence[tuple[RecordedMarket, Stop]]
Outcomes = Sequence[tuple[RecordedMarket, Outcome]]


def main() -> None:
    """Print one table for each recorded market."""
    parser = argparse.ArgumentParser(description="Compare ways of watching on recorded markets.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("stops", type=int, nargs="?", default=1000)
    parser.add_argument("--guards", action="store_true", help="compare what stops may wait for")
    told = parser.parse_args()
    for arena in ARENAS:
        began = monotonic()
        recorded = read_recording(told.directory / arena.file)
        read = monotonic() - began
        markets = {
            symbol: RecordedMarket(rows, None if arena.unit < 1 else arena.unit)
            for symbol, rows in recorded.items()
            if len(rows) >= LIVELY
        }
        stops = seeded(markets, arena, told.stops)
        print(f"\n{arena.title}: {len(stops)} stops on {len(markets)} instruments, seed {SEED}\n")
        print_table(_guards(arena) if told.guards else (*arena.ours, *OTHERS), stops, arena.unit)
        print(f"\n{monotonic() - began:.0f} s, {read:.0f} s of them for reading the file")


def seeded(markets: Mapping[str, RecordedMarket], arena: Arena, count: int) -> Entrants:
    """Stops at random moments of random instruments; none that would be refused at creation."""
    chance, symbols = random.Random(SEED), sorted(markets)
    stops: list[tuple[RecordedMarket, Stop]] = []
    while len(stops) < count:
        market = markets[chance.choice(symbols)]
        span = (market.ends_at - market.moments[0]).total_seconds()
        at = market.moments[0] + int(span * chance.uniform(0.1, 0.7)) * SECOND
        trail = Trail.of_percent(Decimal(chance.choice(arena.percents)))
        quantity = Decimal(chance.choice(arena.quantities))
        seen = market.at(at)
        if seen is not None and seen.bid is not None and trail.distance(seen.bid) >= market.tick:
            stops.append((market, Stop(at, trail, quantity)))
    return stops


def outcomes(stops: Entrants, way: Way) -> Outcomes:
    """Send the stops through their markets, watched in this way."""
    return [
        (market, replay(market, _told(market, stop, way), way.watching)) for market, stop in stops
    ]


def _told(market: RecordedMarket, stop: Stop, way: Way) -> Stop:
    told = replace(stop, reference=way.reference, guard=way.guard)
    seen = market.at(stop.at)
    is_blank = way.reference != "any" or seen is None
    return told if is_blank else replace(told, entry_price=seen.bid)  # no print has come yet


def _guards(arena: Arena) -> Sequence[Way]:
    """What this system may be told to wait for, on a stream."""
    waits = [(1, None)] + [(n, ms) for n in (2, 3, 5, 10) for ms in (250, 1000, 3000)]
    waits += [(None, ms) for ms in (250, 1000, 3000)]
    ways = []
    for updates, ms in waits:
        name = "1 update" if ms is None else f"{updates or '-'} updates or {ms} ms"
        time = None if ms is None else timedelta(milliseconds=ms)
        ways.append(Way(name, STREAM, guard=Guard(updates, time)))
    if arena.ours[0].watching.every is not None:
        return ways  # a price feed has no spread
    widths = [ticks * arena.unit for ticks in (2, 5, 8, 10)]
    ways += [
        Way(f"... maxSpread {width}", STREAM, guard=replace(DEFAULT, max_spread=width))
        for width in widths
    ]
    return [*ways, Way("... triggerBy mid", STREAM, "mid", DEFAULT)]


def print_table(ways: Sequence[Way], stops: Entrants, unit: Decimal) -> None:
    """One line for each way, and what the best bid itself jumped beyond the triggers."""
    _row("", "", "", "", "", "slippage", "", "", "", "late", "after")
    _row(
        "watched by",
        "fired",
        "missed",
        "false",
        "early",
        "median",
        "mean",
        "p95",
        "worst",
        "s",
        "60 s",
    )
    for way in ways:
        _row(way.name, *_figures(outcomes(stops, way), unit))
    reached = [replay(market, stop, STREAM).ideal for market, stop in stops]
    jumps = [float((ideal.trigger - ideal.price) / unit) for ideal in reached if ideal is not None]
    print(
        f"\nThe best bid reached the trigger of {len(jumps)}; it then stood {median(jumps):.1f} (median),"
        f" {fmean(jumps):.1f} (mean) beyond it."
    )


def _figures(found: Outcomes, unit: Decimal) -> list[str]:
    every = [outcome for _, outcome in found]
    slippage = sorted(float(one.slippage / unit) for one in every if one.slippage is not None)
    late = [one.done_after.total_seconds() for one in every if one.done_after is not None]
    counts = (
        sum(one.decision is not None for one in every),
        sum(one.ideal is not None and one.done_at is None for one in every),
        sum(one.is_false for one in every),
        sum(_is_early(one) for one in every),
    )
    p95, worst = slippage[int(len(slippage) * 0.95)], slippage[-1]
    numbers = (median(slippage), fmean(slippage), p95, worst, median(late))
    return [
        *map(str, counts),
        *(f"{number:.1f}" for number in numbers),
        f"{_later(found, unit):.2f}",
    ]


def _is_early(one: Outcome) -> bool:
    """Whether it sold before the best price had reached the trigger that follows it, or without."""
    if one.decision is None:
        return False
    return one.ideal is None or one.decision.at < one.ideal.at


def _later(found: Outcomes, unit: Decimal) -> float:
    """A minute after the trigger was reached: what was got, or the bid where unsold, less the trigger."""
    worth = []
    for market, one in found:
        if one.ideal is None or one.ideal.at + A_WHILE > market.ends_at:
            continue
        until = one.ideal.at + A_WHILE
        seen = market.at(until)
        is_done = one.done_at is not None and one.done_at <= until
        price = one.got if is_done else (seen.bid if seen is not None else None)
        worth.append(float(((price or Decimal(0)) - one.ideal.trigger) / unit))
    return fmean(worth)


def _row(first: object, *cells: object) -> None:
    print(f"{first!s:<24}" + "".join(f"{cell!s:>9}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
