"""Following what was sent: looked up until it is final, submitted again while nobody knows it."""

from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.utils import timezone

from exchange.errors import ExchangeError
from exchange.port import Minter
from exchange.types import SignedTransaction, TransactionReport
from minting import booking
from minting.models import Transaction
from minting.preparing import assets_of
from minting.submitting import LOOK_AGAIN, add_version, submit
from orders.models import Fill, Position
from orders.venues import minter, venue_of
from polytrader.alerts import raise_alert, resolve_alert
from polytrader.points import point

log = structlog.get_logger()

AFTER_DEADLINE = timedelta(seconds=60)
JUDGED_AFTER = timedelta(minutes=10)
"""When the balances decide about a nonce that somebody used; the venue's list may be late."""
STUCK_AFTER = timedelta(seconds=45)
LONGEST_PAUSE = timedelta(seconds=10)
TOLD_AFTER = timedelta(minutes=15)


def look_after_all() -> int:
    """Look every transaction up that is under way and due; how many are under way."""
    under_way = list(Transaction.objects.filter(status="sent").select_related("instrument"))
    for row in under_way:
        look(row)
    return len(under_way)


def look(row: Transaction) -> None:
    """Ask what became of a transaction, if it is due and nobody else does."""
    now = timezone.now()
    if not row.claim_look(now + _pause(now - row.created_at)):
        return
    who, signed = minter(), row.signed()
    if row.wallet.lower() != who.wallet.lower():
        row.note(
            reason=f"sent by {row.wallet}; configure that wallet again to have it looked after"
        )
        return
    try:
        report = who.find(signed, row.transaction_id)
        point("conversion_looked_up")
        _judge(row, who, signed, report)
    except ExchangeError as error:
        row.note(reason=f"the look-up failed: {error}")
    _tell_if_stuck(row)


def _pause(age: timedelta) -> timedelta:
    """Between two looks: the older a transaction, the less often."""
    if age < timedelta(seconds=20):
        return LOOK_AGAIN
    return min(LOOK_AGAIN + age / 20, LONGEST_PAUSE)


def _judge(
    row: Transaction,
    who: Minter,
    signed: list[SignedTransaction],
    report: TransactionReport | None,
) -> None:
    if report is None:
        _not_known(row, who, signed)
        return
    _note(row, report)
    if report.status == "confirmed":
        _executed(row, report)
    elif report.status == "reverted":
        booking.revert(row, report, f"it failed on the chain: {report.message or 'reverted'}")
    elif report.status == "replaced":
        booking.fail(row, "its nonce was used by another transaction", then="requested")
    elif report.status == "unaccounted":
        _unaccounted(row, who, signed, report)
    else:
        _pending(row, who, signed)


def _note(row: Transaction, report: TransactionReport) -> None:
    """Keep what is new of a report: the id it goes by, and what is said of it."""
    changes: dict[str, str] = {}
    if report.transaction_id and not row.transaction_id:
        changes["transaction_id"] = report.transaction_id
    if report.message and report.message != row.reason:
        changes["reason"] = report.message
    if changes:
        row.note(**changes)


def _not_known(row: Transaction, who: Minter, signed: list[SignedTransaction]) -> None:
    """Nobody knows it: the same bytes again while they can execute, the jobs again after."""
    deadline = signed[-1].deadline
    if deadline is not None and who.now() > deadline + AFTER_DEADLINE:
        reason = "it was never executed and its deadline has passed"
        booking.fail(row, reason, then="requested")
    else:
        submit(row, who, signed[-1])


def _executed(row: Transaction, report: TransactionReport) -> None:
    """It executed: what has arrived says whether it did what it should."""
    if booking.has_arrived(row, report.moved):
        booking.confirm(row, report)
        _tell_the_venue(row)
        return
    reason = (
        "it executed, but the tokens did not arrive: is the adapter's address right? "
        "Compare it with Polymarket's list of contracts before trying again"
    )
    row.note(transaction_hash=report.transaction_hash, cost=report.cost)
    booking.fail(row, reason, then="failed")


