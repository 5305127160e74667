"""The relayer: wallets' signed calls, sent without gas.

A transaction is on its way until STATE_CONFIRMED or STATE_FAILED; meanwhile the wallet takes no other. It
takes effect, or fails, when it is mined, and its nonce is used then: so the same signed bytes can execute
once only. Shapes: polymarket-client 0.14.0 `_internal/actions/relayer`, `models/clob/relayer.py`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping

import orjson
from eth_hash.auto import keccak

from paper import gas, receipts
from paper.actions import Action, Blocked, read_call
from paper.addresses import RELAY_HUB, WALLET_FACTORY
from paper.agenda import now_ms
from paper.encoding import checksum, from_hex, to_hex
from paper.envelopes import Envelope, read_envelope, wallets_of
from paper.errors import Refused
from paper.execution import Reverted, execute
from paper.faults import SLOW_SETTLEMENT_MS, Fate
from paper.logs import Log
from paper.nonces import nonce_of, use_nonce
from paper.proxy import RELAY
from paper.receipts import Inclusion
from paper.signatures import Call
from paper.state import Paper
from paper.store import Row
from paper.wallets import beacon_wallet

FINAL = ("STATE_CONFIRMED", "STATE_FAILED", "STATE_INVALID")


def is_deployed(paper: Paper, wallet: str) -> bool:
    """Say whether a wallet's contract exists; an owner's own address has none."""
    if wallet == paper.settings.owner:
        return False
    return paper.store.one("SELECT 1 FROM deployed WHERE wallet = ?", wallet) is not None


def wallet_for(paper: Paper, owner: str, kind: str = "WALLET") -> str:
    """Give the wallet of a relayer's type that an owner uses: the installation's when it is theirs."""
    wallets = wallets_of(kind, owner)
    return paper.settings.wallet if paper.settings.wallet in wallets else wallets[0]


def submit(paper: Paper, body: object, fate: Fate) -> dict[str, object]:
    """Take a submission and give its id; raises Refused 400 in the relayer's words."""
    if not isinstance(body, dict):
        raise Refused(400, "invalid transaction request")
    if body.get("type") == "WALLET-CREATE":
        return _create_wallet(paper, body)
    envelope = read_envelope(body)
    _check(paper, envelope)
    return _enqueue(paper, envelope, fate)


def _check(paper: Paper, envelope: Envelope) -> None:
    if not envelope.is_genuine:
        raise Refused(400, "invalid signature")
    if envelope.kind != "PROXY" and not is_deployed(paper, envelope.wallet):
        raise Refused(400, "wallet is not deployed")
    if envelope.deadline is not None and envelope.deadline < time.time():
        raise Refused(400, "batch deadline has passed")
    for call in envelope.calls:
        try:
            read_call(call)
        except Blocked:
            raise Refused(400, f"call blocked: {call.target} is not allowed") from None
    if paper.store.one(
        "SELECT 1 FROM transactions WHERE wallet = ? AND state NOT IN (?, ?, ?)",
        envelope.wallet, *FINAL,
    ):  # fmt: skip
        raise Refused(400, "wallet has in-flight action")
    given, nonce = envelope.nonce, nonce_of(paper.store, envelope.wallet)
    if given != nonce:
        raise Refused(400, f"batch nonce {given} does not match on-chain nonce {nonce}")


def _create_wallet(paper: Paper, body: Mapping[str, object]) -> dict[str, object]:
    try:
        owner = checksum(str(body["from"]))
    except (KeyError, ValueError):
        raise Refused(400, "invalid transaction request") from None
    metadata = str(body.get("metadata") or "")
    wallet = beacon_wallet(owner)
    return _enqueue(
        paper, Envelope("WALLET-CREATE", owner, wallet, -1, (), "", metadata, owner), Fate()
    )


