"""Signals: the request is checked against the venue's rules, the trade made, its orders sent at once."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from exchange.errors import ExchangeError, Rejected
from exchange.quantising import taking_amounts
from exchange.types import OrderType, Side
from orders import balances, instruments, planning, reserving, sending
from orders.models import Halt, Instrument, Order, Position, Trade
from orders.planning import LegRequest, NotSellable, asset_taken, cost_per_unit
from polytrader.errors import ApiError
from polytrader.fields import Body
from polytrader.numbers import plain
from strategy.models import Signal

log = structlog.get_logger()

MOST_LEGS = 15
ORDER_TYPES: tuple[OrderType, ...] = ("GTC", "GTD", "FOK", "FAK")
TAKING = ("FAK", "FOK")
WAIT_FOR_ANSWERS = 2.0
"""Seconds that a signal waits for the venue; an order without an answer by then is `sent`."""

CLOCKS_DIFFER_BY = timedelta(seconds=5)
LONGEST_AGE = Decimal(1_000_000)
SHORTEST_REST = timedelta(seconds=125)
"""The venue's two minutes (`exchange/polymarket/terms.py`), and time to send it."""


@dataclass(frozen=True, slots=True)
class SignalRequest:
    """A checked request; `body` is it as it was read, as plain JSON."""

    strategy: str
    legs: tuple[LegRequest, ...]
    body: dict[str, Any]
    valid_until: datetime | None
    mint_after_sell: bool
    max_slippage: Decimal
    is_dry_run: bool


@dataclass(frozen=True, slots=True)
class _Leg:
    """A leg as it was read; where something is wrong with it, a value may be missing."""

    item: Body
    symbol: str
    side: Side
    size: Decimal | None
    price: Decimal | None
    order_type: OrderType
    post_only: bool
    expires_at: datetime | None


def read_request(data: Any) -> SignalRequest:
    """Check a body of `POST /strategy/signals` against the contract, the venue and the clock.

    Raises `ApiError` 400 with every wrong field named, 503 while sending is halted,
    `Unavailable` when the venue is needed and does not answer. Stores nothing but what
    the venue says of the instruments and of the balances.
    """
    refuse_while_halted()
    body = Body(data)
    body.refuse(("trailingStop",), "is not supported by this version; leave it out")
    strategy = body.text("strategy")
    mint_after_sell = body.flag("mintAfterSell")
    max_slippage = body.part("maxSlippage")
    is_dry_run = body.flag("dryRun")
    valid_until = _read_age(body)
    legs = [_read_leg(item) for item in body.items("legs", MOST_LEGS)]
    _check_distinct(legs)
    known = _instruments(body, legs)
    for leg in legs:
        if (instrument := known.get(leg.symbol)) is not None:
            _check_leg(leg, instrument)
    _check_minting(body, legs, known, mint_after_sell)
    body.check()
    requests = tuple(_request(leg, known[leg.symbol]) for leg in legs)
    _open_positions(known.values())
    _look_again(requests)
    if max_slippage is None:
        max_slippage = settings.CONFIGURATION.max_slippage if len(legs) > 1 else Decimal(0)
    return SignalRequest(
        strategy,
        requests,
        {**_as_read(data), "legs": [_plain_leg(leg) for leg in requests]},
        valid_until,
        mint_after_sell,
        max_slippage,
        is_dry_run,
    )


def refuse_while_halted() -> None:
    """Raise 503 with the reason while all sending is halted."""
    halt = Halt.objects.filter(lifted_at__isnull=True).order_by("-pk").first()
    if halt is not None:
        raise ApiError(503, "halted", f"sending is halted: {halt.reason}; nothing was done")


def _read_age(body: Body) -> datetime | None:
    """Until when its orders may be sent; a signal that is too old already is refused."""
    now = timezone.now()
    created_at = body.moment("createdAt")
    age = body.decimal("maxAgeSeconds")
    if created_at is not None and created_at > now + CLOCKS_DIFFER_BY:
        ahead = (created_at - now).total_seconds()
        body.complain("createdAt", f"lies {ahead:.0f} s in the future; compare the clocks")
    if age is None:
        return None
    if age > LONGEST_AGE:
        body.complain("maxAgeSeconds", f"expected at most {LONGEST_AGE}")
        return None
    valid_until = (created_at or now) + timedelta(seconds=float(age))
    if valid_until <= now:
        is_old = (now - (created_at or now)).total_seconds()
        body.complain(
            "createdAt", f"the signal is {is_old:.1f} s old, at most {plain(age)} s count"
        )
    return valid_until


