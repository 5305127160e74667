"""Shards: the followed symbols spread over connections, each read by a thread of its own."""

import threading
from collections.abc import Callable, Sequence, Set

import structlog

from exchange.market_news import Heard
from exchange.port import MarketStream

log = structlog.get_logger()

Hear = Callable[[Heard], None]


def spread(before: Sequence[Set[str]], wanted: Set[str], most: int) -> list[set[str]]:
    """Say which connection follows what: what is followed stays where it is, gaps fill first.

    Never more than `most` on one; a connection that is left without any keeps its place.
    """
    spread_out = [set(part & wanted) for part in before]
    new = sorted(wanted - set().union(*spread_out))
    for part in spread_out:
        room = most - len(part)
        part.update(new[:room])
        new = new[room:]
    return spread_out + [set(new[at : at + most]) for at in range(0, len(new), most)]


class Shards:
    """The connections. `hear` is called by their threads with whatever they hear."""

    def __init__(self, connect: Callable[[], MarketStream], hear: Hear) -> None:
        self._connect = connect
        self._hear = hear
        self._shards: list[_Shard] = []

    def follow(self, symbols: Set[str]) -> None:
        """Follow exactly these symbols, with new connections where the old ones are full."""
        most = self._connect().most_symbols if not self._shards else self._shards[0].most
        parts = spread([shard.symbols for shard in self._shards], symbols, most)
        for _ in range(len(parts) - len(self._shards)):
            self._shards.append(_Shard(self._connect(), self._hear))
        for shard, part in zip(self._shards, parts, strict=True):
            shard.follow(part)

    def leave(self, symbols: Set[str]) -> None:
        """Have the connections of these symbols replaced: they say nothing any more."""
        for shard in self._shards:
            if shard.symbols & symbols:
                log.warning("market_stream_frozen", tokens=len(shard.symbols & symbols))
                shard.stream.leave()

    def end(self) -> None:
        """Close all connections."""
        for shard in self._shards:
            shard.stop.set()
        for shard in self._shards:
            shard.thread.join(2)

    def __len__(self) -> int:
        return sum(bool(shard.symbols) for shard in self._shards)


class _Shard:
    def __init__(self, stream: MarketStream, hear: Hear) -> None:
        self.stream = stream
        self.most = stream.most_symbols
        self.symbols: frozenset[str] = frozenset()
        self.stop = threading.Event()
        self._hear = hear
        self.thread = threading.Thread(target=self._listen, name="market stream", daemon=True)
        self.thread.start()

    def follow(self, symbols: Set[str]) -> None:
        if symbols != self.symbols:
            self.symbols = frozenset(symbols)
            self.stream.follow(self.symbols)

    def _listen(self) -> None:
        while not self.stop.is_set():
            try:
                for heard in self.stream.news(self.stop):
                    self._hear(heard)
            except Exception:
                log.exception("market_stream_failed")
                self.stop.wait(1)
