"""The whole supervisor as a user has it, on a Procfile of small programs."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from launch.locks import Lock
from launch.ports import free_port
from launch.supervisor import STOP_WITHIN
from polytrader.variables import ROOT

ANSWERS = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *_): pass
port = int(os.environ[sys.argv[1]])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
WORKS = """
import os, signal, sys, time
def finish(*_):
    print("finishing", flush=True); time.sleep(float(sys.argv[1])); print("finished", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
print("working", os.getpid(), flush=True)
while True: signal.pause()
"""


class Instance:
    """A supervisor of its own home and ports."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self.directory = directory
        self.procfile = directory / "Procfile"
        (directory / "answers.py").write_text(ANSWERS)
        (directory / "works.py").write_text(WORKS)
        self.ports = {name: str(free_port()) for name in ("PORT", "PAPER_PORT", "FLOWER_PORT")}
        self.environ = {"POLYTRADER_HOME": str(self.home), "POLYTRADER_DOTENV": ""} | self.ports
        self.write(works=f"python {directory}/works.py 0")
        self.lines: list[str] = []
        self.process: Any = None

    def write(self, **more: str) -> None:
        answers = f"python {self.directory}/answers.py"
        types = {"release": "echo released", "web": f"{answers} PORT"} | more
        types |= {"paper": f"{answers} PAPER_PORT"}
        self.procfile.write_text("".join(f"{name}: {line}\n" for name, line in types.items()))

    def start(self) -> None:
        base = {name: text for name, text in os.environ.items() if name not in WITHHELD}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "launch", "run", "--procfile", str(self.procfile)],
            env=base | self.environ,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def until(self, text: str) -> str:
        """Read on to the line that has the text."""
        watchdog = threading.Timer(60, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                self.lines.append(line.rstrip("\n"))
                if text in line:
                    return self.lines[-1]
        finally:
            watchdog.cancel()
        raise AssertionError(f"never said {text!r}:\n" + "\n".join(self.lines))

    def end(self) -> int:
        """Read to the end and return the exit status."""
        said, _ = self.process.communicate(timeout=STOP_WITHIN + 2)
        self.lines += said.splitlines()
        return int(self.process.returncode)

    def ready(self) -> "Instance":
        self.start()
        self.until("polytrader ready")
        return self

    def running(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "running.json").read_text()))

    def left(self) -> list[str]:
        """What still runs for this home: the children know it by environment or command line."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(self.home).encode() in told:
                found.append((entry / "comm").read_text())
        return found


WITHHELD = {"DATABASE_URL", "REDIS_URL", "POLYTRADER_ROLE", "EXCHANGE"}


@pytest.fixture
def instance(tmp_path):
    made = Instance(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.send_signal(signal.SIGTERM)
        made.end()
    if made.process is not None:
        made.process.stdout.close()


def test_it_starts_tells_and_stops_with_nothing_left(instance):
    instance.ready()
    address = f"http://127.0.0.1:{instance.ports['PORT']}/"
    assert instance.lines[-1] == f"polytrader ready {address}"
    assert any(line.startswith("release") and "released" in line for line in instance.lines)
    banner = "\n".join(instance.lines[-13:])
    secrets = json.loads((instance.home / "secrets.json").read_text())
    for shown in (address, "api/docs", secrets["admin_password"], secrets["token"], "logs"):
        assert shown in banner
    for hidden in ("postgres_password", "redis_password", "private_key", "secret_key"):
        assert secrets[hidden] not in "\n".join(instance.lines)
    assert instance.running()["pid"] == instance.process.pid
    assert (instance.home / "running.json").stat().st_mode & 0o777 == 0o600
    instance.process.send_signal(signal.SIGTERM)
    assert instance.end() == 0
    assert instance.left() == []
    assert not (instance.home / "running.json").exists()
    assert "working" in (instance.home / "logs" / "works.log").read_text()


def test_a_second_start_finds_the_data_of_the_first(instance):
    instance.ready()
    with psycopg.connect(instance.running()["database_url"]) as session:
        session.execute("create table kept (n int)")
    first = instance.running()
    instance.process.send_signal(signal.SIGINT)
    assert instance.end() == 0
    instance.ready()
    assert instance.running()["database_url"] == first["database_url"]
    with psycopg.connect(first["database_url"]) as session:
        assert session.execute("select count(*) from kept").fetchone() == (0,)


def test_the_same_signal_again_at_once_counts_as_one(instance):
    instance.write(works=f"python {instance.directory}/works.py 0.5")
    instance.ready()
    instance.process.send_signal(signal.SIGTERM)
    instance.until("finishing")
    instance.process.send_signal(signal.SIGTERM)
    assert instance.end() == 0
    assert any("finished" in line for line in instance.lines)
    assert instance.left() == []


def test_a_child_that_is_killed_starts_again(instance):
    instance.start()
    pid = int(instance.until("working").split()[-1])
    instance.until("polytrader ready")
    os.kill(pid, signal.SIGKILL)
    instance.until("ended by SIGKILL, starts again in 1 s")
    assert int(instance.until("working").split()[-1]) != pid


def test_a_killed_database_comes_back_with_its_rows(instance):
    instance.ready()
    url = instance.running()["database_url"]
    with psycopg.connect(url) as session:
        session.execute("create table kept (n int)")
    pid = (instance.home / "postgres" / "data" / "postmaster.pid").read_text().split()[0]
    os.kill(int(pid), signal.SIGKILL)
    instance.until("database system is ready to accept connections")
    with psycopg.connect(url) as session:
        assert session.execute("select count(*) from kept").fetchone() == (0,)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal")
def test_kill_9_leaves_no_orphan_and_the_next_start_works(instance):
    instance.ready()
    instance.process.kill()
    instance.end()
    with Lock(instance.home / "lock") as lock:  # every child holds it as long as it lives
        assert lock.take(10)
    instance.ready()


def test_a_second_instance_on_the_same_home_is_refused(instance, tmp_path):
    instance.ready()
    (tmp_path / "second").mkdir()
    second = Instance(tmp_path / "second")
    second.environ["POLYTRADER_HOME"] = str(instance.home)
    second.start()
    assert second.end() == 1
    assert f"already running in {instance.home} (process {instance.process.pid}" in second.lines[-1]


def test_instances_with_homes_of_their_own_run_side_by_side(instance, tmp_path):
    instance.ready()
    (tmp_path / "second").mkdir()
    second = Instance(tmp_path / "second").ready()
    second.process.send_signal(signal.SIGTERM)
    assert second.end() == 0
    assert len(instance.left()) > 0


@pytest.mark.parametrize("variable", ["PORT", "PAPER_PORT"])
def test_a_port_in_use_is_named_with_its_variable(instance, tmp_path, variable):
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", int(instance.ports[variable])))
        other.listen()
        instance.start()
        assert instance.end() == 1
    assert f"port {instance.ports[variable]} on 127.0.0.1 is in use" in instance.lines[-1]
    assert f"set {variable}" in instance.lines[-1]
    assert instance.left() == []


def test_a_wrong_value_is_one_line_and_status_2(instance):
    instance.environ["EXCHANGE"] = "foo"
    instance.start()
    assert instance.end() == 2
    assert instance.lines == ["polytrader: EXCHANGE: found 'foo', expected 'paper' or 'live'"]


def test_a_release_that_fails_starts_nothing(instance):
    instance.write(release="false", works="echo never")
    instance.start()
    assert instance.end() == 1
    assert "release ended with status 1" in instance.lines[-1]
    assert not any("never" in line for line in instance.lines)
    assert instance.left() == []


def test_a_process_that_keeps_dying_fails_the_start(instance):
    instance.write(web="false")
    instance.start()
    assert instance.end() == 1
    assert "web keeps ending (status 1)" in instance.lines[-1]
    assert instance.left() == []


def test_a_stop_in_the_middle_of_the_start_leaves_nothing(instance):
    instance.write(release=f"python {instance.directory}/works.py 0")
    instance.start()
    instance.until("working")
    instance.process.send_signal(signal.SIGTERM)
    assert instance.end() == 0
    assert any("finished" in line for line in instance.lines)
    assert instance.left() == []


def test_live_shows_no_login(instance):
    instance.environ |= {"EXCHANGE": "live", "POLY_PRIVATE_KEY": "0x" + "11" * 32}
    instance.ready()
    secrets = json.loads((instance.home / "secrets.json").read_text())
    said = "\n".join(instance.lines)
    for name in ("admin_password", "token", "flower_password"):
        assert secrets[name] not in said
    assert "11" * 32 not in said
    assert str(instance.home / "secrets.json") in said
