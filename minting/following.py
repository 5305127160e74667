"""Following what was sent: looked up until it is final, submitted again while nobody knows it."""

from collections.abc import Callable
from datetime import timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from exchange.errors import ExchangeError
from exchange.port import Minter
from exchange.types import Conversion, SignedTransaction, TransactionReport
from minting import booking
from minting.booking import Then
from minting.models import Transaction
from minting.preparing import assets_of, conversion_of, tokens_of
from minting.submitting import LOOK_AGAIN, add_version, submit
from orders.models import Instrument, Position
from orders.venues import minter, venue_of
from polytrader.alerts import raise_alert, resolve_alert
from polytrader.points import point

log = structlog.get_logger()

DOUBT_FOR = timedelta(seconds=60)
"""How long what became of a transaction must stay unclear before the chain's logs decide."""
STUCK_AFTER = timedelta(seconds=45)
LONGEST_PAUSE = timedelta(seconds=10)
TOLD_AFTER = timedelta(minutes=15)
MANY_VERSIONS = 4


def look_after_all() -> int:
    """Look every transaction up that is under way and due; how many are under way."""
    under_way = list(Transaction.objects.filter(status="sent").select_related("instrument"))
    for row in under_way:
        try:
            look(row)
        except Exception:  # of one row: the others are looked after all the same
            log.exception("transaction_not_looked_up", transaction=row.pk)
    return len(under_way)


def look(row: Transaction) -> None:
    """Ask what became of a transaction, if it is due and nobody else does."""
    now = timezone.now()
    if not row.claim_look(now + _pause(now - row.created_at)):
        return
    try:
        who = minter()
        if row.wallet.lower() == who.wallet.lower():
            _judge(row, who)
        else:
            row.note_under_way(
                reason=f"sent by {row.wallet}: configure that wallet again to have it looked after"
            )
    except ExchangeError as error:
        row.note_under_way(reason=f"the look-up failed: {error}")
    _tell_if_stuck(row)


def _pause(age: timedelta) -> timedelta:
    """Between two looks: the older a transaction, the less often."""
    if age < timedelta(seconds=20):
        return LOOK_AGAIN
    return min(LOOK_AGAIN + age / 20, LONGEST_PAUSE)


def _judge(row: Transaction, who: Minter) -> None:
    signed = row.signed()
    report = who.find(signed, row.transaction_id)
    point("conversion_looked_up")
    if report is None:  # nobody knows it, and nothing has used its nonce
        _is_clear(row)
        submit(row, who, signed[-1])
        return
    _note(row, report)
    act = {
        "pending": _pending,
        "confirmed": _executed,
        "reverted": _reverted,
        "open": _open,
        "replaced": _replaced,
        "unaccounted": _unaccounted,
    }[report.status]
    act(row, who, signed, report)


def _note(row: Transaction, report: TransactionReport) -> None:
    """Keep what is new of a report: the id it goes by, and what is said of it."""
    changes: dict[str, str] = {}
    if report.transaction_id and not row.transaction_id:
        changes["transaction_id"] = report.transaction_id
    if report.message and report.message != row.reason:
        changes["reason"] = report.message
    if changes:
        row.note_under_way(**changes)


def _is_clear(row: Transaction) -> None:
    """What becomes of it is known again; a later doubt begins anew."""
    if row.doubted_at is not None:
        row.note_under_way(doubted_at=None)


def _executed(
    row: Transaction, who: Minter, signed: list[SignedTransaction], report: TransactionReport
) -> None:
    """It executed: what has arrived says whether it did what it should."""
    if booking.has_arrived(row, report.moved) and not _is_anothers(row, report):
        booking.confirm(row, report)
        _tell_the_venue(row)
        return
    reason = (
        "it executed, but the tokens did not arrive: is the adapter's address right? "
        "Compare it with Polymarket's list of contracts before trying again"
    )
    _doubt(row, who, reason, then="failed")


def _reverted(
    row: Transaction, who: Minter, signed: list[SignedTransaction], report: TransactionReport
) -> None:
    """It failed on the chain, unless the same bytes went through under another hash."""
    if who.approves_apart or not _is_in_the_logs(row, who):
        booking.revert(row, report, f"it failed on the chain: {report.message or 'reverted'}")


def _replaced(
    row: Transaction, who: Minter, signed: list[SignedTransaction], report: TransactionReport
) -> None:
    _doubt(row, who, report.message or "another transaction used its nonce", then="requested")


def _unaccounted(
    row: Transaction, who: Minter, signed: list[SignedTransaction], report: TransactionReport
) -> None:
    reason = f"{report.message or 'its nonce is used'}; the chain shows nothing of it"
    _doubt(row, who, reason, then="requested")


