"""Prices and quantities that a venue accepts: grids, sweep limits, order amounts. Pure."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from exchange.errors import Rejected
from exchange.types import RejectionCode, Side

OUTCOME_TICK_SIZES = frozenset(
    Decimal(text) for text in ("0.1", "0.01", "0.005", "0.0025", "0.001", "0.0001")
)
"""All that Polymarket uses (docs.polymarket.com/trading/orders); another one is refused."""

FINEST_TICK = Decimal("0.0001")
QUANTITY_STEP = Decimal("0.01")
MAKER_STEP = Decimal("0.01")
TAKER_STEP = Decimal("0.0001")
SWEEP_TICKS = 3
SWEEP_FRACTION = Decimal("0.05")
_BASE_UNITS = 10**6


def limit_price(
    side: Side,
    best: Decimal,
    tick_size: Decimal,
    *,
    sweep_ticks: int = SWEEP_TICKS,
    sweep_fraction: Decimal = SWEEP_FRACTION,
) -> Decimal:
    """Return how far an exit in an outcome token may follow the market.

    The best price on the other side of the book less (sell) or plus (buy) the
    larger of `sweep_ticks` ticks and `sweep_fraction` of it, rounded away from
    it so that the order can still fill, and kept within [tick, 1 - tick].
    Raises `Rejected('tick_size')` for a tick size the venue does not have.
    """
    require_known_tick(tick_size)
    swept = spot_limit_price(
        side, best, tick_size, sweep_ticks=sweep_ticks, sweep_fraction=sweep_fraction
    )
    return min(swept, 1 - tick_size)


def spot_limit_price(
    side: Side,
    best: Decimal,
    tick_size: Decimal,
    *,
    sweep_ticks: int = SWEEP_TICKS,
    sweep_fraction: Decimal = SWEEP_FRACTION,
) -> Decimal:
    """Return the same limit for a spot symbol: any tick size, no upper end."""
    allowance = max(sweep_ticks * tick_size, best * sweep_fraction)
    if side == "sell":
        return max(_to_grid(best - allowance, tick_size, ROUND_FLOOR), tick_size)
    return max(_to_grid(best + allowance, tick_size, ROUND_CEILING), tick_size)


def quantise_quantity(quantity: Decimal, step: Decimal = QUANTITY_STEP) -> Decimal:
    """Return the largest multiple of `step` not above `quantity`."""
    return _to_grid(quantity, step, ROUND_FLOOR)


def is_on_grid(value: Decimal, step: Decimal) -> bool:
    """Tell whether `value` is a whole number of steps."""
    return value % step == 0


def require_known_tick(tick_size: Decimal) -> None:
    """Raise `Rejected('tick_size')` unless outcome tokens trade on this grid."""
    if tick_size not in OUTCOME_TICK_SIZES:
        known = ", ".join(str(tick) for tick in sorted(OUTCOME_TICK_SIZES))
        raise Rejected(
            RejectionCode.TICK_SIZE, f"expected a tick size of {known}, found {tick_size}"
        )


def resting_amounts(
    side: Side, quantity: Decimal, price: Decimal, tick_size: Decimal
) -> tuple[Decimal, Decimal]:
    """Return what a GTC or GTD order gives (maker) and wants (taker), in whole units.

    The product is exact: 2 decimals of quantity and those of a price on the grid never
    exceed the decimals the venue allows for the tick (docs.polymarket.com/trading/orders).
    Raises `Rejected` (`tick_size`, `precision`) for what cannot be sent.
    """
    _require_fitting(quantity, price, tick_size)
    collateral = quantity * price
    return (quantity, collateral) if side == "sell" else (collateral, quantity)


def taking_amounts(
    side: Side, quantity: Decimal, price: Decimal, tick_size: Decimal
) -> tuple[Decimal, Decimal]:
    """Return what a FAK or FOK order gives (maker) and wants (taker), in whole units.

    A sell gives `quantity` shares for at least `quantity * price`; a buy spends
    floor(quantity * price, 2) of collateral. The venue takes at most 2 decimals of
    maker and 4 of taker for FAK and FOK (github.com/Polymarket/py-clob-client-v2
    issue 99), though its own clients produce up to 6: taker is floored to 4, which
    moves the limit of an order by less than the finest tick.
    Raises `Rejected` (`tick_size`, `precision`, `min_size`) for what cannot be sent.
    """
    _require_fitting(quantity, price, tick_size)
    if side == "sell":
        maker = quantity
        taker = _to_grid(quantity * price, TAKER_STEP, ROUND_FLOOR)
    else:
        maker = _to_grid(quantity * price, MAKER_STEP, ROUND_FLOOR)
        taker = _to_grid(maker / price, TAKER_STEP, ROUND_FLOOR)
    if maker <= 0 or taker <= 0:
        raise Rejected(
            RejectionCode.MIN_SIZE, f"{quantity} at {price} rounds to an amount of nothing"
        )
    moved = price - taker / maker if side == "sell" else maker / taker - price
    if moved >= FINEST_TICK:
        raise Rejected(
            RejectionCode.PRECISION,
            f"{quantity} at {price} is too small to be sent without moving its price by {moved:f}",
        )
    return maker, taker


def fits(side: Side, quantity: Decimal, price: Decimal, tick_size: Decimal) -> bool:
    """Tell whether the venue takes a FAK or FOK order of these numbers."""
    try:
        taking_amounts(side, quantity, price, tick_size)
    except Rejected:
        return False
    return True


def base_units(amount: Decimal) -> int:
    """Return collateral or outcome tokens in millionths, refusing to lose any."""
    units = amount * _BASE_UNITS
    if units != units.to_integral_value():
        raise Rejected(RejectionCode.PRECISION, f"{amount} has more than 6 decimals")
    return int(units)


def whole_units(units: int) -> Decimal:
    """Return millionths as whole collateral or outcome tokens."""
    return Decimal(units) / _BASE_UNITS


def _require_fitting(quantity: Decimal, price: Decimal, tick_size: Decimal) -> None:
    require_known_tick(tick_size)
    if not tick_size <= price <= 1 - tick_size or not is_on_grid(price, tick_size):
        raise Rejected(
            RejectionCode.TICK_SIZE,
            f"expected a multiple of {tick_size} up to {1 - tick_size}, found {price}",
        )
    if quantity <= 0 or not is_on_grid(quantity, QUANTITY_STEP):
        raise Rejected(
            RejectionCode.PRECISION,
            f"expected a positive quantity of at most 2 decimals, found {quantity}",
        )


def _to_grid(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return (value / step).to_integral_value(rounding=rounding) * step


def within_worst(
    side: Side, limit: Decimal, best: Decimal, worst: Decimal | None, tick: Decimal
) -> Decimal | None:
    """Return an exit's limit, moved to its worst price where it goes further; `None` beyond that.

    The worst price is rounded to the grid on the near side, never further.
    """
    if worst is None:
        return limit
    if side == "sell":
        bound = (worst / tick).to_integral_value(ROUND_CEILING) * tick
        return max(limit, bound) if best >= bound else None
    bound = (worst / tick).to_integral_value(ROUND_FLOOR) * tick
    return min(limit, bound) if best <= bound else None