def _read_leg(item: Body) -> _Leg:
    leg = _Leg(
        item,
        symbol=item.text("assetId", required=True),
        side=cast(Side, item.choice("side", ("buy", "sell"), default="buy", required=True)),
        size=item.decimal("size", required=True),
        price=item.decimal("price", required=True),
        order_type=cast(OrderType, item.choice("orderType", ORDER_TYPES, default="GTC")),
        post_only=item.flag("postOnly"),
        expires_at=item.moment("expiresAt"),
    )
    if not item.is_wrong("orderType"):
        _check_terms(leg)
    return leg


def _check_terms(leg: _Leg) -> None:
    """Check what goes with the order's type."""
    if leg.post_only and leg.order_type in TAKING:
        leg.item.complain("postOnly", f"goes with GTC and GTD, not with {leg.order_type}")
    if leg.order_type != "GTD":
        if leg.item.has("expiresAt"):
            leg.item.complain("expiresAt", f"goes with GTD, not with {leg.order_type}")
    elif leg.expires_at is None:
        leg.item.complain("expiresAt", "is required for GTD")
    elif leg.expires_at < timezone.now() + SHORTEST_REST:
        ahead = SHORTEST_REST.total_seconds()
        leg.item.complain("expiresAt", f"expected a moment at least {ahead:.0f} s ahead")


def _check_distinct(legs: Sequence[_Leg]) -> None:
    """One token, one leg: two of them would fight for the same shares, or trade with each other."""
    seen: set[str] = set()
    for leg in legs:
        if leg.symbol and leg.symbol in seen:
            leg.item.complain("assetId", "an earlier leg has the same one; make one leg of them")
        seen.add(leg.symbol)


def _instruments(body: Body, legs: Sequence[_Leg]) -> dict[str, Instrument]:
    """The legs' instruments; the venue is asked about new ones only if the rest is right."""
    symbols = {leg.symbol for leg in legs if leg.symbol}
    known = {row.symbol: row for row in Instrument.objects.filter(symbol__in=symbols)}
    is_right = not body.problems
    for leg in legs:
        if leg.symbol and leg.symbol not in known and is_right:
            try:
                known[leg.symbol] = instruments.known(leg.symbol)
            except Rejected as refusal:
                leg.item.complain("assetId", str(refusal))
    return known


def _check_leg(leg: _Leg, instrument: Instrument) -> None:
    if instrument.is_closed:
        leg.item.complain("assetId", "the market is closed")
    elif not instrument.accepting_orders:
        leg.item.complain("assetId", "the market takes no orders now")
    if leg.order_type == "GTD" and instrument.venue != "polymarket":
        leg.item.complain("orderType", "spot symbols take GTC, FOK and FAK")
    is_paper_spot = instrument.venue == "binance" and settings.CONFIGURATION.exchange == "paper"
    if is_paper_spot and leg.order_type != "FAK":
        leg.item.complain("orderType", "the spot side of the paper exchange takes FAK only")
    is_priced = leg.price is not None and _check_price(leg.item, leg.price, instrument)
    is_sized = leg.size is not None and _check_size(leg.item, leg.size, instrument)
    if is_priced and is_sized and leg.order_type in TAKING and instrument.venue == "polymarket":
        size, price = cast(Decimal, leg.size), cast(Decimal, leg.price)
        try:
            taking_amounts(leg.side, size, price, instrument.tick_size)
        except Rejected as refusal:
            leg.item.complain("size", str(refusal))


def _check_price(item: Body, price: Decimal, instrument: Instrument) -> bool:
    tick = instrument.tick_size
    is_token = instrument.venue == "polymarket"
    if price % tick == 0 and (not is_token or price <= 1 - tick):
        return True
    upto = f" from {plain(tick)} to {plain(1 - tick)}" if is_token else ""
    item.complain("price", f"expected a multiple of {plain(tick)}{upto}")
    return False


def _check_size(item: Body, size: Decimal, instrument: Instrument) -> bool:
    if size % instrument.quantity_step:
        item.complain("size", f"expected a multiple of {plain(instrument.quantity_step)}")
    elif size < instrument.min_quantity:
        item.complain("size", f"the venue's minimum order is {plain(instrument.min_quantity)}")
    else:
        return True
    return False


