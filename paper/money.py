"""Amounts as integers and as decimal text.

Collateral, outcome tokens and outcome prices are integers of millionths (6 decimals, the venue's base
units); spot assets are integers of 1e-8. Text is plain, without trailing zeros.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

UNIT = 1_000_000
DECIMALS = 6
SPOT_DECIMALS = 8
MOST = 10**12
"""The largest amount anyone may set, in whole units: sums of it still fit SQLite's 64 bits."""

_PLAIN = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)


def parse(value: object, decimals: int = DECIMALS) -> int:
    """Read an amount given as text or a JSON number into units of 10**-decimals.

    Raises ValueError naming what was expected: a plain number, not negative, with no more decimals
    than the unit has and no larger than MOST.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(  # noqa: TRY004 - callers know one error
            f'expected a number such as "0.5", got {str(value)[:80]}'
        )
    text = repr(value) if isinstance(value, float) else str(value)
    if not _PLAIN.fullmatch(text):
        raise ValueError(f'expected a plain number such as "0.5", got {text[:40]!r}')
    whole, _, fraction = text.partition(".")
    if len(fraction.rstrip("0")) > decimals:
        raise ValueError(f"expected at most {decimals} decimals, got {text}")
    amount = int(whole + fraction[:decimals].ljust(decimals, "0"))
    if text[0] == "-" or amount > MOST * 10**decimals:
        raise ValueError(f"expected a number from 0 to {MOST}, got {text}")
    return amount


def text(amount: int, decimals: int = DECIMALS) -> str:
    """Write units of 10**-decimals as plain decimal text without trailing zeros."""
    sign = "-" if amount < 0 else ""
    whole, fraction = divmod(abs(amount), 10**decimals)
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}." + str(fraction).rjust(decimals, "0").rstrip("0")


def notional(shares: int, price: int) -> int:
    """Give shares times price in collateral base units, rounded half up."""
    return (shares * price + UNIT // 2) // UNIT


def taker_fee(shares: int, price: int, rate: Decimal, exponent: int) -> int:
    """Give the taker's fee in collateral base units: C * rate * (p * (1 - p)) ** exponent.

    Rounded half up to 5 decimals. Source: docs.polymarket.com/trading/fees.
    """
    if not rate:
        return 0
    chance = Decimal(price) / UNIT
    fee = Decimal(shares) / UNIT * rate * (chance * (1 - chance)) ** exponent
    return int(fee.quantize(Decimal("0.00001"), ROUND_HALF_UP) * UNIT)
