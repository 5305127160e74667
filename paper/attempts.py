"""Calls that are tried out and taken back: eth_call and eth_estimateGas.

Both raise Reverted when the transaction would revert, and RpcError when it could not be paid for.
"""

from __future__ import annotations

from paper import pol
from paper.addresses import ZERO_ADDRESS
from paper.contracts import gas_needed, read, transact
from paper.encoding import checksum, from_hex, to_hex, whole
from paper.errors import NOT_TAKEN, RpcError
from paper.state import Paper


class _TriedOut(Exception):
    """Ends a transaction of the store that was only an attempt."""


def call(paper: Paper, params: list[object]) -> str:
    """Answer eth_call: what a function reads, or nothing when a transaction would go well."""
    sender, target, value, data = _request(params)
    found = read(paper, target, data) if target is not None else None
    if found is None:
        _try_out(paper, sender, target, value, data)
    return to_hex(found or b"")


def estimate(paper: Paper, params: list[object]) -> str:
    """Answer eth_estimateGas, when a transaction would go well and its sender can pay for it."""
    sender, target, value, data = _request(params)
    _try_out(paper, sender, target, value, data)
    needed = gas_needed(paper, sender, target, data)
    price = _most_paid(params)
    if price and pol.balance(paper.store, sender) < needed * price + value:
        affordable = (pol.balance(paper.store, sender) - value) // price
        raise RpcError(NOT_TAKEN, f"gas required exceeds allowance ({max(affordable, 0)})")
    return hex(needed)


def _request(params: list[object]) -> tuple[str, str | None, int, bytes]:
    """Read a call's sender, target, value and data."""
    fields = params[0]
    if not isinstance(fields, dict):
        raise RpcError(-32602, "invalid params")
    target = checksum(str(fields["to"])) if fields.get("to") else None
    data = fields.get("data") or fields.get("input") or "0x"
    return (
        checksum(str(fields.get("from") or ZERO_ADDRESS)), target,
        whole(fields.get("value") or 0), from_hex(str(data)),
    )  # fmt: skip


def _most_paid(params: list[object]) -> int:
    fields = params[0] if isinstance(params[0], dict) else {}
    return whole(fields.get("maxFeePerGas") or fields.get("gasPrice") or 0)


def _try_out(paper: Paper, sender: str, target: str | None, value: int, data: bytes) -> None:
    """Do what a transaction would do and take it back; raises Reverted, or RpcError without POL."""
    if value > pol.balance(paper.store, sender):
        raise RpcError(NOT_TAKEN, "insufficient funds for transfer")
    try:
        with paper.store.transaction():
            transact(paper, sender, target, value, data, "attempt")
            raise _TriedOut
    except _TriedOut:
        return
