"""The relayer: deposit wallets' signed batches, sent without gas.

A batch is on its way until STATE_CONFIRMED or STATE_FAILED; meanwhile the wallet takes no other, and
afterwards its nonce is used. So the same signed bytes can execute once only. Shapes:
polymarket-client 0.14.0 `_internal/actions/relayer`, `models/clob/relayer.py`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from eth_hash.auto import keccak

from paper.agenda import now_ms
from paper.encoding import checksum, from_hex, to_hex
from paper.errors import Refused
from paper.execution import Blocked, Reverted, execute, read_call
from paper.faults import SLOW_SETTLEMENT_MS, Fate
from paper.signatures import Call, batch_signer
from paper.state import Paper
from paper.store import Row
from paper.wallets import beacon_wallet, wallets_of

FINAL = ("STATE_CONFIRMED", "STATE_FAILED", "STATE_INVALID")


@dataclass(frozen=True, slots=True)
class Batch:
    """A wallet's signed batch as submitted."""

    owner: str
    wallet: str
    nonce: int
    deadline: int
    calls: tuple[Call, ...]
    signature: str
    metadata: str


def nonce_of(paper: Paper, wallet: str) -> int:
    """Give a wallet's nonce on the chain."""
    return paper.store.number("SELECT nonce FROM nonces WHERE wallet = ?", wallet)


def is_deployed(paper: Paper, wallet: str) -> bool:
    """Say whether a deposit wallet exists."""
    return paper.store.one("SELECT 1 FROM deployed WHERE wallet = ?", wallet) is not None


def wallet_for(paper: Paper, owner: str) -> str:
    """Give the deposit wallet that an owner uses: the installation's when it is theirs."""
    wallet = paper.settings.wallet
    return wallet if wallet in wallets_of(owner)[1:] else beacon_wallet(owner)


def submit(paper: Paper, body: object, fate: Fate) -> dict[str, object]:
    """Take a submission and give its id; raises Refused 400 in the relayer's words."""
    kind = body.get("type") if isinstance(body, dict) else None
    if kind == "WALLET-CREATE" and isinstance(body, dict):
        return _create_wallet(paper, body)
    if kind != "WALLET" or not isinstance(body, dict):
        raise Refused(400, f"unsupported transaction type {kind!r}")
    batch = _read_batch(body)
    _check(paper, batch)
    calls = [
        {"target": call.target, "value": str(call.value), "data": to_hex(call.data)}
        for call in batch.calls
    ]
    return _enqueue(paper, "WALLET", batch, orjson.dumps(calls).decode(), fate)


def _read_batch(body: Mapping[str, object]) -> Batch:
    try:
        parameters = body["depositWalletParams"]
        if not isinstance(parameters, dict) or not isinstance(parameters["calls"], list):
            raise TypeError("expected an object")
        calls = tuple(
            Call(checksum(str(c["target"])), int(str(c["value"])), from_hex(str(c["data"])))
            for c in parameters["calls"]
        )
        signature = str(body["signature"])
        from_hex(signature)
        batch = Batch(
            checksum(str(body["from"])),
            checksum(str(parameters["depositWallet"])),
            int(str(body["nonce"])),
            int(str(parameters["deadline"])),
            calls,
            signature.lower(),
            str(body.get("metadata") or ""),
        )
    except (KeyError, TypeError, ValueError):
        raise Refused(400, "invalid transaction request") from None
    if not 0 <= batch.nonce < 1 << 62 or len(batch.metadata) > 500 or not 1 <= len(calls) <= 100:
        raise Refused(400, "invalid transaction request")
    return batch


def _check(paper: Paper, batch: Batch) -> None:
    try:
        signer = batch_signer(
            batch.wallet, batch.nonce, batch.deadline, batch.calls, from_hex(batch.signature)
        )
    except ValueError:
        raise Refused(400, "invalid transaction request") from None
    if signer != batch.owner or batch.wallet not in wallets_of(batch.owner)[1:]:
        raise Refused(400, "invalid signature")
    if not is_deployed(paper, batch.wallet):
        raise Refused(400, "wallet is not deployed")
    if batch.deadline < time.time():
        raise Refused(400, "batch deadline has passed")
    for call in batch.calls:
        try:
            read_call(call)
        except Blocked:
            raise Refused(400, f"call blocked: {call.target} is not allowed") from None
    if paper.store.one(
        "SELECT 1 FROM transactions WHERE wallet = ? AND state NOT IN (?, ?, ?)",
        batch.wallet, *FINAL,
    ):  # fmt: skip
        raise Refused(400, "wallet has in-flight action")
    nonce = nonce_of(paper, batch.wallet)
    if batch.nonce != nonce:
        raise Refused(400, f"batch nonce {batch.nonce} does not match on-chain nonce {nonce}")