def _tell_the_venue(row: Transaction) -> None:
    """Have the venue read the chain again: an order may want what has just arrived."""
    if row.instrument is None or row.kind == "approve":
        return
    exchange = venue_of(row.instrument)
    try:
        for asset in assets_of(row.instrument):
            exchange.refresh_balance(asset)
    except ExchangeError as error:  # it finds out by itself, later
        log.info("balances_not_refreshed", transaction=row.pk, error=str(error))


def _pending(row: Transaction, who: Minter, signed: list[SignedTransaction]) -> None:
    """Wait for it; one that a deadline cannot end any more is judged, a stuck one gets higher fees."""
    deadline = signed[-1].deadline
    if deadline is None:
        _bid_more(row, who, signed)
    elif who.now() > deadline + AFTER_DEADLINE:
        _judge_by_balances(row, who, TransactionReport(row.transaction_id, "pending"))


def _bid_more(row: Transaction, who: Minter, signed: list[SignedTransaction]) -> None:
    """Replace a transaction that waits too long by one of the same nonce, committed first."""
    latest = row.versions.latest("pk")
    if latest.created_at > timezone.now() - STUCK_AFTER:
        return
    replacement = who.sign_replacement(signed[-1])
    if replacement is None:
        return
    add_version(row, replacement)
    point("replacement_committed")
    log.info("transaction_replaced", transaction=row.pk, nonce=row.nonce, versions=len(signed) + 1)
    submit(row, who, replacement)


def _unaccounted(
    row: Transaction, who: Minter, signed: list[SignedTransaction], report: TransactionReport
) -> None:
    """Its nonce is used, and by what nobody says: past the deadline what has arrived decides."""
    deadline: datetime = signed[-1].deadline or row.created_at + JUDGED_AFTER
    if who.now() > deadline + AFTER_DEADLINE:
        _judge_by_balances(row, who, report)


def _judge_by_balances(row: Transaction, who: Minter, report: TransactionReport) -> None:
    """Compare what the chain says is held with our settled positions, once nothing else moves them."""
    if row.instrument is None or row.kind == "approve":
        booking.fail(row, "it cannot execute any more", then="requested")
        return
    assets = assets_of(row.instrument)
    if Fill.objects.filter(order__instrument__base_asset__in=assets, status="matched").exists():
        row.note(reason="waits for trades of its tokens to settle before what arrived is judged")
        return
    held = who.held(assets)
    settled = {one.asset: one.settled for one in Position.objects.filter(asset__in=assets)}
    moved = {asset: held[asset] - settled[asset] for asset in assets}
    if _outcomes_agree(row, moved):
        booking.confirm(row, report)
    else:
        reason = "its deadline has passed and the tokens have not arrived"
        booking.fail(row, reason, then="requested")


def _outcomes_agree(row: Transaction, moved: dict[str, Decimal]) -> bool:
    """Whether both outcomes moved by what they should; collateral moves for other reasons too."""
    collateral = row.instrument.quote_asset if row.instrument else ""
    came = {asset: amount for asset, amount in row.brought().items() if asset != collateral}
    went = {asset: amount for asset, amount in row.taken().items() if asset != collateral}
    return all(moved[asset] >= amount for asset, amount in came.items()) and all(
        -moved[asset] >= amount for asset, amount in went.items()
    )


def _tell_if_stuck(row: Transaction) -> None:
    subject = f"transaction {row.pk}"
    if row.status != "sent":
        resolve_alert("minting_held", subject, f"it is {row.status}")
    elif row.created_at < timezone.now() - TOLD_AFTER:
        minutes = int((timezone.now() - row.created_at).total_seconds() // 60)
        text = f"under way for {minutes} minutes, the queue waits for it: {row.reason or 'pending'}"
        raise_alert("minting_held", subject, text)
