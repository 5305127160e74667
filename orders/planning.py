"""Planning: an intent becomes a trade, its legs and planned orders, within what can be sold."""

from __future__ import annotations

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
    locked: dict[str, Position] = {}
    for venue, assets in sorted(_assets(instruments).items()):
        locked |= ledger.lock(assets, venue)
    return locked


def _assets(instruments: Iterable[Instrument]) -> dict[str, set[str]]:
    """What instruments take from and bring, by venue."""
    assets: dict[str, set[str]] = {}
    for instrument in instruments:
        assets.setdefault(instrument.venue, set()).update(
            (instrument.base_asset, instrument.quote_asset)
        )
    return assets


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


@dataclass(frozen=True, slots=True)
class PlannedExits:
    """Trades of one leg each with their first orders, not saved yet, in the order of the requests.

    An order is `None` where nothing can be sold at this moment; its leg is due at once and
    planned again.
    """

    trades: list[Trade]
    legs: list[Leg]
    orders: list[Order | None]

    @property
    def planned(self) -> list[Order]:
        """The orders there are."""
        return [order for order in self.orders if order is not None]

    def insertions(self) -> list[prepared.Statement]:
        """The statements that save all of it."""
        return [prepared.insertion(rows) for rows in (self.trades, self.legs, self.planned) if rows]


def plan_exits(requests: Sequence[ExitRequest]) -> PlannedExits:
    """Plan these exits; they share what can be sold in the given order.

    Call inside a transaction, and save them there: the positions are locked until its end.
    """
    by_id = {request.instrument.pk: request.instrument for request in requests}
    names = set().union(*_assets(by_id.values()).values())
    locks, taken, ids = prepared.run(
        ledger.locking(names),
        reserving.taken_of(names),
        (prepared.next_ids(Trade, Leg, Order), {"count": len(requests)}),
    )
    positions = ledger.locked(locks)
    if len(positions) < len(names):
        positions = lock_positions(by_id.values())
        (taken,) = prepared.run(reserving.taken_of(names))
    free = Free(reserving.sellable_by(list(positions.values()), taken))
    exits = PlannedExits([], [], [])
    for request, its_ids in zip(requests, ids, strict=True):
        _plan_exit(exits, request, its_ids, positions, free)
    return exits


def _plan_exit(
    exits: PlannedExits,
    request: ExitRequest,
    ids: Sequence[int],
    positions: Mapping[str, Position],
    free: Free,
) -> None:
    trade = Trade(
        id=ids[0],
        purpose="exit",
        strategy=request.strategy,
        mint_after_sell=request.mint_after_sell,
    )
    leg = Leg(
        id=ids[1],
        trade=trade,
        instrument=request.instrument,
        side=request.side,
        quantity=_wanted(request, positions),
        worst_price=request.worst_price,
    )
    order = _first_order(leg, request.best_price, free)
    if order is None:
        leg.next_attempt_at = timezone.now()
    else:
        order.pk, leg.attempts = ids[2], 1
    exits.trades.append(trade)
    exits.legs.append(leg)
    exits.orders.append(order)


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

    `known` is what is sellable of those assets that were asked about already.
    """

    def __init__(self, known: Mapping[str, Decimal] | None = None) -> None:
        self._left = dict(known or {})

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