def _doubt(row: Transaction, who: Minter, reason: str, *, then: Then) -> None:
    """What stays unclear for a minute is decided by the chain's logs, whoever else says what."""
    now = timezone.now()
    if row.doubted_at is None:
        row.note_under_way(doubted_at=now)
    if row.doubted_at is None or now < row.doubted_at + DOUBT_FOR:
        return
    if not _is_in_the_logs(row, who):
        booking.fail(row, reason, then=then)


def _is_in_the_logs(row: Transaction, who: Minter) -> bool:
    """Whether the chain shows it done, by no other row of ours: then it is booked."""
    done = [one for one in _effects(row, who) if not _is_anothers(row, one)]
    if not done:
        return False
    booking.confirm(row, done[0])
    _tell_the_venue(row)
    return True


def _effects(row: Transaction, who: Minter) -> list[TransactionReport]:
    """Transactions that did just what this one should; of an approval, none that matters."""
    if row.kind == "approve" or row.instrument is None:
        return []
    if row.since_block == 0:  # signed before heights were kept
        return _by_balances(row, who)
    return who.effects(_conversion(row, row.instrument), row.since_block)


def _by_balances(row: Transaction, who: Minter) -> list[TransactionReport]:
    """What the chain's balances say, against our settled positions, of a transaction without a height."""
    wanted = {asset: amount for asset, amount in booking.nominal(row).items() if asset.isdigit()}
    held = who.held(list(wanted))
    settled = dict(Position.objects.filter(asset__in=wanted).values_list("asset", "settled"))
    moved = {asset: held[asset] - settled[asset] for asset in wanted}
    has_moved = all(abs(moved[asset]) >= abs(amount) for asset, amount in wanted.items())
    return [TransactionReport(row.transaction_id, "confirmed")] if has_moved else []


def _conversion(row: Transaction, instrument: Instrument) -> Conversion:
    return conversion_of(row.kind, instrument, tokens_of(instrument), row.quantity)


def _is_anothers(row: Transaction, report: TransactionReport) -> bool:
    """Whether another row of ours is that transaction."""
    known = Transaction.objects.exclude(pk=row.pk).exclude(transaction_hash="")
    return known.filter(transaction_hash__iexact=report.transaction_hash).exists()


def _pending(
    row: Transaction, who: Minter, signed: list[SignedTransaction], report: TransactionReport
) -> None:
    """Wait for it; one that waits too long to be mined is replaced by a higher bid."""
    _is_clear(row)
    if report.is_mined or signed[-1].deadline is not None:
        return
    is_older = report.transaction_hash.lower() != signed[-1].transaction_hash.lower()
    if signed[-1].transaction_hash and is_older:
        submit(row, who, signed[-1])  # committed, and never taken
    else:
        _sign_again(row, who, STUCK_AFTER, lambda: who.sign_replacement(signed[-1]))


def _open(
    row: Transaction, who: Minter, signed: list[SignedTransaction], report: TransactionReport
) -> None:
    """Given up by whoever sends it, and still possible: the same again with the same nonce.

    Only one of the two can execute. A new nonce could bring both.
    """
    _is_clear(row)
    if row.instrument is None:
        return
    conversion = _conversion(row, row.instrument)
    approval = who.missing_approval(conversion)
    wait = STUCK_AFTER * len(signed)
    _sign_again(row, who, wait, lambda: who.sign(conversion, row.nonce, approval))
    if len(signed) >= MANY_VERSIONS:
        text = f"{len(signed)} attempts of nonce {row.nonce} were given up: {report.message}"
        raise_alert("minting_held", f"transaction {row.pk}", text)


def _sign_again(
    row: Transaction,
    who: Minter,
    after: timedelta,
    sign: Callable[[], SignedTransaction | None],
) -> None:
    """Sign one more version of the same nonce, commit it, then submit it; not too often."""
    if row.versions.latest("pk").created_at > timezone.now() - after:
        return
    signed = sign()
    if signed is None:
        return
    with transaction.atomic():
        mine = Transaction.objects.select_for_update().filter(pk=row.pk, status="sent")
        if not mine.exists():
            return
        add_version(row, signed)
    point("replacement_committed")
    log.info("transaction_signed_again", transaction=row.pk, nonce=row.nonce)
    row.note_under_way(transaction_id="")
    submit(row, who, signed)


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


def _tell_if_stuck(row: Transaction) -> None:
    subject = f"transaction {row.pk}"
    if row.status != "sent":
        resolve_alert("minting_held", subject, f"it is {row.status}")
    elif row.created_at < timezone.now() - TOLD_AFTER:
        minutes = int((timezone.now() - row.created_at).total_seconds() // 60)
        text = f"under way for {minutes} minutes, the queue waits for it: {row.reason or 'pending'}"
        raise_alert("minting_held", subject, text)
