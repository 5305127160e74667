"""Conversions that the chain's logs show, whoever sent them. Pure: which logs to ask for, what they say.

A split's tokens come from the adapter to the wallet, those of a merge or a redemption go from
the wallet to the adapter (Polymarket/ctf-exchange-v2 `src/adapters`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exchange.errors import Unavailable
from exchange.polymarket.receipts import TRANSFER_BATCH, TRANSFER_SINGLE, token_units
from exchange.polymarket.rpc import NODE, number
from exchange.polymarket.settings import Contracts
from exchange.quantising import base_units
from exchange.types import Conversion

PIECE = 500
"""Blocks of one question; free nodes take no more at once."""
MOST_BLOCKS = 50_000
"""More than a day; 100 questions."""


def require_range(since_block: int, head: int) -> None:
    """Raise `Unavailable` where the blocks cannot all be asked about."""
    if since_block <= 0:
        raise Unavailable("it is not known since which block the chain's logs are to be read")
    if since_block > head:
        raise Unavailable(f"{NODE} is at block {head}, expected {since_block} or later")
    if head - since_block > MOST_BLOCKS:
        raise Unavailable(
            f"the chain's logs of {head - since_block} blocks are too many to read, "
            f"expected at most {MOST_BLOCKS}"
        )


def pieces(since_block: int, head: int) -> Iterator[tuple[int, int]]:
    """Cut a range of blocks into what a node answers at once: first and last block of each."""
    for first in range(since_block, head + 1, PIECE):
        yield first, min(first + PIECE - 1, head)


def log_filter(
    conversion: Conversion, wallet: str, contracts: Contracts, first: int, last: int
) -> dict[str, Any]:
    """Return eth_getLogs's parameter for the token transfers of such a conversion."""
    ends = [contracts.adapter_for(conversion.neg_risk), wallet]
    giver, taker = ends if conversion.kind == "split" else reversed(ends)
    return {
        "address": contracts.conditional_tokens,
        "topics": [[TRANSFER_SINGLE, TRANSFER_BATCH], None, _topic(giver), _topic(taker)],
        "fromBlock": hex(first),
        "toBlock": hex(last),
    }


def matching(logs: Sequence[Mapping[str, Any]], conversion: Conversion) -> list[tuple[int, str]]:
    """Return block and hash of the transactions that did just what the conversion does, oldest first.

    Raises `ValueError`, `KeyError` or `TypeError` for what is no log.
    """
    moved: dict[tuple[int, str], Counter[str]] = {}
    for log in sorted(logs, key=_place):
        if not log.get("removed"):
            total = moved.setdefault(
                (number(log["blockNumber"]), str(log["transactionHash"])), Counter()
            )
            for token, units in token_units(log):
                total[token] += units
    return [key for key, total in moved.items() if _is_just(conversion, total)]


def _is_just(conversion: Conversion, moved: Counter[str]) -> bool:
    ours = {token: moved[token] for token in conversion.tokens}
    if conversion.kind == "redeem":
        return any(ours.values())
    return ours == dict.fromkeys(conversion.tokens, base_units(conversion.quantity))


def _place(log: Mapping[str, Any]) -> tuple[int, int]:
    return number(log["blockNumber"]), number(log["logIndex"])


def _topic(address: str) -> str:
    return f"0x{int(address, 16):064x}"
