"""Run the paper exchange: `python -m paper`."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sqlite3
import sys

from aiohttp import web

from paper.app import build_app
from paper.settings import Settings, SettingsError, read_settings

HOST = "127.0.0.1"


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    runner = web.AppRunner(build_app(settings), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, settings.port)
        await site.start()
        port = runner.addresses[0][1]
        print(f"paper exchange listening on http://{HOST}:{port}", flush=True)
        gc.freeze()
        await _signalled()
    finally:
        await runner.cleanup()


async def _signalled() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


def main() -> int:
    """Start; gives the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        asyncio.run(serve(read_settings()))
    except SettingsError as error:
        print(f"paper exchange: {error}", file=sys.stderr)
        return 2
    except (OSError, sqlite3.Error) as error:
        print(f"paper exchange: cannot start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
