"""Changing live stops: amend, cancel, answer one that asks, resume one that failed.

Each holds the instrument, so that ticks wait: exactly one of a change and a trigger commits first.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

import structlog
from django.db import transaction
from django.utils import timezone

from polytrader.alerts import resolve_alert
from polytrader.errors import conflict
from polytrader.fields import Body
from polytrader.numbers import plain
from trailing import firing
from trailing.creating import create
from trailing.ending import hold, tell
from trailing.firing import Candidate, Fired
from trailing.guards import Sight
from trailing.lookups import Lookups
from trailing.maths import Side, Trail, is_hit_by, trigger_price
from trailing.models import TrailingStop, Watermark
from trailing.requests import (
    Options,
    StopRequest,
    check_levels,
    check_quantity,
    check_trail,
    read_options,
    read_trail,
    trail_of,
)

log = structlog.get_logger()

ANSWERS = ("watch", "rearm", "fire")
OPTIONAL = {
    "stopPrice": "stop_price",
    "takeProfitPrice": "take_profit_price",
    "confirmUpdates": "confirm_updates",
    "confirmMs": "confirm_ms",
    "maxSpread": "max_spread",
    "maxSlippage": "max_slippage",
    "expiresAt": "expires_at",
}
"""Fields that may be changed, or taken away with null."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """A body of `PATCH`, read; its values are checked against the stop under the lock."""

    body: Body
    trail: tuple[Decimal | None, Decimal | None, int | None]
    quantity: Decimal | str | None
    options: Options
    may_loosen: bool


def read_amendment(data: Any) -> Amendment:
    """Read a body of `PATCH /api/trailing-stops/{key}`. Raises `ApiError` 400."""
    body = Body(data)
    for name in OPTIONAL:
        body.allow_null(name)
    amendment = Amendment(
        body,
        read_trail(body),
        body.decimal_or_word("quantity", "all") if body.has("quantity") else None,
        read_options(body),
        body.flag("allowLoosening"),
    )
    body.check()
    return amendment


def amend(stop: TrailingStop, amendment: Amendment) -> TrailingStop:
    """Change a live stop; its best price stays. 409 once it has triggered or ended.

    What would protect less (a wider trail, a floor further away or gone) is refused
    unless `allowLoosening` says so.
    """
    known = Lookups()
    if amendment.quantity is not None:
        _new_quantity(stop, amendment, known)  # asks the venue before ticks have to wait for us
    with transaction.atomic():
        hold(stop)
        if not stop.is_watched:
            raise conflict(f"the stop is {stop.status} and can no longer be changed")
        changes = _changes(stop, amendment, known)
        amendment.body.check()
        stop.note(**changes, breached_since=None, breach_updates=0)
        said = ", ".join(sorted(changes))
        tell(stop, "amended", f"changed: {said or 'nothing'}")
    return stop


def _changes(stop: TrailingStop, amendment: Amendment, known: Lookups) -> dict[str, Any]:
    body, options = amendment.body, amendment.options
    changes: dict[str, Any] = {
        column: getattr(options, column) for name, column in OPTIONAL.items() if body.has(name)
    }
    if body.has("gapPolicy"):
        changes["gap_policy"] = options.gap_policy
    if amendment.quantity is not None:
        changes["quantity"] = _new_quantity(stop, amendment, known)
    if any(part is not None for part in amendment.trail):
        changes |= _new_trail(stop, amendment)
    price = stop.last_price or stop.watermark_price
    check_levels(body, stop.instrument, cast(Side, stop.side), price, options)
    if not amendment.may_loosen:
        _refuse_loosening(stop, changes, body)
    return changes


def _new_quantity(stop: TrailingStop, amendment: Amendment, known: Lookups) -> Decimal | None:
    if amendment.quantity == "all" and stop.side == "buy":
        amendment.body.complain("quantity", "only a sale can be over all that is held")
    wanted = None if amendment.quantity == "all" else cast(Decimal, amendment.quantity)
    check_quantity(amendment.body, stop.instrument, cast(Side, stop.side), wanted, known)
    return wanted


def _new_trail(stop: TrailingStop, amendment: Amendment) -> dict[str, Any]:
    """The columns of a new trail, whose trigger must lie beyond the price of now."""
    percent, amount, ticks = amendment.trail
    trail, side = trail_of(percent, amount, ticks, stop.instrument), cast(Side, stop.side)
    check_trail(amendment.body, stop.instrument, side, trail, stop.watermark_price)
    trigger, price = trigger_price(side, stop.watermark_price, trail), stop.last_price
    if stop.status == "active" and price is not None and is_hit_by(side, price, trigger):
        amendment.body.complain(
            "trailingPercent" if percent is not None else "trailingAmount",
            f"the trigger would be {plain(trigger)}, which the price {plain(price)} has reached",
        )
    return {
        "trailing_percent": percent,
        "trail_fraction": trail.fraction,
        "trail_amount": trail.amount,
        "trailing_ticks": ticks,
    }


def _refuse_loosening(stop: TrailingStop, changes: dict[str, Any], body: Body) -> None:
    best, sign = stop.watermark_price, 1 if stop.side == "sell" else -1
    advice = "; say allowLoosening: true if it is meant"
    if "trail_fraction" in changes:
        trail = Trail(fraction=changes["trail_fraction"], amount=changes["trail_amount"])
        if trail.distance(best) > stop.trail.distance(best):
            body.complain("trailingPercent", f"a wider trail protects less{advice}")
    if "stop_price" in changes and stop.stop_price is not None:
        floor = changes["stop_price"]
        if floor is None or sign * floor < sign * stop.stop_price:
            body.complain("stopPrice", f"a floor further away protects less{advice}")


def answer(stop: TrailingStop, how: str) -> Fired:
    """Decide for a stop that asks: watch on, follow from here, or sell now. 409 when it does not ask."""
    with transaction.atomic():
        hold(stop)
        if stop.asking_since is None:
            raise conflict("the stop does not wait for a decision")
        price = stop.last_price
        if how != "watch" and price is None:
            raise conflict("there is no price now; try again when there is one")
        stop.note(asking_since=None, breached_since=None, breach_updates=0)
        resolve_alert("stop_asks", f"stop {stop.state_key}", f"decided: {how}")
        if how == "rearm" and price is not None:
            stop.note(watermark=Watermark.at(stop, _price_to_follow(stop, price)))
        tell(stop, "decided", f"a person decided: {how}")
        if how != "fire" or price is None:
            return Fired()
        mine = Candidate(stop.pk, price, stop.watermark_price, stop.current_trigger_price, "person")
        return firing.judge_all([mine], {stop.instrument_id: Sight(timezone.now(), None)})


def _price_to_follow(stop: TrailingStop, price: Decimal) -> Decimal:
    """The price of now; for what its own quantity would get, which only the depth tells, that when it asked."""
    if stop.reference != "executable":
        return price
    asked = stop.events.filter(kind="asked").last()
    return price if asked is None or asked.price is None else asked.price


def resume(stop: TrailingStop) -> TrailingStop:
    """Make a new stop of one in `error`, for what is left, from its best price. 409 otherwise."""
    with transaction.atomic():
        hold(stop)
        if stop.status != "error" or TrailingStop.objects.filter(resumes=stop).exists():
            raise conflict("only a stop in error can be resumed, and once")
        if stop.instrument.is_closed:
            raise conflict("the market has closed; there is nothing to resume")
        left = _left(stop)
        if left is not None and left < stop.instrument.min_quantity:
            raise conflict(f"only {plain(left)} is left, less than the venue's minimum order")
        new = create(_same(stop, left))
        new.note(resumes=stop)
        return new


def _left(stop: TrailingStop) -> Decimal | None:
    if stop.quantity is None:
        return None
    legs = [] if stop.trade is None else list(stop.trade.legs.all())
    return stop.quantity - sum((leg.matched_quantity() for leg in legs), start=Decimal(0))


def _same(stop: TrailingStop, quantity: Decimal | None) -> StopRequest:
    columns = [*OPTIONAL.values(), "gap_policy"]
    return StopRequest(
        stop.instrument,
        cast(Side, stop.side),
        stop.reference,
        quantity,
        stop.trail,
        stop.trailing_percent,
        stop.trailing_ticks,
        stop.watermark_price,
        None,
        stop.strategy,
        stop.mint_after_sell,
        Options(**{column: getattr(stop, column) for column in columns}),
    )
