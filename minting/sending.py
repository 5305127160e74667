"""Sending: a batch becomes one signed transaction, committed with its nonce, then submitted."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from exchange.errors import ExchangeError, Rejected
from exchange.port import Minter
from exchange.types import Approval, RejectionCode, SignedTransaction
from minting import choosing, postponing
from minting.booking import note_pending
from minting.choosing import Batch
from minting.models import WAITING, Mint, Transaction, as_json
from minting.preparing import GiveUp, Plan, PutOff, assets_of, free_of, prepare
from minting.submitting import A_PERSONS, add_version, submit
from orders import ledger
from orders.ledger import BASE_UNIT
from orders.venues import minter
from polytrader.alerts import raise_alert
from polytrader.minting_rules import MintingRules
from polytrader.numbers import plain
from polytrader.points import point

log = structlog.get_logger()

FINAL = frozenset(
    {
        RejectionCode.WRONG_TOKENS,
        RejectionCode.PRECISION,
        RejectionCode.MIN_SIZE,
        RejectionCode.UNKNOWN_INSTRUMENT,
    }
)
"""Refusals that no waiting cures."""
OF_THE_WALLET = frozenset({*A_PERSONS, RejectionCode.NO_CODE})
"""Refusals that concern every market."""
TOLD_AFTER = 3
"""How often the jobs of one market are put off for a refusal before a person is told."""
SURPLUS_FOR = timedelta(seconds=60)
"""What is surplus now may be protected by a stop then."""


def send_next() -> int:
    """Send the batch that is due longest and can go; put off those before it. Returns their jobs.

    A venue that does not answer ends the round: it would not answer for the others either.
    """
    touched = 0
    for batch in choosing.batches():
        batch = _viable(batch)
        touched += len(batch.jobs)
        if batch.jobs and _is_over_with(batch):
            break
    return touched


def _send(batch: Batch) -> bool:
    """Send what can go of a batch; whether something was."""
    rules = _rules()
    who = minter()
    who.check()
    plan = prepare(batch, rules)
    approval = who.missing_approval(plan.conversion)
    if approval is not None and approval.allowed >= plan.parts.taken[0][1]:
        plan = prepare(batch, replace(rules, most=approval.allowed))  # what is approved already
        approval = who.missing_approval(plan.conversion)
    if approval is not None:
        approval = _as_large_as_allowed(approval, rules, who)
    nonce = who.next_nonce()
    if approval is not None and who.approves_apart:
        return _send_approval(plan, approval, who, nonce)
    signed = who.sign(plan.conversion, nonce, approval)
    point("conversion_signed")
    row = _commit(plan, signed)
    if row is not None:
        _put_off_the_rest(plan)
        submit(row, who, signed)
    return row is not None


def _is_over_with(batch: Batch) -> bool:
    """Send a batch, or put it off or give it up; whether the round ends with it."""
    try:
        return _send(batch)
    except GiveUp as why:
        postponing.give_up(batch.jobs, str(why))
    except PutOff as why:
        postponing.put_off(batch.jobs, str(why))
    except Rejected as refusal:
        _refused(batch, refusal)
    except ExchangeError as error:
        postponing.put_off(batch.jobs, f"no answer, tried again: {error}")
        return True
    except Exception as error:  # of one market: the queue goes on with the next
        log.exception("batch_failed", condition=batch.instrument.condition_id)
        reason = f"an unexpected {type(error).__name__}; the minter's log says more"
        postponing.put_off(batch.jobs, reason)
        raise_alert("minting_held", _market(batch), reason)
    return False


def _refused(batch: Batch, refusal: Rejected) -> None:
    """What the venue or the chain will not do: for ever, or until a person sees to it."""
    if refusal.code in FINAL:
        postponing.give_up(batch.jobs, str(refusal))
        return
    postponing.put_off(batch.jobs, f"cannot be done now: {refusal}")
    if refusal.code in OF_THE_WALLET:
        raise_alert("minting_held", "the wallet", str(refusal))
    elif max(job.put_off for job in batch.jobs) >= TOLD_AFTER:
        raise_alert("minting_held", _market(batch), str(refusal))


def _market(batch: Batch) -> str:
    return f"condition {batch.instrument.condition_id}"


def _viable(batch: Batch) -> Batch:
    """The batch without the jobs that have waited too long or can never be sent; those fail."""
    now, viable = timezone.now(), []
    for job in batch.jobs:
        if reason := _why_never(job, now):
            postponing.give_up([job], reason)
        else:
            viable.append(job)
    return replace(batch, jobs=viable)


def _why_never(job: Mint, now: datetime) -> str:
    expiry = _rules().expiry
    if job.quantity % BASE_UNIT:
        return f"{job.quantity.normalize():f} has more than six decimals, the chain's smallest unit"
    if job.cause == "surplus" and job.asked_at < now - SURPLUS_FOR:
        return "its moment has passed; what is surplus is counted anew"
    if expiry is not None and job.asked_at < now - expiry:
        seconds = int(expiry.total_seconds())
        return f"expired: it waited longer than {seconds} s (MINT_EXPIRY_SECONDS)"
    return ""


def _as_large_as_allowed(approval: Approval, rules: MintingRules, who: Minter) -> Approval:
    """The approval as the settings allow it: exact, or up to the cap, so that it serves longer."""
    if approval.amount is None:
        if who.approves_apart and not rules.approve_tokens:
            reason = (
                f"the contract {approval.spender} may not move the wallet's outcome tokens yet: "
                "set MINT_APPROVE_TOKENS=on, or approve it yourself with setApprovalForAll"
            )
            raise_alert("minting_held", "the wallet", reason)
            raise PutOff(reason)
        return approval
    if rules.approval_cap is None or rules.approval_cap <= approval.amount:
        return approval
    return replace(approval, amount=rules.approval_cap)


def _send_approval(plan: Plan, approval: Approval, who: Minter, nonce: int) -> bool:
    """Send an approval alone; the jobs wait until it is confirmed."""
    signed = who.sign_approval(approval, nonce)
    point("approval_signed")
    amount = approval.amount
    try:
        with transaction.atomic():
            row = _transaction(plan, signed, "approve")
            row.quantity = amount if amount is not None and amount.is_finite() else Decimal(0)
            row.save()
            add_version(row, signed)
            point("approval_made")
    except IntegrityError as error:
        log.info("approval_not_committed", error=str(error).splitlines()[0])
        return False
    point("approval_committed")
    postponing.put_off(plan.batch.jobs, "waits for the collateral adapter to be approved")
    submit(row, who, signed)
    return True


def _commit(plan: Plan, signed: SignedTransaction) -> Transaction | None:
    """Commit the signed bytes with the jobs they carry; `None` when somebody was faster."""
    try:
        with transaction.atomic():
            positions = ledger.lock(assets_of(plan.instrument), plan.instrument.venue)
            free = free_of(list(plan.takes))
            if any(free[asset] < amount for asset, amount in plan.takes.items()):
                log.info("conversion_not_committed", reason="something else took what it needs")
                return None
            row = _transaction(plan, signed, plan.batch.kind)
            row.save()
            add_version(row, signed)
            _carry(plan, row)
            note_pending(positions, row, +1)
            point("conversion_made")
    except IntegrityError as error:
        log.info("conversion_not_committed", error=str(error).splitlines()[0])
        return None
    point("conversion_committed")
    log.info(
        "conversion_signed",
        transaction=row.pk,
        kind=row.kind,
        nonce=row.nonce,
        quantity=plain(row.quantity),
    )
    return row


def _transaction(plan: Plan, signed: SignedTransaction, kind: str) -> Transaction:
    is_approval = kind == "approve"
    return Transaction(
        kind=kind,
        wallet=signed.wallet,
        nonce=signed.nonce,
        instrument=plan.instrument,
        condition_id=plan.instrument.condition_id,
        quantity=plan.parts.total,
        takes={} if is_approval else as_json(plan.takes),
        brings={} if is_approval else as_json(plan.brings),
        transaction_hash=signed.transaction_hash,
        since_block=signed.since_block,
    )


def _carry(plan: Plan, row: Transaction) -> None:
    """Move the jobs to `sent`, each with its part, if they are still as they were planned."""
    ids = [job.pk for job, _ in plan.parts.taken]
    locked = Mint.objects.select_for_update().filter(pk__in=ids, status__in=WAITING)
    left = {job.pk: job.left for job in locked.order_by("pk")}
    for job, quantity in plan.parts.taken:
        changes = {"transaction": row, "sent_quantity": quantity, "reason": ""}
        if left.get(job.pk) != job.left or not job.move("sent", **changes):
            raise IntegrityError("a job was taken by another worker")


def _put_off_the_rest(plan: Plan) -> None:
    for job, reason in plan.parts.short:
        postponing.put_off([job], reason)


def _rules() -> MintingRules:
    rules: MintingRules = settings.CONFIGURATION.minting
    return rules
