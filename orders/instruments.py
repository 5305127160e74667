"""Instruments and their opening balances: made when first asked for, kept up to date by a sweep."""

from datetime import timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from exchange.errors import ExchangeError, Rejected, Unavailable
from exchange.types import InstrumentInfo
from orders.models import Instrument
from orders.venues import venue, venue_name

log = structlog.get_logger()

FRESH_FOR = timedelta(minutes=5)


def known(symbol: str) -> Instrument:
    """The instrument of a symbol, described by the venue when we do not have it yet.

    Raises `Rejected('unknown_instrument')`, or `Unavailable` when the venue
    cannot be asked and we have not seen the symbol before.
    """
    found = _seen(symbol)
    if found is not None:
        return found
    info = _described(symbol)
    if not info.accepting_orders:
        raise Rejected("market_closed", "the market is closed or takes no orders")
    return _store(info)


def known_even_closed(symbol: str) -> Instrument:
    """The same, also of a market that takes no orders any more: its tokens can be redeemed."""
    return _seen(symbol) or _store(_described(symbol))


def _seen(symbol: str) -> Instrument | None:
    return Instrument.objects.filter(symbol=symbol).first()


def _described(symbol: str) -> InstrumentInfo:
    return venue(venue_name(symbol)).instrument(symbol)


def _store(info: InstrumentInfo) -> Instrument:
    columns = {
        "venue": info.venue,
        "base_asset": info.base_asset,
        "quote_asset": info.quote_asset,
        "tick_size": info.tick_size,
        "min_quantity": info.min_quantity,
        "quantity_step": info.quantity_step,
        "condition_id": info.condition_id,
        "complement": info.complement,
        "outcome": info.outcome,
        "question": info.question,
        "neg_risk": info.neg_risk,
        "neg_risk_id": info.neg_risk_id,
        "fee_rate": info.fee_rate,
        "fee_exponent": info.fee_exponent,
        "accepting_orders": info.accepting_orders,
        "is_closed": info.is_closed,
        "updated_at": timezone.now(),
    }
    with transaction.atomic():
        row, _ = Instrument.objects.update_or_create(symbol=info.symbol, defaults=columns)
    return row


def reread(row: Instrument) -> None:
    """Ask the venue about one instrument again, for example when its tick size has changed.

    Raises what the venue raises; nothing is changed then.
    """
    _store(venue(row.venue).instrument(row.symbol))


def refresh(limit: int = 20) -> int:
    """Ask the venues again about the instruments described longest ago (tick size, closing).

    What a venue refuses to describe stays as it was: one odd answer must not end an exit.
    """
    due = Instrument.objects.filter(updated_at__lte=timezone.now() - FRESH_FOR)
    rows = list(due.order_by("updated_at")[:limit])
    silent: set[str] = set()
    for row in rows:
        if row.venue in silent:
            continue
        row.note()  # the next run begins with another, whatever comes of this one
        try:
            reread(row)
        except Unavailable as error:
            silent.add(row.venue)
            log.warning("instrument_not_refreshed", symbol=row.symbol, error=str(error))
        except ExchangeError as error:
            log.error("instrument_refused", symbol=row.symbol, error=str(error))
    return len(rows)
