"""Creating and cancelling stops: the request is checked, the first watermark taken, the row made."""

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

import structlog
from django.db import connection, transaction
from django.utils import timezone

from exchange.errors import ExchangeError, Rejected
from orders import balances, instruments
from orders.models import Instrument
from orders.venues import venue_of
from polytrader.fields import Body
from polytrader.numbers import plain
from trailing.maths import Side, Trail, activates, trigger_price
from trailing.models import StopEvent, TrailingStop, Watermark, is_fresh
from trailing.sql import HOLD_INSTRUMENT

log = structlog.get_logger()

LATER_FIELDS = (
    "triggerBy",
    "stopPrice",
    "takeProfitPrice",
    "confirmUpdates",
    "confirmMs",
    "maxSpread",
    "maxSlippage",
    "gapPolicy",
    "expiresAt",
)


@dataclass(frozen=True, slots=True)
class StopRequest:
    """A checked request for a stop. `quantity` `None` means all that is held."""

    instrument: Instrument
    side: Side
    quantity: Decimal | None
    trail: Trail
    percent: Decimal | None
    ticks: int | None
    entry_price: Decimal
    activation_price: Decimal | None
    strategy: str
    mint_after_sell: bool
    warnings: tuple[str, ...] = ()


def read_request(data: Any) -> StopRequest:
    """Check a body of `POST /api/trailing-stops` against the contract and the world.

    Raises `ApiError` 400 with every wrong field named, `Unavailable` when the
    venue is needed and does not answer. Stores nothing but what the venue says
    of the instrument and of the balances.
    """
    body = Body(data)
    body.refuse(LATER_FIELDS, "is not supported by this version; leave it out")
    symbol = body.text("symbol", required=True)
    side = cast(Side, body.choice("side", ("sell", "buy"), default="sell"))
    quantity = body.decimal_or_word("quantity", "all")
    percent = body.decimal("trailingPercent")
    amount = body.decimal("trailingAmount")
    ticks = body.whole("trailingTicks")
    entry_price = body.decimal("entryPrice")
    activation_price = _read_activation(body)
    strategy = body.text("strategy")
    mint_after_sell = body.flag("mintAfterSell")
    _check_one_trail(body, percent)
    if body.problems:
        body.check()  # what is wrong in itself is said without asking a venue
    instrument = _read_instrument(body, symbol)
    body.check()
    assert instrument is not None
    if entry_price is None:
        entry_price = _current_price(body, instrument, side)
    trail = _trail(percent, amount, ticks, instrument)
    warnings = _check_prices(body, instrument, side, trail, entry_price, activation_price)
    if quantity == "all" and side == "buy":
        body.complain("quantity", "only a sale can be over all that is held; name a number")
    wanted = None if quantity == "all" else cast(Decimal, quantity)
    _check_quantity(body, instrument, side, wanted)
    _check_minting(body, instrument, side, mint_after_sell)
    body.check()
    return StopRequest(
        instrument,
        side,
        wanted,
        trail,
        percent,
        ticks,
        entry_price,
        activation_price,
        strategy,
        mint_after_sell,
        tuple(warnings),
    )


def _read_activation(body: Body) -> Decimal | None:
    price = body.decimal("activationPrice")
    used = body.flag("useActivationPrice", default=body.has("activationPrice"))
    if used and not body.has("activationPrice"):
        body.complain("activationPrice", "is required with useActivationPrice")
    return price if used else None


def _check_one_trail(body: Body, percent: Decimal | None) -> None:
    names = ("trailingPercent", "trailingAmount", "trailingTicks")
    given = [name for name in names if body.has(name)]
    if not given:
        body.complain("trailingPercent", f"one of {', '.join(names)} is required")
    for name in given[1:]:
        body.complain(name, f"give only one of {', '.join(names)}")
    if percent is not None and percent >= 100:
        body.complain("trailingPercent", "expected a percentage above 0 and below 100")


def _read_instrument(body: Body, symbol: str) -> Instrument | None:
    if "symbol" in body.problems:
        return None
    try:
        instrument = instruments.known(symbol)
    except Rejected as refusal:
        body.complain("symbol", f"{refusal}")
        return None
    if not instrument.accepting_orders:
        body.complain("symbol", "the market is closed or takes no orders")
    return instrument


def _current_price(body: Body, instrument: Instrument, side: Side) -> Decimal:
    price = fresh_price(instrument, side)
    if price is None:
        quote = venue_of(instrument).quotes([instrument.symbol]).get(instrument.symbol)
        price = None if quote is None else (quote.bid if side == "sell" else quote.ask)
    if price is None:
        body.complain("entryPrice", "there is no price on that side of the book now; give one")
        body.check()
    return cast(Decimal, price)


def fresh_price(instrument: Instrument, side: str) -> Decimal | None:
    """The last evaluated price of a side, if it is not stale."""
    if not is_fresh(instrument.observed_at, timezone.now()):
        return None
    return instrument.price_for(side)


def _trail(
    percent: Decimal | None, amount: Decimal | None, ticks: int | None, instrument: Instrument
) -> Trail:
    if percent is not None:
        return Trail.of_percent(percent)
    if ticks is not None:
        return Trail.of_ticks(ticks, instrument.tick_size)
    return Trail(amount=amount)


