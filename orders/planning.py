"""Planning: an intent becomes a trade, its legs and planned orders, within what can be sold."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

from django.utils import timezone

from exchange.quantising import limit_price, quantise_quantity, spot_limit_price, within_worst
from exchange.types import OrderType, Side
from orders import balances, fees, ledger, reserving
from orders.models import Instrument, Leg, Order, Position, Trade
from polytrader import prepared

FIRST_RETRY = timedelta(milliseconds=200)
LONGEST_RETRY = timedelta(seconds=2)
WAIT_FOR_SHARES = timedelta(seconds=2)


def lock_positions(instruments: Iterable[Instrument]) -> dict[str, Position]:
    """Lock what these instruments take from and bring, before anything is planned on them."""
    assets: dict[str, set[str]] = {}
    for instrument in instruments:
        assets.setdefault(instrument.venue, set()).update(
            (instrument.base_asset, instrument.quote_asset)
        )
    locked: dict[str, Position] = {}
    for venue in sorted(assets):
        locked |= ledger.lock(assets[venue], venue)
    return locked


@dataclass(frozen=True, slots=True)
class ExitRequest:
    """What a triggered stop wants done, at the best price when it triggered.

    `quantity` `None` means all that is held, `best_price` `None` that there is none now. No
    order goes beyond `worst_price`.
    """

    instrument: Instrument
    side: str
    quantity: Decimal | None
    best_price: Decimal | None
    strategy: str = ""
    mint_after_sell: bool = False
    worst_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class LegRequest:
    """One leg of a signal, its numbers already on the venue's grids."""

    instrument: Instrument
    side: Side
    quantity: Decimal
    price: Decimal
    order_type: OrderType = "GTC"
    post_only: bool = False
    expires_at: datetime | None = None


class NotSellable(Exception):
    """A leg needs more than is free; `index` is the leg's place, the text says how much is there."""

    def __init__(self, index: int, text: str) -> None:
        super().__init__(text)
        self.index = index


def open_exits(requests: Sequence[ExitRequest]) -> list[tuple[Trade, Order | None]]:
    """Make the trade of each exit with its first order planned, in a handful of round trips.

    They share what can be sold in the given order. The order is `None` where
    nothing can be sold at this moment; its leg is due at once and planned again.
    Call inside a transaction; the positions are locked here until its end.
    """
    positions = lock_positions({r.instrument.pk: r.instrument for r in requests}.values())
    trades, legs, orders = _rows(requests, positions)
    planned = [order for order in orders if order is not None]
    prepared.run(*(prepared.insertion(rows) for rows in (trades, legs, planned) if rows))
    return list(zip(trades, orders, strict=True))


def _rows(
    requests: Sequence[ExitRequest], positions: Mapping[str, Position]
) -> tuple[list[Trade], list[Leg], list[Order | None]]:
    """The rows of these exits, with their ids, not yet saved."""
    count = {"count": len(requests)}
    ids = prepared.run(*((prepared.next_ids(model), count) for model in (Trade, Leg, Order)))
    trade_ids, leg_ids, order_ids = ([pk for (pk,) in rows] for rows in ids)
    free = Free(positions)
    now = timezone.now()
    trades, legs, orders = [], [], []
    for request, trade_id, leg_id, order_id in zip(
        requests, trade_ids, leg_ids, order_ids, strict=True
    ):
        trade = Trade(
            id=trade_id,
            purpose="exit",
            strategy=request.strategy,
            mint_after_sell=request.mint_after_sell,
        )
        leg = Leg(
            id=leg_id,
            trade=trade,
            instrument=request.instrument,
            side=request.side,
            quantity=_wanted(request, positions),
            worst_price=request.worst_price,
        )
        order = _first_order(leg, request.best_price, free)
        if order is not None:
            order.pk = order_id
        leg.attempts, leg.next_attempt_at = (0, now) if order is None else (1, None)
        trades.append(trade)
        legs.append(leg)
        orders.append(order)
    return trades, legs, orders


def _wanted(request: ExitRequest, positions: Mapping[str, Position]) -> Decimal:
    if request.quantity is not None:
        return request.quantity
    return positions[asset_taken(request.instrument, request.side)].held


def open_trade(trade: Trade, requests: Sequence[LegRequest]) -> list[Order]:
    """Save a trade with these legs and one planned order for each, all or nothing.

    Raises `NotSellable` for the first leg that takes more than is free after the
    legs before it. The caller holds the positions' locks and rolls back then.
    """
    free = Free()
    trade.save()
    legs = []
    for index, r in enumerate(requests):
        left = free.of(asset_taken(r.instrument, r.side))
        if free.take(r.instrument, r.side, r.price, r.quantity) < r.quantity:
            needed = r.quantity * cost_per_unit(r.instrument, r.side, r.price)
            raise NotSellable(
                index, f"needs {_plain(needed)}, but only {_plain(left)} is sellable now"
            )
        legs.append(
            Leg(
                trade=trade,
                instrument=r.instrument,
                side=r.side,
                quantity=r.quantity,
                price=r.price,
                order_type=r.order_type,
                post_only=r.post_only,
                expires_at=r.expires_at,
                attempts=1,
            )
        )
    Leg.objects.bulk_create(legs)
    return Order.objects.bulk_create(
        _order(leg, leg.quantity, cast(Decimal, leg.price)) for leg in legs
    )


