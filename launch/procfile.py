"""The Procfile: process types and their commands, the same here as on a platform."""

from __future__ import annotations

import re
from pathlib import Path

from launch.errors import LaunchError

RELEASE = "release"


def read(path: Path) -> dict[str, str]:
    """Return command lines by process type, in order. Raises LaunchError."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise LaunchError(f"cannot read {path}: {error.strerror}") from error
    commands: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9_-]+):\s*(\S.*)", line.strip())
        if match is None:
            raise LaunchError(f"{path.name} line {number}: expected `type: command`")
        if match[1] in commands:
            raise LaunchError(f"{path.name} line {number}: {match[1]} is there twice")
        commands[match[1]] = match[2]
    return commands


def argv(command: str) -> tuple[str, ...]:
    """Return what runs it: a shell for its variables, which then gives way to the program."""
    return ("/bin/sh", "-c", f"exec {command}")
