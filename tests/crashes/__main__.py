"""`make crash-test`: kill after kill in several processes; prints a table, writes docs/crashes.md.

Arguments are `name=value`: kills (1000), processes (as many as there are processors), seed (the
first run's, 0), `point` to die at that one only, and `package` to die at the points of that one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.crashes.points import ROOT
from tests.crashes.table import Report, Run


@dataclasses.dataclass(frozen=True, slots=True)
class Arguments:
    """What the command line says."""

    kills: int = 1000
    processes: int = os.cpu_count() or 1
    seed: int = 0
    point: str = ""
    package: str = ""
    worker: int = -1
    """Of the processes, this one; -1 is the one that starts them."""
    logs: str = ""

    def as_text(self, **changes: object) -> list[str]:
        """Give it as arguments again."""
        values = dataclasses.asdict(dataclasses.replace(self, **changes))  # type: ignore[arg-type]
        return [f"{name}={value}" for name, value in values.items()]


def read_arguments(given: list[str]) -> Arguments:
    """Read `name=value` pairs; raises SystemExit saying what was expected."""
    types = {field.name: field.type for field in dataclasses.fields(Arguments)}
    values: dict[str, object] = {}
    for text in given:
        name, _, value = text.partition("=")
        if name not in types or not value:
            if name in ("point", "package", "logs"):
                continue
            raise SystemExit(f"expected name=value with one of {', '.join(types)}, got {text!r}")
        values[name] = int(value) if types[name] == "int" else value
    return Arguments(**values)  # type: ignore[arg-type]


def main() -> int:
    """Work as one of the processes, or start them and report."""
    told = read_arguments(sys.argv[1:])
    if told.worker >= 0:
        import django

        django.setup()
        from tests.crashes.worker import work

        work(told.worker, told)
        return 0
    return _supervise(told)


def _supervise(told: Arguments) -> int:
    logs = Path(told.logs or tempfile.mkdtemp(prefix="polytrader-crashes-"))
    began_at = time.monotonic()
    report = Report()
    workers = [_start(told, number, logs) for number in range(told.processes)]
    readers = [
        threading.Thread(target=_read, args=(worker, report, logs, told.kills, began_at))
        for worker in workers
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    failed = [worker.wait() for worker in workers]
    report.seconds = time.monotonic() - began_at
    print(report.as_text())
    if not told.point and not told.package and told.kills >= 1000:
        (ROOT / "docs" / "crashes.md").write_text(
            report.as_page(f'make crash-test ARGS="kills={told.kills}"')
        )
    if any(failed) or report.deaths < told.kills:
        print(f"a process of the test itself failed; see {logs}")
    return 1 if any(failed) or report.bad else 0


def _start(told: Arguments, number: int, logs: Path) -> subprocess.Popen[str]:
    share = -(-told.kills // told.processes)
    arguments = told.as_text(kills=share, worker=number, logs=str(logs))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.crashes", *arguments],
        stdout=subprocess.PIPE,
        stderr=(logs / f"worker-{number}").open("w"),
        text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "polytrader.settings"},
    )


def _read(
    worker: subprocess.Popen[str], report: Report, logs: Path, kills: int, began_at: float
) -> None:
    """Take the runs that a worker tells of, one JSON line each."""
    assert worker.stdout is not None
    for line in worker.stdout:
        run = Run(**json.loads(line))
        report.add(run)
        if run.is_bad:
            print(f"seed {run.seed}, killed at {run.kills}: {run.verdict}; log in {logs}")
        if report.deaths % 50 < run.deaths:
            minutes = (time.monotonic() - began_at) / 60
            print(
                f"{report.deaths} of {kills} kills, {report.deaths / minutes:.0f} a minute,"
                f" {report.bad} runs with a fault",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
