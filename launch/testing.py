"""`make test` and `make crash-test`: with a Postgres and a Redis of their own, in a home that goes away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from launch.command import Command
from launch.environment import PRIVATE
from launch.postgres import EmbeddedPostgres
from launch.redis import EmbeddedRedis
from polytrader.variables import ROOT

_PASSWORD = "test"  # noqa: S105 - of servers on loopback that live for one run
_CONFIGURATION = PRIVATE | {
    *("EXCHANGE", "PORT", "HOST", "PAPER_PORT", "FLOWER_PORT", "SECRET_KEY", "ALLOWED_HOSTS"),
    *("DEBUG", "POLY_WALLET", "POLYGON_RPC_URL", "POLY_ORDERS_PER_SECOND", "POLY_ORDERS_BURST"),
}
# Nothing outlives the run, so nothing need be flushed; every xdist worker has its connections.
_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "max_connections": "300"}


def test(arguments: Sequence[str]) -> int:
    """Run pytest with the arguments and return its exit status. Raises LaunchError."""
    return _with_servers("pytest", pytest_arguments(arguments))


def crash_test(arguments: Sequence[str]) -> int:
    """Kill processes and see what is left (`tests/crashes`). Raises LaunchError."""
    return _with_servers("tests.crashes", arguments)


def _with_servers(module: str, arguments: Sequence[str]) -> int:
    home = Path(tempfile.mkdtemp(prefix="polytrader-test-"))
    postgres = EmbeddedPostgres(home / "postgres", password=_PASSWORD, settings=_SETTINGS)
    redis = EmbeddedRedis(home / "redis", password=_PASSWORD)
    try:
        addresses = {"DATABASE_URL": postgres.start(), "REDIS_URL": redis.start()}
        return _run(module, arguments, environment(home, addresses, os.environ))
    finally:
        redis.stop()
        postgres.stop()
        shutil.rmtree(home, ignore_errors=True)


def environment(
    home: Path, addresses: Mapping[str, str], base: Mapping[str, str]
) -> dict[str, str]:
    """Return the tests' environment: nothing of the installation, its `.env` or its keys."""
    kept = {name: value for name, value in base.items() if name not in _CONFIGURATION}
    return kept | {
        **addresses,
        "EXCHANGE": "paper",
        "POLYTRADER_HOME": str(home),
        "POLYTRADER_DOTENV": "",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{base.get('PATH', os.defpath)}",
    }


# Files in the order of tests/conftest.py, the longest first, each in one process.
IN_PARALLEL = ("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")


def pytest_arguments(arguments: Sequence[str]) -> list[str]:
    """Add `-n auto` unless the arguments choose for themselves; a file stays in one process."""
    chosen = any(
        text.startswith(("-n", "--numprocesses", "--dist", "--pdb", "-pno:xdist", "no:xdist"))
        for text in arguments
    )
    return [*([] if chosen else IN_PARALLEL), *arguments]


def _run(module: str, arguments: Sequence[str], told: Mapping[str, str]) -> int:
    tied = Command(module, (), told, ROOT, death_signal=signal.SIGTERM).popen_arguments()
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", module, *arguments],
        **tied | {"start_new_session": False, "stdin": None},  # a person's terminal: Ctrl-C, pdb
    )

    def pass_on(number: int, _: FrameType | None) -> None:
        if number != signal.SIGINT or not os.isatty(0):  # a terminal tells it by itself
            process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    return process.wait()
