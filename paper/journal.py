"""What happened to one book since the market channel was last told: changed levels and trades, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Moved:
    """Levels that changed together, with their new total, in the first token's frame.

    `index` is the token that is named first: that of the order behind the change.
    """

    index: int
    levels: dict[tuple[str, int], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Traded:
    """A trade, as the taker's token `index` saw it."""

    index: int
    side: str
    price: int
    shares: int
    transaction: str


class Journal:
    """Collects until somebody takes it all; `wake` is called when there is something to take."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._entries: list[Moved | Traded] = []
        self._open: Moved | None = None

    def level(self, index: int, side: str, price: int, size: int) -> None:
        """Note a level's new total, 0 for none; in an entry of its own unless one is open."""
        if self._open is not None:
            self._open.levels[side, price] = size
        else:
            self._add(Moved(index, {(side, price): size}))

    def trade(self, traded: Traded) -> None:
        """Note a trade."""
        self._add(traded)

    @contextmanager
    def together(self, index: int) -> Iterator[None]:
        """Put all levels that change meanwhile into one entry."""
        self._open = moved = Moved(index)
        try:
            yield
        finally:
            self._open = None
            if moved.levels:
                self._add(moved)

    def mark(self) -> int:
        """Say how far it goes now."""
        return len(self._entries)

    def cut(self, mark: int) -> None:
        """Forget what came after a mark: it was undone."""
        del self._entries[mark:]

    def take(self) -> list[Moved | Traded]:
        """Give what happened, and begin anew."""
        taken, self._entries = self._entries, []
        return taken

    def _add(self, entry: Moved | Traded) -> None:
        self._entries.append(entry)
        self._wake()
