"""The points of the source code, and how a process comes to die at one of them."""

import ast
import mmap
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

from polytrader import points

ROOT = Path(__file__).resolve().parent.parent.parent
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
    """Where a process is to die: when it passes a point for the n-th time."""

    point: str
    passing: int = 1


class Passings:
    """How often the processes of one run have passed each point; survives their death."""

    def __init__(self, names: list[str]) -> None:
        self._index = {name: at for at, name in enumerate(names)}
        self._memory = mmap.mmap(-1, 4 * (len(names) + 1))
        self._counts = memoryview(self._memory).cast("I")

    def __getitem__(self, name: str) -> int:
        return self._counts[self._index[name]]

    def clear(self) -> None:
        """Count from nought."""
        for at in range(len(self._counts)):
            self._counts[at] = 0

    def arm(self, kill: Kill | None) -> None:
        """Count in this process, and have it die at `kill`."""
        lock = threading.Lock()
        left = 0 if kill is None else kill.passing

        def reached(name: str) -> None:
            nonlocal left
            with lock:
                self._counts[self._index[name]] += 1
                if kill is not None and name == kill.point:
                    left -= 1
                    if left == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                        threading.Event().wait()

        points.arm(reached)