def _enqueue(paper: Paper, envelope: Envelope, fate: Fate) -> dict[str, object]:
    transaction_id = str(uuid.uuid4())
    at = now_ms()
    slow = fate.settle == "slow"
    confirm = at + (SLOW_SETTLEMENT_MS if slow else paper.settings.settle_ms * 3 // 4)
    with paper.store.transaction():
        paper.store.write(
            "INSERT INTO transactions VALUES (NULL" + ", ?" * 15 + ")",
            transaction_id, envelope.kind, envelope.wallet, envelope.owner, envelope.nonce,
            envelope.signature, _written(envelope.calls), envelope.metadata, "STATE_NEW",
            int(fate.fails), to_hex(keccak(b"transaction " + transaction_id.encode())), None,
            at, at, confirm,
        )  # fmt: skip
    schedule(paper, transaction_id, at, confirm)
    return {"transactionID": transaction_id, "transactionHash": "", "state": "STATE_NEW"}


def schedule(paper: Paper, transaction_id: str, created_ms: int, confirm_ms: int) -> None:
    """Put a transaction's steps on the agenda."""
    span = confirm_ms - created_ms
    agenda = paper.agenda
    agenda.at(created_ms + span // 5, lambda: _send(paper, transaction_id))
    agenda.at(created_ms + span // 2, lambda: _mine(paper, transaction_id))
    agenda.at(confirm_ms, lambda: _confirm(paper, transaction_id))


def resume(paper: Paper) -> None:
    """Put every unfinished transaction back on the agenda, after a start."""
    for row in paper.store.all("SELECT * FROM transactions WHERE state NOT IN (?, ?, ?)", FINAL):
        schedule(paper, row["id"], row["created_ms"], row["confirm_ms"])


def _send(paper: Paper, transaction_id: str) -> None:
    with paper.store.transaction():
        _move(paper, transaction_id, "STATE_EXECUTED", ("STATE_NEW",))


def _mine(paper: Paper, transaction_id: str) -> None:
    """Include it in a block: let its calls take effect, all or none."""
    row = paper.store.one("SELECT * FROM transactions WHERE id = ?", transaction_id)
    if row is None or row["state"] not in ("STATE_NEW", "STATE_EXECUTED"):
        return
    try:
        with paper.store.transaction():
            if row["fails"]:
                raise Reverted
            _include(paper, row, _take_effect(paper, row))
    except Reverted as failure:
        with paper.store.transaction():
            _include(paper, row, None, str(failure))


def _take_effect(paper: Paper, row: Row) -> list[Log]:
    if row["type"] in ("WALLET-CREATE", "PROXY"):
        paper.store.write("INSERT OR IGNORE INTO deployed VALUES (?)", row["wallet"])
    return execute(paper, row["wallet"], row["id"], _actions(row))


def _include(paper: Paper, row: Row, logs: list[Log] | None, error: str | None = None) -> None:
    """Write a mined transaction's nonce, receipt and state; `logs` is None when it failed.

    A failed Safe transaction has used no nonce; the hub's transaction succeeds when a proxy's call fails.
    """
    kind, failed = row["type"], logs is None
    if kind in ("WALLET", "PROXY") or (kind == "SAFE" and not failed):
        use_nonce(paper.store, row["wallet"])
    target = {"SAFE": row["wallet"], "PROXY": RELAY_HUB}.get(kind, WALLET_FACTORY)
    ok = not failed or kind == "PROXY"
    used = gas.RELAYED + sum(gas.work_of(action) for action in _actions(row))
    price = gas.base_fee(paper.store) + gas.TIP
    inclusion = Inclusion(row["hash"], ok, RELAY, target, used, price)
    receipts.include(paper, inclusion, logs or [])
    _move(paper, row["id"], "STATE_MINED", ("STATE_NEW", "STATE_EXECUTED"), error)
    paper.store.write("UPDATE transactions SET fails = ? WHERE id = ?", int(failed), row["id"])


def _confirm(paper: Paper, transaction_id: str) -> None:
    _mine(paper, transaction_id)
    row = paper.store.one("SELECT * FROM transactions WHERE id = ?", transaction_id)
    if row is not None:
        final = "STATE_FAILED" if row["fails"] else "STATE_CONFIRMED"
        with paper.store.transaction():
            _move(paper, transaction_id, final, ("STATE_MINED",), row["error"])


def _move(
    paper: Paper, transaction_id: str, to: str, since: tuple[str, ...], error: str | None = None
) -> None:
    marks = ", ".join("?" * len(since))
    paper.store.write(
        f"UPDATE transactions SET state = ?, updated_ms = ?, error = ? WHERE id = ? AND state IN ({marks})",  # noqa: S608
        to, now_ms(), error, transaction_id, *since,
    )  # fmt: skip


def _written(calls: tuple[Call, ...]) -> str:
    rows = [{"target": c.target, "value": str(c.value), "data": to_hex(c.data)} for c in calls]
    return orjson.dumps(rows).decode()


def _actions(row: Row) -> list[Action]:
    """Read back what a transaction's calls do."""
    return [
        read_call(Call(call["target"], int(call["value"]), from_hex(call["data"])))
        for call in orjson.loads(row["calls"])
    ]
