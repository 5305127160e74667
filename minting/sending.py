"""Sending: a batch becomes one signed transaction, committed with its nonce, then submitted."""

from dataclasses import replace
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
from minting.models import Transaction, as_json
from minting.preparing import GiveUp, Plan, PutOff, assets_of, free_of, prepare
from minting.submitting import add_version, submit
from orders import ledger
from orders.venues import minter
from polytrader.alerts import raise_alert
from polytrader.minting_rules import MintingRules
from polytrader.numbers import plain
from polytrader.points import point

log = structlog.get_logger()

FINAL = frozenset({RejectionCode.WRONG_TOKENS, RejectionCode.PRECISION, RejectionCode.MIN_SIZE})
"""Refusals that no waiting cures."""


def send_next() -> int:
    """Send the batch that is due longest and can go; put off those before it. Returns their jobs.

    A venue that does not answer ends the round: it would not answer for the others either.
    """
    touched = 0
    for batch in choosing.batches():
        batch = _unexpired(batch)
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
    if approval is not None:
        approval = _as_large_as_allowed(approval, rules, who)
    nonce = who.next_nonce()
    if approval is not None and who.approves_apart:
        return _send_approval(plan, approval, who, nonce)
    signed = who.sign(plan.conversion, nonce, approval)
    point("conversion_signed")
    row = _commit(plan, signed, rules)
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
    return False


def _refused(batch: Batch, refusal: Rejected) -> None:
    """What the venue or the chain will not do: for ever, or until a person sees to it."""
    if refusal.code in FINAL:
        postponing.give_up(batch.jobs, str(refusal))
        return
    postponing.put_off(batch.jobs, f"cannot be done now: {refusal}")
    if refusal.code != RejectionCode.WOULD_REVERT:
        raise_alert("minting_held", "the wallet", str(refusal))


def _unexpired(batch: Batch) -> Batch:
    """The batch without the jobs that have waited too long; those fail."""
    expiry = _rules().expiry
    if expiry is None:
        return batch
    until = timezone.now() - expiry
    expired = [job for job in batch.jobs if job.asked_at < until]
    seconds = int(expiry.total_seconds())
    postponing.give_up(expired, f"expired: it waited longer than {seconds} s (MINT_EXPIRY_SECONDS)")
    return replace(batch, jobs=[job for job in batch.jobs if job.asked_at >= until])


def _as_large_as_allowed(approval: Approval, rules: MintingRules, who: Minter) -> Approval:
    """The approval as the settings allow it: exact, or up to the cap, so that it serves longer."""
    if approval.amount is None:
        if who.approves_apart and not rules.approve_tokens:
            raise PutOff(
                f"the contract {approval.spender} may not move the wallet's outcome tokens yet: "
                "set MINT_APPROVE_TOKENS=on, or approve it yourself with setApprovalForAll"
            )
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


def _commit(plan: Plan, signed: SignedTransaction, rules: MintingRules) -> Transaction | None:
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
    )


def _carry(plan: Plan, row: Transaction) -> None:
    """Move the jobs to `sent`, each with its part."""
    for job, quantity in plan.parts.taken:
        changes = {"transaction": row, "sent_quantity": quantity, "reason": "", "put_off": 0}
        if not job.move("sent", **changes):
            raise IntegrityError("a job was taken by another worker")


def _put_off_the_rest(plan: Plan) -> None:
    if plan.parts.short:
        carried = {job.pk for job, _ in plan.parts.taken}
        rest = [job for job in plan.batch.jobs if job.pk not in carried]
        postponing.put_off(rest, plan.parts.short)


def _rules() -> MintingRules:
    rules: MintingRules = settings.CONFIGURATION.minting
    return rules
