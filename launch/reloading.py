"""For `make dev`: what source file changed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

_EVERY = 1.0
_LEFT_OUT = ("tests", "bench", "docs", "launch", "node_modules", "__pycache__")


async def changes(root: Path, report: Callable[[str], None]) -> None:
    """Look for changed Python files once a second, for ever, and report the first of each time."""
    before = await asyncio.to_thread(snapshot, root)
    while True:
        await asyncio.sleep(_EVERY)
        now = await asyncio.to_thread(snapshot, root)
        if now != before:
            changed = sorted(path for path, _ in now.items() ^ before.items())
            report(os.path.relpath(changed[0], root))
        before = now


def snapshot(root: Path) -> dict[str, int]:
    """Return the time of change of every Python file of ours, in nanoseconds."""
    found: dict[str, int] = {}
    for parent, directories, files in os.walk(root):
        directories[:] = [name for name in directories if name[0] != "." and name not in _LEFT_OUT]
        for name in files:
            if name.endswith(".py"):
                path = os.path.join(parent, name)
                try:
                    found[path] = os.stat(path).st_mtime_ns
                except OSError:
                    continue  # an editor replaces it just now; next second
    return found
