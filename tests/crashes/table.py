"""The table of results: a row per point, as text and as the page in docs/."""

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Run:
    """What a worker tells of one run."""

    seed: int
    kills: list[list[Any]]
    died: list[str]
    recovered_in: float
    verdict: dict[str, list[str]]

    @property
    def deaths(self) -> int:
        """How many processes were killed in it."""
        return len(self.died)

    @property
    def is_bad(self) -> bool:
        """Whether anything was wrong afterwards."""
        return bool(self.verdict)


@dataclass(slots=True)
class Line:
    """The results of one point."""

    kills: int = 0
    recovered: int = 0
    lost: int = 0
    twice: int = 0
    ledger: int = 0
    stuck: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, run: Run) -> None:
        """Count a run in which a process died here."""
        self.kills += 1
        self.recovered += not run.is_bad
        self.lost += "lost" in run.verdict
        self.twice += "twice" in run.verdict
        self.ledger += "ledger" in run.verdict
        self.stuck += "stuck" in run.verdict
        self.seconds.append(run.recovered_in)

    def cells(self) -> list[str]:
        """Give the figures as text."""
        counts = (self.kills, self.recovered, self.lost, self.twice, self.ledger, self.stuck)
        return [*(str(count) for count in counts), f"{median(self.seconds):.1f} s"]


HEADS = ["point", "kills", "recovered", "lost", "twice", "ledger", "stuck", "median recovery"]


class Report:
    """All runs so far."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = defaultdict(Line)
        self._all = Line()
        self.runs = 0
        self.bad = 0
        self.seconds = 0.0

    @property
    def deaths(self) -> int:
        """How many processes have died."""
        return self._all.kills

    def add(self, run: Run) -> None:
        """Count a run."""
        self.runs += 1
        self.bad += run.is_bad
        for point in run.died:
            self._lines[point].add(run)
            self._all.add(run)

    def rows(self) -> list[list[str]]:
        """Give a row per point, and one of all."""
        rows = [[name, *line.cells()] for name, line in sorted(self._lines.items())]
        return [*rows, ["all", *self._all.cells()]] if rows else []

    def as_text(self) -> str:
        """Give the table for a terminal."""
        table = [HEADS, *self.rows()]
        widths = [max(len(row[at]) for row in table) for at in range(len(HEADS))]
        lines = [
            "  ".join(
                cell.ljust(width) if at == 0 else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in table
        ]
        return "\n".join([*lines, self.summary()])

    def summary(self) -> str:
        """Say how many and how fast."""
        return (
            f"{self.deaths} kills in {self.runs} runs and {self.seconds / 60:.1f} minutes:"
            f" {self.deaths * 60 / max(self.seconds, 1):.0f} kills a minute"
        )
