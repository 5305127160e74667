"""How many frames a second the paper exchange's market channel gives one reader of 500 tokens.

Played from a recording made up for it: at 2,500 frames a second, while HTTP calls are timed, and then as
fast as the reader takes them. Delay is from a frame's own timestamp (whole milliseconds) to its arrival.

Run: python -m bench.market_channel
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
from websockets.asyncio.client import connect

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
OWNER = "0x" + "42" * 20
PAIRS, FRAMES, RATE = 250, 25_000, 2_500


def main() -> None:
    """Make the recording, play it twice, print a line for each."""
    from bench.wandering import recording
    from tests.paper_process import running_paper

    with tempfile.TemporaryDirectory(prefix="polytrader-bench-") as folder:
        file = Path(folder) / "ticks.csv"
        file.write_text(recording(PAIRS, FRAMES, RATE))
        told = {"PAPER_GENERATOR": "0"}
        with running_paper(Path(folder) / "paper", OWNER, **told) as paper:
            for name, speed in ((f"at {RATE:,} frames/s", 1), ("as fast as read", 10_000)):
                asyncio.run(_measure(paper, str(file), name, speed))


async def _measure(paper, file: str, name: str, speed: int) -> None:
    held = {"file": file, "speed": speed, "hold": True, "waits": True}
    async with httpx.AsyncClient(base_url=paper.url, timeout=30, verify=False) as http:
        shown = (await http.post("/paper/replay", json=held)).json()
        tokens = [token for row in shown["mapping"] for token in row["tokenIds"]]
        async with connect(paper.url.replace("http", "ws") + "/ws/market", max_size=None) as socket:
            await socket.send(json.dumps({"type": "market", "assets_ids": tokens}))
            assert len(json.loads(await socket.recv())) == len(tokens) == 500
            calls: list[float] = []
            timing = asyncio.create_task(_time_calls(http, calls))
            began, used = time.perf_counter(), _cpu_seconds(paper.process.pid)
            await http.post("/paper/replay", json={"resume": True})
            delays = await _read(socket)
            took = time.perf_counter() - began
            used = _cpu_seconds(paper.process.pid) - used
            timing.cancel()
    print(
        f"{name:>20}: {len(delays) / took:7,.0f} frames/s, delay {_quantiles(delays)},"
        f" HTTP {_quantiles(calls)}, {used / FRAMES * 1e6:.0f} us of its CPU per frame"
    )


async def _read(socket) -> list[float]:
    """Read all frames; gives each one's delay in milliseconds."""
    delays = []
    while len(delays) < FRAMES:
        frame = await socket.recv(decode=False)
        place = frame.rindex(b'"timestamp":"') + 13
        delays.append(time.time() * 1000 - int(frame[place : place + 13]))
    return delays


async def _time_calls(http: httpx.AsyncClient, calls: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await http.get("/time")
        calls.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.02)


def _cpu_seconds(process: int) -> float:
    """Give a process's own time, which says more than the clock on a machine that others use."""
    used = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def _quantiles(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=100)
    return f"p50 {cuts[49]:.1f} ms p99 {cuts[98]:.1f} ms"


if __name__ == "__main__":
    main()