def _check_prices(
    body: Body,
    instrument: Instrument,
    side: Side,
    trail: Trail,
    entry: Decimal,
    activation: Decimal | None,
) -> list[str]:
    """Refuse prices outside the venue's range and trails that cannot work; return warnings."""
    is_token = instrument.venue == "polymarket"
    for name, price in (("entryPrice", entry), ("activationPrice", activation)):
        if is_token and price is not None and price >= 1:
            body.complain(name, "the price of an outcome token lies between 0 and 1")
    field = next(
        name for name in ("trailingPercent", "trailingAmount", "trailingTicks") if body.has(name)
    )
    distance = trail.distance(entry)
    trigger = trigger_price(side, entry, trail)
    tick = instrument.tick_size
    if distance < tick:
        body.complain(
            field, f"the trail is {plain(distance)}, less than one tick of {plain(tick)}; widen it"
        )
    elif trigger <= 0 or (is_token and trigger >= 1):
        body.complain(field, f"the trigger would be {plain(trigger)}, a price that cannot occur")
    elif distance < 2 * tick:
        return [f"the trail is below two ticks of {plain(tick)}: the spread alone may trigger it"]
    return []


def _check_quantity(
    body: Body, instrument: Instrument, side: Side, quantity: Decimal | None
) -> None:
    balances.opened(instrument.base_asset, instrument.venue)
    balances.opened(instrument.quote_asset, instrument.venue)
    if quantity is None:
        return
    step = instrument.quantity_step
    if quantity % step:
        body.complain("quantity", f"expected a multiple of {plain(step)}")
    elif quantity < instrument.min_quantity:
        minimum = plain(instrument.min_quantity)
        body.complain("quantity", f"the venue's minimum order is {minimum}")
    elif side == "sell" and quantity > balances.held(instrument.base_asset):
        _look_again(instrument)
        held = balances.held(instrument.base_asset)
        if quantity > held:
            body.complain("quantity", f"only {plain(held)} is held")


def _look_again(instrument: Instrument) -> None:
    """Something may have come from outside since the last comparison; a silent venue adds nothing."""
    with suppress(ExchangeError):
        balances.compare(instrument.base_asset, instrument.venue)


def _check_minting(body: Body, instrument: Instrument, side: Side, wanted: bool) -> None:
    if not wanted:
        return
    if side != "sell":
        body.complain("mintAfterSell", "only a sale can be minted again")
    elif not instrument.condition_id:
        body.complain("mintAfterSell", "only outcome tokens can be minted")
    else:
        balances.opened(instrument.complement, instrument.venue)


def create(request: StopRequest) -> TrailingStop:
    """Make the stop. Call inside a transaction; ticks of its instrument wait until the commit.

    The price is looked at again under the lock: an activation price that is
    satisfied already makes the stop active at once, with that price as its best.
    """
    with connection.cursor() as cursor:
        cursor.execute(HOLD_INSTRUMENT, [request.instrument.pk])
    request.instrument.refresh_from_db(fields=["bid", "ask", "observed_at"])
    price = fresh_price(request.instrument, request.side)
    activation = request.activation_price
    is_pending = activation is not None and not (
        price is not None and activates(request.side, price, activation)
    )
    best = price if activation is not None and price is not None else request.entry_price
    stop = TrailingStop.objects.create(
        state_key=_new_key(),
        instrument=request.instrument,
        side=request.side,
        status="pending_activation" if is_pending else "active",
        quantity=request.quantity,
        trailing_percent=request.percent,
        trail_fraction=request.trail.fraction,
        trail_amount=request.trail.amount,
        trailing_ticks=request.ticks,
        entry_price=request.entry_price,
        activation_price=activation,
        watermark=None if is_pending else _watermark(request, best),
        strategy=request.strategy,
        mint_after_sell=request.mint_after_sell,
    )
    StopEvent.objects.create(
        stop=stop,
        kind="created",
        price=price,
        trigger_price=stop.current_trigger_price,
        text="waiting for its activation price" if is_pending else "watching",
    )
    log.info("stop_created", stop=stop.state_key, symbol=request.instrument.symbol[:20])
    return stop


def _watermark(request: StopRequest, price: Decimal) -> Watermark:
    """Share the watermark of exactly this price, or make one."""
    found = Watermark.objects.filter(
        instrument=request.instrument, side=request.side, price=price
    ).first()
    if found is not None:
        return found
    return Watermark.objects.create(instrument=request.instrument, side=request.side, price=price)


def _new_key() -> str:
    return f"trailing_stop_{time.time_ns() // 1000}{secrets.randbelow(1000):03d}"


def cancel(stop: TrailingStop) -> bool:
    """Cancel a stop that has not triggered; `False` when a trigger won the race.

    Its watermark and trigger are copied into it. Ticks of the instrument wait,
    so exactly one of the two commits.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(HOLD_INSTRUMENT, [stop.instrument_id])
        stop.refresh_from_db()
        if stop.status not in ("pending_activation", "active"):
            return False
        won = stop.move(
            "cancelled",
            final_watermark_price=stop.watermark_price,
            final_trigger_price=stop.current_trigger_price,
            watermark=None,
        )
        if won:
            StopEvent.objects.create(stop=stop, kind="cancelled", text="cancelled by request")
            log.info("stop_cancelled", stop=stop.state_key)
        return won
