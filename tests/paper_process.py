"""Starts and stops the paper exchange for tests, and gives the real client its addresses."""

from __future__ import annotations

import dataclasses
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent


@dataclasses.dataclass(eq=False)
class PaperProcess:
    """A running paper exchange."""

    url: str
    home: Path
    owner: str
    process: subprocess.Popen[str]

    @cached_property
    def http(self) -> httpx.Client:
        """Give a plain HTTP client; without TLS settings, which take longer to load than a call."""
        return httpx.Client(base_url=self.url, timeout=30, verify=False)

    def call(self, method: str, path: str, body: object = None, status: int = 200) -> object:
        """Call the control API, insist on a status and give the parsed answer."""
        answer = self.http.request(method, path, json=body)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def markets(self) -> list[dict]:
        """List the markets."""
        return self.call("GET", "/paper/markets")

    def put_book(self, token: str, bids=(), asks=()) -> None:
        """Pin a book; levels as (price, size)."""
        levels = {
            "bids": [list(map(str, b)) for b in bids],
            "asks": [list(map(str, a)) for a in asks],
        }
        self.call("PUT", f"/paper/books/{token}", levels)

    def fault(self, on: str, kind: str, times: int = 1) -> None:
        """Arrange a fault."""
        self.call("POST", "/paper/faults", {"on": on, "kind": kind, "times": times})

    def ledger(self) -> dict:
        """Give the truth."""
        return self.call("GET", "/paper/ledger")

    def kill(self) -> None:
        """Kill it without warning (kill -9)."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """Stop it with SIGTERM and give the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait(10)


def start_paper(home: Path, owner: str, **env: str) -> PaperProcess:
    """Start a paper exchange on a free port with its state under `home`, and wait until it listens.

    `env` adds or replaces environment variables, such as PAPER_SETTLE_SECONDS="0.2".
    """
    environment = {
        **os.environ, "PAPER_PORT": "0", "POLYTRADER_HOME": str(home), "PAPER_OWNER": owner,
        "PYTHONPATH": str(ROOT), **env,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "paper"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    line = _first_line(process)
    if "listening on " not in line:
        process.kill()
        raise RuntimeError(f"the paper exchange did not start: {line!r}")
    return PaperProcess(line.rsplit(" ", 1)[1].strip(), home, owner, process)


@contextmanager
def running_paper(home: Path, owner: str, **env: str) -> Iterator[PaperProcess]:
    """Start a paper exchange for the length of a `with` block."""
    paper = start_paper(home, owner, **env)
    try:
        yield paper
    finally:
        paper.stop()


def environment_for(url: str):
    """Give the real client an environment whose every address is the paper exchange's."""
    from polymarket import PRODUCTION
    from polymarket.environments import _create_environment

    ws = url.replace("http://", "ws://") + "/ws"
    config = dataclasses.replace(
        PRODUCTION._config, clob_url=url, gamma_url=url, data_url=url, relayer_url=url, rfq_url=url,
        rpc_url=f"{url}/rpc", clob_market_ws_url=f"{ws}/market", clob_user_ws_url=f"{ws}/user",
        relayer_poll_frequency_ms=50,
    )  # fmt: skip
    return _create_environment(name="paper", config=config)


def wait_until(condition, seconds: float = 10):
    """Ask again and again until the answer is true; gives it, or fails after some seconds."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def _first_line(process: subprocess.Popen[str], seconds: float = 20) -> str:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return process.stdout.readline() if selector.select(seconds) else ""
