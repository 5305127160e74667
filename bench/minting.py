"""Requests through the mint queue, from their row to CONFIRMED on the paper exchange, by one worker.

A transaction of a wallet is under way for as long as the chain takes: here blocks of 0.3 s, of which
`MINT_CONFIRMATIONS` (5) must stand above it. What waits meanwhile goes out together, by condition.

Run: python -m bench.minting [requests]
"""

import sys
import threading
import time
from decimal import Decimal
from typing import Any
from unittest import mock

from bench.installation import installation, quantile, row

AT_ONCE = "all at once"


def main(count: int = 1000, alone: int = 30) -> None:
    """Request so many mints over six conditions, in three ways; then a few, each as a split of its own."""
    with installation() as paper:
        from minting import choosing

        tokens = _tokens(paper)
        row(
            f"{count} requests, {len(tokens)} conditions, one worker",
            *("requests/s", "splits", "saved", "p50 s", "p99 s"),
        )
        _measure(AT_ONCE, paper, tokens, count, 0)
        _measure("a hundred a second", paper, tokens, count, 0.01)
        _measure("ten a second", paper, tokens, count // 10, 0.1)
        with mock.patch.object(choosing, "MOST_JOBS", 1):
            _measure(f"{AT_ONCE}, each a split of its own ({alone})", paper, tokens, alone, 0)


def _tokens(paper: Any) -> list[Any]:
    """One instrument of each market, with more collateral than is needed."""
    from orders import balances, instruments

    [wallet] = paper.ledger()["balances"]
    body = {"wallet": wallet, "asset": "collateral", "amount": "10000000"}
    paper.call("POST", "/paper/balances", body)
    found = [instruments.known(market["tokenIds"][0]) for market in paper.markets()]
    for instrument in found:
        for asset in (instrument.base_asset, instrument.complement, instrument.quote_asset):
            balances.opened(asset, instrument.venue)
    return found


def _measure(name: str, paper: Any, tokens: list[Any], count: int, pause: float) -> None:
    """Drain while requests come, until all are confirmed; check the exchange's sum, print a line."""
    from minting import draining
    from minting.models import Mint

    before, wanted = _split(paper), set(Mint.objects.values_list("pk", flat=True))
    started = time.perf_counter()
    coming = threading.Thread(target=_request, args=(tokens, count, pause))
    coming.start()
    mine = Mint.objects.exclude(pk__in=wanted)
    while coming.is_alive() or mine.exclude(status="confirmed").exists():
        if not draining.drain():
            time.sleep(0.005)
        due = draining.next_due()
        if due is not None:
            time.sleep(max(0.0, due.timestamp() - time.time()))
    took = time.perf_counter() - started
    waits = [(job.closed_at - job.created_at).total_seconds() for job in mine]
    after = _split(paper)
    splits = len(after) - len(before)
    assert sum(after) - sum(before) == sum(job.quantity for job in mine)
    figures = (quantile(waits, 0.5), quantile(waits, 0.99))
    row(name, f"{count / took:,.1f}", splits, count - splits, *(f"{one:.2f}" for one in figures))


def _request(tokens: list[Any], count: int, pause: float) -> None:
    """Make the requests as the API does, one row and one bell each."""
    from django.db import connection

    from minting import requesting

    for number in range(count):
        requesting.request_by_hand(tokens[number % len(tokens)], "split", Decimal(5))
        time.sleep(pause)
    connection.close()


def _split(paper: Any) -> list[Decimal]:
    return [Decimal(one["amount"]) for one in paper.ledger()["splits"]]


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:3]))
