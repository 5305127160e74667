"""Reading a request for a stop: each field checked in itself, then against the market and the wallet."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from django.utils import timezone

from exchange.errors import Rejected
from orders.models import Instrument
from polytrader.fields import MOST_DECIMALS, Body
from polytrader.numbers import plain
from trailing.executable import executable_price
from trailing.guards import GAP_POLICIES
from trailing.lookups import Lookups
from trailing.maths import Side, Trail, trigger_price
from trailing.models import REFERENCES, WHOLE_BOOK, is_fresh

TRAILS = ("trailingPercent", "trailingAmount", "trailingTicks")
CONFIRM_UPDATES = 2
CONFIRM_MS = 1000
"""What an outcome token's stop waits for unless told otherwise: one print is no price there."""
LONGEST_CONFIRM_MS = 60_000


@dataclass(frozen=True, slots=True)
class StopRequest:
    """A checked request for a stop. `quantity` `None` means all that is held."""

    instrument: Instrument
    side: Side
    reference: str
    quantity: Decimal | None
    trail: Trail
    percent: Decimal | None
    ticks: int | None
    entry_price: Decimal
    activation_price: Decimal | None
    strategy: str
    mint_after_sell: bool
    options: "Options" = field(default_factory=lambda: Options())
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """What a stop may have besides its trail; prices per share, `None` where it has it not."""

    stop_price: Decimal | None = None
    take_profit_price: Decimal | None = None
    confirm_updates: int | None = None
    confirm_ms: int | None = None
    max_spread: Decimal | None = None
    max_slippage: Decimal | None = None
    gap_policy: str = "fire_if_still_breached"
    expires_at: datetime | None = None


def read_request(data: Any, known: Lookups | None = None) -> StopRequest:
    """Check a body of `POST /api/trailing-stops` against the contract and the world.

    Raises `ApiError` 400 with every wrong field named, `Unavailable` when the
    venue is needed and does not answer. Stores nothing but what the venue says
    of the instrument and of the balances.
    """
    body, known = Body(data), known or Lookups()
    symbol = body.text("symbol", required=True)
    side = cast(Side, body.choice("side", ("sell", "buy"), default="sell"))
    reference = body.choice("triggerBy", REFERENCES, default="bid" if side == "sell" else "ask")
    quantity = body.decimal_or_word("quantity", "all")
    percent, amount, ticks = read_trail(body)
    entry_price = body.decimal("entryPrice")
    activation_price = _read_activation(body)
    strategy = body.text("strategy")
    mint_after_sell = body.flag("mintAfterSell")
    options = read_options(body)
    if percent is None and amount is None and ticks is None:
        body.complain("trailingPercent", f"one of {', '.join(TRAILS)} is required")
    if body.problems:
        body.check()  # what is wrong in itself is said without asking a venue
    instrument = _read_instrument(body, symbol, known)
    body.check()
    assert instrument is not None
    if entry_price is None:
        wanted_now = quantity if isinstance(quantity, Decimal) else None
        entry_price = _current_price(body, instrument, reference, side, wanted_now, known)
    trail = trail_of(percent, amount, ticks, instrument)
    warnings = check_trail(body, instrument, side, trail, entry_price)
    check_prices(body, instrument, {"entryPrice": entry_price, "activationPrice": activation_price})
    check_levels(body, instrument, side, entry_price, options)
    if quantity == "all" and side == "buy":
        body.complain("quantity", "only a sale can be over all that is held; name a number")
    wanted = None if quantity == "all" else cast(Decimal, quantity)
    check_quantity(body, instrument, side, wanted, known)
    _check_minting(body, instrument, side, mint_after_sell, known)
    body.check()
    return StopRequest(
        instrument,
        side,
        reference,
        wanted,
        trail,
        percent,
        ticks,
        entry_price,
        activation_price,
        strategy,
        mint_after_sell,
        with_confirmation(body, options, instrument),
        tuple(warnings),
    )


