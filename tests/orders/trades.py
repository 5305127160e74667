"""Trades of signals as tests make them in sight, on the paper exchange, with every wait cut short."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from exchange.types import OrderType
from operations import status
from orders import planning, sending
from orders.models import Instrument, Leg, Order, Trade
from orders.planning import LegRequest
from strategy import managing
from tests.paper_process import PaperProcess, wait_until

BOOK = {"bids": [("0.50", 1000)], "asks": [("0.52", 1000)]}


def sale(
    instrument: Instrument, quantity: int = 100, price: str = "0.50", kind: OrderType = "FAK"
) -> LegRequest:
    return LegRequest(instrument, "sell", Decimal(quantity), Decimal(price), kind)


def purchase(
    instrument: Instrument, quantity: int = 100, price: str = "0.52", kind: OrderType = "FAK"
) -> LegRequest:
    return LegRequest(instrument, "buy", Decimal(quantity), Decimal(price), kind)


def planned(*legs: LegRequest, **changes: Any) -> Trade:
    """A signal's trade with its first orders planned."""
    trade = Trade(purpose="signal", **changes)
    with transaction.atomic():
        planning.lock_positions(leg.instrument for leg in legs)
        planning.open_trade(trade, legs)
    return trade


def traded(*legs: LegRequest, **changes: Any) -> Trade:
    """A signal's trade with its first orders sent."""
    trade = planned(*legs, **changes)
    sending.send_all(order_pks(trade))
    return trade


def order_pks(trade: Trade) -> list[int]:
    orders = Order.objects.filter(leg__trade=trade).order_by("pk")
    return list(orders.values_list("pk", flat=True))


def hurry() -> None:
    """Do whatever would be done, with every wait cut short."""
    status.rearm()
    managing.work()


def hurry_until(rows: QuerySet[Any]) -> None:
    """Do that until there are such rows."""

    def there() -> bool:
        hurry()
        return rows.exists()

    wait_until(there, seconds=20)


def ended(trade: Trade) -> Sequence[Leg]:
    """Look after a trade until every leg has ended, and give them."""

    def legs() -> Sequence[Leg]:
        hurry()
        found = list(Leg.objects.filter(trade=trade).order_by("pk"))
        return [] if any(leg.status == "working" for leg in found) else found

    return wait_until(legs, seconds=40)


def set_balance(paper: PaperProcess, asset: str, amount: str) -> None:
    """Have something come to the wallet, or go, past our service."""
    [wallet] = paper.ledger()["balances"]
    paper.call("POST", "/paper/balances", {"wallet": wallet, "asset": asset, "amount": amount})
