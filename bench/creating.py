"""How many stops a second can be made, in bulk and one by one over HTTP, and what ticks wait for it.

The web process is started as the Procfile says, its clients run in a process of their own. Beside
it the prices of all instruments are evaluated once a second. CPU is that of web and database.

Run: python -m bench.creating [stops present ...]
"""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.installation import ROOT, installation, quantile, row
from bench.load import clients, cpu_seconds, post_all, web_command

INSTRUMENTS, WATERMARKS = 500, 20
ONE_BY_ONE, IN_BULK, AT_ONCE = 2000, 10, 1000
CONNECTIONS, TOKENS = 8, 8
PACE, FRAMES = 200.0, 500.0
HOST, PATH = "127.0.0.1", "/api/trailing-stops"
LATELY = "0.50"


@dataclass(frozen=True, slots=True)
class _Web:
    """The running web process, its clients and who they are."""

    pid: int
    port: int
    postgres: int
    tokens: Sequence[str]
    clients: ProcessPoolExecutor


def main(counts: Sequence[int]) -> None:
    """Print a table."""
    with installation():
        symbols = _make_market()
        with _web() as web:
            row("stops made", "present", "a second", "p50, ms", "p99, ms", "web CPU", "db CPU")
            _one_by_one(web, symbols, 0, warm_up=True)
            for count in counts:
                _make_stops(count)
                with _prices():
                    _one_by_one(web, symbols, count)
                    _at_pace(web, symbols, count)
                    _in_bulk(web, symbols, count)
                _on_one_instrument(web, symbols, count)


def _one_by_one(web: _Web, symbols: Sequence[str], count: int, *, warm_up: bool = False) -> None:
    bodies = [_body(symbols, index) for index in range(200 if warm_up else ONE_BY_ONE)]
    _measure(web, "one by one, as fast as it goes" * (not warm_up), count, PATH, bodies)


