"""How the relayer lists and shows its transactions, today and before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from paper.state import Paper
from paper.store import Row


def show(row: Row) -> dict[str, object]:
    """Show a transaction as GET /v1/account/transactions/{id} has it."""
    return {
        "transaction_id": row["id"],
        "transaction_hash": "" if row["state"] == "STATE_NEW" else row["hash"],
        "state": row["state"], "error_msg": row["error"], "type": row["type"],
        "from": row["owner"], "wallet": row["wallet"], "nonce": str(row["nonce"]),
        "metadata": row["metadata"], "signature": row["signature"],
        "created_at": _moment(row["created_ms"]), "updated_at": _moment(row["updated_ms"]),
    }  # fmt: skip


def show_old(row: Row) -> dict[str, object]:
    """Show a transaction as the older GET /transaction and /transactions have it."""
    return {
        "transactionID": row["id"],
        "transactionHash": "" if row["state"] == "STATE_NEW" else row["hash"],
        "state": row["state"], "errorMsg": row["error"], "type": row["type"],
        "from": row["owner"], "proxyAddress": row["wallet"], "nonce": str(row["nonce"]),
        "metadata": row["metadata"], "signature": row["signature"],
        "createdAt": _moment(row["created_ms"]), "updatedAt": _moment(row["updated_ms"]),
    }  # fmt: skip


def find(paper: Paper, query: Mapping[str, str]) -> list[Row]:
    """List transactions, newest first, by `wallet` (or `address`, `from`), `nonce`, `state`, `id`."""
    conditions, values = ["1"], []
    for name, column in (
        ("wallet", "wallet"), ("address", "owner"), ("from", "owner"),
        ("nonce", "nonce"), ("state", "state"), ("id", "id"),
    ):  # fmt: skip
        if name in query:
            conditions.append(f"CAST({column} AS TEXT) = ? COLLATE NOCASE")
            values.append(query[name])
    where = " AND ".join(conditions)
    return paper.store.all(
        f"SELECT * FROM transactions WHERE {where} ORDER BY number DESC LIMIT 500",  # noqa: S608
        values,
    )


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
