"""Ports: is this one free, and which one did we take the last time."""

from __future__ import annotations

import errno
import socket
from pathlib import Path


def is_free(host: str, port: int) -> bool:
    """Say whether a server could listen there now. Raises OSError for an address not of ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def remembered(note: Path) -> int:
    """Return the port noted in the file, or a new one when that is taken."""
    try:
        port = int(note.read_text())
    except (OSError, ValueError):
        port = 0
    if not 1 <= port <= 65535 or not is_free("127.0.0.1", port):
        port = free_port()
        note.write_text(f"{port}\n")
    return port