def _create_wallet(paper: Paper, body: Mapping[str, object]) -> dict[str, object]:
    try:
        owner = checksum(str(body["from"]))
    except (KeyError, ValueError):
        raise Refused(400, "invalid transaction request") from None
    batch = Batch(owner, beacon_wallet(owner), -1, 0, (), "", str(body.get("metadata") or ""))
    return _enqueue(paper, "WALLET-CREATE", batch, "[]", Fate())


def _enqueue(paper: Paper, kind: str, batch: Batch, calls: str, fate: Fate) -> dict[str, object]:
    transaction_id = str(uuid.uuid4())
    at = now_ms()
    slow = fate.settle == "slow"
    confirm = at + (SLOW_SETTLEMENT_MS if slow else paper.settings.settle_ms * 3 // 4)
    with paper.store.transaction():
        paper.store.write(
            "INSERT INTO transactions VALUES (NULL" + ", ?" * 15 + ")",
            transaction_id, kind, batch.wallet, batch.owner, batch.nonce, batch.signature, calls,
            batch.metadata, "STATE_NEW", int(fate.fails),
            to_hex(keccak(b"transaction " + transaction_id.encode())), None, at, at, confirm,
        )  # fmt: skip
    schedule(paper, transaction_id, at, confirm)
    return {"transactionID": transaction_id, "transactionHash": "", "state": "STATE_NEW"}


def schedule(paper: Paper, transaction_id: str, created_ms: int, confirm_ms: int) -> None:
    """Put a transaction's steps on the agenda."""
    span = confirm_ms - created_ms
    agenda = paper.agenda
    agenda.at(created_ms + span // 5, lambda: _execute(paper, transaction_id))
    agenda.at(created_ms + span // 2, lambda: _mine(paper, transaction_id))
    agenda.at(confirm_ms, lambda: _confirm(paper, transaction_id))


def resume(paper: Paper) -> None:
    """Put every unfinished transaction back on the agenda, after a start."""
    for row in paper.store.all("SELECT * FROM transactions WHERE state NOT IN (?, ?, ?)", FINAL):
        schedule(paper, row["id"], row["created_ms"], row["confirm_ms"])


def _execute(paper: Paper, transaction_id: str) -> None:
    with paper.store.transaction():
        _move(paper, transaction_id, "STATE_EXECUTED", ("STATE_NEW",))


def _mine(paper: Paper, transaction_id: str) -> None:
    """Include it in a block, which uses the nonce."""
    with paper.store.transaction():
        if _move(paper, transaction_id, "STATE_MINED", ("STATE_NEW", "STATE_EXECUTED")):
            paper.store.write(
                "INSERT INTO nonces SELECT wallet, nonce + 1 FROM transactions"
                " WHERE id = ? AND type = 'WALLET'"
                " ON CONFLICT (wallet) DO UPDATE SET nonce = excluded.nonce",
                transaction_id,
            )


def _confirm(paper: Paper, transaction_id: str) -> None:
    """Let the calls take effect, all or none."""
    _mine(paper, transaction_id)
    row = paper.store.one("SELECT * FROM transactions WHERE id = ?", transaction_id)
    if row is None or row["state"] in FINAL:
        return
    try:
        with paper.store.transaction():
            if row["fails"]:
                raise Reverted("execution reverted")
            if row["type"] == "WALLET-CREATE":
                paper.store.write("INSERT OR IGNORE INTO deployed VALUES (?)", row["wallet"])
            execute(paper, row["wallet"], row["id"], [read_call(c) for c in calls_of(row)])
            _move(paper, transaction_id, "STATE_CONFIRMED", ("STATE_MINED",))
    except Reverted as failure:
        with paper.store.transaction():
            _move(paper, transaction_id, "STATE_FAILED", ("STATE_MINED",), str(failure))


def _move(
    paper: Paper, transaction_id: str, to: str, since: tuple[str, ...], error: str | None = None
) -> bool:
    marks = ", ".join("?" * len(since))
    changed = paper.store.write(
        f"UPDATE transactions SET state = ?, updated_ms = ?, error = ? WHERE id = ? AND state IN ({marks})",  # noqa: S608
        to, now_ms(), error, transaction_id, *since,
    )  # fmt: skip
    return changed == 1


def calls_of(row: Row) -> list[Call]:
    """Read back a transaction's calls."""
    return [
        Call(call["target"], int(call["value"]), from_hex(call["data"]))
        for call in orjson.loads(row["calls"])
    ]


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