def _check_minting(
    body: Body, legs: Sequence[_Leg], known: dict[str, Instrument], is_wanted: bool
) -> None:
    sold = [known[leg.symbol] for leg in legs if leg.side == "sell" and leg.symbol in known]
    if is_wanted and not body.problems and not any(one.condition_id for one in sold):
        body.complain("mintAfterSell", "only outcome tokens that are sold can be minted again")


def _request(leg: _Leg, instrument: Instrument) -> LegRequest:
    assert leg.size is not None
    assert leg.price is not None
    return LegRequest(
        instrument,
        leg.side,
        leg.size,
        leg.price,
        leg.order_type,
        leg.post_only,
        leg.expires_at,
    )


def _open_positions(traded: Iterable[Instrument]) -> None:
    """Open the positions that the legs move, and those of the other outcomes, which may hedge."""
    wanted = {
        (asset, instrument.venue)
        for instrument in traded
        for asset in (instrument.base_asset, instrument.quote_asset, instrument.complement)
        if asset
    }
    there = Position.objects.filter(
        asset__in={asset for asset, _ in wanted}, compared_at__isnull=False
    )
    opened = set(there.values_list("asset", flat=True))
    for asset, venue in sorted(wanted):
        if asset not in opened:
            balances.opened(asset, venue)


def _look_again(legs: Sequence[LegRequest]) -> None:
    """Compare what is short: something may have come from outside; a silent venue adds nothing."""
    needed: dict[str, Decimal] = defaultdict(Decimal)
    for leg in legs:
        per_unit = cost_per_unit(leg.instrument, leg.side, leg.price)
        needed[asset_taken(leg.instrument, leg.side)] += leg.quantity * per_unit
    positions = list(Position.objects.filter(asset__in=needed))
    free = reserving.sellable(positions)
    for position in positions:
        if free[position.asset] < needed[position.asset]:
            with suppress(ExchangeError):
                balances.compare(position.asset, position.venue)


def _as_read(data: Any) -> dict[str, Any]:
    return {name: plain(v) if isinstance(v, Decimal) else v for name, v in data.items()}


def _plain_leg(leg: LegRequest) -> dict[str, Any]:
    return {
        "assetId": leg.instrument.symbol,
        "side": leg.side,
        "size": plain(leg.quantity),
        "price": plain(leg.price),
        "orderType": leg.order_type,
        "postOnly": leg.post_only,
        "expiresAt": None if leg.expires_at is None else f"{leg.expires_at:%Y-%m-%dT%H:%M:%S.%fZ}",
    }


def create(request: SignalRequest) -> Signal:
    """Make the signal and its trade with planned orders. Call inside a transaction.

    Raises `ApiError` 409 when too little can be sold, 503 while sending is halted. A
    dry run plans too, so that nothing goes unchecked, and takes it back.
    """
    refuse_while_halted()
    trade = Trade(
        purpose="signal",
        strategy=request.strategy,
        mint_after_sell=request.mint_after_sell,
        max_slippage=request.max_slippage,
        valid_until=request.valid_until,
    )
    with transaction.atomic():
        planning.lock_positions(leg.instrument for leg in request.legs)
        _plan(trade, request.legs)
        if request.is_dry_run:
            transaction.set_rollback(True)
    signal = Signal.objects.create(
        strategy=request.strategy,
        body=request.body,
        is_dry_run=request.is_dry_run,
        trade=None if request.is_dry_run else trade,
    )
    log.info("signal_taken", signal=signal.pk, trade=signal.trade_id, legs=len(request.legs))
    return signal


def _plan(trade: Trade, legs: Sequence[LegRequest]) -> None:
    try:
        planning.open_trade(trade, legs)
    except NotSellable as short:
        field = f"legs[{short.index}].size"
        text = f"nothing was stored or sent: {field}: {short}"
        raise ApiError(409, "not_sellable", text, {field: str(short)}) from None


def send(signal: Signal) -> None:
    """Send what is still planned of a signal's trade, and wait a moment for the answers.

    Safe at any time: an order is sent by whoever claims it, and once.
    """
    planned = Order.objects.filter(leg__trade=signal.trade_id, status="planned")
    pks = list(planned.order_by("pk").values_list("pk", flat=True))
    if signal.trade_id is not None and pks:
        sending.send_and_wait(pks, seconds=WAIT_FOR_ANSWERS)
