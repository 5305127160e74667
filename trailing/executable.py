"""Stops that refer to what their own quantity would get: judged one by one, from the book's depth.

They are few, since each needs the depth and a watermark of its own; the arithmetic is the
pure one (`maths.py`), which the SQL of all other stops agrees with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import cast

from orders import balances
from trailing.firing import Candidate
from trailing.maths import Side, activates, is_hit_by, ratcheted
from trailing.models import StopEvent, TrailingStop, Watermark

Level = tuple[Decimal, Decimal]
"""A price and the quantity offered at it."""


@dataclass(frozen=True, slots=True)
class Depth:
    """A book's levels, best first."""

    bids: Sequence[Level]
    asks: Sequence[Level]


@dataclass(slots=True)
class Evaluated:
    """What the depth did to these stops."""

    activated: int = 0
    candidates: list[Candidate] = field(default_factory=list)


def executable_price(levels: Sequence[Level], quantity: Decimal) -> Decimal | None:
    """The volume-weighted price of taking so much from levels, best first.

    Where they do not hold so much, the price of all they hold: a book that is too thin is
    at least as bad. `None` when there is nothing, which is no price.
    """
    left, amount = quantity, Decimal(0)
    for price, offered in levels:
        taken = min(left, offered)
        amount += taken * price
        left -= taken
        if left <= 0:
            break
    done = quantity - left
    return amount / done if done > 0 else None


def evaluate(depths: Mapping[int, Depth]) -> Evaluated:
    """Activate and ratchet the stops of these instruments by what they would get; name those reached."""
    result = Evaluated()
    if not depths:
        return result  # most ticks: building a query that asks nothing took half their time
    stops = TrailingStop.objects.select_for_update(of=("self",)).filter(
        instrument__in=depths,
        reference="executable",
        status__in=["pending_activation", "active"],
    )
    for stop in stops.select_related("instrument", "watermark").order_by("pk"):
        price = _price(stop, depths[stop.instrument_id])
        if price is not None:
            _evaluate(stop, price, result)
    return result


def note_activations(rows: Sequence[tuple[int, Decimal]]) -> None:
    """Tell of stops that a price has activated."""
    if not rows:
        return
    StopEvent.objects.bulk_create(
        StopEvent(
            stop_id=stop_id,
            kind="activated",
            price=price,
            text="the activation price was reached; the best price starts from here",
        )
        for stop_id, price in rows
    )


def _price(stop: TrailingStop, depth: Depth) -> Decimal | None:
    quantity = stop.quantity
    if quantity is None:
        quantity = balances.held(stop.instrument.base_asset)
    return executable_price(depth.bids if stop.side == "sell" else depth.asks, quantity)


def _evaluate(stop: TrailingStop, price: Decimal, result: Evaluated) -> None:
    side = cast(Side, stop.side)
    if stop.status == "pending_activation":
        if stop.activation_price is not None and activates(side, price, stop.activation_price):
            stop.move("active", watermark=Watermark.at(stop, price))
            note_activations([(stop.pk, price)])
            result.activated += 1
        return
    trigger = stop.current_trigger_price
    if is_hit_by(side, price, trigger):
        result.candidates.append(Candidate(stop.pk, price, stop.watermark_price, trigger))
        return
    best = ratcheted(side, stop.watermark_price, price)
    if best != stop.watermark_price and stop.watermark is not None:
        Watermark.objects.filter(pk=stop.watermark.pk).update(price=best)
    if stop.breached_since is not None:
        stop.note(breached_since=None, breach_updates=0)
        said = "the price recovered before it was confirmed"
        StopEvent.objects.create(stop=stop, kind="recovered", price=price, text=said)
