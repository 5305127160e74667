"""The chain's clock: a block comes every so often, whether anything happens or not.

Two seconds apart, or as long as a settlement takes when that is quicker, so that confirmations can be
counted in tests. A process started with another settlement time goes on counting from where it was.
"""

from __future__ import annotations

from dataclasses import dataclass

from eth_hash.auto import keccak

from paper.agenda import now_ms
from paper.encoding import to_hex
from paper.store import Store

POLYGON_MS = 2_000
QUICKEST_MS = 20
FIRST = 80_000_000
"""Where counting begins: about Polygon's height in 2026."""
FINAL_AFTER = 3
"""How many blocks the tags `safe` and `finalized` lag behind."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Block `first` began at `first_ms`, and each one takes `each_ms`."""

    first_ms: int
    first: int
    each_ms: int

    def at(self, moment_ms: int) -> int:
        """Number the block that a moment falls into."""
        return self.first + (moment_ms - self.first_ms) // self.each_ms

    def latest(self) -> int:
        """Number the newest block."""
        return self.at(now_ms())

    def began(self, number: int) -> int:
        """Give a block's timestamp, in epoch seconds."""
        return (self.first_ms + (number - self.first) * self.each_ms) // 1000

    def tagged(self, tag: object) -> int:
        """Number the block that a JSON-RPC block parameter means; raises ValueError."""
        if not isinstance(tag, str):
            raise ValueError("expected a block number or tag")  # noqa: TRY004 - callers know one error
        tags = {"latest": 0, "pending": 1, "safe": -FINAL_AFTER, "finalized": -FINAL_AFTER}
        if tag in tags:
            return self.latest() + tags[tag]
        return 0 if tag == "earliest" else int(tag, 16)


def hash_of(number: int) -> str:
    """Give a block's hash, which follows from its number alone."""
    return to_hex(keccak(b"block %d" % number))


def read_blocks(store: Store, settle_ms: int) -> Blocks:
    """Read how blocks are counted, or begin to; call it once at a start, inside a transaction."""
    each_ms = min(max(settle_ms, QUICKEST_MS), POLYGON_MS)
    remembered = store.meta("blocks")
    blocks = Blocks(now_ms(), FIRST, each_ms)
    if remembered is not None:
        first_ms, first, known_ms = map(int, remembered.split())
        earlier = Blocks(first_ms, first, known_ms)
        if known_ms == each_ms:
            return earlier
        blocks = Blocks(now_ms(), earlier.latest() + 1, each_ms)
    store.remember("blocks", f"{blocks.first_ms} {blocks.first} {blocks.each_ms}")
    return blocks
