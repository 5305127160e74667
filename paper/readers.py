"""Who reads the market channel, of which tokens, and what waits for each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

MOST_TOKENS = 500
"""A connection that names more is told nothing any more (seen 2025-08: nautilus_trader pull request 2915)."""
MOST_WAITING = 1 << 24
"""So many bytes may wait for one reader, 16 MB; then it is cut off."""
BEHIND = 1 << 20
"""A reader for whom so many bytes wait holds up a replay that waits for its readers."""


class Reader:
    """One subscribed connection and the frames that wait for it."""

    def __init__(self, cut: Callable[[], None], custom: bool = False) -> None:
        self.tokens: set[str] = set()
        self.custom = custom
        self.named_too_many = False
        self.waiting_bytes = 0
        self._cut = cut
        self._frames: deque[bytes] = deque()
        self._ready = asyncio.Event()

    def put(self, frame: bytes) -> None:
        """Queue a frame; a reader too slow for that is cut off and loses what waits."""
        if self.waiting_bytes + len(frame) > MOST_WAITING:
            self._frames.clear()
            self.waiting_bytes = 0
            self._cut()
            return
        self._frames.append(frame)
        self.waiting_bytes += len(frame)
        self._ready.set()

    async def next(self) -> bytes:
        """Wait for a frame."""
        while not self._frames:
            self._ready.clear()
            await self._ready.wait()
        frame = self._frames.popleft()
        self.waiting_bytes -= len(frame)
        return frame


class Readers:
    """All readers, to be found by token."""

    def __init__(self) -> None:
        self._all: set[Reader] = set()
        self._by_token: dict[str, set[Reader]] = {}

    def add(self, reader: Reader, tokens: Iterable[str]) -> list[str]:
        """Let a reader read tokens as well; gives those that are new to it."""
        new = [token for token in dict.fromkeys(tokens) if token not in reader.tokens]
        if len(reader.tokens) + len(new) > MOST_TOKENS:
            reader.named_too_many = True
            self.remove(reader, list(reader.tokens))
            return []
        self._all.add(reader)
        reader.tokens.update(new)
        for token in new:
            self._by_token.setdefault(token, set()).add(reader)
        return new

    def remove(self, reader: Reader, tokens: Iterable[str]) -> None:
        """Let a reader no longer read tokens."""
        for token in reader.tokens.intersection(tokens):
            reader.tokens.discard(token)
            left = self._by_token[token]
            left.discard(reader)
            if not left:
                del self._by_token[token]

    def forget(self, reader: Reader) -> None:
        """Forget a reader that is gone."""
        self.remove(reader, list(reader.tokens))
        self._all.discard(reader)

    def of(self, *tokens: str) -> set[Reader]:
        """Find the readers of any of these tokens."""
        return set().union(*(self._by_token.get(token, ()) for token in tokens))

    def custom(self) -> list[Reader]:
        """List the readers with custom features."""
        return [reader for reader in self._all if reader.custom and not reader.named_too_many]

    @property
    def are_behind(self) -> bool:
        """Say whether much waits for any reader."""
        return any(reader.waiting_bytes > BEHIND for reader in self._all)
