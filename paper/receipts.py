"""What became of transactions in their blocks, and the events they left behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from paper.addresses import EXCHANGE
from paper.agenda import now_ms
from paper.blocks import hash_of
from paper.encoding import checksum
from paper.logs import Log
from paper.state import Paper
from paper.store import Row

MOST_BLOCKS = 10_000
"""How many blocks one eth_getLogs may span."""
_BLOOM = "0x" + "00" * 256


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A transaction as it goes into a block; gas price in wei."""

    hash: str
    ok: bool
    sender: str
    target: str
    gas_used: int
    gas_price: int
    type: int = 2


def include(paper: Paper, what: Inclusion, logs: Sequence[Log]) -> None:
    """Put a transaction and its events into the present block; call it inside a transaction."""
    store, block = paper.store, paper.blocks.at(now_ms())
    index = store.number("SELECT COUNT(*) FROM receipts WHERE block = ?", block)
    store.write(
        "INSERT INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        what.hash, block, index, int(what.ok), what.sender, what.target, what.gas_used,
        what.gas_price, what.type,
    )  # fmt: skip
    first = store.number("SELECT COUNT(*) FROM logs WHERE block = ?", block)
    for number, log in enumerate(logs, start=first):
        store.write(
            "INSERT INTO logs VALUES (NULL, ?, ?, ?, ?, ?, ?)",
            what.hash, block, number, log.address, orjson.dumps(log.topics).decode(), log.data,
        )  # fmt: skip


def receipt(paper: Paper, wanted: str) -> dict[str, object] | None:
    """Show a transaction's receipt, None while it is in no block."""
    row = paper.store.one("SELECT * FROM receipts WHERE hash = ?", wanted)
    if row is None:
        return _of_trade(paper, wanted)
    logs = paper.store.all("SELECT * FROM logs WHERE hash = ? ORDER BY number", (wanted,))
    return {
        "transactionHash": row["hash"], "status": hex(row["ok"]),
        "blockNumber": hex(row["block"]), "blockHash": hash_of(row["block"]),
        "transactionIndex": hex(row["position"]), "from": row["sender"],
        "to": row["target"] or None, "contractAddress": None, "gasUsed": hex(row["gas_used"]),
        "cumulativeGasUsed": hex(row["gas_used"]), "effectiveGasPrice": hex(row["gas_price"]),
        "type": hex(row["type"]), "logsBloom": _BLOOM, "logs": [_log(log) for log in logs],
    }  # fmt: skip


def _of_trade(paper: Paper, wanted: str) -> dict[str, object] | None:
    """Show the receipt of a settled trade, whose events nobody reads."""
    row = paper.store.one(
        "SELECT * FROM trades WHERE hash = ? AND status IN ('MINED', 'CONFIRMED')", wanted
    )
    if row is None:
        return None
    block = paper.blocks.at(row["updated_ms"])
    return {
        "transactionHash": wanted, "status": "0x1", "blockNumber": hex(block),
        "blockHash": hash_of(block), "transactionIndex": "0x0", "gasUsed": "0x5b8d8",
        "effectiveGasPrice": "0x6fc23ac00", "to": EXCHANGE, "logs": [],
    }  # fmt: skip


def find_logs(paper: Paper, wanted: dict[str, object]) -> list[dict[str, object]]:
    """List events by `address`, `topics` and a range of blocks; raises ValueError.

    Each topic is a value, a list of values, or None for any; as eth_getLogs has it.
    """
    since = paper.blocks.tagged(wanted.get("fromBlock", "latest"))
    until = paper.blocks.tagged(wanted.get("toBlock", "latest"))
    if until - since > MOST_BLOCKS:
        raise ValueError("block range is too large")
    rows = paper.store.all(
        "SELECT * FROM logs WHERE block BETWEEN ? AND ? ORDER BY number", (since, until)
    )
    emitters = {checksum(address) for address in _values(wanted.get("address"))}
    topics = wanted.get("topics") or []
    if not isinstance(topics, list):
        raise ValueError("expected a list of topics")  # noqa: TRY004 - callers know one error
    choices = [_values(topic) for topic in topics]
    return [_log(row) for row in rows if _is_wanted(row, emitters, choices)]


def _is_wanted(row: Row, emitters: set[str], choices: list[list[str]]) -> bool:
    if emitters and row["address"] not in emitters:
        return False
    topics = orjson.loads(row["topics"])
    return len(choices) <= len(topics) and all(
        not choice or topic in choice for topic, choice in zip(topics, choices, strict=False)
    )


def _values(given: object) -> list[str]:
    values = given if isinstance(given, list) else [] if given is None else [given]
    return [str(value).lower() for value in values]


def _log(row: Row) -> dict[str, object]:
    return {
        "address": row["address"], "topics": orjson.loads(row["topics"]), "data": row["data"],
        "blockNumber": hex(row["block"]), "blockHash": hash_of(row["block"]),
        "transactionHash": row["hash"], "logIndex": hex(row["log_index"]), "removed": False,
    }  # fmt: skip
