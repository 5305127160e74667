"""How jobs of the mint queue and their transactions are shown to those who ask over HTTP."""

from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from minting.models import WAITING, Mint, Transaction
from orders.models import Fill
from polytrader.numbers import plain

EXPLORER = "https://polygonscan.com/tx/"


def whole_jobs(jobs: QuerySet[Mint]) -> QuerySet[Mint]:
    """Fetch what `show_job` needs in one query."""
    return jobs.select_related("instrument", "transaction", "fill__order__leg__trade__trailingstop")


def show_job(job: Mint) -> dict[str, Any]:
    """A job with what caused it and the transaction that carries it, or last did."""
    return {
        "id": job.pk,
        "kind": job.kind,
        "cause": job.cause,
        "status": job.status,
        "assetId": job.instrument.symbol,
        "conditionId": job.instrument.condition_id,
        "question": job.instrument.question,
        "outcome": job.instrument.outcome,
        "size": plain(job.quantity),
        "doneSize": plain(job.done_quantity),
        "reason": job.reason,
        "attempts": job.put_off,
        "reverts": job.reverts,
        "createdAt": job.created_at,
        "askedAt": job.asked_at,
        "nextAttemptAt": job.next_attempt_at if job.status in WAITING else None,
        "closedAt": job.closed_at,
        **_show_cause(job.fill),
        "transaction": None if job.transaction is None else show_transaction(job.transaction),
    }


def _show_cause(fill: Fill | None) -> dict[str, Any]:
    """The fill that a job is for, its trade and, where that is an exit, its stop."""
    trade = None if fill is None else fill.order.leg.trade
    stop = getattr(trade, "trailingstop", None)
    return {
        "fillId": None if fill is None else fill.pk,
        "tradeId": None if trade is None else trade.pk,
        "stateKey": None if stop is None else stop.state_key,
    }


def show_transaction(row: Transaction) -> dict[str, Any]:
    """A transaction without its signed bytes."""
    return {
        "id": row.pk,
        "kind": row.kind,
        "status": row.status,
        "nonce": row.nonce,
        "wallet": row.wallet,
        "transactionId": row.transaction_id,
        "transactionHash": row.transaction_hash,
        "cost": plain(row.cost),
        "explorerUrl": explorer_url(row.transaction_hash),
        "submits": row.submits,
        "reason": row.reason,
    }


def explorer_url(transaction_hash: str) -> str | None:
    """Where the public chain shows a transaction; `None` on the paper exchange's chain."""
    is_public = settings.CONFIGURATION.exchange == "live"
    return f"{EXPLORER}{transaction_hash}" if is_public and transaction_hash else None
