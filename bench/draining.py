"""How many due rows a second one worker of each queue takes up when the work itself is empty.

Run: python -m bench.draining [rows]
"""

import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from unittest import mock

from bench.installation import installation, row


def main(count: int = 20_000) -> None:
    """Fill each queue, drain it with everything that asks a venue taken out."""
    with installation():
        from django.utils import timezone

        from minting import draining
        from minting import sending as mint_sending
        from minting.models import Mint
        from orders import reconciling, sending
        from orders.models import Fill, Leg, Order, Trade
        from strategy import managing
        from strategy.models import PositionJob
        from tests.rows import an_instrument

        instrument = an_instrument(held="100000000")
        trades = Trade.objects.bulk_create(Trade(purpose="exit") for _ in range(count))
        legs = Leg.objects.bulk_create(
            Leg(trade=trade, instrument=instrument, side="sell", quantity=10) for trade in trades
        )

        def orders(status: str) -> list[Any]:
            return Order.objects.bulk_create(
                Order(
                    leg=leg,
                    instrument=instrument,
                    side="sell",
                    quantity=Decimal(10),
                    price=Decimal("0.5"),
                    status=status,
                    order_id=f"0x{status}{leg.pk}",
                    payload="{}",
                    next_look_at=timezone.now(),
                )
                for leg in legs
            )

        def drain(name: str, work: Callable[[], int]) -> None:
            started, done = time.perf_counter(), 0
            while done < count and (touched := work()):
                done += touched
            took = time.perf_counter() - started
            row(name, done, f"{done / took:,.0f}")

        row("queue: what is drained", "rows", "rows / s")
        nothing = mock.Mock(return_value=0)
        orders("planned")
        with mock.patch.object(sending, "send_all", nothing):
            drain("orders: planned", reconciling.send_due)
        Order.objects.all().delete()
        made = orders("open")
        with (
            mock.patch.object(reconciling, "look", nothing),
            mock.patch.object(reconciling, "_changed", return_value=()),
        ):
            drain("orders: resting", reconciling.look_at_due)
        fills = [
            Fill(
                order=order,
                trade_id=f"t{order.pk}",
                quantity=10,
                price=Decimal("0.5"),
                matched_at=timezone.now(),
            )
            for order in made
        ]
        Fill.objects.bulk_create(fills)
        with mock.patch.object(reconciling, "_settled_by_list", return_value=[]):
            drain("orders: settling", reconciling.settle_due)
        Leg.objects.update(next_attempt_at=timezone.now())
        with mock.patch.object(managing, "manage", return_value=[]):
            drain("manage-position: legs", managing.manage_due)
        PositionJob.objects.bulk_create(PositionJob(trade=trade) for trade in trades)
        with mock.patch.object(managing, "run", nothing):
            drain("manage-position: jobs", managing.run_due_jobs)
        Mint.objects.bulk_create(Mint(instrument=instrument, quantity=10) for _ in range(count))
        with mock.patch.object(mint_sending, "_send", _give_up):
            drain("mint-queue: requests", draining.drain)


def _give_up(batch: Any) -> bool:
    """End the requests of a batch without a chain."""
    from django.utils import timezone

    from minting.models import Mint

    rows = Mint.objects.filter(pk__in=[job.pk for job in batch.jobs])
    rows.update(status="failed", closed_at=timezone.now())
    return True


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:2]))
