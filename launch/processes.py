"""One child's life: started, read, started again when it dies, stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable

from launch.command import Command
from launch.output import Output

_SHORTEST, _LONGEST = 1.0, 10.0
_SETTLED = 30.0


def backoff(previous: float, ran_for: float) -> float:
    """Return the seconds before the next start: 1, doubling to 10, and 1 again once it ran well."""
    if previous == 0 or ran_for >= _SETTLED:
        return _SHORTEST
    return min(previous * 2, _LONGEST)


class Child:
    """A process that is kept running. Use it from the loop of the main thread only."""

    def __init__(
        self, command: Command, output: Output, before: Callable[[], None] | None = None
    ) -> None:
        self.command = command
        self.output = output
        self.deaths = 0
        self.status: int | None = None
        self.died = asyncio.Event()
        self._before = before
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._wanted_restart = False
        self._once = False
        self._life: asyncio.Task[None] | None = None
        # One pipe for all its lives: what outlives a killed parent can still write and be read.
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)

    @property
    def name(self) -> str:
        return self.command.name

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    def start(self) -> None:
        """Start it, and again whenever it ends, until `stop()`."""
        asyncio.get_running_loop().add_reader(self._reading, self._read)
        self._life = asyncio.create_task(self._live(), name=self.name)

    async def run_once(self) -> int:
        """Run it to its end and return the status, negative for a signal."""
        self._once = True
        self.start()
        if self._life is not None:
            await asyncio.shield(self._life)  # who cancels the wait still has to stop it
        self._close()
        return self.status if self.status is not None else 127

    async def stop(self, patience: float) -> None:
        """Ask it to end, and after `patience` seconds make it; leave nothing of it behind."""
        self._stopping.set()
        self.signal(self.command.stop_signal)
        if self._life is not None:
            done, _ = await asyncio.wait({self._life}, timeout=max(patience, 0.1))
            if not done:
                self.output.line(f"does not end within {patience:.0f} s, killed")
                self.kill()
                await asyncio.wait({self._life}, timeout=5)
        self._close()

    def restart(self) -> None:
        """End it so that it starts again at once, with changed code."""
        self._wanted_restart = True
        self.signal(self.command.stop_signal)

    def signal(self, number: signal.Signals) -> None:
        """Signal the main process only: it knows how to end its own children in order."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def kill(self) -> None:
        """End it and everything it started that stayed in its session."""
        if self._process is not None:
            _signal_group(self._process.pid, signal.SIGKILL)
        self.signal(signal.SIGKILL)

    async def _live(self) -> None:
        delay = 0.0
        while not self._stopping.is_set():
            started = time.monotonic()
            self.status = await self._spawn_and_wait()
            if self._stopping.is_set() or self._once:
                return
            if self._wanted_restart:
                self._wanted_restart = False
                continue
            delay = backoff(delay, time.monotonic() - started)
            self.deaths += 1
            self.died.set()
            self.output.line(f"{_describe(self.status)}, starts again in {delay:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)

    async def _spawn_and_wait(self) -> int:
        try:
            if self._before is not None:
                self._before()
            self._process = await asyncio.create_subprocess_exec(
                *self.command.argv,
                stdout=self._writing,
                stderr=self._writing,
                **self.command.popen_arguments(),
            )
        except OSError as error:  # no memory, no such program, disk full
            self.output.line(f"cannot start {self.command.argv[0]}: {error.strerror}")
            return 127
        if self._stopping.is_set():
            self.signal(self.command.stop_signal)
        status = await self._process.wait()
        # A killed main process may leave workers that hold its port.
        _signal_group(self._process.pid, signal.SIGKILL)
        self._read()
        return status

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._reading, 65_536):
                self.output.feed(part)

    def _close(self) -> None:
        if self._reading < 0:
            return
        asyncio.get_running_loop().remove_reader(self._reading)
        self._read()
        os.close(self._reading)
        os.close(self._writing)
        self._reading = -1
        self.output.close()


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _describe(status: int) -> str:
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