def read_options(body: Body) -> Options:
    """Read what a stop may have besides its trail, each field checked in itself."""
    expires_at = body.moment("expiresAt")
    if expires_at is not None and expires_at <= timezone.now():
        body.complain("expiresAt", "expected a moment that is still to come")
    return Options(
        stop_price=body.decimal("stopPrice"),
        take_profit_price=body.decimal("takeProfitPrice"),
        confirm_updates=body.whole("confirmUpdates", largest=1000),
        confirm_ms=body.whole("confirmMs", largest=LONGEST_CONFIRM_MS),
        max_spread=body.decimal("maxSpread"),
        max_slippage=body.decimal("maxSlippage"),
        gap_policy=body.choice("gapPolicy", GAP_POLICIES, default=GAP_POLICIES[0]),
        expires_at=expires_at,
    )


def with_confirmation(body: Body, options: Options, instrument: Instrument) -> Options:
    """The same with the default confirmation of its venue, unless one was given."""
    is_given = body.has("confirmUpdates") or body.has("confirmMs")
    if is_given or instrument.venue != "polymarket":
        return options
    return replace(options, confirm_updates=CONFIRM_UPDATES, confirm_ms=CONFIRM_MS)


def read_trail(body: Body) -> tuple[Decimal | None, Decimal | None, int | None]:
    """Read the distance: a percentage, an amount or ticks, at most one of them."""
    percent = body.decimal("trailingPercent")
    amount = body.decimal("trailingAmount")
    ticks = body.whole("trailingTicks")
    for name in [name for name in TRAILS if body.has(name)][1:]:
        body.complain(name, f"give only one of {', '.join(TRAILS)}")
    if percent is not None and percent >= 100:
        body.complain("trailingPercent", "expected a percentage above 0 and below 100")
    return percent, amount, ticks


def trail_of(
    percent: Decimal | None, amount: Decimal | None, ticks: int | None, instrument: Instrument
) -> Trail:
    """The trail that was asked for; ticks become an amount, of the tick size of now."""
    if percent is not None:
        return Trail.of_percent(percent)
    if ticks is not None:
        return Trail.of_ticks(ticks, instrument.tick_size)
    return Trail(amount=amount)


def _read_activation(body: Body) -> Decimal | None:
    price = body.decimal("activationPrice")
    used = body.flag("useActivationPrice", default=body.has("activationPrice"))
    if used and not body.has("activationPrice"):
        body.complain("activationPrice", "is required with useActivationPrice")
    return price if used else None


def _read_instrument(body: Body, symbol: str, known: Lookups) -> Instrument | None:
    if "symbol" in body.problems:
        return None
    try:
        instrument = known.instrument(symbol)
    except Rejected as refusal:
        body.complain("symbol", f"{refusal}")
        return None
    if not instrument.accepting_orders:
        body.complain("symbol", "the market is closed or takes no orders")
    return instrument


def _current_price(
    body: Body,
    instrument: Instrument,
    reference: str,
    side: Side,
    quantity: Decimal | None,
    known: Lookups,
) -> Decimal:
    price = fresh_price(instrument, reference, side)
    if price is None and reference in WHOLE_BOOK:
        price = _price_in_the_book(instrument, reference, side, quantity, known)
        price = None if price is None else round(price, MOST_DECIMALS)  # it may be a quotient
    elif price is None:
        quote = known.quote(instrument)
        if quote is not None:
            price = Instrument(bid=quote.bid, ask=quote.ask).price_of(reference, side)
    if price is None:
        body.complain("entryPrice", f"there is no {reference} price in the book now; give one")
        body.check()
    return cast(Decimal, price)