def _at_pace(web: _Web, symbols: Sequence[str], count: int) -> None:
    bodies = [_body(symbols, index) for index in range(ONE_BY_ONE // 2)]
    _measure(web, f"one by one, {PACE:.0f} asked a second", count, PATH, bodies, PACE)


def _in_bulk(web: _Web, symbols: Sequence[str], count: int) -> None:
    numbers = itertools.count()
    bodies = [
        b'{"stops": [' + b",".join(_body(symbols, next(numbers)) for _ in range(AT_ONCE)) + b"]}"
        for _ in range(IN_BULK)
    ]
    _measure(web, f"{AT_ONCE} at once", count, f"{PATH}/bulk", bodies, each=AT_ONCE, connections=1)


def _on_one_instrument(web: _Web, symbols: Sequence[str], count: int) -> None:
    """Making stops of the very instrument whose prices pour in: who waits for whom.

    The ticks of another one tell what is for want of a processor only.
    """
    mine, other = symbols[:2]
    bodies = [_body([mine], index) for index in range(ONE_BY_ONE // 2)]
    name = f"of one instrument, {PACE:.0f} asked a second"
    with _frames(mine) as alone:
        time.sleep(3)
    _tell("nothing else", count, alone)
    for whose, ticked in (("another", other), ("it", mine)):
        with _frames(ticked) as beside:
            _measure(web, f"{name}, ticks of {whose}", count, PATH, bodies, PACE)
        _tell(f"that, of {whose}", count, beside)


def _tell(what: str, count: int, taken: Sequence[float]) -> None:
    figures = [quantile(taken, share) * 1000 for share in (0.5, 0.99)]
    rate = len(taken) / max(sum(taken), len(taken) / FRAMES)
    cells = (f"{count:,}", f"{rate:,.0f}", *(f"{figure:.1f}" for figure in figures))
    row(f"  ticks beside {what}, most {max(taken) * 1000:.0f} ms", *cells)


def _measure(
    web: _Web,
    name: str,
    count: int,
    path: str,
    bodies: Sequence[bytes],
    pace: float | None = None,
    *,
    each: int = 1,
    connections: int = CONNECTIONS,
) -> None:
    pids = (web.pid, web.postgres)
    before, started = [cpu_seconds(pid) for pid in pids], time.perf_counter()
    told = ((HOST, web.port, path), web.tokens, bodies, connections, pace)
    answers = web.clients.submit(post_all, *told).result()
    seconds = time.perf_counter() - started
    used = [cpu_seconds(pid) - was for pid, was in zip(pids, before, strict=True)]
    if refused := [status for _, status in answers if status != 201]:
        sys.exit(f"{name}: {len(refused)} of {len(bodies)} refused with {set(refused)}")
    if not name:
        return
    made = len(bodies) * each
    taken = [seconds for seconds, _ in answers]
    row(
        name,
        f"{count:,}",
        f"{made / seconds:,.0f}",
        *(f"{quantile(taken, share) * 1000:.1f}" for share in (0.5, 0.99)),
        *(f"{cpu * 1000 / made:.2f} ms" for cpu in used),
    )


def _body(symbols: Sequence[str], index: int) -> bytes:
    entry = Decimal("0.40") + Decimal(index % 20) / 100
    body = {"symbol": symbols[index % len(symbols)], "quantity": 5, "entryPrice": f"{entry}"}
    return json.dumps(body | {"trailingPercent": 90 - index % 50}).encode()


@contextmanager
def _web() -> Iterator[_Web]:
    from django.db import connection

    from polytrader import tokens

    with socket.create_server((HOST, 0)) as found:
        port = found.getsockname()[1]
    made = [tokens.create(f"bench {index}", "trade") for index in range(TOKENS)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = Path(f"/proc/{cursor.fetchone()[0]}/stat").read_text()
    told = os.environ | {"PORT": str(port), "POLYTRADER_ROLE": "web"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (Path(os.environ["POLYTRADER_HOME"]) / "web.log").open("wb") as log:
        web = subprocess.Popen(
            web_command(ROOT), cwd=ROOT, env=told | {"PATH": path}, stdout=log, stderr=log
        )
    try:
        _until_it_answers(port)
        _until_it_rests(web.pid)
        with clients() as pool:
            yield _Web(web.pid, port, int(backend.rpartition(") ")[2].split()[1]), made, pool)
    finally:
        web.send_signal(signal.SIGTERM)
        web.wait(20)


def _until_it_answers(port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            socket.create_connection((HOST, port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the web process does not listen")


def _until_it_rests(pid: int) -> None:
    """Seconds after its start it loads the venues' clients, which is none of a request's work."""
    end, at_rest = time.monotonic() + 60, time.monotonic() + 8
    used = cpu_seconds(pid)
    while time.monotonic() < min(end, at_rest):
        time.sleep(0.5)
        if cpu_seconds(pid) - used > 0.05:
            at_rest = max(at_rest, time.monotonic() + 1.5)
        used = cpu_seconds(pid)


@contextmanager
def _prices() -> Iterator[None]:
    """Evaluate all instruments once a second, as the monitor would at least."""
    from orders.models import Instrument

    pks = list(Instrument.objects.values_list("pk", flat=True))
    with _beside(lambda: _tick(pks), 1.0):
        yield


@contextmanager
def _frames(symbol: str) -> Iterator[list[float]]:
    """Evaluate one instrument again and again; gives the seconds that each tick took."""
    from orders.models import Instrument

    pk = Instrument.objects.get(symbol=symbol).pk
    with _beside(lambda: _tick([pk]), 1 / FRAMES) as taken:
        yield taken


@contextmanager
def _beside(work: Any, every: float) -> Iterator[list[float]]:
    ended, taken = threading.Event(), []

    def go_on() -> None:
        due = time.perf_counter()
        while not ended.wait(max(0.0, due - time.perf_counter())):
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
            due = max(due + every, began)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield taken
    finally:
        ended.set()
        thread.join()


_ticks = itertools.count()


def _tick(pks: Sequence[int]) -> None:
    from django.utils import timezone

    from trailing.tick import Observation, tick

    now, bid = timezone.now(), Decimal(LATELY) + Decimal(next(_ticks) % 2) / 100
    tick(Observation(pk, bid, bid + Decimal("0.01"), now) for pk in pks)


def _make_market() -> list[str]:
    from orders.models import Instrument
    from tests.rows import an_instrument
    from trailing.models import Watermark

    made = [an_instrument(held="100000000") for _ in range(INSTRUMENTS)]
    Watermark.objects.bulk_create(
        Watermark(instrument=instrument, side="sell", reference="bid", price=Decimal(LATELY))
        for instrument in made
        for _ in range(WATERMARKS)
    )
    return list(Instrument.objects.order_by("pk").values_list("symbol", flat=True))


def _make_stops(count: int) -> None:
    from django.db import connection

    from bench.ticks import STOPS

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE trailing_trailingstop CASCADE")
        marks = INSTRUMENTS * WATERMARKS
        cursor.execute(STOPS.replace("0.05 ELSE", "0.95 ELSE"), {"count": count, "marks": marks})
        cursor.execute("VACUUM ANALYZE trailing_trailingstop")


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [0, 100_000, 1_000_000])
