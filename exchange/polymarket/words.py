"""Solidity's ABI as far as we read contracts ourselves: 32-byte words, and arrays of them.

Source: docs.soliditylang.org, contract ABI specification. What is signed is written by the
official client (`calls.py`); this only asks questions, and must not load it.
"""

from collections.abc import Sequence
from functools import cache

from eth_hash.auto import keccak

Argument = int | str | Sequence[int]


@cache
def selector(signature: str) -> str:
    """Return a function's first four bytes as hex, such as `balanceOf(address)`'s 70a08231."""
    return keccak(signature.encode())[:4].hex()


def topic(signature: str) -> str:
    """Return an event's first topic, with 0x."""
    return "0x" + keccak(signature.encode()).hex()


def question(signature: str, *arguments: Argument) -> str:
    """Return the calldata of a function: hex text and numbers are words, sequences arrays."""
    head, tail = "", ""
    for argument in arguments:
        if isinstance(argument, int):
            head += f"{argument:064x}"
        elif isinstance(argument, str):
            head += f"{int(argument, 16):064x}"
        else:
            head += f"{32 * len(arguments) + len(tail) // 2:064x}"
            tail += f"{len(argument):064x}" + "".join(f"{number:064x}" for number in argument)
    return "0x" + selector(signature) + head + tail


def words_of(data: str) -> list[int]:
    """Return the words of an answer or of a log's data; raises `ValueError` for anything else."""
    digits = data.removeprefix("0x")
    if len(digits) % 64:
        raise ValueError(f"expected whole words, found {len(digits) // 2} bytes")
    return [int(digits[at : at + 64], 16) for at in range(0, len(digits), 64)]


def array_at(words: Sequence[int], position: int) -> list[int]:
    """Return the array whose offset stands at `position`; raises `ValueError` for a torn one."""
    start, rest = divmod(words[position], 32)
    if rest or start >= len(words) or start + 1 + words[start] > len(words):
        raise ValueError("the answer holds no such array")
    return list(words[start + 1 : start + 1 + words[start]])
