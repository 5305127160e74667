"""What must not be shared over a fork (connections, locks): made on first use in each process."""

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """One value per process, made by `make` when a process first asks for it.

    Needs no lock, which a fork could copy while it is held: of two threads that
    make one at once, the first to store it wins and both get that one.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def get(self) -> T:
        """Return this process's value."""
        pid = os.getpid()
        if (value := self._made.get(pid)) is not None:
            return value
        return self._made.setdefault(pid, self._make())
