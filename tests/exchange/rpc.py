"""A scripted node: what a `Stub` answers to JSON-RPC, by method and, for calls, by contract function."""

from collections.abc import Callable
from typing import Any

from exchange.polymarket.addresses import CONDITIONAL_TOKENS
from exchange.polymarket.words import selector, topic
from tests.exchange.stub import Asked, Stub

BATCH = topic("TransferBatch(address,address,address,uint256[],uint256[])")
SINGLE = topic("TransferSingle(address,address,address,uint256,uint256)")
TRANSFER = topic("Transfer(address,address,uint256)")


class Node:
    """Answers by method; `eth_call` by the function's signature."""

    def __init__(self, stub: Stub) -> None:
        self.results: dict[str, Any] = {"eth_chainId": "0x89", "eth_getCode": "0x60"}
        self.calls: dict[str, Any] = {}
        stub.on("POST", "/rpc", self._answer)

    def on(self, method: str, result: Any) -> None:
        """Answer a method with a result, an `{"error": ...}` or a function of its parameters."""
        self.results[method] = result

    def on_call(self, signature: str, *words: int) -> None:
        """Answer a contract's function with words."""
        self.calls["0x" + selector(signature)] = "0x" + "".join(f"{word:064x}" for word in words)

    def _answer(self, asked: Asked) -> Any:
        body = asked.json
        return [self._one(row) for row in body] if isinstance(body, list) else self._one(body)

    def _one(self, row: dict[str, Any]) -> dict[str, Any]:
        method, params = row["method"], row["params"]
        head = {"jsonrpc": "2.0", "id": row["id"]}
        found = self.results.get(method, {"error": {"code": -32601, "message": "no such method"}})
        if method == "eth_call" and "eth_call" not in self.results:
            found = self.calls[params[0]["data"][:10]]
        if isinstance(found, Callable):  # type: ignore[arg-type]
            found = found(*params)
        return head | (found if isinstance(found, dict) and "error" in found else {"result": found})


def word(value: int | str) -> str:
    """One topic."""
    return f"0x{int(value, 16) if isinstance(value, str) else value:064x}"


def batch_log(giver: str, taker: str, moved: dict[str, int], contract: str = CONDITIONAL_TOKENS):
    """An ERC-1155 TransferBatch of base units by token."""
    ids, units = list(map(int, moved)), list(moved.values())
    words = [64, 96 + 32 * len(ids), len(ids), *ids, len(ids), *units]
    return {
        "address": contract,
        "topics": [BATCH, word(giver), word(giver), word(taker)],
        "data": "0x" + "".join(f"{one:064x}" for one in words),
    }


def receipt(logs: list[dict[str, Any]], status: str = "0x1", block: int = 100) -> dict[str, Any]:
    """A receipt that used 0.0105 POL."""
    return {
        "transactionHash": "0xdd",
        "status": status,
        "blockNumber": hex(block),
        "blockHash": word(block),
        "gasUsed": hex(350_000),
        "effectiveGasPrice": hex(30 * 10**9),
        "logs": logs,
    }
