"""Booking what became of a transaction: positions and jobs together, once."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from exchange.types import TransactionReport
from minting import postponing
from minting.models import WAITING, Mint, Transaction
from minting.preparing import assets_of
from orders import ledger
from orders.models import Position
from polytrader.alerts import resolve_alert
from polytrader.bells import ring
from polytrader.numbers import plain
from polytrader.points import point

log = structlog.get_logger()

ZERO = Decimal(0)
Then = Literal["requested", "delayed", "reverted", "failed"]
"""What becomes of the jobs of a transaction that is dead; the reverted are delayed a few times."""

MOST_REVERTS = 3
"""Transactions of one job that may fail on the chain before the job fails."""


def note_pending(positions: Mapping[str, Position], row: Transaction, sign: int) -> None:
    """Note on the locked positions that a transaction will move them (or no longer will)."""
    taken = row.taken()
    for asset, position in positions.items():
        Position.objects.filter(pk=position.pk).update(
            pending_transactions=F("pending_transactions") + sign,
            pending_outflow=F("pending_outflow") + taken.get(asset, ZERO) * sign,
        )


def has_arrived(row: Transaction, moved: Mapping[str, Decimal]) -> bool:
    """Whether what the transaction should bring has come; of a redemption, whether tokens have gone.

    A redemption takes all that is held when it executes, more or less than was known before.
    """
    if row.kind == "redeem":
        return any(moved.get(asset, ZERO) < 0 for asset in row.taken())
    return all(moved.get(asset, ZERO) >= amount for asset, amount in row.brought().items())


def booked(row: Transaction, moved: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What is booked: what the logs show; of what they do not tell, what the transaction should move."""
    if row.kind == "redeem" and moved:
        return dict(moved)
    return nominal(row) | dict(moved)


def nominal(row: Transaction) -> dict[str, Decimal]:
    """What the transaction moves if it does just what it should."""
    return row.brought() | {asset: -amount for asset, amount in row.taken().items()}


def confirm(row: Transaction, report: TransactionReport) -> None:
    """Book what the transaction moved, and close the jobs, or what was sent of them."""
    moved = booked(row, report.moved)
    with transaction.atomic():
        positions = _locked(row)
        if not row.move(
            "confirmed",
            transaction_hash=report.transaction_hash or row.transaction_hash,
            transaction_id=report.transaction_id or row.transaction_id,
            cost=report.cost,
            closed_at=timezone.now(),
            reason="",
        ):
            return
        changes = [
            ledger.Change(asset, moved[asset], "chain") for asset in positions if asset in moved
        ]
        if changes:
            ledger.post(positions, row.kind, f"transaction {row.pk}", changes)
        _release(positions, row)
        for job in row.mints.filter(status="sent"):
            _close_part(job)
        if row.kind == "approve":
            _wake_waiting(row)
        point("conversion_booked")
        ring("mint-queue", queue="mint-queue")
    point("conversion_confirmed")
    resolve_alert("minting_held", f"condition {row.condition_id}", "a transaction is confirmed")
    log.info(
        "conversion_confirmed", transaction=row.pk, kind=row.kind, quantity=plain(row.quantity)
    )


def fail(row: Transaction, reason: str, *, then: Then) -> None:
    """The transaction is dead for good; its jobs become `then`, with the reason."""
    with transaction.atomic():
        positions = _locked(row)
        if not row.move("failed", reason=reason, closed_at=timezone.now()):
            return
        _release(positions, row)
        for job in row.mints.filter(status="sent"):
            _return(job, reason, then)
        point("conversion_given_up")
    point("conversion_failed")
    log.warning("conversion_failed", transaction=row.pk, reason=reason, jobs=then)


def revert(row: Transaction, report: TransactionReport, reason: str) -> None:
    """It executed to no effect: its jobs are tried again a few times, then they fail."""
    row.note(
        transaction_hash=report.transaction_hash or row.transaction_hash,
        transaction_id=report.transaction_id or row.transaction_id,
        cost=report.cost,
    )
    fail(row, reason, then="reverted")


def _wake_waiting(approval: Transaction) -> None:
    """What waited for an approval is due."""
    mine = Mint.objects.filter(instrument__condition_id=approval.condition_id, status__in=WAITING)
    mine.update(next_attempt_at=timezone.now())


def _close_part(job: Mint) -> None:
    done = job.done_quantity + job.sent_quantity
    changes: dict[str, Any] = {"done_quantity": done, "sent_quantity": ZERO, "reason": ""}
    changes |= {"reverts": 0, "put_off": 0}
    if done >= job.quantity:
        job.move("confirmed", closed_at=timezone.now(), **changes)
    else:
        job.move("requested", next_attempt_at=timezone.now(), **changes)


def _return(job: Mint, reason: str, then: Then) -> None:
    """Take the part that was sent back into the job."""
    now = timezone.now()
    if then == "failed" or (then == "reverted" and job.reverts + 1 >= MOST_REVERTS):
        postponing.give_up([job], reason)
        return
    changes: dict[str, Any] = {"sent_quantity": ZERO, "reason": reason}
    if then == "requested":  # at once, but not again and again
        wait = postponing.delay_after(job.put_off - 1) if job.put_off else timedelta(0)
        job.move("requested", next_attempt_at=now + wait, put_off=job.put_off + 1, **changes)
    elif then == "delayed":
        job.move("delayed", next_attempt_at=now + postponing.LONGEST_DELAY, **changes)
    else:
        changes |= {"reverts": job.reverts + 1}
        wait = postponing.delay_after(job.reverts)
        job.move("delayed", next_attempt_at=now + wait, **changes)


def _locked(row: Transaction) -> dict[str, Position]:
    """The positions that the transaction moves, locked; none for an approval."""
    if row.kind == "approve" or row.instrument is None:
        return {}
    return ledger.lock(assets_of(row.instrument), row.instrument.venue)


def _release(positions: Mapping[str, Position], row: Transaction) -> None:
    note_pending(positions, row, -1)
