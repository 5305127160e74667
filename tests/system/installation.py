"""Starts and stops a whole installation for tests, and asks it over HTTP and in its rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
import redis
from psycopg.rows import dict_row

from launch.command import Command
from launch.environment import PRIVATE
from launch.ports import free_port
from polytrader.configuration import ROOT

START_WITHIN = 100.0
STOP_WITHIN = 27.0
_WITHHELD = PRIVATE | {"DATABASE_URL", "REDIS_URL", "EXCHANGE", "POLYTRADER_ROLE"}
_FASTER = {
    "PAPER_GENERATOR": "0",
    "PAPER_SETTLE_SECONDS": "1",
    "PAPER_TIMEOUT_SECONDS": "1",
}

T = TypeVar("T")


def eventually(what: str, look: Callable[[], T], seconds: float = 30) -> T:
    """Look until it is true and return what was seen; fail with the last thing seen."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain for: {what}"
        time.sleep(0.05)


class Installation:
    """`python -m launch run` in a home and on ports of its own."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self.ports = {name: str(free_port()) for name in ("PORT", "PAPER_PORT", "FLOWER_PORT")}
        self.said: list[str] = []
        self.by_hand: set[str] = set()
        """Orders at the venue that the wallet's owner placed past our service."""
        self.process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()
        self.web = httpx.Client(base_url=f"http://127.0.0.1:{self.ports['PORT']}", timeout=40)
        self.paper = httpx.Client(
            base_url=f"http://127.0.0.1:{self.ports['PAPER_PORT']}", timeout=20
        )

    # its life

    @property
    def environ(self) -> dict[str, str]:
        base = {name: text for name, text in os.environ.items() if name not in _WITHHELD}
        told = {"POLYTRADER_HOME": str(self.home), "POLYTRADER_DOTENV": ""}
        return base | told | self.ports | _FASTER

    def start(self) -> Installation:
        """Start everything and wait for `polytrader ready`."""
        self._ready.clear()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "launch", "run"],
            env=self.environ,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()
        eventually("polytrader ready", lambda: self._ready.is_set() or self._ended(), START_WITHIN)
        assert self._ready.is_set(), "it ended:\n" + "\n".join(self.said[-30:])
        token = json.loads((self.home / "secrets.json").read_text())["token"]
        self.web.headers["Authorization"] = f"Bearer {token}"
        return self

    def stop(self) -> int:
        """Stop it with SIGTERM and return the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._wait(STOP_WITHIN)

    def kill(self) -> None:
        """Kill the supervisor without warning (kill -9)."""
        assert self.process is not None
        self.process.kill()
        self._wait(5)

    def end(self) -> None:
        """Leave nothing behind, whatever happened before."""
        if self.process is not None and self.process.poll() is None:
            for name in ("redis", "postgres", "paper"):
                if (pid := self.pid(name)) is not None:
                    os.kill(pid, signal.SIGCONT)
            self.stop()

    def _wait(self, seconds: float) -> int:
        assert self.process is not None
        assert self._reader is not None
        status = self.process.wait(seconds)
        self._reader.join(10)
        return status

    def _ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self.said.append(line.rstrip("\n"))
                if line.startswith("polytrader ready"):
                    self._ready.set()

    # its processes

    def pid(self, name: str) -> int | None:
        """Return the process of a type, or of `postgres` and `redis`, while it runs."""
        assert self.process is not None
        return self._children().get(name)

    def _children(self) -> dict[str, int]:
        found: dict[str, int] = {}
        assert self.process is not None
        with suppress(OSError):
            text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
            for pid in map(int, text.split()):
                with suppress(OSError, IndexError):
                    found[_name_of(pid)] = pid
        return found

    def kill_child(self, name: str) -> int:
        """Kill one process (kill -9) and return its id."""
        pid = eventually(f"a running {name}", lambda: self.pid(name))
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_and_see_it_return(self, name: str) -> None:
        """Kill one process and wait for the supervisor's next one."""
        old = self.kill_child(name)
        eventually(f"another {name}", lambda: self.pid(name) not in (None, old), 15)

    @contextmanager
    def held_down(self, name: str) -> Iterator[None]:
        """Kill a process and every next one that the supervisor starts."""
        over = threading.Event()

        def keep_down() -> None:
            while not over.wait(0.02):
                if (pid := self.pid(name)) is not None:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

        thread = threading.Thread(target=keep_down)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a process from answering: it keeps its connections and says nothing."""
        pid = eventually(f"a running {name}", lambda: self.pid(name))
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def kill_database(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal Postgres itself; SIGINT is its fast shutdown, which breaks every connection."""
        note = self.home / "postgres" / "data" / "postmaster.pid"
        os.kill(int(note.read_text().split()[0]), number)

    @contextmanager
    def beside(self, *names: str) -> Iterator[dict[str, int]]:
        """Run a second process of each of these types against the same installation; their ids."""
        second = {name: self._another(name) for name in names}
        try:
            yield {name: process.pid for name, process in second.items()}
        finally:
            for process in second.values():
                process.terminate()
            for process in second.values():
                try:
                    process.wait(STOP_WITHIN)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _another(self, name: str) -> subprocess.Popen[bytes]:
        pid = eventually(f"a running {name}", lambda: self.pid(name))
        words = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
        environ = Path(f"/proc/{pid}/environ").read_text().rstrip("\0").split("\0")
        told = dict(word.split("=", 1) for word in environ)
        words = [word.replace(f"{name}@", f"{name}2@") for word in words]
        command = Command(name, tuple(words), told, ROOT, death_signal=signal.SIGTERM)
        with (self.home / "logs" / f"{name}2.log").open("wb") as log:
            return subprocess.Popen(
                command.argv, stdout=log, stderr=log, **command.popen_arguments()
            )

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` as a user of this installation does."""
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            env=self.environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    # asking it

    def get(self, path: str, **params: Any) -> Any:
        """GET a JSON answer that must be 200."""
        answer = self.web.get(path, params=params)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def readiness(self) -> tuple[int, str]:
        """Ask /readyz: the status and what it says; 0 when nobody answers."""
        try:
            answer = self.web.get("/readyz")
        except httpx.HTTPError as error:
            return 0, str(error)
        return answer.status_code, answer.text

    def create_stop(self, symbol: str, quantity: str, **fields: Any) -> str:
        """Make a stop that must be accepted, and return its key."""
        body = {"symbol": symbol, "quantity": quantity, **fields}
        answer = self.web.post("/api/trailing-stops", json=body)
        assert answer.status_code == 201, f"{answer.status_code} {answer.text}"
        return str(answer.json()["stateKey"])

    def stop_of(self, key: str) -> dict[str, Any]:
        """Show one stop."""
        return dict(self.get(f"/api/trailing-stops/{key}"))

    def until_stop(
        self, key: str, what: str, holds: Callable[[dict[str, Any]], bool], seconds: float = 30
    ) -> dict[str, Any]:
        """Wait for something to be true of a stop; on failure say how the stop looks."""
        seen: dict[str, Any] = {}

        def look() -> bool:
            with suppress(httpx.HTTPError):
                answer = self.web.get(f"/api/trailing-stops/{key}")
                if answer.status_code == 200:
                    seen.clear()
                    seen.update(answer.json())
            return bool(seen) and holds(seen)

        try:
            eventually(what, look, seconds)
        except AssertionError as failure:
            raise AssertionError(f"{failure}; the stop is {json.dumps(seen, indent=1)}") from None
        return dict(seen)

    def rows(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Read rows of the installation's database."""
        with psycopg.connect(self.running()["database_url"], row_factory=dict_row) as session:
            return session.execute(statement, values).fetchall()  # type: ignore[arg-type]

    def running(self) -> dict[str, Any]:
        """Return what the supervisor says of itself."""
        return dict(json.loads((self.home / "running.json").read_text()))

    def redis(self) -> redis.Redis:
        """Return a client of the installation's Redis."""
        return redis.Redis.from_url(self.running()["redis_url"], socket_timeout=5)

    # moving the market

    def markets(self) -> list[dict[str, Any]]:
        """List the paper exchange's markets."""
        return list(self.paper.get("/paper/markets").json())

    def put_book(self, token: str, bid: str, ask: str, size: str = "1000") -> None:
        """Make a book of one level on either side."""
        self.tell("PUT", f"/paper/books/{token}", {"bids": [[bid, size]], "asks": [[ask, size]]})

    def fault(self, on: str, kind: str, times: int = 1) -> None:
        """Arrange a fault of the paper exchange."""
        self.tell("POST", "/paper/faults", {"on": on, "kind": kind, "times": times})

    def no_faults(self) -> None:
        """Take back what faults are left."""
        for fault in self.paper.get("/paper/faults").json()["faults"]:
            self.fault(fault["on"], fault["kind"], 0)

    def by_hand_at_the_venue(
        self, what: str, token: str, side: str, size: str, price: str
    ) -> dict[str, Any]:
        """Trade (`hand-trade`) or place an order (`hand-order`) as the wallet's owner does."""
        body = {"assetId": token, "side": side, "size": size, "price": price}
        made = dict(self.tell("POST", f"/paper/{what}", body))
        self.by_hand.add(made["orderId"])
        return made

    def tell(self, method: str, path: str, body: Any) -> Any:
        """Call the paper exchange's control API."""
        answer = self.paper.request(method, path, json=body)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def ledger(self) -> dict[str, Any]:
        """Return what really happened, as the paper exchange has it."""
        return dict(self.paper.get("/paper/ledger").json())


def _name_of(pid: int) -> str:
    for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
        if variable.startswith(b"POLYTRADER_ROLE="):
            return variable.partition(b"=")[2].decode()
    comm = Path(f"/proc/{pid}/comm").read_text().strip()
    return {"valkey-server": "redis", "redis-server": "redis"}.get(comm, comm)
