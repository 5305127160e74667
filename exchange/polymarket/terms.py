"""What an order's type asks of it: its amounts, when it expires, whether it may take. Pure."""

from decimal import Decimal
from math import ceil

from exchange.errors import Rejected
from exchange.quantising import resting_amounts, taking_amounts
from exchange.types import OrderRequest, RejectionCode

_TAKING = ("FAK", "FOK")
DIES_BEFORE = 60
"""Seconds by which the venue takes an order out before its stated expiration."""
LEAST_AHEAD = 180
"""Seconds a stated expiration must lie ahead (the official client's `limit.py`)."""


def amounts(request: OrderRequest) -> tuple[Decimal, Decimal]:
    """Return what the order gives and wants; raises `Rejected` for what cannot be sent."""
    of_type = taking_amounts if request.order_type in _TAKING else resting_amounts
    return of_type(request.side, request.quantity, request.price, request.tick_size)


def expiration(request: OrderRequest, now: int) -> int:
    """Return the expiration to state, in seconds since 1970; 0 for an order without one.

    The venue takes an order out a minute before what it states, so a minute is added to
    the moment until which it shall rest (docs.polymarket.com/trading/orders).
    Raises `Rejected('expiration')` for a moment that is missing, out of place or too near.
    """
    if (request.order_type == "GTD") != (request.expires_at is not None):
        raise Rejected(
            RejectionCode.EXPIRATION,
            f"a {request.order_type} order "
            + ("needs the time it expires" if request.order_type == "GTD" else "never expires"),
        )
    if request.expires_at is None:
        return 0
    stated = ceil(request.expires_at.timestamp()) + DIES_BEFORE
    if stated - now < LEAST_AHEAD:
        raise Rejected(
            RejectionCode.EXPIRATION,
            f"an order must rest for at least {LEAST_AHEAD - DIES_BEFORE} s, "
            f"this one would for {stated - DIES_BEFORE - now} s",
        )
    return stated


def require_restable(request: OrderRequest) -> None:
    """Raise `Rejected('post_only')` for an order that may not take and does not rest."""
    if request.post_only and request.order_type in _TAKING:
        raise Rejected(
            RejectionCode.POST_ONLY,
            f"post-only goes with GTC and GTD, not with {request.order_type}",
        )
