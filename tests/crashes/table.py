"""The table of results: a row per point, as text and as the page in docs/."""

import os
import platform
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any

from tests.crashes.points import ROOT


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
    failed: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, run: Run) -> None:
        """Count a run in which a process died here."""
        self.kills += 1
        self.recovered += not run.is_bad
        self.lost += "lost" in run.verdict
        self.twice += "twice" in run.verdict
        self.ledger += "ledger" in run.verdict
        self.stuck += "stuck" in run.verdict
        self.failed += "failed" in run.verdict
        self.seconds.append(run.recovered_in)

    def cells(self) -> list[str]:
        """Give the figures as text."""
        wrong = (self.lost, self.twice, self.ledger, self.stuck, self.failed)
        counts = (self.kills, self.recovered, *wrong)
        return [*(str(count) for count in counts), f"{median(self.seconds):.1f} s"]


HEADS = [
    "point",
    "kills",
    "recovered",
    "lost",
    "twice",
    "ledger",
    "stuck",
    "failed",
    "median recovery",
]


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

    def as_page(self, command: str) -> str:
        """Give docs/crashes.md, its figures new and its words as they stand in `PAGE`."""
        table = [HEADS, ["---", *["---:"] * (len(HEADS) - 1)], *self.rows()]
        lines = ["| " + " | ".join(row) + " |" for row in table]
        machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
        return PAGE.format(
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            command=command,
            commit=_commit(),
            machine=f"{machine}, Python {platform.python_version()}",
            summary=self.summary(),
            faults=f"{self.bad} of {self.runs} runs" if self.bad else "none of them",
            table="\n".join(lines),
        )


def _commit() -> str:
    """Name the commit that is tested, where this is a clone."""
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or "an unknown commit"


PAGE = """# Killed at every point

A process of polytrader may die at any moment: the machine loses its power, the kernel kills it,
somebody deploys. This page says how that is tested and what came of it. It is written by
`make crash-test`; its words stand in `tests/crashes/table.py`.

## Result

{date}, `{command}` at {commit}, {machine}:
{summary}. Something was wrong afterwards in {faults}.

{table}

*kills*: processes killed there with SIGKILL. *recovered*: how many of them were in runs after which
nothing was wrong. *lost*, *twice*, *ledger*, *stuck*, *failed*: in runs after which something was, by
kind (below). *median recovery*: from the last death of a run until nothing was under way any more,
where every wait is 25 times shorter than usual; it holds starting a process, and all the selling,
settling and minting that was still to be done.

## What is done

A run lays out a scenario that follows from its seed:

- one to three stops on one token whose price then falls, on a book that may be too thin for one
  order, in some runs with too few shares for all; in two of five runs a stop on a spot symbol;
- up to two signals of one or two legs (FAK, FOK, GTC), posted to the API under an
  `Idempotency-Key` again and again until there is an answer, also by the process after a death;
- an order that rests and is withdrawn, matched, or matched in part and then withdrawn;
- mints for what was sold; splits and merges asked for by hand, merges of what a hedge paired and of
  surplus pairs, the redemption of a resolved market; a maximum per transaction that some exceed;
- in half of them a deposit wallet, in others a Safe, a proxy, or an EOA, which sends its own
  transactions, approves first, and bids more where one is stuck; in three of ten no approval is there;
- up to four faults of the venue: no answer before or after an order was taken, errors, slow
  answers, refusals, delayed orders, settlements that fail or are tried again, conversions that fail once or
  three times, are not mined, or whose answer is lost, a node that knows of no receipt.

A process does the work of every role on it, with the real functions, the real client, real HTTP to
the paper exchange and a real Postgres, until it passes one of the run's points for the n-th time
and kills itself. In most runs more processes die, one after the other, up to six. The last one is
left to finish. In three of ten runs a second process works beside those that die; in half of them
a start has to reconcile with the venue first. No bell rings (all messages of the queues are lost):
whatever is found is found in rows.

The points are calls of `point("name")` in the source, between two effects of sending, reconciling,
position managing and minting; outside of tests they do nothing (`polytrader/points.py`). The test
reads them from the source, so that a new one cannot be forgotten. The rows in brackets need no
names: after the n-th commit, after the n-th answer to a request that is no GET, and at a random
millisecond, whatever the process was doing then.

Afterwards:

- no intent is *lost*: every stop has sold its quantity (or all there was), every leg of a signal has
  its quantity or was withdrawn, every confirmed sale that wanted a mint has exactly one, confirmed,
  of its quantity; what was asked for by hand is done once and in full, what is resolved is redeemed;
- nothing happened *twice*: the exchange has no order, trade, split, merge or redemption that we do not
  know, nothing was traded or converted beyond what all intents wanted, no order was sent in two
  versions;
- the *ledger* equals the exchange's: every balance and every trade to the last unit, entries that
  add up to nothing per posting and to the position per asset, no reservation left and nothing
  below zero, no movement "from outside", no alert but of settlements that failed,
  and of mints that failed three times;
- nothing is *stuck*: every order, fill, leg, mint, transaction and job came to its end within 60 s;
- no process *failed* by itself: there is no traceback in any log.

The laboratory is tested too (`tests/test_crashes.py`): an order posted before its commit, a split
submitted before its commit, a split signed anew without a look-up, an order that is never sent
again, a mint forgotten and a settlement not booked are each noticed. The same file kills at every point once in every run of the suite.

## What it does not show

- Waits are 25 times shorter: a post of a dead process is given 0.6 s to arrive instead of 15 s, and
  none here takes more than 0.3 s. The order of the waits is as usual. The room between them is
  smaller, so a busy machine makes races likelier here, not rarer. What happens only beyond
  such a wait (a post that arrives after 16 s) is not reached; `tests/orders/test_doubt.py` has it.
- Processes die, they are not paused. One that is stopped for more than 15 s between taking its turn and
  posting (a frozen virtual machine) posts bytes that another may have given up meanwhile;
  the order is then booked as a late one, but it was one too many.
- Postgres and the machine live on: what was committed stays. A Postgres that loses commits is
  covered neither by this test nor by the design.
- The exchange is the paper one, built from the venue's documents and client; where the venue
  behaves otherwise, both are wrong together.
- Trades and transactions by hand on the same wallet take no part, nor does a chain that is
  reorganised; `tests/minting` and `tests/chain` have them.

`make crash-test ARGS="kills=1 processes=1 seed=123"` repeats the run of one seed.
"""
