"""Named points between two effects, where a test may kill the process.

Outside of tests `point` is a function that does nothing. Under a test that sets
`POLYTRADER_KILL_AT=name` (or `name:3`, its third passing) the process dies there
with SIGKILL, as if the machine had lost its power.
"""

import os
import signal

_WANTED, _, _COUNT = os.environ.get("POLYTRADER_KILL_AT", "").partition(":")
_left = int(_COUNT or 1)


def _do_nothing(name: str) -> None:
    """Pass a point."""


def _die_at(name: str) -> None:
    """Pass a point, unless it is the one at which to die."""
    global _left
    if name != _WANTED:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)


point = _die_at if _WANTED else _do_nothing
