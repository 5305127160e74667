"""What an order costs from its planned row to the wire and to the venue's answer, in one worker.

Run: python -m bench.sending [orders]
"""

import sys
import time
from decimal import Decimal
from typing import Any

from bench.installation import installation, quantile, row


def main(count: int = 1000) -> None:
    """Plan and send orders one after the other, note when each is posted and answered."""
    with installation() as paper:
        from orders import balances, instruments, planning, sending, signing, venues
        from orders.models import Order, Trade

        symbol = paper.markets()[0]["tokenIds"][0]
        paper.put_book(symbol, bids=[("0.50", 10_000_000)], asks=[("0.52", 1000)])
        [wallet] = paper.ledger()["balances"]
        body = {"wallet": wallet, "asset": symbol, "amount": "10000000"}
        paper.call("POST", "/paper/balances", body)
        instrument = instruments.known(symbol)
        for asset in (symbol, instrument.complement, "collateral"):
            balances.opened(asset, instrument.venue)
        venues.warm_up()
        exchange: Any = venues.venue("polymarket")
        on_the_wire: list[float] = []
        inner = exchange.post

        def post(signed: Any) -> Any:
            on_the_wire.append(time.perf_counter())
            return inner(signed)

        exchange.post = post
        started, answered, claimed = [], [], []
        inner_claim = signing.claim

        def claim(pks: Any) -> Any:
            found = inner_claim(pks)
            claimed.append(time.perf_counter())
            return found

        signing.claim = claim
        wanted = planning.LegRequest(instrument, "sell", Decimal(5), Decimal("0.50"), "FAK")
        for _ in range(count):
            [order] = planning.open_trade(Trade(purpose="signal"), [wanted])
            started.append(time.perf_counter())
            sending.send(order.pk)
            answered.append(time.perf_counter())
        sent = Order.objects.filter(acknowledged_at__isnull=False).count()
        row(f"{count} orders, one worker, milliseconds", "p50", "p99", "max")
        for name, ends in (
            ("planned -> signed and committed", claimed),
            ("planned -> on the wire", on_the_wire),
            ("planned -> answered and noted", answered),
        ):
            took = [(end - start) * 1000 for start, end in zip(started, ends, strict=True)]
            figures = (quantile(took, 0.5), quantile(took, 0.99), max(took))
            row(name, *(f"{figure:.1f}" for figure in figures))
        row("acknowledged by the paper exchange", sent)


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:2]))