def _price_in_the_book(
    instrument: Instrument, reference: str, side: Side, quantity: Decimal | None, known: Lookups
) -> Decimal | None:
    """The last trade's price, or what so much (`None`: all that is held) would get now."""
    book = known.book(instrument)
    if book is None or reference == "last":
        return None if book is None else book.last
    if quantity is None:
        quantity = known.position(instrument.base_asset, instrument.venue).held
    return executable_price(book.bids if side == "sell" else book.asks, quantity)


def fresh_price(instrument: Instrument, reference: str, side: str) -> Decimal | None:
    """The last evaluated price of a reference, if it is not stale.

    `None` for `executable`, too: the best price says nothing of what a quantity would get.
    """
    if reference == "executable" or not is_fresh(instrument.observed_at, timezone.now()):
        return None
    return instrument.price_of(reference, side)


def check_prices(body: Body, instrument: Instrument, prices: dict[str, Decimal | None]) -> None:
    """Refuse prices outside the venue's range."""
    if instrument.venue != "polymarket":
        return
    for name, price in prices.items():
        if price is not None and price >= 1:
            body.complain(name, "the price of an outcome token lies between 0 and 1")


def check_levels(
    body: Body, instrument: Instrument, side: Side, price: Decimal, options: Options
) -> None:
    """Refuse a floor or take-profit outside the venue's range, or reached by the entry price."""
    floor, profit = options.stop_price, options.take_profit_price
    check_prices(body, instrument, {"stopPrice": floor, "takeProfitPrice": profit})
    is_sale = side == "sell"
    worse, better = ("below", "above") if is_sale else ("above", "below")
    if floor is not None and (floor >= price if is_sale else floor <= price):
        body.complain("stopPrice", f"expected a price {worse} the entry price, {plain(price)}")
    if profit is not None and (profit <= price if is_sale else profit >= price):
        text = f"expected a price {better} the entry price, {plain(price)}"
        body.complain("takeProfitPrice", text)


def check_trail(
    body: Body, instrument: Instrument, side: Side, trail: Trail, price: Decimal
) -> list[str]:
    """Refuse a trail that cannot work from this best price; return warnings."""
    field_name = next((name for name in TRAILS if body.has(name)), TRAILS[0])
    distance = trail.distance(price)
    trigger = trigger_price(side, price, trail)
    tick = instrument.tick_size
    if distance < tick:
        text = f"the trail is {plain(distance)}, less than one tick of {plain(tick)}; widen it"
        body.complain(field_name, text)
    elif trigger <= 0 or (instrument.venue == "polymarket" and trigger >= 1):
        text = f"the trigger would be {plain(trigger)}, a price that cannot occur"
        body.complain(field_name, text)
    elif distance < 2 * tick:
        return [f"the trail is below two ticks of {plain(tick)}: the spread alone may trigger it"]
    return []


def check_quantity(
    body: Body, instrument: Instrument, side: Side, quantity: Decimal | None, known: Lookups
) -> None:
    """Refuse what the venue's grid, its minimum or the wallet does not have; opens the balances."""
    base, venue = instrument.base_asset, instrument.venue
    held = known.position(base, venue).held
    known.position(instrument.quote_asset, venue)
    if quantity is None:
        return
    step = instrument.quantity_step
    if quantity % step:
        body.complain("quantity", f"expected a multiple of {plain(step)}")
    elif quantity < instrument.min_quantity:
        minimum = plain(instrument.min_quantity)
        body.complain("quantity", f"the venue's minimum order is {minimum}")
    elif side == "sell" and quantity > held:
        known.look_again(instrument)
        held = known.position(base, venue).held
        if quantity > held:
            body.complain("quantity", f"only {plain(held)} is held")


def _check_minting(
    body: Body, instrument: Instrument, side: Side, wanted: bool, known: Lookups
) -> None:
    if not wanted:
        return
    if side != "sell":
        body.complain("mintAfterSell", "only a sale can be minted again")
    elif not instrument.condition_id:
        body.complain("mintAfterSell", "only outcome tokens can be minted")
    else:
        known.position(instrument.complement, instrument.venue)
