"""Just enough of Polygon's JSON-RPC: what the clients read, and the raw transactions they send."""

from __future__ import annotations

from collections.abc import Callable

from paper import gas, pol, pool, receipts
from paper.addresses import CHAIN_ID
from paper.attempts import call, estimate
from paper.blocks import hash_of
from paper.contracts import has_code
from paper.encoding import checksum, from_hex, selector, to_hex, whole, word
from paper.errors import RpcError
from paper.execution import Reverted
from paper.faults import Fault, fate_of
from paper.nonces import nonce_of
from paper.state import Paper
from paper.transactions import transaction

REVERTED = 3
OTHER_CHAIN = 80002
"""What `lie:chain_id` answers: Amoy, the test network."""
_ERROR = selector("Error(string)")
_LONGEST_HISTORY = 1024


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
    count = min(whole(params[0]), _LONGEST_HISTORY)
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


_METHODS: dict[str, Callable[[Paper, list[object]], object]] = {
    "eth_chainId": lambda _paper, _params: hex(CHAIN_ID),
    "net_version": lambda _paper, _params: str(CHAIN_ID),
    "eth_blockNumber": lambda paper, _params: hex(paper.blocks.latest()),
    "eth_getBlockByNumber": _block,
    "eth_call": call,
    "eth_getCode": _code,
    "eth_getTransactionReceipt": lambda paper, p: receipts.receipt(paper, str(p[0]).lower()),
    "eth_getTransactionByHash": lambda paper, p: transaction(paper, str(p[0]).lower()),
    "eth_getTransactionCount": _count,
    "eth_getBalance": lambda paper, p: hex(pol.balance(paper.store, checksum(str(p[0])))),
    "eth_gasPrice": lambda paper, _params: hex(gas.base_fee(paper.store) + gas.TIP),
    "eth_maxPriorityFeePerGas": lambda _paper, _params: hex(gas.TIP),
    "eth_feeHistory": _fee_history,
    "eth_estimateGas": estimate,
    "eth_getLogs": _logs,
}
