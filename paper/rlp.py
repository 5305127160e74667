"""Recursive length prefix: how a signed transaction is written down, read and written by hand.

Rules: Ethereum's yellow paper, appendix B; only the shortest form of a length is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

Item = bytes | list["Item"]

_SHORT = 55
_STRING, _LIST = 0x80, 0xC0
_DEEPEST = 8


def decode(raw: bytes) -> Item:
    """Read one item that fills the bytes; raises ValueError."""
    item, end = _read(raw, 0, 0)
    if end != len(raw):
        raise ValueError("rlp: trailing bytes")
    return item


def encode(item: bytes | int | Sequence[bytes | int]) -> bytes:
    """Write bytes, a number, or a list of those."""
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < _STRING:
            return item
        return _prefix(_STRING, len(item)) + item
    return wrap(b"".join(encode(part) for part in item))


def wrap(body: bytes) -> bytes:
    """Write a list whose items are written already."""
    return _prefix(_LIST, len(body)) + body


def _prefix(kind: int, length: int) -> bytes:
    if length <= _SHORT:
        return bytes([kind + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([kind + _SHORT + len(size)]) + size


def _read(raw: bytes, at: int, depth: int) -> tuple[Item, int]:
    if at >= len(raw) or depth > _DEEPEST:
        raise ValueError("rlp: value too short or too deep")
    first = raw[at]
    if first < _STRING:
        return raw[at : at + 1], at + 1
    kind = _LIST if first >= _LIST else _STRING
    start, length = _span(raw, at + 1, first - kind)
    end = start + length
    if end > len(raw):
        raise ValueError("rlp: value size exceeds available input length")
    if kind == _LIST:
        return _read_list(raw, start, end, depth), end
    if length == 1 and raw[start] < _STRING:
        raise ValueError("rlp: non-canonical size information")
    return raw[start:end], end


def _span(raw: bytes, at: int, size: int) -> tuple[int, int]:
    """Give where the content begins and how long it is."""
    if size <= _SHORT:
        return at, size
    start = at + size - _SHORT
    length = int.from_bytes(raw[at:start], "big")
    if length <= _SHORT or raw[at] == 0:
        raise ValueError("rlp: non-canonical size information")
    return start, length


def _read_list(raw: bytes, at: int, end: int, depth: int) -> list[Item]:
    items: list[Item] = []
    while at < end:
        item, at = _read(raw, at, depth + 1)
        items.append(item)
    if at != end:
        raise ValueError("rlp: element is larger than containing list")
    return items
