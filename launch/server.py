"""What the embedded servers have in common: a directory, a lock, a port, start and stop."""

from __future__ import annotations

import abc
import contextlib
import subprocess
import time
from pathlib import Path

from launch.command import Command
from launch.errors import LaunchError
from launch.locks import Lock

_ATTEMPTS = 3
_PATIENCE = 60.0
_PATIENCE_WITH_LAST_RUN = 20.0


class Server(abc.ABC):
    """An embedded server; `start()` and `stop()` block, for tests and scripts."""

    name: str

    def __init__(self, directory: Path, port: int = 0, password: str = "") -> None:
        self.directory = directory.absolute()
        self.port = port
        self.password = password
        self.lock: Lock | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Where it is reached, with the password."""

    @abc.abstractmethod
    def prepare(self) -> None:
        """Take lock and port and make what is missing; once. Raises LaunchError."""

    @abc.abstractmethod
    def command(self) -> Command:
        """Say how to start it."""

    @abc.abstractmethod
    def is_ready(self) -> bool:
        """Say whether it serves now; blocks up to 2 s. Raises LaunchError when it never will."""

    def clear(self) -> None:  # noqa: B027 - most have nothing to clear
        """Remove what a killed predecessor left; called before every start."""

    def take_lock(self) -> None:
        """Make sure that no other server, of a killed supervisor say, has the directory."""
        if self.lock is None:
            self.lock = Lock(self.directory / "lock")
        if not self.lock.take(_PATIENCE_WITH_LAST_RUN):
            raise LaunchError(f"another {self.name} still serves {self.directory}; stop it first")

    def keep(self) -> tuple[int, ...]:
        return () if self.lock is None else (self.lock.descriptor,)

    def start(self) -> str:
        """Start it, wait until it serves, and return its URL. Raises LaunchError."""
        given = self.port
        for attempt in range(1, _ATTEMPTS + 1):
            self.prepare()
            with (self.directory / "output.log").open("wb") as output:
                command = self.command()
                self._process = subprocess.Popen(  # noqa: S603
                    command.argv, stdout=output, stderr=output, **command.popen_arguments()
                )
            try:
                self._wait()
            except LaunchError:
                self.stop()
                self.port = given  # somebody may have taken the free port in between
                if attempt == _ATTEMPTS or "in use" not in self._said():
                    raise
            else:
                break
        return self.url

    def stop(self, patience: float = 10.0) -> None:
        """Stop it in order, by force after `patience` seconds, and let go of its lock."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(self.command().stop_signal)
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.lock is not None:
            self.lock.close()
            self.lock = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def _wait(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not self.is_ready():
            if self._process is None or self._process.poll() is not None:
                raise LaunchError(f"{self.name} ended at once: {self._said() or 'it said nothing'}")
            if time.monotonic() > deadline:
                raise LaunchError(f"{self.name} did not serve within {_PATIENCE:.0f} s")
            time.sleep(0.02)

    def _said(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.directory / "output.log").read_text(errors="replace").splitlines()
            return " / ".join(line.strip() for line in lines[-4:])
        return ""
