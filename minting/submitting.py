"""Submitting committed bytes: the first time or again, whatever came of the time before."""

from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from exchange.errors import ExchangeError, Rejected, Unavailable
from exchange.port import Minter
from exchange.types import RejectionCode, SignedTransaction
from minting import booking
from minting.models import Transaction, Version
from polytrader.alerts import raise_alert, resolve_alert
from polytrader.points import point

log = structlog.get_logger()

LOOK_AGAIN = timedelta(seconds=0.5)
A_PERSONS = frozenset({RejectionCode.NOT_ALLOWED, RejectionCode.NO_GAS, RejectionCode.WRONG_CHAIN})
"""Refusals that a person must see to; the jobs wait for it."""


def add_version(row: Transaction, signed: SignedTransaction) -> None:
    """Keep one more signed form of a transaction."""
    Version.objects.create(
        transaction=row,
        payload=signed.payload,
        transaction_hash=signed.transaction_hash,
        deadline=signed.deadline,
        max_fee=signed.max_fee,
    )


def submit(row: Transaction, who: Minter, signed: SignedTransaction) -> None:
    """Submit committed bytes; the outcome is looked up.

    It counts as a doubt before it is tried, and no more once it was surely not taken.
    """
    mine = Transaction.objects.filter(pk=row.pk, status="sent")
    if mine.update(submits=F("submits") + 1, doubts=F("doubts") + 1) == 0:
        return  # another worker has judged it meanwhile
    point("submit_counted")
    again = timezone.now() + LOOK_AGAIN
    try:
        transaction_id = who.submit(signed)
        point("conversion_submitted")
    except Rejected as refusal:
        log.warning("conversion_refused", transaction=row.pk, code=refusal.code, error=str(refusal))
        row.note(reason=f"refused: {refusal}", next_look_at=timezone.now(), doubts=F("doubts") - 1)
        _judge_refusal(row, who, refusal)
    except Unavailable as error:
        row.note_under_way(
            reason=f"not taken yet: {error}", next_look_at=again, doubts=F("doubts") - 1
        )
    except ExchangeError as error:
        row.note_under_way(reason=f"no clear answer yet: {error}", next_look_at=again)
    else:
        row.note_under_way(transaction_id=transaction_id, reason="", next_look_at=again)
        for subject in ("the wallet", "the start"):
            resolve_alert("minting_held", subject, "a transaction was taken")
        point("submission_noted")


def _judge_refusal(row: Transaction, who: Minter, refusal: Rejected) -> None:
    """A refusal ends a transaction only when a look-up says that it is not there either.

    One that may have been taken when it was submitted before is looked up until its
    nonce is used or its deadline has passed. One that a person must see to can often not
    be looked up either (a wrong key): without a doubt it was not taken (`Minter.submit`).
    """
    if refusal.code == RejectionCode.EXPIRATION:
        return  # too late by the relayer's clock: once it is by the chain's, the look-up says so
    if refusal.code not in A_PERSONS and not _is_not_there(row, who):
        return
    with transaction.atomic():
        locked = Transaction.objects.select_for_update().get(pk=row.pk)
        if locked.status == "sent" and locked.doubts == 0:
            _end(row, refusal)


def _is_not_there(row: Transaction, who: Minter) -> bool:
    try:
        return who.find(row.signed(), row.transaction_id) is None
    except ExchangeError:
        return False


def _end(row: Transaction, refusal: Rejected) -> None:
    if refusal.code == RejectionCode.NONCE:
        booking.fail(row, "its nonce was used by another transaction", then="requested")
    elif refusal.code in A_PERSONS:
        raise_alert("minting_held", "the wallet", str(refusal))
        booking.fail(row, f"refused: {refusal}", then="delayed")
    else:
        booking.fail(row, f"refused: {refusal}", then="failed")
