"""Named points between two effects, where a test may kill the process.

Outside of tests nothing is armed, and passing a point is one comparison.
`tests/crashes` arms them and dies there with SIGKILL, as if the machine had lost its power.
"""

from collections.abc import Callable

_reached: Callable[[str], None] | None = None


def point(name: str) -> None:
    """Pass a point; its name is a literal and unique, so that tests can list all of them."""
    if _reached is not None:
        _reached(name)


def arm(reached: Callable[[str], None] | None) -> None:
    """Have `reached` called with the name of each point that this process passes (tests)."""
    global _reached
    _reached = reached
