"""The points of the source code, and how a process comes to die at one of them."""

import ast
import mmap
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from polytrader import points

ROOT = Path(__file__).resolve().parent.parent.parent
ANY_COMMIT, ANY_REQUEST, ANY_MOMENT = "(any commit)", "(any request)", "(any moment)"
EVERYWHERE = (ANY_COMMIT, ANY_REQUEST, ANY_MOMENT)
"""Points that need no name in the source: after the n-th commit or answer, or after n milliseconds."""

PACKAGES = ("polytrader", "exchange", "orders", "trailing", "minting", "strategy", "operations")


def named_points() -> dict[str, str]:
    """Every point of the source code with the file it is in; raises on a name used twice."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for name in _points_in(path.read_text()):
                if name in found:
                    raise ValueError(f"the point {name} is named in {found[name]} and in {path}")
                found[name] = str(path.relative_to(ROOT))
    return found


def _points_in(source: str) -> list[str]:
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [
        ast.literal_eval(call.args[0])
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "point"
    ]


@dataclass(frozen=True, slots=True)
class Kill:
    """Where a process is to die: when it passes a point for the n-th time.

    At `ANY_MOMENT` the passing counts milliseconds of its life.
    """

    point: str
    passing: int = 1


class Death:
    """How processes of a run are made to die; what is noted here survives them."""

    def __init__(self) -> None:
        self._note = mmap.mmap(-1, 1)

    def arm(self, kills: Sequence[Kill]) -> None:
        """Have this process die at whichever of `kills` comes first."""
        lock = threading.Lock()
        left = [kill.passing for kill in kills]

        def reached(name: str) -> None:
            with lock:
                for number, kill in enumerate(kills):
                    if kill.point == name:
                        left[number] -= 1
                        if left[number] == 0:
                            self._strike(number)

        points.arm(reached)
        _tell_of_effects(reached)
        for number, kill in enumerate(kills):
            if kill.point == ANY_MOMENT:
                timer = threading.Timer(kill.passing / 1000, self._strike, [number])
                timer.daemon = True
                timer.start()

    def _strike(self, number: int) -> None:
        self._note[0] = number
        os.kill(os.getpid(), signal.SIGKILL)
        threading.Event().wait()

    def last(self) -> int:
        """Which of its kills the last process that was killed died of."""
        return self._note[0]


def _tell_of_effects(reached: Callable[[str], None]) -> None:
    """Count every commit and every request that may change something as a point of its own."""
    commit, send = BaseDatabaseWrapper._commit, httpx.Client.send

    def told_commit(self: Any) -> None:
        commit(self)
        reached(ANY_COMMIT)

    def told_write(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        is_write = sql.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE", "WITH"))
        if is_write and not context["connection"].in_atomic_block:
            reached(ANY_COMMIT)
        return result

    def told_send(self: Any, request: Any, **options: Any) -> Any:
        answer = send(self, request, **options)
        if request.method != "GET":
            reached(ANY_REQUEST)
        return answer

    BaseDatabaseWrapper._commit = told_commit
    httpx.Client.send = told_send
    connection_created.connect(
        lambda connection, **_: connection.execute_wrappers.append(told_write), weak=False
    )
