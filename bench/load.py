"""HTTP clients in a process of their own, so that the server's figures are the server's."""

import http.client
import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from launch import procfile

Answer = tuple[float, int]
"""Seconds from the moment it was due to the last byte of the answer, and the status."""


def clients() -> ProcessPoolExecutor:
    """A process to `submit` the functions below to; it inherits nothing."""
    return ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))


def post_all(
    address: tuple[str, int, str],
    tokens: Sequence[str],
    bodies: Sequence[bytes],
    connections: int,
    pace: float | None = None,
) -> list[Answer]:
    """Post the bodies to host, port and path over so many connections.

    With a `pace` so many a second, each due at its moment however long the others
    take; without one, as fast as they are answered.
    """
    queue = enumerate(bodies)
    lock, answers = threading.Lock(), []
    started = time.perf_counter()

    def work(token: str) -> None:
        line = http.client.HTTPConnection(*address[:2], timeout=60)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        while True:
            with lock:
                index, body = next(queue, (0, None))
            if body is None:
                return
            due = time.perf_counter() if pace is None else started + index / pace
            time.sleep(max(0.0, due - time.perf_counter()))
            line.request("POST", address[2], body, headers)
            answer = line.getresponse()
            answer.read()
            answers.append((time.perf_counter() - due, answer.status))

    mine = itertools.cycle(tokens)
    threads = [threading.Thread(target=work, args=(next(mine),)) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def web_command(root: Path) -> tuple[str, ...]:
    """What starts the web process, as the Procfile says it."""
    return procfile.argv(procfile.read(root / "Procfile")["web"])


def cpu_seconds(pid: int) -> float:
    """What a process and those it started have used, ended ones included."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = stat.read_text().partition(" (")
        except OSError:
            continue  # it has just ended
        fields = rest.rpartition(") ")[2].split()
        if pid in (int(number), int(fields[1])):
            ticks += sum(int(field) for field in fields[11 : 15 if int(number) == pid else 13])
    return ticks / 100
