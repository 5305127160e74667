"""Trades of the wallet that are not ours: made by hand, or by another program on the same wallet.

The venue's list of the wallet's trades is read again and again. What belongs to an order of ours
is booked with it; what does not is booked as a hand trade once it is CONFIRMED.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from exchange.errors import ExchangeError
from exchange.types import TradeReport
from orders import instruments, ledger
from orders.models import Entry, Fill, Instrument, Order, Position, VenueState
from orders.venues import venue
from polytrader.alerts import raise_alert, resolve_alert
from polytrader.models import Alert

log = structlog.get_logger()

OVERLAP = timedelta(seconds=60)
"""Clocks differ and lists lag: so much is read twice."""

LISTED_BY_THEN = timedelta(seconds=15)
"""A trade that the venue has confirmed stands in its list after this."""


def spelled(order_id: str) -> str:
    """An order id as we write it: the venue's hashes in lower case, other ids as they are."""
    return order_id.lower() if order_id[:2] in ("0x", "0X") else order_id


def read(venue_name: str) -> list[TradeReport]:
    """Read the list since the last time and book what is new in it; raises `Unavailable`.

    Returns the trades made by hand that are not settled yet, and will move balances
    before they are booked. The first reading only notes the moment: what was before
    is in the opening balances.
    """
    state, _ = VenueState.objects.get_or_create(venue=venue_name)
    began_at = timezone.now()
    if state.listed_at is None:
        VenueState.objects.filter(venue=venue_name).update(listed_at=began_at)
        return []
    trades = venue(venue_name).wallet_trades(state.listed_at - OVERLAP)
    unsettled = [trade for trade in trades if _take(trade)]
    upto = min([began_at, *(trade.matched_at for trade in unsettled)])
    VenueState.objects.filter(venue=venue_name).update(listed_at=max(upto, state.listed_at))
    if venue_name == "polymarket":  # a spot venue lists the trades of the symbols it is asked for
        _miss(venue_name, trades, state.listed_at, began_at)
    return unsettled


def _take(trade: TradeReport) -> bool:
    """Book a listed trade, with its order or as a hand trade; whether it is to be read again."""
    from orders import reconciling

    order = (
        Order.objects.select_related("instrument", "leg")
        .filter(order_id=spelled(trade.order_id))
        .first()
    )
    if order is not None:
        if not order.fills.filter(trade_id=trade.trade_id).exists():
            reconciling.book(order, trade)
            order.note(next_look_at=timezone.now())
        return False
    if trade.status == "failed":
        return False
    if trade.status != "confirmed":
        return True
    try:
        _book_by_hand(trade, instruments.known(trade.symbol))
    except ExchangeError as error:
        log.warning("hand_trade_not_booked", trade=trade.trade_id, error=str(error))
        return True
    return False


def _book_by_hand(trade: TradeReport, instrument: Instrument) -> None:
    """Post what a hand trade moved, of the assets whose opening balance is older than it."""
    changes = ledger.changes_of(
        instrument, trade.side, trade.quantity, trade.price, trade.fee, trade.fee_asset
    )
    with transaction.atomic():
        known = {c.asset for c in changes} & opened_before(trade.matched_at)
        if not known:
            return
        positions = ledger.lock(known, instrument.venue)
        mine = [change for change in changes if change.asset in known]
        reference = f"{trade.order_id}/{trade.trade_id}"
        if ledger.post(positions, "hand", reference, mine):
            log.info("hand_trade_booked", trade=trade.trade_id, symbol=trade.symbol)
            raise_alert(
                "outside_movement",
                f"trade {trade.trade_id}",
                f"{trade.side} {trade.quantity.normalize():f} at {trade.price.normalize():f} was"
                " traded on this wallet from outside; it is booked",
            )


def opened_before(moment: datetime) -> set[str]:
    """The assets whose position was opened before a moment."""
    opening = Entry.objects.filter(kind="opening", created_at__lt=moment)
    empty = Position.objects.filter(compared_at__isnull=False).exclude(entries__kind="opening")
    named = opening.values_list("position__asset", flat=True)
    return {*named, *empty.filter(created_at__lt=moment).values_list("asset", flat=True)}


def _miss(
    venue_name: str, trades: Sequence[TradeReport], since: datetime, began_at: datetime
) -> None:
    """Alarm about trades that we hold for good and that the venue's list does not have (any more)."""
    told = {(trade.trade_id, spelled(trade.order_id)): trade.status for trade in trades}
    ours = Fill.objects.filter(
        order__instrument__venue=venue_name,
        matched_at__gte=since - LISTED_BY_THEN,  # what was too young to be judged last time
        matched_at__lt=began_at - LISTED_BY_THEN,
        status="confirmed",
    )
    for fill in ours.select_related("order__instrument"):
        if _is_listed(fill, told):
            continue
        raise_alert(
            "unexplained_difference",
            f"trade {fill.trade_id}",
            "the venue no longer lists this trade, or calls it failed, though it is booked as"
            " CONFIRMED; nothing was changed",
            order=fill.order_id,
        )
    _ask_again_about_denied(venue_name)


def _is_listed(fill: Fill, told: Mapping[tuple[str, str], str]) -> bool:
    """Whether the venue stands by a trade: by its list or, where that is short, when asked for it."""
    order_id = fill.order.order_id or ""
    said = told.get((fill.trade_id, order_id))
    return said not in (None, "failed") or _stands_by(fill)


def _stands_by(fill: Fill) -> bool:
    trades = venue(fill.order.instrument.venue).trades(fill.order.order_id or "", [fill.trade_id])
    return any(t.trade_id == fill.trade_id and t.status == "confirmed" for t in trades)


def _ask_again_about_denied(venue_name: str) -> None:
    """Resolve the alarms about trades that the venue stands by again."""
    denied = Alert.objects.filter(
        kind="unexplained_difference", subject__startswith="trade ", resolved_at=None
    )
    for subject in denied.values_list("subject", flat=True)[:20]:
        fills = Fill.objects.filter(
            trade_id=subject.removeprefix("trade "), order__instrument__venue=venue_name
        ).select_related("order__instrument")
        if fills and all(_stands_by(fill) for fill in fills):
            resolve_alert("unexplained_difference", subject, "the venue stands by it again")
