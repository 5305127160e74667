"""Where the children's output goes: the terminal, prefixed, and a rotated file for each."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
from collections import deque
from logging.handlers import RotatingFileHandler
from pathlib import Path

_COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
_LOG_BYTES, _LOG_FILES = 10_000_000, 3
_REMEMBERED_LINES = 20
_QUEUED_LINES = 10_000
_LONGEST_LINE = 65_536


class Printer:
    """Writes lines to standard output from a thread of its own.

    A paused terminal or an unread pipe must not hold up trading: when the queue is full, lines are
    dropped here (the log files have them all).
    """

    def __init__(self, descriptor: int = 1) -> None:
        self.descriptor = descriptor
        self.coloured = os.isatty(descriptor) and "NO_COLOR" not in os.environ
        self._lines: queue.Queue[bytes | None] = queue.Queue(_QUEUED_LINES)
        self._thread = threading.Thread(target=self._write, daemon=True, name="printer")
        self._thread.start()

    def line(self, text: str) -> None:
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(text.encode(errors="replace") + b"\n")

    def close(self, patience: float = 1.0) -> None:
        """Write what is queued, unless nobody reads it."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
            self._thread.join(patience)

    def _write(self) -> None:
        broken = False
        while (line := self._lines.get()) is not None:
            while line and not broken:
                try:
                    line = line[os.write(self.descriptor, line) :]
                except OSError:  # the reader is gone; the log files go on
                    broken = True


class _Log(RotatingFileHandler):
    """A log file that a full disk cannot turn into an error of the supervisor."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        pass


class Output:
    """One child's output: prefixed lines for people, the bare lines in its log file."""

    def __init__(self, name: str, number: int, width: int, printer: Printer, logs: Path) -> None:
        self.last: deque[str] = deque(maxlen=_REMEMBERED_LINES)
        self._printer = printer
        prefix = f"{name:<{width}} | "
        colour = _COLOURS[number % len(_COLOURS)]
        self._prefix = f"\x1b[{colour}m{prefix}\x1b[0m" if printer.coloured else prefix
        self._log = _Log(
            logs / f"{name}.log", maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, delay=True
        )
        self._rest = b""

    def feed(self, part: bytes) -> None:
        """Take output as it comes; lines are passed on when they are complete."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self.line(line.decode(errors="replace").rstrip("\r"))

    def line(self, text: str) -> None:
        self.last.append(text)
        self._printer.line(self._prefix + text)
        self._log.emit(logging.LogRecord("", logging.INFO, "", 0, text, None, None))

    def close(self) -> None:
        if self._rest:
            self.feed(b"\n")
        self._log.close()


def complain(text: str) -> None:
    """Tell the user on standard error why there is no start."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text.rstrip() + "\n")
        sys.stderr.flush()
