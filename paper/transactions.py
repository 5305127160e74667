"""Transactions as eth_getTransactionByHash shows them: raw ones as signed, relayed ones in outline."""

from __future__ import annotations

from paper.addresses import CHAIN_ID
from paper.blocks import hash_of
from paper.encoding import from_hex, to_hex
from paper.raw_transactions import decode
from paper.state import Paper
from paper.store import Row


def transaction(paper: Paper, wanted: str) -> dict[str, object] | None:
    """Show a transaction that waits or is mined; None when it is unknown or was replaced."""
    mined = paper.store.one("SELECT * FROM receipts WHERE hash = ?", wanted)
    row = paper.store.one(
        "SELECT * FROM raw_transactions WHERE hash = ? AND state <> 'replaced'", wanted
    )
    if row is not None:
        return _signed(row) | _where(mined)
    if mined is None:
        return None
    return {
        "hash": wanted, "from": mined["sender"], "to": mined["target"], "input": "0x",
        "value": "0x0", "gas": hex(mined["gas_used"]), "type": hex(mined["type"]),
        "chainId": hex(CHAIN_ID),
    } | _where(mined)  # fmt: skip


def _signed(row: Row) -> dict[str, object]:
    sent = decode(from_hex(row["raw"]))
    v, r, s = sent.signature
    shown: dict[str, object] = {
        "hash": sent.hash, "from": sent.sender, "to": sent.target, "nonce": hex(sent.nonce),
        "gas": hex(sent.gas), "gasPrice": hex(sent.max_fee), "value": hex(sent.value),
        "input": to_hex(sent.data), "type": hex(sent.type), "chainId": hex(CHAIN_ID),
        "v": hex(v), "r": hex(r), "s": hex(s),
    }  # fmt: skip
    fees = {"maxFeePerGas": hex(sent.max_fee), "maxPriorityFeePerGas": hex(sent.max_tip)}
    return shown | (fees if sent.type else {})


def _where(mined: Row | None) -> dict[str, object]:
    if mined is None:
        return {"blockNumber": None, "blockHash": None, "transactionIndex": None}
    return {
        "blockNumber": hex(mined["block"]), "blockHash": hash_of(mined["block"]),
        "transactionIndex": hex(mined["position"]), "gasPrice": hex(mined["gas_price"]),
    }  # fmt: skip
