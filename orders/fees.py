"""What a purchase may cost beyond its price: the taker's fee, taken on top of the notional."""

from decimal import ROUND_UP, Decimal

from orders.models import Instrument

STEP = Decimal("0.00001")
"""The venue rounds each trade's fee to this (docs.polymarket.com/trading/fees)."""


def most_per_unit(instrument: Instrument, side: str, limit: Decimal) -> Decimal:
    """The most that one unit of an order can be charged on top of its price; 0 for a sale.

    The fee is rate * (p * (1 - p)) ** exponent at the price of the match, which for a
    purchase may lie anywhere below the limit.
    """
    if side == "sell" or instrument.fee_rate == 0 or instrument.venue != "polymarket":
        return Decimal(0)
    price = min(limit, Decimal("0.5"))
    fee = instrument.fee_rate * (price * (1 - price)) ** instrument.fee_exponent
    return fee.quantize(STEP, ROUND_UP) + STEP


def per_unit(instrument: Instrument, price: Decimal) -> Decimal:
    """The taker's fee of one unit at a price."""
    if instrument.venue != "polymarket":
        return Decimal(0)
    return instrument.fee_rate * (price * (1 - price)) ** instrument.fee_exponent