def plan(leg: Leg, quantity: Decimal, price: Decimal) -> Order | None:
    """Plan the next order of a leg; `None` when less than that is free after all.

    The caller holds the leg's and the positions' locks.
    """
    if Free().take(leg.instrument, leg.side, price, quantity) < quantity:
        return None
    leg.note(attempts=leg.attempts + 1, next_attempt_at=None, reason="")
    order = _order(leg, quantity, price)
    order.save()
    return order


class Free:
    """What can be sold per asset, less what was taken from it here. Hold the positions' locks.

    `positions` are those locked, where the caller has them: all are asked about at once.
    """

    def __init__(self, positions: Mapping[str, Position] | None = None) -> None:
        self._left = reserving.sellable(list(positions.values())) if positions else {}

    def of(self, asset: str) -> Decimal:
        """How much of an asset is sellable."""
        if asset not in self._left:
            position = Position.objects.filter(asset=asset).first()
            self._left[asset] = Decimal(0) if position is None else position.sellable()
        return self._left[asset]

    def take(self, instrument: Instrument, side: str, price: Decimal, wanted: Decimal) -> Decimal:
        """Take what an order of so much needs; less is given back, unchanged, than wanted if short.

        Returns the largest quantity on the grid that can be taken; takes it only if it
        is an order's size.
        """
        asset = asset_taken(instrument, side)
        per_unit = cost_per_unit(instrument, side, price)
        quantity = quantise_quantity(
            min(wanted, self.of(asset) / per_unit), instrument.quantity_step
        )
        if quantity >= instrument.min_quantity:
            self._left[asset] -= quantity * per_unit
        return quantity


def asset_taken(instrument: Instrument, side: str) -> str:
    """What an order of this side takes from the wallet."""
    return instrument.base_asset if side == "sell" else instrument.quote_asset


def cost_per_unit(instrument: Instrument, side: str, price: Decimal) -> Decimal:
    """How much of that one unit takes: itself, or its price with the fee on top."""
    if side == "sell":
        return Decimal(1)
    return price + fees.most_per_unit(instrument, side, price)


def _first_order(leg: Leg, best_price: Decimal | None, free: Free) -> Order | None:
    """The first order of a new exit, if there is a price; takes what it needs from `free`."""
    instrument, side = leg.instrument, cast(Side, leg.side)
    if best_price is None:
        return None
    sweep = sweep_limit(instrument, side, best_price)
    limit = within_worst(side, sweep, best_price, leg.worst_price, instrument.tick_size)
    if limit is None:
        return None
    quantity = free.take(instrument, leg.side, limit, leg.quantity)
    if quantity < instrument.min_quantity or quantity <= 0:
        return None
    return _order(leg, quantity, limit)


def _order(leg: Leg, quantity: Decimal, price: Decimal) -> Order:
    return Order(
        leg=leg,
        instrument=leg.instrument,
        side=leg.side,
        quantity=quantity,
        price=price,
        fee_per_unit=fees.most_per_unit(leg.instrument, leg.side, price),
        order_type=leg.order_type,
        post_only=leg.post_only,
        expires_at=leg.expires_at,
        next_look_at=timezone.now(),
    )


def sweep_limit(instrument: Instrument, side: Side, best_price: Decimal) -> Decimal:
    """How far an exit follows the market from its best price."""
    to_limit = limit_price if instrument.venue == "polymarket" else spot_limit_price
    return to_limit(side, best_price, instrument.tick_size)


def retry_later(leg: Leg, reason: str) -> None:
    """Have the leg looked at again: after 0.2 s growing to 2 s, with jitter."""
    ask_again(leg, min(FIRST_RETRY * 1.5 ** min(leg.attempts, 10), LONGEST_RETRY), reason)


def ask_again(leg: Leg, wait: timedelta, reason: str) -> None:
    """Have the position manager look at a leg after a wait, give or take a fifth."""
    jitter = 0.8 + 0.4 * random.random()  # noqa: S311 - spreads retries, keeps no secret
    leg.note(next_attempt_at=timezone.now() + wait * jitter, reason=reason)


def held(instrument: Instrument, side: str) -> Decimal:
    """How much of what this side takes the wallet holds, settled or settling."""
    return balances.held(asset_taken(instrument, side))


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
