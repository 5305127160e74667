"""The web application: which paths there are, and what runs beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from paper import (
    chain_control,
    control,
    delays,
    market_channel,
    mining,
    private_api,
    public_api,
    relayer,
    relayer_api,
    resting,
    spot_api,
    staging,
    trades,
    user_channel,
)
from paper.control import GENERATOR
from paper.generator import Generator
from paper.http import LARGEST_BODY, PAPER, PLAYER
from paper.misbehaving import misbehave
from paper.replay import Player
from paper.settings import Settings
from paper.state import Paper


def build_app(settings: Settings) -> web.Application:
    """Build the application with its state as the store has it."""
    app = web.Application(middlewares=[misbehave], client_max_size=LARGEST_BODY)
    paper = Paper(settings)
    app[PAPER], app[PLAYER], app[GENERATOR] = paper, Player(paper), Generator(paper)
    for module in (
        public_api, private_api, user_channel, market_channel, relayer_api, spot_api, control,
        staging, chain_control,
    ):  # fmt: skip
        app.add_routes(module.routes)
    app.cleanup_ctx.append(_background)
    app.on_shutdown.append(_hang_up)
    return app


async def _background(app: web.Application) -> AsyncIterator[None]:
    """Settle, relay and move prices while the application runs; write everything down at its end."""
    paper, generator = app[PAPER], app[GENERATOR]
    generator.seed()
    for module in (trades, resting, delays, relayer, mining):
        module.resume(paper)
    tasks = [asyncio.create_task(paper.agenda.run())]
    if paper.settings.generator:
        tasks.append(asyncio.create_task(generator.run()))
    yield
    await app[PLAYER].stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    generator.save()
    paper.store.close()


async def _hang_up(app: web.Application) -> None:
    """End the WebSocket's connections, which would keep the application from stopping."""
    app[PAPER].feed.break_off()
