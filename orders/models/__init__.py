"""The rows of the book: instruments, positions with their entries, trades with legs, orders with fills."""

from orders.models.instruments import SIDES, ZERO, Instrument, VenueState
from orders.models.orders import (
    LIVE_ORDER_STATES,
    Fill,
    ForeignOrder,
    Halt,
    Order,
    OrderRows,
)
from orders.models.positions import Entry, Position
from orders.models.trades import Leg, Trade

__all__ = [
    "LIVE_ORDER_STATES",
    "SIDES",
    "ZERO",
    "Entry",
    "Fill",
    "ForeignOrder",
    "Halt",
    "Instrument",
    "Leg",
    "Order",
    "OrderRows",
    "Position",
    "Trade",
    "VenueState",
]
