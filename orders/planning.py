"""Planning: an intent becomes a trade, a leg and a planned order, within what can be sold."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

from django.utils import timezone

from exchange.quantising import limit_price, quantise_quantity, spot_limit_price
from exchange.types import Side
from orders import balances, ledger
from orders.models import Instrument, Leg, Order, Position, Trade

FIRST_RETRY = timedelta(milliseconds=200)
LONGEST_RETRY = timedelta(seconds=2)
WAIT_FOR_SHARES = timedelta(seconds=2)
BELOW_MINIMUM = "less than the venue's minimum order"
NO_MORE_HELD = "no more is held"
MAX_REJECTIONS = 8
"""Refusals of one exit before it needs a person; an unmatched order is not one."""


def lock_positions(instruments: Iterable[Instrument]) -> None:
    """Lock what these instruments take from and bring, before anything is planned on them."""
    assets: dict[str, set[str]] = {}
    for instrument in instruments:
        assets.setdefault(instrument.venue, set()).update(
            (instrument.base_asset, instrument.quote_asset)
        )
    for venue in sorted(assets):
        ledger.lock(assets[venue], venue)


@dataclass(frozen=True, slots=True)
class ExitRequest:
    """What a triggered stop wants done, at the best price that triggered it.

    `quantity` `None` means all that is held.
    """

    instrument: Instrument
    side: str
    quantity: Decimal | None
    best_price: Decimal
    strategy: str = ""
    mint_after_sell: bool = False


def open_exits(requests: Sequence[ExitRequest]) -> list[tuple[Trade, Order | None]]:
    """Make the trade of each exit with its first order planned, in a handful of statements.

    They share what can be sold in the given order. The order is `None` where
    nothing can be sold at this moment; its leg is due at once and planned again.
    The caller holds the positions' locks (`lock_positions`) and commits.
    """
    trades = Trade.objects.bulk_create(
        Trade(purpose="exit", strategy=r.strategy, mint_after_sell=r.mint_after_sell)
        for r in requests
    )
    free: dict[str, Decimal] = {}
    legs, orders = [], []
    now = timezone.now()
    for request, trade in zip(requests, trades, strict=True):
        wanted = request.quantity
        if wanted is None:
            wanted = _held(request.instrument, request.side)
        leg = Leg(trade=trade, instrument=request.instrument, side=request.side, quantity=wanted)
        order = _first_order(leg, request.best_price, free, now)
        leg.attempts, leg.next_attempt_at = (0, now) if order is None else (1, None)
        legs.append(leg)
        orders.append(order)
    Leg.objects.bulk_create(legs)
    Order.objects.bulk_create(order for order in orders if order is not None)
    return list(zip(trades, orders, strict=True))


def _first_order(
    leg: Leg, best_price: Decimal, free: dict[str, Decimal], now: datetime
) -> Order | None:
    """The first order of a new leg; takes what it needs from `free`, the sellable per asset."""
    instrument = leg.instrument
    asset = instrument.base_asset if leg.side == "sell" else instrument.quote_asset
    if asset not in free:
        position = Position.objects.filter(asset=asset).first()
        free[asset] = Decimal(0) if position is None else position.sellable()
    limit = _limit(instrument, cast(Side, leg.side), best_price)
    can_take = free[asset] if leg.side == "sell" else free[asset] / limit
    quantity = quantise_quantity(min(leg.quantity, can_take), instrument.quantity_step)
    if quantity < instrument.min_quantity or quantity <= 0:
        return None
    free[asset] -= quantity if leg.side == "sell" else quantity * limit
    return Order(
        leg=leg,
        instrument=instrument,
        side=leg.side,
        quantity=quantity,
        price=limit,
        next_look_at=now,
    )


def plan_next(leg: Leg, best_price: Decimal) -> Order | None:
    """Plan the next order of a leg for what remains, at the then best price.

    Returns `None`, with the reason and the next attempt noted on the leg, when
    too little can be sold now. The caller holds the positions' locks.
    """
    instrument = leg.instrument
    remaining = leg.quantity - leg.matched_quantity()
    limit = _limit(instrument, cast(Side, leg.side), best_price)
    can_take = _affordable(instrument, leg.side, limit)
    quantity = quantise_quantity(min(remaining, can_take), instrument.quantity_step)
    if quantity < instrument.min_quantity or quantity <= 0:
        _wait_or_end(leg, remaining, can_take)
        return None
    leg.note(attempts=leg.attempts + 1, next_attempt_at=None)
    return Order.objects.create(
        leg=leg,
        instrument=instrument,
        side=leg.side,
        quantity=quantity,
        price=limit,
        next_look_at=timezone.now(),
    )


def _limit(instrument: Instrument, side: Side, best_price: Decimal) -> Decimal:
    to_limit = limit_price if instrument.venue == "polymarket" else spot_limit_price
    return to_limit(side, best_price, instrument.tick_size)


def retry_later(leg: Leg, reason: str) -> None:
    """Note when the leg is due again: 0.2 s growing to 2 s, with jitter."""
    steps = min(leg.attempts, 10)
    wait = min(FIRST_RETRY * 1.5**steps, LONGEST_RETRY)
    jitter = 0.8 + 0.4 * random.random()  # noqa: S311 - spreads retries, keeps no secret
    leg.note(next_attempt_at=timezone.now() + wait * jitter, reason=reason)


def _held(instrument: Instrument, side: str) -> Decimal:
    return balances.held(instrument.base_asset if side == "sell" else instrument.quote_asset)


def _affordable(instrument: Instrument, side: str, limit: Decimal) -> Decimal:
    asset = instrument.base_asset if side == "sell" else instrument.quote_asset
    position = Position.objects.filter(asset=asset).first()
    if position is None:
        return Decimal(0)
    sellable = position.sellable()
    return sellable if side == "sell" else sellable / limit


def _wait_or_end(leg: Leg, remaining: Decimal, can_take: Decimal) -> None:
    """Decide what a leg does that cannot be ordered now: wait for shares, or end as it is."""
    instrument = leg.instrument
    if remaining < instrument.min_quantity:
        end_with_remainder(leg, remaining, BELOW_MINIMUM)
        return
    held = _held(instrument, leg.side)
    if held < instrument.min_quantity and leg.side == "sell":
        end_with_remainder(leg, remaining, NO_MORE_HELD)
        return
    reason = f"waiting: only {can_take.normalize():f} free now, the rest is settling or reserved"
    leg.note(next_attempt_at=timezone.now() + WAIT_FOR_SHARES, reason=reason)


def end_with_remainder(leg: Leg, remaining: Decimal, why: str) -> None:
    """End a leg that cannot go on: `done` where only dust or nothing held is left, else `failed`."""
    if leg.matched_quantity() == 0:
        leg.move("failed", reason=f"nothing was sold: {why}")
        return
    if leg.orders.filter(fills__status="matched").exists():
        leg.note(next_attempt_at=timezone.now() + WAIT_FOR_SHARES, reason="settling")
        return
    is_dust = remaining < leg.instrument.min_quantity or why in (BELOW_MINIMUM, NO_MORE_HELD)
    leg.move("done" if is_dust else "failed", reason=f"{remaining.normalize():f} remain: {why}")
