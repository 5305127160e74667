"""Balances: compare our book with what the venue says the wallet holds, and book what came from outside."""

from datetime import timedelta
from decimal import Decimal

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from exchange.errors import ExchangeError
from exchange.types import TradeReport
from orders import hand_trades, ledger
from orders.models import Entry, Fill, Instrument, Order, Position
from orders.venues import venue
from polytrader.alerts import raise_alert
from polytrader.models import Alert
from polytrader.numbers import plain

log = structlog.get_logger()

EVERY = timedelta(seconds=28)
QUIET_FOR = timedelta(seconds=5)
CACHE_IS_BEHIND = timedelta(seconds=10)
"""The venue's balance is a cache: soon after a movement of ours one reading proves nothing."""


def opened(asset: str, venue_name: str) -> Position:
    """The position of an asset, opened with what the venue says is held.

    Raises `Unavailable` when the venue cannot be asked and the asset is new to us.
    """
    position = Position.objects.filter(asset=asset, compared_at__isnull=False).first()
    if position is not None:
        return position
    compare(asset, venue_name)
    return Position.objects.get(asset=asset)


def compare(asset: str, venue_name: str) -> bool:
    """Compare one asset with the venue; book a difference that nothing of ours explains.

    Returns whether the two agree now. While something of ours is in flight the
    comparison waits for a later sweep, and a difference seen soon after something
    of ours moved is booked only when it is seen again: `False`.
    """
    last_seen = _last_entry(asset)
    balance = _balance(asset, venue_name)
    if _differs(asset, balance):
        # A trade made by hand explains it, and is booked as one when it is settled.
        coming = hand_trades.read(venue_name)
        if _last_entry(asset) != last_seen or any(_touches(trade, asset) for trade in coming):
            return False
    with transaction.atomic():
        position = ledger.lock([asset], venue_name)[asset]
        is_new = position.compared_at is None
        if _in_flight(asset) or _last_entry(asset) != last_seen:
            return False
        if balance != position.settled and not is_new and not _is_believed(position, balance):
            return False
        difference = balance - position.settled
        if difference and not is_new and _is_alarmed(position, balance):
            return False
        now = timezone.now()
        if difference:
            kind = "opening" if is_new else "outside"
            change = ledger.Change(asset, difference, "outside")
            ledger.post({asset: position}, kind, now.isoformat(), [change])
            log.info("balance_booked", asset=asset, kind=kind, difference=plain(difference))
            if not is_new:
                _tell(asset, difference, balance)
        Position.objects.filter(pk=position.pk).update(
            venue_balance=balance,
            compared_at=now,
            updated_at=now,
            doubted_balance=None,
            doubted_at=None,
        )
    return True


def _touches(trade: TradeReport, asset: str) -> bool:
    """Whether a trade moves an asset; one in an instrument we do not know may move any."""
    instrument = Instrument.objects.filter(symbol=trade.symbol).first()
    if instrument is None:
        return True
    return asset in (instrument.base_asset, instrument.quote_asset, trade.fee_asset)


def _differs(asset: str, balance: Decimal) -> bool:
    position = Position.objects.filter(asset=asset, compared_at__isnull=False).first()
    return position is not None and position.settled != balance


def _is_alarmed(position: Position, balance: Decimal) -> bool:
    """Whether a difference stands beside trades that the venue denies: then it is never adopted."""
    denied = Alert.objects.filter(kind="unexplained_difference", resolved_at=None)
    references = position.entries.filter(kind__in=["match", "settle"]).values("reference")
    ours = {row["reference"].rpartition("/")[2] for row in references.order_by("-pk")[:1000]}
    subjects = {
        subject.removeprefix("trade ") for subject in denied.values_list("subject", flat=True)
    }
    if not ours & subjects:
        return False
    raise_alert(
        "unexplained_difference",
        f"asset {position.asset}",
        f"the venue holds {plain(balance)}, our book {plain(position.settled)}, and trades of ours"
        " are denied; the difference is not booked. Resolve the alerts of those trades to book it",
    )
    return True


def _tell(asset: str, difference: Decimal, balance: Decimal) -> None:
    kind = "deposit" if difference > 0 else "withdrawal"
    raise_alert(
        "outside_movement",
        f"asset {asset}",
        f"a {kind} of {plain(abs(difference))} from outside was booked; {plain(balance)} are held",
    )


def _balance(asset: str, venue_name: str) -> Decimal:
    """What the venue says; where it differs from our book, what it says on reading the chain again."""
    exchange = venue(venue_name)
    balance = exchange.balance(asset)
    position = Position.objects.filter(asset=asset, compared_at__isnull=False).first()
    if position is not None and position.settled != balance:
        exchange.refresh_balance(asset)
        return exchange.balance(asset)
    return balance


def _is_believed(position: Position, balance: Decimal) -> bool:
    """Whether a difference is more than a cache of the venue's that is behind.

    Long after our last movement it is; soon after, or while an order of ours rests that
    may have matched a moment ago, when two readings some seconds apart agree.
    """
    now = timezone.now()
    last = Entry.objects.filter(position=position).exclude(kind__in=["opening", "outside"])
    moved_at = last.order_by("-id").values_list("created_at", flat=True).first()
    is_quiet = moved_at is None or moved_at < now - CACHE_IS_BEHIND
    if is_quiet and not _rests(position.asset):
        return True
    seen_at = position.doubted_at
    if position.doubted_balance == balance and seen_at is not None:
        return seen_at <= now - QUIET_FOR and (moved_at is None or moved_at < seen_at)
    Position.objects.filter(pk=position.pk).update(doubted_balance=balance, doubted_at=now)
    return False


def sweep() -> int:
    """Compare the positions that are due: every 30 s, at once again where a difference was doubted.

    A venue that does not answer is tried again by the next sweep.
    """
    done = 0
    since = timezone.now() - EVERY
    due = Q(compared_at__isnull=True) | Q(compared_at__lt=since) | Q(doubted_at__isnull=False)
    silent: set[str] = set()
    for position in Position.objects.filter(due).order_by("compared_at"):
        if position.venue in silent:
            continue
        try:
            done += compare(position.asset, position.venue)
        except ExchangeError as error:
            silent.add(position.venue)
            log.warning("balance_not_compared", asset=position.asset, error=str(error))
    return done


def held(asset: str) -> Decimal:
    """What the wallet holds of an asset by our book, settled or settling."""
    position = Position.objects.filter(asset=asset).first()
    return Decimal(0) if position is None else position.held


def _of(asset: str) -> Q:
    return Q(instrument__base_asset=asset) | Q(instrument__quote_asset=asset)


def _rests(asset: str) -> bool:
    return Order.objects.filter(_of(asset), status="open").exists()


def _last_entry(asset: str) -> int | None:
    return (
        Entry.objects.filter(position__asset=asset)
        .order_by("-id")
        .values_list("id", flat=True)
        .first()
    )


def _in_flight(asset: str) -> bool:
    """Whether an order, a trade or a split of ours may move this asset at the venue."""
    flying = Q(status="sent") | Q(is_late=True)
    if Order.objects.filter(_of(asset), flying).exists():
        return True
    of_fill = Q(order__instrument__base_asset=asset) | Q(order__instrument__quote_asset=asset)
    if Fill.objects.filter(of_fill, status="matched").exists():
        return True
    position = Position.objects.filter(asset=asset).first()
    return position is not None and position.pending_transactions > 0
