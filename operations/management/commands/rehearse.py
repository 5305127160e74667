"""`manage.py rehearse FILE`: play recorded market data with many stops, and compare the truth."""

import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from operations.driving import DriveError, Paper, Web
from operations.rehearsing import Figures, Rehearsal, differences, figures, wait_until_over


class Command(BaseCommand):
    """Needs a running system in paper mode; exit status 0 only if everything adds up."""

    help = "Replay recorded market data (format of data/clob-ticks) with many stops on it."

    def add_arguments(self, parser: CommandParser) -> None:
        """The recording, how many stops, how fast."""
        parser.add_argument("file", help="a .csv or .csv.gz recording")
        parser.add_argument("--stops", type=int, default=240)
        parser.add_argument("--speed", type=int, default=20, help="times faster than recorded")
        parser.add_argument("--seed", type=int, default=1, help="chooses trails and quantities")

    def handle(self, *args: Any, **options: Any) -> None:
        """Hold the recording, make the stops, let it run, wait, compare, print."""
        if settings.CONFIGURATION.exchange != "paper":
            raise CommandError("rehearse trades; it refuses to run with EXCHANGE=live")
        if not Path(options["file"]).is_file():
            raise CommandError(f"there is no file {options['file']}")
        rehearsal = Rehearsal(Web(settings.CONFIGURATION.token or ""), Paper())
        try:
            self._rehearse(rehearsal, options)
        except (DriveError, httpx.HTTPError) as error:
            raise CommandError(str(error)) from error

    def _rehearse(self, rehearsal: Rehearsal, options: dict[str, Any]) -> None:
        started_at = timezone.now()
        rehearsal.hold(str(Path(options["file"]).resolve()), options["speed"])
        self.stdout.write(f"{len(rehearsal.tokens)} recorded tokens are mapped to paper markets")
        rehearsal.make_stops(options["stops"], options["seed"])
        self.stdout.write(
            f"{len(rehearsal.keys)} stops created over HTTP, {len(rehearsal.refused)} refused"
        )
        for text in sorted(set(rehearsal.refused))[:5]:
            self.stdout.write(f"  refused: {text}")
        rehearsal.run()
        self._show_progress(rehearsal)
        wait_until_over(rehearsal, 180)
        self._print(figures(rehearsal))
        wrong = differences(rehearsal.paper, started_at)
        for text in wrong[:20]:
            self.stdout.write(self.style.ERROR(f"  {text}"))
        if wrong:
            raise CommandError(f"{len(wrong)} differences between the exchange's ledger and ours")
        self.stdout.write(
            self.style.SUCCESS("the exchange's ledger equals our rows to the last unit")
        )

    def _show_progress(self, rehearsal: Rehearsal) -> None:
        shown = -1
        while True:
            told = rehearsal.progress()
            tenth = int(told["rows"] * 10 / max(1, told["totalRows"]))
            if tenth > shown:
                shown = tenth
                self.stdout.write(f"  {tenth * 10:3d} % of {told['totalRows']} rows")
                self.stdout.flush()
            if not told["running"]:
                return
            time.sleep(0.5)

    def _print(self, f: Figures) -> None:
        rows = [
            ("stops created / refused", f"{f.created} / {f.refused}"),
            ("triggered", str(f.triggered)),
            ("sold / of these with a remainder below the minimum", f"{f.sold} / {f.remainders}"),
            ("failed", str(f.errors)),
            ("fills, all CONFIRMED", str(f.fills)),
            ("fills minted / splits they went out in", f"{f.minted} / {f.splits}"),
            ("exit less trigger price, ticks: median / p10 / worst", _ticks(f.slippage)),
            ("trigger to order signed: p50 / p90 / max", _times(f.to_order)),
            ("trigger to the venue's answer: p50 / p90 / max", _times(f.to_answer)),
        ]
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            self.stdout.write(f"  {name.ljust(width)}  {value}")


def _ticks(values: Sequence[Any]) -> str:
    if not values:
        return "-"
    return " / ".join(
        f"{v:.1f}" for v in (values[len(values) // 2], values[len(values) // 10], values[0])
    )


def _times(values: Sequence[timedelta]) -> str:
    if not values:
        return "-"
    chosen = (values[len(values) // 2], values[len(values) * 9 // 10], values[-1])
    return " / ".join(f"{v.total_seconds() * 1000:.0f} ms" for v in chosen)
