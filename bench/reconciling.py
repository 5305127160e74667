"""What it costs to reconcile a book of resting orders: by the venue's list, and one by one.

Run: python -m bench.reconciling [orders]
"""

import sys
import time
from decimal import Decimal
from typing import Any
from unittest import mock

from bench.installation import installation, row


def main(count: int = 1000) -> None:
    """Rest so many orders on the paper exchange, then ask about all of them, both ways."""
    with installation() as paper:
        from django.utils import timezone

        from orders import balances, instruments, planning, reconciling, sending
        from orders.models import Order, Trade

        symbol = paper.markets()[0]["tokenIds"][0]
        paper.put_book(symbol, bids=[("0.50", 1000)], asks=[("0.52", 1000)])
        instrument = instruments.known(symbol)
        for asset in (symbol, instrument.complement, "collateral"):
            balances.opened(asset, instrument.venue)
        wanted = planning.LegRequest(instrument, "sell", Decimal(5), Decimal("0.90"), "GTC")
        planned: list[int] = []
        started = time.perf_counter()
        for _ in range(count):
            planned += [o.pk for o in planning.open_trade(Trade(purpose="signal"), [wanted])]
        row(f"{count} resting orders", "seconds", "orders / s")
        _tell("planned, each in its own trade", count, started)
        started = time.perf_counter()
        sending.send_all(planned)
        _tell("signed, committed and posted in batches of 15", count, started)
        assert Order.objects.filter(status="open").count() == count

        def reconcile(name: str, **changes: Any) -> None:
            Order.objects.update(next_look_at=timezone.now())
            with mock.patch.multiple(reconciling, **changes):
                began, seen = time.perf_counter(), 0
                while seen < count:
                    seen += reconciling.look_at_due()
            _tell(name, seen, began)

        reconcile("nothing new: by the venue's list", MANY=reconciling.MANY)
        reconcile("nothing new: a question for each", MANY=count)
        paper.put_book(symbol, bids=[("0.91", 5 * count // 10)], asks=[("0.95", 10)])
        reconcile("a tenth filled: by the list, the filled ones asked", MANY=reconciling.MANY)
        filled = Order.objects.exclude(status="open").count()
        row("closed by that", filled)


def _tell(name: str, count: int, began: float) -> None:
    took = time.perf_counter() - began
    row(name, f"{took:.2f}", f"{count / took:,.0f}")


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:2]))
