"""The order of start and stop, and the watch in between.

Start: Postgres and Redis, release (migrations), the paper exchange, everything else. Stop: what
takes and does work, then Flower and the paper exchange, then the databases, all within 25 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from launch import environment, ports, procfile, released, reloading
from launch.banner import banner
from launch.command import Command
from launch.errors import LaunchError
from launch.locks import Lock
from launch.output import Output, Printer, complain
from launch.postgres import EmbeddedPostgres
from launch.processes import Child
from launch.readiness import probes
from launch.redis import EmbeddedRedis
from launch.server import Server
from polytrader import configuration as configurations
from polytrader.configuration import Configuration
from polytrader.generated import Secrets, ensure_secrets, write_private_json
from polytrader.variables import ROOT

STOP_WITHIN = 23.0  # of the 25 s promised
DATABASES_WITHIN = 4.0
BYSTANDERS_WITHIN = 3.0
SAME_SIGNAL_WITHIN = 5.0
DEATHS_BEFORE_READY = 3
_BYSTANDERS = ("flower", "paper")
FIRST = ("monitor", "web")
"""The system is ready when these are: stops are evaluated, the API answers."""
_ASK_EVERY = 0.1
_REPORT_EVERY = 20.0
_PATIENCE_WITH_LAST_RUN = 20.0
_PATIENCE_WITH_DATABASES = 180.0  # a recovery after a crash may take its time


@dataclass(frozen=True)
class Options:
    """What the command line says beyond the configuration."""

    procfile: Path = ROOT / "Procfile"
    reload: bool = False


class Supervisor:
    """One run of everything. Make it in the main thread, inside the loop."""

    def __init__(
        self, configuration: Configuration, secrets: Secrets, lock: Lock, options: Options
    ) -> None:
        self.configuration = configuration
        self.secrets = secrets
        self.options = options
        self.commands = procfile.read(options.procfile)
        if configuration.exchange == "paper":
            self.commands.setdefault("paper", "python -m paper")
        self.children: dict[str, Child] = {}
        self.databases: dict[str, Child] = {}
        self.printer = Printer()
        self.stopping = asyncio.Event()
        self._lock = lock
        self._asked_at = 0.0
        self._logs = configuration.home / "logs"

    async def run(self) -> int:
        """Start, watch until a signal, stop. Return the exit status."""
        self._logs.mkdir(mode=0o700, exist_ok=True)
        with self._listening():
            starting = asyncio.create_task(self._start())
            stopping = asyncio.create_task(self.stopping.wait())
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            try:
                if starting.done():
                    await starting  # raises what went wrong
                    await self._watch()
            finally:
                await _cancel(starting, stopping)
                await self._stop()
        return 0

    # starting

    async def _start(self) -> None:
        self._note_running()
        self._check_ports()
        self._start_apps("paper")  # needs no database
        await self._start_databases()
        self._note_running()
        await self._release()
        await self._start_in_order()
        for line in banner(self.configuration):
            self.printer.line(line)

    async def _start_in_order(self) -> None:
        """First what watches the stops and answers, then the rest.

        Loading a process costs seconds of a core: all at once, the first would be
        ready as late as the last. A system without a monitor starts all at once.
        """
        rest = set(self.commands) - {procfile.RELEASE, "paper"}
        first = FIRST if rest >= set(FIRST) else ()
        self._start_apps(*first)
        if first:
            await self._until_ready({"paper", *first})
        self._start_apps(*sorted(rest - set(first)))
        await self._until_ready(set() if first else {"paper", *rest})

    def _start_apps(self, *names: str) -> None:
        for name in names:
            if name in self.commands:
                self.children[name] = self._child(self._command(name))
                self.children[name].start()

    def _check_ports(self) -> None:
        told = self.configuration
        wanted = [("PORT", told.host, told.port, "web")]
        wanted += [("PAPER_PORT", "127.0.0.1", told.paper_port, "paper")]
        wanted += [("FLOWER_PORT", "127.0.0.1", told.flower_port, "flower")]
        for variable, host, port, name in wanted:
            if name not in self.commands:
                continue
            try:
                free = ports.is_free(host, port)
            except OSError as error:
                raise LaunchError(f"cannot listen on {host}:{port}: {error.strerror}") from error
            if not free:
                raise LaunchError(
                    f"port {port} on {host} is in use by another program; "
                    f"set {variable} to a free one"
                )

    async def _start_databases(self) -> None:
        home = self.configuration.home
        wanted: list[Server] = []
        if self.configuration.database_url is None:
            wanted.append(
                EmbeddedPostgres(home / "postgres", password=self.secrets.postgres_password)
            )
        if self.configuration.redis_url is None:
            wanted.append(EmbeddedRedis(home / "redis", password=self.secrets.redis_password))
        await asyncio.gather(*(self._start_database(server) for server in wanted))
        urls = {server.name: server.url for server in wanted}
        self.configuration = replace(
            self.configuration,
            database_url=urls.get("postgres", self.configuration.database_url),
            redis_url=urls.get("redis", self.configuration.redis_url),
        )

    async def _start_database(self, server: Server) -> None:
        await asyncio.to_thread(server.prepare)
        child = self._child(server.command(), server)
        self.databases[server.name] = child
        child.start()
        deadline = time.monotonic() + _PATIENCE_WITH_DATABASES
        while not await asyncio.to_thread(server.is_ready):
            if child.deaths >= DEATHS_BEFORE_READY:
                said = " / ".join(list(child.output.last)[-4:-1])
                raise LaunchError(f"the embedded {server.name} does not start: {said}")
            if time.monotonic() > deadline:
                raise LaunchError(f"the embedded {server.name} does not answer")
            await asyncio.sleep(0.03)

    async def _release(self) -> None:
        if procfile.RELEASE not in self.commands:
            return
        beside = self.configuration.home / "postgres"
        is_ours = "postgres" in self.databases
        if is_ours and released.is_released(beside, self.configuration):
            return
        child = self._child(self._command(procfile.RELEASE))
        self.children[procfile.RELEASE] = child
        status = await child.run_once()
        del self.children[procfile.RELEASE]
        if status != 0 and not self.stopping.is_set():
            raise LaunchError(f"release ended with status {status}; nothing else was started")
        if is_ours and status == 0:
            released.note(beside, self.configuration)

    async def _until_ready(self, names: set[str]) -> None:
        """Wait for those that can be asked; only a process that keeps dying ends the wait."""
        waiting = probes(self.configuration, names)
        report_at = time.monotonic() + _REPORT_EVERY
        while waiting:
            trouble = await asyncio.to_thread(waiting[0].trouble)
            if trouble is None:
                waiting.pop(0)
                continue
            self._fail_on_deaths()
            if time.monotonic() > report_at:
                report_at = time.monotonic() + _REPORT_EVERY
                self.printer.line(f"not ready yet: {trouble}")
            await asyncio.sleep(_ASK_EVERY)
        self._fail_on_deaths()

    def _fail_on_deaths(self) -> None:
        for child in self.children.values():
            if child.deaths >= DEATHS_BEFORE_READY:
                raise LaunchError(
                    f"{child.name} keeps ending (status {child.status}); its last words are in "
                    f"{self._logs / child.name}.log"
                )

    # running

    async def _watch(self) -> None:
        if not self.options.reload:
            await self.stopping.wait()
            return
        watching = asyncio.create_task(reloading.changes(ROOT, self._restart_apps))
        await self.stopping.wait()
        await _cancel(watching)

    def _restart_apps(self, changed: str) -> None:
        self.printer.line(f"{changed} changed: restarting")
        for child in self.children.values():
            child.restart()

    def _note_running(self) -> None:
        told = self.configuration
        noted = {
            "pid": os.getpid(),
            "database_url": told.database_url,
            "redis_url": told.redis_url,
            "port": told.port,
            "paper_port": told.paper_port,
            "flower_port": told.flower_port,
            "started_at": datetime.now(UTC).isoformat(),
        }
        write_private_json(told.home / configurations.RUNNING_FILE, noted)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._asked_to_stop, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _asked_to_stop(self, number: signal.Signals) -> None:
        now = time.monotonic()
        if not self.stopping.is_set():
            self._asked_at = now
            self.printer.line(f"{number.name}: stopping")
            self.stopping.set()
        elif now - self._asked_at >= SAME_SIGNAL_WITHIN:
            self.printer.line(f"{number.name} again: stopping by force")
            for child in self.children.values():
                child.kill()

    # stopping

    async def _stop(self) -> None:
        self.stopping.set()
        deadline = time.monotonic() + STOP_WITHIN - DATABASES_WITHIN
        bystanders = [child for name, child in self.children.items() if name in _BYSTANDERS]
        working = [child for name, child in self.children.items() if name not in _BYSTANDERS]
        await _stop_all(working, deadline - BYSTANDERS_WITHIN)
        await _stop_all(bystanders, deadline)
        await _stop_all(list(self.databases.values()), deadline + DATABASES_WITHIN)
        (self.configuration.home / configurations.RUNNING_FILE).unlink(missing_ok=True)
        self.printer.line("stopped")
        await asyncio.to_thread(self.printer.close)

    # children

    def _command(self, name: str) -> Command:
        owner = None
        if name == "paper":
            owner = environment.owner_of(self.configuration, self.secrets)
        return Command(
            name=name,
            argv=procfile.argv(self.commands[name]),
            environment=environment.of_process(name, self.configuration, owner=owner),
            directory=ROOT,
            keep=(self._lock.descriptor,),
        )

    def _child(self, command: Command, server: Server | None = None) -> Child:
        names = [*self.commands, "postgres", "redis"]
        width = max(len(name) for name in names)
        number = names.index(command.name)
        output = Output(command.name, number, width, self.printer, self._logs)
        return Child(command, output, None if server is None else server.clear)


async def _stop_all(children: list[Child], deadline: float) -> None:
    left = deadline - time.monotonic()
    await asyncio.gather(*(child.stop(left) for child in children))


async def _cancel(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def run(options: Options) -> int:
    """Run everything in the foreground until a signal. Raises ConfigurationError, LaunchError."""
    told = configurations.load(running=False)
    told.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Lock(told.home / "lock") as lock:
        _be_alone(told.home, lock)
        (told.home / configurations.RUNNING_FILE).unlink(missing_ok=True)
        secrets = ensure_secrets(told.home)
        told = configurations.load(running=False)

        async def supervise() -> int:
            return await Supervisor(told, secrets, lock, options).run()

        return asyncio.run(supervise())


def _be_alone(home: Path, lock: Lock) -> None:
    """Refuse beside a running instance; wait for what a killed one left to end."""
    if lock.take():
        return
    instance = configurations.running_instance(home)
    if instance is None:
        complain("waiting for the processes of the last run to end")
        if lock.take(_PATIENCE_WITH_LAST_RUN):
            return
    known = f" (process {instance['pid']}, port {instance['port']})" if instance else ""
    raise LaunchError(
        f"polytrader is already running in {home}{known}; stop it, or set POLYTRADER_HOME to "
        "another directory and PORT, PAPER_PORT and FLOWER_PORT to free ports"
    )
