"""One child's life, with small programs in place of ours."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from launch.command import Command
from launch.output import Output, Printer
from launch.processes import Child, backoff


@pytest.mark.parametrize(
    ("previous", "ran_for", "expected"),
    [(0, 0, 1), (1, 0, 2), (2, 0, 4), (4, 0, 8), (8, 0, 10), (10, 0, 10), (10, 31, 1), (0, 99, 1)],
)
def test_the_wait_doubles_to_ten_seconds_and_starts_over_after_a_good_run(
    previous, ran_for, expected
):
    assert backoff(previous, ran_for) == expected


class Pipe:
    """Standard output as the user would read it."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def text(self, printer: Printer) -> str:
        printer.close()
        os.close(self.writing)
        with os.fdopen(self.reading) as file:
            return file.read()


@pytest.fixture
def pipe():
    return Pipe()


@pytest.fixture
def printer(pipe):
    return Printer(pipe.writing)


def child(tmp_path: Path, printer: Printer, program: str) -> Child:
    output = Output("dummy", 0, 8, printer, tmp_path)
    command = Command(
        "dummy", (sys.executable, "-c", program), os.environ | {"PYTHONUNBUFFERED": "1"}, tmp_path
    )
    return Child(command, output)


async def line(made: Child, text: str) -> None:
    """Wait until the child said it."""
    while text not in made.output.last:
        await asyncio.sleep(0.01)


def test_output_is_prefixed_for_people_and_bare_in_the_log(tmp_path, pipe, printer):
    async def scenario() -> Any:
        program = "print('one'); print('half', end='')"
        assert await child(tmp_path, printer, program).run_once() == 0

    asyncio.run(scenario())
    assert pipe.text(printer).splitlines() == ["dummy    | one", "dummy    | half"]
    assert "one" in (tmp_path / "dummy.log").read_text()


def test_a_child_that_dies_is_started_again(tmp_path, printer, monkeypatch):
    monkeypatch.setattr("launch.processes._SHORTEST", 0.01)

    async def scenario() -> Any:
        made = child(tmp_path, printer, "import os; print(os.getpid())")
        made.start()
        while made.deaths < 2:
            await asyncio.sleep(0.01)
        await made.stop(5)
        return [text for text in made.output.last if text.isdigit()]

    pids = asyncio.run(scenario())
    assert len(set(pids)) == len(pids) >= 2


def test_a_wanted_restart_is_no_death_and_does_not_wait(tmp_path, printer, monkeypatch):
    monkeypatch.setattr("launch.processes._SHORTEST", 60.0)

    async def scenario() -> Any:
        made = child(tmp_path, printer, "import os, time; print(os.getpid()); time.sleep(60)")
        made.start()
        while len(made.output.last) < 1:
            await asyncio.sleep(0.01)
        made.restart()
        while len(made.output.last) < 2:
            await asyncio.sleep(0.01)
        await made.stop(5)
        return made.deaths

    assert asyncio.run(asyncio.wait_for(scenario(), 30)) == 0


def test_a_program_that_is_not_there_is_an_end_like_any_other(tmp_path, printer):
    async def scenario() -> Any:
        made = child(tmp_path, printer, "")
        made.command = Command("dummy", ("/no/such",), {}, tmp_path)
        return await made.run_once(), list(made.output.last)

    status, said = asyncio.run(scenario())
    assert status == 127
    assert said == ["cannot start /no/such: No such file or directory"]


def test_stop_signals_the_main_process_only(tmp_path, printer):
    program = """
import signal, subprocess, sys
inner = subprocess.Popen([sys.executable, "-c",
    "import signal,sys; signal.signal(signal.SIGTERM, lambda *a: print('inner hit', flush=True));"
    "print('ready', flush=True); sys.stdin.read()"], stdin=subprocess.PIPE)
signal.signal(signal.SIGTERM, lambda *a: (inner.stdin.close(), inner.wait(), sys.exit(0)))
signal.pause()
"""

    async def scenario() -> Any:
        made = child(tmp_path, printer, program)
        made.start()
        await line(made, "ready")
        await made.stop(10)
        return made

    made = asyncio.run(scenario())
    assert made.status == 0
    assert "inner hit" not in made.output.last


def test_who_does_not_end_is_killed_with_all_it_started(tmp_path, printer):
    program = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inner = os.fork()
if inner: print(inner, flush=True)
signal.pause()
"""

    async def scenario() -> Any:
        made = child(tmp_path, printer, program)
        made.start()
        while not made.output.last:
            await asyncio.sleep(0.01)
        inner = int(made.output.last[0])
        await made.stop(0.1)
        while is_running(inner):
            await asyncio.sleep(0.01)
        return made.status

    # 255 is asyncio's word for a child that something else in this process reaped first.
    assert asyncio.run(asyncio.wait_for(scenario(), 20)) in (-signal.SIGKILL, 255)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_reader_who_stops_reading_does_not_hold_up_the_child(tmp_path, pipe, printer):
    async def scenario() -> Any:
        made = child(tmp_path, printer, "for n in range(50_000): print('x' * 80)\nprint('end')")
        return await asyncio.wait_for(made.run_once(), 30)

    assert asyncio.run(scenario()) == 0
    assert (tmp_path / "dummy.log").read_text().endswith("end\n")
    os.close(pipe.reading)


def test_a_reader_who_went_away_is_no_error(tmp_path, pipe, printer):
    os.close(pipe.reading)

    async def scenario() -> Any:
        return await child(tmp_path, printer, "print('x')\nprint('y')").run_once()

    assert asyncio.run(scenario()) == 0


def test_logs_are_rotated_by_size(tmp_path, printer, monkeypatch):
    monkeypatch.setattr("launch.output._LOG_BYTES", 1000)
    output = Output("dummy", 0, 8, printer, tmp_path)
    for number in range(200):
        output.feed(f"line {number} {'.' * 80}\n".encode())
    output.close()
    sizes = {path.name: path.stat().st_size for path in tmp_path.glob("dummy.log*")}
    assert set(sizes) == {"dummy.log", "dummy.log.1", "dummy.log.2", "dummy.log.3"}
    assert max(sizes.values()) <= 1000


def test_a_log_that_cannot_be_written_is_no_error(tmp_path, printer):
    output = Output("dummy", 0, 8, printer, tmp_path / "missing")
    output.feed(b"line\n")
    assert list(output.last) == ["line"]
