"""Splitting: waiting requests of one condition go out as one signed transaction, looked up until final."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import structlog
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from exchange.errors import ExchangeError, Rejected
from exchange.port import Minter
from exchange.types import SignedSplit, SplitReport
from minting import pausing
from minting.models import Mint, Transaction
from orders import balances, ledger
from orders.models import Instrument, Position
from orders.venues import minter, venue_of
from polytrader.numbers import plain
from polytrader.points import point

log = structlog.get_logger()

QUEUE = "mint-queue"
LOOK_AGAIN = timedelta(seconds=1)
DELAY = timedelta(seconds=30)
AFTER_DEADLINE = timedelta(seconds=60)


def drain() -> int:
    """Look after the transaction under way; when there is none, send the next split.

    One transaction of a wallet is under way at a time, across machines, by
    constraint. Returns how many rows were touched.
    """
    under_way = list(Transaction.objects.filter(status="sent"))
    for row in under_way:
        look(row)
    if Transaction.objects.filter(status="sent").exists() or pausing.is_paused(QUEUE):
        return len(under_way)
    batch = _next_batch()
    if batch:
        send(batch)
    return len(under_way) + len(batch)


def _next_batch() -> list[Mint]:
    """The due requests of the condition that has waited longest."""
    due = Mint.objects.filter(
        status__in=["requested", "delayed"], next_attempt_at__lte=timezone.now()
    ).prefetch_related("instrument")  # they are few and shared
    by_condition: dict[str, list[Mint]] = defaultdict(list)
    for mint in due.order_by("pk")[:1000]:
        by_condition[mint.instrument.condition_id].append(mint)
    return next(iter(by_condition.values()), [])


def send(mints: Sequence[Mint]) -> None:
    """Sign one split for these requests, commit it with its nonce, then submit it.

    Too little collateral delays the requests; it does not fail them.
    """
    instrument = mints[0].instrument
    try:
        for asset in _assets(instrument):
            balances.opened(asset, instrument.venue)
        if not instrument.accepting_orders:
            _delay_all(mints, "the market takes no orders now; nothing more is minted", DELAY)
            return
        mints = _affordable(mints, instrument)
        if not mints:
            return
        total = sum((mint.quantity for mint in mints), start=Decimal(0))
        who = minter()
        signed = who.sign_split(
            instrument.condition_id, instrument.neg_risk, total, who.next_nonce()
        )
    except Rejected as refusal:
        _delay_all(mints, f"cannot be minted now: {refusal}", DELAY)
        return
    except ExchangeError as error:
        _delay_all(mints, f"the venue does not answer: {error}", LOOK_AGAIN)
        return
    point("split_signed")
    row = _commit(mints, instrument, total, signed)
    if row is not None:
        submit(row, who)


def _affordable(mints: Sequence[Mint], instrument: Instrument) -> Sequence[Mint]:
    """The longest run of requests that the free collateral covers; the others are delayed."""
    position = Position.objects.filter(asset=instrument.quote_asset).first()
    free = Decimal(0) if position is None else position.sellable()
    total = Decimal(0)
    for count, mint in enumerate(mints):
        total += mint.quantity
        if total > free:
            reason = f"{plain(free)} collateral is free, {plain(total)} needed"
            _delay_all(mints[count:], reason, DELAY)
            return mints[:count]
    return mints


def _commit(
    mints: Sequence[Mint], instrument: Instrument, total: Decimal, signed: SignedSplit
) -> Transaction | None:
    try:
        with transaction.atomic():
            positions = ledger.lock(_assets(instrument), instrument.venue)
            free = positions[instrument.quote_asset].sellable()
            if free < total:
                reason = f"{plain(free)} collateral is free, {plain(total)} needed"
                _delay_all(mints, reason, DELAY)
                return None
            row = Transaction.objects.create(
                wallet=signed.wallet,
                nonce=signed.nonce,
                deadline=signed.deadline,
                payload=signed.payload,
                condition_id=instrument.condition_id,
                quantity=total,
            )
            for mint in mints:
                if not mint.move("sent", transaction=row, reason=""):
                    raise IntegrityError("a request was taken by another worker")
            _pending(positions, instrument, total, +1)
            point("split_made")
    except IntegrityError as error:
        log.info("split_not_committed", error=str(error).splitlines()[0])
        return None
    point("split_committed")
    log.info("split_signed", transaction=row.pk, nonce=row.nonce, quantity=plain(total))
    return row


def submit(row: Transaction, who: Minter) -> None:
    """Submit the committed bytes, the first time or again; the outcome is looked up."""
    row.note(submits=F("submits") + 1)
    row.refresh_from_db(fields=["submits"])
    point("submit_counted")
    try:
        transaction_id = who.submit(_signed(row))
        point("split_submitted")
    except Rejected as refusal:
        log.warning("split_refused", transaction=row.pk, code=refusal.code, error=str(refusal))
        row.note(reason=f"refused: {refusal}", next_look_at=timezone.now())
        _settle_refusal(row, who, refusal)
    except ExchangeError as error:
        row.note(reason=f"no clear answer yet: {error}", next_look_at=timezone.now() + LOOK_AGAIN)
    else:
        row.note(transaction_id=transaction_id, reason="", next_look_at=timezone.now() + LOOK_AGAIN)
        point("submission_noted")


def look(row: Transaction) -> None:
    """Ask what became of a transaction; submit the same bytes again while nobody knows it."""
    if row.next_look_at > timezone.now():
        return
    row.note(next_look_at=timezone.now() + LOOK_AGAIN)
    who = minter()
    try:
        report = who.find_split(_signed(row), row.transaction_id)
        point("split_looked_up")
        if report is None:
            _not_known(row, who)
        elif report.status == "confirmed":
            confirm(row, report)
        elif report.status == "failed":
            fail(row, report.message or "the transaction failed")
        else:
            _still_pending(row, who, report)
    except ExchangeError as error:
        row.note(reason=f"the look-up failed: {error}")


def _is_past_deadline(row: Transaction, who: Minter) -> bool:
    return who.now() > row.deadline + AFTER_DEADLINE


def _not_known(row: Transaction, who: Minter) -> None:
    """Nobody knows it: the same bytes again while they can execute, the requests again after."""
    if _is_past_deadline(row, who):
        fail(row, "it was never executed and its deadline has passed", again=True)
    else:
        submit(row, who)


def _still_pending(row: Transaction, who: Minter, report: SplitReport) -> None:
    """Wait for it, but not for ever: past its deadline what has arrived decides."""
    if report.transaction_id and not row.transaction_id:
        row.note(transaction_id=report.transaction_id)
    if report.message:
        row.note(reason=report.message)
    if not _is_past_deadline(row, who):
        return
    if _has_arrived(row):
        confirm(row, report)
    else:
        fail(row, "its deadline has passed and the tokens have not arrived", again=True)


def _has_arrived(row: Transaction) -> bool:
    """Whether both outcomes grew by the split against our settled positions. Raises `Unavailable`."""
    instrument = row.mints.select_related("instrument")[0].instrument
    exchange = venue_of(instrument)
    for asset in (instrument.base_asset, instrument.complement):
        settled = Position.objects.get(asset=asset).settled
        if exchange.balance(asset) < settled + row.quantity:
            return False
    return True


def _settle_refusal(row: Transaction, who: Minter, refusal: Rejected) -> None:
    """A refusal ends a transaction only when a look-up says that it is not there either."""
    try:
        report = who.find_split(_signed(row), row.transaction_id)
    except ExchangeError:
        return
    if report is not None:
        return
    if refusal.code == "nonce":
        fail(row, "its nonce was used by another transaction", again=True)
    elif row.submits <= 1:
        fail(row, f"refused: {refusal}")


def confirm(row: Transaction, report: SplitReport) -> None:
    """The tokens have arrived: book both outcomes and the collateral, close the requests."""
    with transaction.atomic():
        instrument = row.mints.select_related("instrument")[0].instrument
        positions = ledger.lock(_assets(instrument), instrument.venue)
        now = timezone.now()
        if not row.move(
            "confirmed",
            transaction_hash=report.transaction_hash,
            transaction_id=report.transaction_id or row.transaction_id,
            closed_at=now,
            reason="",
        ):
            return
        changes = [
            ledger.Change(
                asset, -row.quantity if asset == instrument.quote_asset else row.quantity, "chain"
            )
            for asset in positions
        ]
        ledger.post(positions, "split", f"transaction {row.pk}", changes)
        _pending(positions, instrument, row.quantity, -1)
        for mint in row.mints.filter(status="sent"):
            mint.move("confirmed", closed_at=now, reason="")
        point("split_booked")
    point("split_confirmed")
    log.info("split_confirmed", transaction=row.pk, quantity=plain(row.quantity))


def fail(row: Transaction, reason: str, *, again: bool = False) -> None:
    """The transaction is dead; its requests fail with the reason, or are requested `again`."""
    with transaction.atomic():
        instrument = row.mints.select_related("instrument")[0].instrument
        positions = ledger.lock(_assets(instrument), instrument.venue)
        if not row.move("failed", reason=reason, closed_at=timezone.now()):
            return
        _pending(positions, instrument, row.quantity, -1)
        for mint in row.mints.filter(status="sent"):
            if again:
                mint.move("requested", reason=reason, next_attempt_at=timezone.now())
            else:
                mint.move("failed", reason=reason, closed_at=timezone.now())
        point("split_given_up")
    point("split_failed")
    log.warning("split_failed", transaction=row.pk, reason=reason, again=again)


def _delay_all(mints: Sequence[Mint], reason: str, delay: timedelta) -> None:
    for mint in mints:
        if mint.status == "requested":
            mint.move("delayed", reason=reason, next_attempt_at=timezone.now() + delay)
        else:
            mint.note(reason=reason, next_attempt_at=timezone.now() + delay)


def _assets(instrument: Instrument) -> list[str]:
    return [instrument.base_asset, instrument.complement, instrument.quote_asset]


def _pending(
    positions: dict[str, Position], instrument: Instrument, quantity: Decimal, sign: int
) -> None:
    """Note on the locked positions that a split will move them (or no longer will)."""
    for asset, position in positions.items():
        outflow = quantity * sign if asset == instrument.quote_asset else Decimal(0)
        Position.objects.filter(pk=position.pk).update(
            pending_transactions=F("pending_transactions") + sign,
            pending_outflow=F("pending_outflow") + outflow,
        )


def _signed(row: Transaction) -> SignedSplit:
    return SignedSplit(row.wallet, row.nonce, row.deadline, row.payload)
