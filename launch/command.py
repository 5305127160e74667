"""What to start and how, and the way a child is tied to the life of its supervisor."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Command:
    """One process to start.

    `death_signal` is what the kernel sends it when the supervisor dies, however it dies (Linux).
    `user` is a name to drop to; `keep` are file descriptors it inherits, such as a held lock.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    user: str | None = None
    keep: tuple[int, ...] = ()

    def popen_arguments(self) -> dict[str, Any]:
        """Return keyword arguments that `subprocess.Popen` and asyncio both take.

        Call it in the thread that lives as long as the supervisor: the kernel counts the death of
        the *thread* that started the child.
        """
        arguments: dict[str, Any] = {
            "cwd": self.directory,
            "env": dict(self.environment),
            "stdin": subprocess.DEVNULL,
            "start_new_session": True,
            "pass_fds": self.keep,
        }
        if self.user is not None:
            group = pwd.getpwnam(self.user).pw_gid
            arguments |= {"user": self.user, "group": group, "extra_groups": []}
        if sys.platform == "linux":
            # After the change of user, which would clear it; subprocess keeps that order.
            arguments["preexec_fn"] = _tie_to(os.getpid(), self.death_signal)
        return arguments


def _tie_to(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    prctl = ctypes.CDLL(None).prctl  # looked up here: between fork and exec little is safe

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return tie
