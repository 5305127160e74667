"""How soon a price message becomes an order, with many active stops and a busy market beside it.

In process: message received -> exits handed over for sending. On the wire: the request that moves
the paper exchange's book -> its answer to the order is written down.

Run: python -m bench.reaction [trials [stops [books changed a second]]]
"""

import sys
import threading
import time
from datetime import datetime
from decimal import Decimal
from typing import Any

from bench.installation import installation, quantile, row

HIGH, LOW = ("0.50", "0.52"), ("0.45", "0.47")


def main(trials: int, stops: int, pace: int) -> None:
    """Print the two reactions."""
    with installation() as paper:
        from trailing.stream import SWITCH_EVERY, Following

        sys.setswitchinterval(SWITCH_EVERY)
        instruments = _make_market(paper, stops)
        following, ended = Following(), threading.Event()
        following.start()
        _until(lambda: following.books.count()[1] == len(instruments))
        noise = threading.Thread(target=_noise, args=(paper, instruments[1:], pace, ended))
        noise.start()
        for _ in range(3):
            _trial(paper, instruments[0])  # what is loaded once
        following.evaluator.reactions.clear()
        wire = [_trial(paper, instruments[0]) for _ in range(trials)]
        ended.set()
        noise.join()
        print(f"{stops:,} active stops; {following.did()}")
        following.end()
        row("", "p50, ms", "p99, ms", "most, ms")
        for name, taken in (("in process", following.evaluator.reactions), ("wire", wire)):
            figures = [1000 * x for x in taken]
            parts = (quantile(figures, 0.5), quantile(figures, 0.99), max(figures))
            row(name, *(f"{part:.1f}" for part in parts))


def _make_market(paper: Any, stops: int) -> list[Any]:
    """The paper's tokens, one of each market, and stops far below their prices."""
    from django.db import connection

    from bench.ticks import STOPS
    from orders import balances, instruments, sending
    from orders.venues import warm_up
    from tests.rows import a_watermark

    made = []
    for market in paper.markets():
        token = market["tokenIds"][0]
        _put(paper, token, HIGH)
        made.append(instruments.known(token))
        balances.opened(made[-1].base_asset, made[-1].venue)
    balances.opened("collateral", "polymarket")
    for instrument in made:
        for _ in range(20):
            a_watermark(instrument, "sell", "0.50")
    with connection.cursor() as cursor:
        told = {"count": stops, "marks": 20 * len(made)}
        cursor.execute(STOPS.replace("0.05 ELSE", "0.95 ELSE"), told)
        cursor.execute("VACUUM ANALYZE trailing_trailingstop")
    warm_up()
    sending.finish()
    return made


def _trial(paper: Any, instrument: Any) -> float:
    """One stop fires: the seconds until the venue's answer is noted."""
    from orders.models import Order
    from tests.rows import a_stop
    from trailing.maths import Trail
    from trailing.models import Watermark

    _put(paper, instrument.symbol, HIGH)
    _until(lambda: _bid(instrument) == Decimal("0.50"))
    mark = Watermark.objects.filter(instrument=instrument).first()
    stop = a_stop(instrument, Trail(amount=Decimal("0.03")), "0.50", quantity="5", watermark=mark)
    began = time.time()
    _put(paper, instrument.symbol, LOW)

    def answered_at() -> datetime | None:
        order = Order.objects.filter(leg__trade__trailingstop=stop).first()
        return order and order.acknowledged_at

    answered = _until(answered_at)
    return answered.timestamp() - began


def _bid(instrument: Any) -> Decimal | None:
    instrument.refresh_from_db()
    found: Decimal | None = instrument.bid
    return found


def _put(paper: Any, token: str, prices: tuple[str, str]) -> None:
    paper.put_book(token, bids=[(prices[0], 100000)], asks=[(prices[1], 100000)])


def _noise(paper: Any, instruments: list[Any], pace: int, ended: threading.Event) -> None:
    """Move the other books up and down by a tick."""
    import httpx

    client = httpx.Client(base_url=paper.url, timeout=30, verify=False)  # one per thread
    turn = 0
    while not ended.wait(1 / pace):
        turn += 1
        symbol = instruments[turn % len(instruments)].symbol
        bid, ask = (0.50, 0.52) if turn % 2 else (0.49, 0.53)
        levels = {"bids": [[f"{bid}", "1000"]], "asks": [[f"{ask}", "1000"]]}
        client.put(f"/paper/books/{symbol}", json=levels)


def _until(holds: Any) -> Any:
    end = time.monotonic() + 20
    while not (found := holds()):
        if time.monotonic() > end:
            raise SystemExit("waited in vain")
        time.sleep(0.1)  # rarely: asking takes from the evaluator's share of this process
    return found


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    main(*(given + [60, 10_000, 100][len(given) :]))
