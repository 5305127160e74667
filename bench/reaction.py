"""How soon a price message becomes an order, with many active stops and a busy market beside it.

The process `stream` runs as in production. On the wire: from the price frame that leaves the paper exchange
to the signed order that arrives there, by the paper exchange's own clock. In process: from the
message received to its exits handed over for sending, as the stream's heartbeat tells.

The stops confirm nothing, as for spot symbols: what waits for a second update waits for the market.
Then one frame triggers many stops at once, of different exposures.

Run: python -m bench.reaction [trials [stops [frames a second [stops at once]]]]
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.installation import ROOT, installation, quantile, row

HIGH, LOW = ("0.50", "0.52"), ("0.45", "0.47")
PAIRS = 244
MOVING = 0.3
FRAMES_PER_CHANGE = 1 + 2 * MOVING
"""A change is a frame; one that moves a best price brings two more, one for each token."""


def main(trials: int, stops: int, frames: int, at_once: int) -> None:
    """Print the reactions to single triggers, then to one frame that triggers many."""
    with installation() as paper:
        instruments = _make_market(paper, stops, frames)
        with _stream():
            _until(lambda: _streams(len(instruments)))
            paper.call("POST", "/paper/replay", {"resume": True})
            for _ in range(5):
                _trial(paper, instruments[0])  # what is loaded once
            began, before = time.monotonic(), _frames(paper)
            wire = [_trial(paper, instruments[0]) for _ in range(trials)]
            rate = (_frames(paper) - before) / (time.monotonic() - began)
            print(f"{stops:,} active stops, {rate:.0f} frames/s; stream: {_did()}")
            row("", "p50, ms", "p99, ms", "most, ms")
            parts = (quantile(wire, 0.5), quantile(wire, 0.99), max(wire))
            row("frame leaves -> order arrives", *(f"{part:.1f}" for part in parts))
            if at_once:
                _burst(paper, instruments[0], at_once)


def _make_market(paper: Any, stops: int, frames: int) -> list[Any]:
    """A token to trigger on, the tokens of a replay, and stops far below their prices."""
    from django.db import connection

    from bench.ticks import STOPS
    from orders import balances, instruments
    from tests.rows import a_watermark

    token = paper.markets()[0]["tokenIds"][0]
    _put(paper, token, HIGH)
    tokens = [token, *_hold_replay(paper, frames)]
    made = [instruments.known(each) for each in tokens]
    for asset in (made[0].base_asset, "collateral"):
        balances.opened(asset, "polymarket")
    for instrument in made:
        a_watermark(instrument, "sell", "0.05")
    with connection.cursor() as cursor:
        told = {"count": stops, "marks": len(made)}
        cursor.execute(STOPS.replace("0.05 ELSE", "0.95 ELSE"), told)
        cursor.execute("VACUUM ANALYZE trailing_trailingstop")
    return made


def _hold_replay(paper: Any, frames: int) -> list[str]:
    """Load the market beside it, standing still; one token of each of its markets."""
    from bench.wandering import recording

    per_second = round(frames / FRAMES_PER_CHANGE)
    file = Path(os.environ["POLYTRADER_HOME"]) / "wandering.csv"
    file.write_text(recording(PAIRS, per_second * 600, per_second, MOVING))
    shown = paper.call("POST", "/paper/replay", {"file": str(file), "speed": 1, "hold": True})
    return [market["tokenIds"][0] for market in shown["mapping"]]


@contextmanager
def _stream() -> Iterator[None]:
    """The process under test."""
    command = [sys.executable, str(ROOT / "manage.py"), "stream"]
    said = open(Path(os.environ["POLYTRADER_HOME"]) / "stream.log", "w")  # noqa: SIM115
    process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _frames(paper: Any) -> int:
    """How many frames the paper exchange has sent."""
    return int(paper.call("GET", "/paper/times")["frames"])


def _trial(paper: Any, instrument: Any) -> float:
    """One stop fires: the milliseconds from its frame to its order."""
    from tests.rows import a_stop
    from trailing.maths import Trail

    _put(paper, instrument.symbol, HIGH)
    _until(lambda: _bid(instrument) == Decimal(HIGH[0]))
    stop = a_stop(instrument, Trail(amount=Decimal("0.03")), HIGH[0], quantity="5")
    began = time.time()
    _put(paper, instrument.symbol, LOW)
    (order_id,) = _until(lambda: _order_ids([stop]))
    times = paper.call("GET", f"/paper/times?after={began}")
    return 1000 * float(times["arrived"][order_id] - times["told"][instrument.symbol])


def _burst(paper: Any, instrument: Any, count: int) -> None:
    """One frame triggers many stops; the larger half should be on the wire before the smaller."""
    from tests.rows import a_stop, a_watermark
    from trailing.maths import Trail

    _put(paper, instrument.symbol, HIGH)
    _until(lambda: _bid(instrument) == Decimal(HIGH[0]))
    mark = a_watermark(instrument, "sell", HIGH[0])
    trail = Trail(amount=Decimal("0.03"))
    sizes = [5 + number % 20 for number in range(count)]
    stops = [
        a_stop(instrument, trail, HIGH[0], quantity=str(size), watermark=mark) for size in sizes
    ]
    began = time.time()
    _put(paper, instrument.symbol, LOW)
    _until(lambda: len(_order_ids(stops)) == count)
    times = paper.call("GET", f"/paper/times?after={began}")
    told = times["told"][instrument.symbol]
    arrived = {pk: times["arrived"].get(pk) for pk in _order_ids(stops)}
    taken = sorted(1000 * (at - told) for at in arrived.values() if at is not None)
    print(f"\n{count} stops triggered by one frame: {len(taken)} orders on the wire")
    row("", "first, ms", "half, ms", "last, ms")
    row(
        "frame leaves -> order arrives",
        *(f"{x:.0f}" for x in (taken[0], quantile(taken, 0.5), taken[-1])),
    )
    print(f"larger exposures in the first half of the orders: {_order_of(arrived):.0%}")


def _order_of(arrived: dict[str, float]) -> float:
    """The share of the larger half of the orders among the first half to arrive."""
    from orders.models import Order

    size = dict(Order.objects.filter(order_id__in=arrived).values_list("order_id", "quantity"))
    first = sorted(arrived, key=lambda pk: arrived[pk])[: len(arrived) // 2]
    least = sorted(size.values())[len(size) // 2]
    return sum(size[pk] >= least for pk in first) / len(first)


def _order_ids(stops: list[Any]) -> list[str]:
    """The ids of the exits that the venue has answered."""
    from orders.models import Order

    answered = Order.objects.filter(leg__trade__trailingstop__in=stops, answered_at__isnull=False)
    return list(answered.values_list("order_id", flat=True))


def _streams(count: int) -> bool:
    return f"({count} trusted)" in _did()


def _did() -> str:
    from polytrader import heartbeats

    beat = heartbeats.last("stream")
    return beat.did if beat is not None else ""


def _bid(instrument: Any) -> Decimal | None:
    instrument.refresh_from_db()
    found: Decimal | None = instrument.bid
    return found


def _put(paper: Any, token: str, prices: tuple[str, str]) -> None:
    paper.put_book(token, bids=[(prices[0], 100000)], asks=[(prices[1], 100000)])


def _until(holds: Callable[[], Any]) -> Any:
    end = time.monotonic() + 30
    while not (found := holds()):
        if time.monotonic() > end:
            raise SystemExit("waited in vain; is the machine busy with something else?")
        time.sleep(0.05)
    return found


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    main(*(given + [100, 10_000, 500, 500][len(given) :]))
