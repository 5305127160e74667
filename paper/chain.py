"""Just enough of Polygon's JSON-RPC: what the clients read, and the raw transactions they send."""

from __future__ import annotations

from collections.abc import Callable

from paper import gas, pol, pool, receipts
from paper.addresses import CHAIN_ID, ZERO_ADDRESS
from paper.agenda import now_ms
from paper.blocks import hash_of
from paper.contracts import gas_needed, has_code, read, transact
from paper.encoding import checksum, from_hex, selector, to_hex, word
from paper.execution import Reverted
from paper.faults import Fault, fate_of
from paper.nonces import nonce_of
from paper.state import Paper
from paper.transactions import transaction

REVERTED, NOT_TAKEN = 3, -32000
OTHER_CHAIN = 80002
"""What `lie:chain_id` answers: Amoy, the test network."""
_ERROR = selector("Error(string)")
_LONGEST_HISTORY = 1024


class RpcError(Exception):
    """A JSON-RPC error: its code, message and data."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data

    @property
    def body(self) -> dict[str, object]:
        """Give the answer's `error`."""
        shown: dict[str, object] = {"code": self.code, "message": str(self)}
        return shown if self.data is None else shown | {"data": self.data}


class _TriedOut(Exception):
    """Ends a transaction of the store that was only an attempt."""


def answer(paper: Paper, request: object, fault: Fault | None = None) -> dict[str, object]:
    """Answer one JSON-RPC request object, with what is arranged to go wrong."""
    fields = request if isinstance(request, dict) else {}
    reply: dict[str, object] = {"jsonrpc": "2.0", "id": fields.get("id")}
    try:
        method, params = fields.get("method"), fields.get("params") or []
        if not isinstance(method, str) or not isinstance(params, list):
            raise RpcError(-32600, "invalid request")
        return reply | {"result": _lied(paper, method, params, fault)}
    except RpcError as error:
        return reply | {"error": error.body}
    except Reverted as reverted:
        revert = RpcError(REVERTED, str(reverted), _encoded(reverted.reason))
        return reply | {"error": revert.body}
    except pool.NotTaken as refusal:
        return reply | {"error": RpcError(NOT_TAKEN, str(refusal)).body}
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, AttributeError):
        return reply | {"error": RpcError(-32602, "invalid params").body}


def _lied(paper: Paper, method: str, params: list[object], fault: Fault | None) -> object:
    """Give a method's result, or the lie that is told instead."""
    lie = None if fault is None else fault.lie
    if lie == "chain_id" and method in ("eth_chainId", "net_version"):
        return hex(OTHER_CHAIN) if method == "eth_chainId" else str(OTHER_CHAIN)
    if lie == "no_receipt" and method == "eth_getTransactionReceipt":
        return None
    result = _result(paper, method, params, fault)
    return "0xnonsense" if lie == "nonsense" else result


def _result(paper: Paper, method: str, params: list[object], fault: Fault | None) -> object:
    if method == "eth_sendRawTransaction":
        return pool.submit(paper, from_hex(str(params[0])), fate_of(fault))
    handler = _METHODS.get(method)
    if handler is None:
        raise RpcError(-32601, f"the method {method} does not exist/is not available")
    return handler(paper, params)


def _encoded(reason: str) -> str:
    """Encode a revert's reason as Solidity's `Error(string)`; nothing when there is none."""
    if not reason:
        return "0x"
    text = reason.encode()
    padded = text.ljust(-(-len(text) // 32) * 32, b"\0")
    return to_hex(_ERROR + word(32) + word(len(text)) + padded)


def _block(paper: Paper, params: list[object]) -> dict[str, object] | None:
    asked = params[0] if params else "latest"
    number = paper.blocks.tagged(asked)
    if number > paper.blocks.latest() and asked != "pending":
        return None
    included = paper.store.all(
        "SELECT hash FROM receipts WHERE block = ? ORDER BY position", (number,)
    )
    return {
        "number": hex(number), "hash": None if asked == "pending" else hash_of(number),
        "parentHash": hash_of(number - 1), "timestamp": hex(paper.blocks.began(number)),
        "baseFeePerGas": hex(gas.base_fee(paper.store)), "gasLimit": hex(gas.BLOCK_LIMIT),
        "gasUsed": "0x0", "transactions": [row["hash"] for row in included],
    }  # fmt: skip


def _fee_history(paper: Paper, params: list[object]) -> dict[str, object]:
    count = min(_whole(params[0]), _LONGEST_HISTORY)
    percentiles = params[2] if len(params) > 2 and isinstance(params[2], list) else []
    newest = paper.blocks.tagged(params[1])
    return {
        "oldestBlock": hex(newest - count + 1),
        "baseFeePerGas": [hex(gas.base_fee(paper.store))] * (count + 1),
        "gasUsedRatio": [0.5] * count,
        "reward": [[hex(gas.TIP)] * len(percentiles)] * count,
    }


def _code(paper: Paper, params: list[object]) -> str:
    return "0x60806040" if has_code(paper, checksum(str(params[0]))) else "0x"


def _count(paper: Paper, params: list[object]) -> str:
    sender = checksum(str(params[0]))
    pending = len(params) > 1 and params[1] == "pending"
    return hex(pool.pending_nonce(paper, sender) if pending else nonce_of(paper.store, sender))


def _logs(paper: Paper, params: list[object]) -> list[dict[str, object]]:
    wanted = params[0]
    if not isinstance(wanted, dict):
        raise RpcError(-32602, "invalid params")
    try:
        return receipts.find_logs(paper, wanted)
    except ValueError as error:
        raise RpcError(-32602, str(error)) from None


def _call(paper: Paper, params: list[object]) -> str:
    sender, target, value, data = _request(params)
    found = read(paper, target, data) if target is not None else None
    if found is None:
        _try_out(paper, sender, target, value, data)
    return to_hex(found or b"")


def _estimate(paper: Paper, params: list[object]) -> str:
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
        _whole(fields.get("value") or 0), from_hex(str(data)),
    )  # fmt: skip


def _most_paid(params: list[object]) -> int:
    fields = params[0] if isinstance(params[0], dict) else {}
    return _whole(fields.get("maxFeePerGas") or fields.get("gasPrice") or 0)


def _whole(given: object) -> int:
    return given if isinstance(given, int) else int(str(given), 16)


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


_METHODS: dict[str, Callable[[Paper, list[object]], object]] = {
    "eth_chainId": lambda _paper, _params: hex(CHAIN_ID),
    "net_version": lambda _paper, _params: str(CHAIN_ID),
    "eth_blockNumber": lambda paper, _params: hex(paper.blocks.at(now_ms())),
    "eth_getBlockByNumber": _block,
    "eth_call": _call,
    "eth_getCode": _code,
    "eth_getTransactionReceipt": lambda paper, p: receipts.receipt(paper, str(p[0]).lower()),
    "eth_getTransactionByHash": lambda paper, p: transaction(paper, str(p[0]).lower()),
    "eth_getTransactionCount": _count,
    "eth_getBalance": lambda paper, p: hex(pol.balance(paper.store, checksum(str(p[0])))),
    "eth_gasPrice": lambda paper, _params: hex(gas.base_fee(paper.store) + gas.TIP),
    "eth_maxPriorityFeePerGas": lambda _paper, _params: hex(gas.TIP),
    "eth_feeHistory": _fee_history,
    "eth_estimateGas": _estimate,
    "eth_getLogs": _logs,
}
