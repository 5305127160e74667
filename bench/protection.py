"""What stops are worth: the same thousand seeded stops in recorded markets, watched in four ways.

Slippage is the trigger that follows every best bid, less what the exit got, in ticks: below 0 is better.
A stop that never sold although its trigger was reached is counted as missed; a sale is false when the
price was back above its trigger by two ticks within ten seconds.

Run: python -m bench.protection DIRECTORY [stops]   (the directory with clob-ticks and reference-prices)
"""

import random
import sys
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from statistics import mean, median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from trailing.guards import Guard
from trailing.maths import Trail
from trailing.recordings import Happening, read_recording
from trailing.replaying import Outcome, Sale, Watching, replay

SEED = 20261122
OURS = Watching("this system", Guard(2, timedelta(seconds=1)))
WATCHINGS = (
    OURS,
    Watching("any single print", Guard(), "any"),
    Watching("poll last, 2 s", Guard(), "last", timedelta(seconds=2), timedelta(seconds=0.3)),
    Watching("poll last, 60 s", Guard(), "last", timedelta(seconds=60), timedelta(seconds=0.3)),
)
MARKETS = (
    ("Polymarket, in play", "clob-ticks/polymarket_20260607_0130.csv.gz", Decimal("0.01"), True),
    ("BTC, 1 Hz", "reference-prices/chainlink_btcusd_1hz_20260724.csv.gz", Decimal("0.01"), False),
)


def main(directory: Path, count: int = 1000) -> None:
    """Print one table for each recorded market."""
    for title, name, tick, is_outcome in MARKETS:
        recorded = read_recording(directory / name)
        sales = _sales(recorded, count, is_outcome)
        print(f"\n{title}: {count} stops, seed {SEED}\n")
        _row("watched by", "fired", "missed", "false", "median", "mean", "worst", "late, s")
        for watching in WATCHINGS:
            _tell(watching.name, _outcomes(recorded, sales, watching, tick, is_outcome), tick)


def _sales(recorded: dict[str, list[Happening]], count: int, is_outcome: bool) -> list[Sale]:
    chance = random.Random(SEED)
    lively = sorted(symbol for symbol, rows in recorded.items() if len(rows) > 1000)
    sales = []
    for _ in range(count):
        symbol = chance.choice(lively)
        rows = recorded[symbol]
        at = rows[chance.randrange(len(rows) // 10, len(rows) * 7 // 10)].at
        percent = Decimal(chance.choice((3, 5, 8, 10) if is_outcome else ("0.2", "0.5", "1")))
        quantity = Decimal(chance.choice((10, 50, 200) if is_outcome else (1,)))
        sales.append(Sale(symbol, at, Trail.of_percent(percent), quantity))
    return sales


def _outcomes(
    recorded: dict[str, list[Happening]],
    sales: Sequence[Sale],
    watching: Watching,
    tick: Decimal,
    is_outcome: bool,
) -> list[Outcome]:
    found: list[Outcome] = []
    for symbol, rows in recorded.items():
        mine = [sale for sale in sales if sale.symbol == symbol]
        if mine:
            found += replay(rows, mine, watching, tick, is_outcome=is_outcome)
    return found


def _tell(name: str, outcomes: Sequence[Outcome], tick: Decimal) -> None:
    due = [one for one in outcomes if one.ideal is not None]
    sold = [one for one in due if one.got is not None and one.ideal is not None]
    slippage = [float((one.ideal - one.got) / tick) for one in sold if one.ideal and one.got]
    late = [
        (one.done_at - one.ideal_at).total_seconds()
        for one in sold
        if one.done_at is not None and one.ideal_at is not None
    ]
    fired = [one for one in outcomes if one.decided_at is not None]
    _row(
        name,
        len(fired),
        len([one for one in due if one.decided_at is None]),
        len([one for one in fired if one.is_false]),
        *(f"{number:.1f}" for number in (median(slippage), mean(slippage), max(slippage))),
        f"{median(late):.2f}",
    )


def _row(first: object, *cells: object) -> None:
    print(f"{first!s:<20}" + "".join(f"{cell!s:>10}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(text) for text in sys.argv[2:3]))
