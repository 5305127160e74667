"""The WebSocket's market channel: books, prices and trades of chosen tokens, for everybody.

Sources: docs.polymarket.com/api-reference/wss/market; a second first message is an INVALID OPERATION
(nautilus_trader pull request 3717); naming a token again changes `custom_feature_enabled` and brings no
second book (polymarket-client 0.14.0, `market_protocol.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from aiohttp import WSMessage, WSMsgType, web

from paper.readers import Reader
from paper.sockets import (
    Closed,
    Cut,
    as_object,
    converse,
    first_object,
    is_ping,
    serve,
    texts_in,
)
from paper.state import Paper
from paper.tape import Tape

routes = web.RouteTableDef()

IN_A_ROW = 64
"""After so many frames to one reader it is somebody else's turn."""


@routes.get("/ws/market")
async def market_channel(request: web.Request) -> web.StreamResponse:
    """Serve one connection until either side ends it."""
    return await serve(request, _talk)


async def _talk(paper: Paper, socket: web.WebSocketResponse, cut: Cut) -> None:
    body = await first_object(socket)
    tokens = texts_in(body.get("assets_ids"))
    if body.get("type") != "market" or tokens is None:
        raise Closed("invalid subscription payload")
    reader = Reader(cut)
    try:
        _subscribe(paper.tape, reader, tokens, body)
        await converse(socket, _send(socket, reader), partial(_hear, paper.tape, reader))
    finally:
        paper.tape.forget(reader)


def _subscribe(tape: Tape, reader: Reader, tokens: list[str], body: Mapping[str, object]) -> None:
    """Add tokens; their books come at first unless `initial_dump` is false."""
    if isinstance(body.get("custom_feature_enabled"), bool):
        reader.custom = bool(body["custom_feature_enabled"])
    if not reader.named_too_many:
        tape.subscribe(reader, tokens, body.get("initial_dump") is not False)


async def _hear(tape: Tape, reader: Reader, message: WSMessage) -> None:
    """Answer a PING once what came before it is sent, or change the tokens."""
    if is_ping(message):
        reader.put(b"PONG")
        return
    body = as_object(message) or {}
    tokens, operation = texts_in(body.get("assets_ids")), body.get("operation")
    if not tokens or operation not in ("subscribe", "unsubscribe"):
        reader.put(b"INVALID OPERATION")
    elif operation == "subscribe":
        _subscribe(tape, reader, tokens, body)
    else:
        tape.unsubscribe(reader, tokens)


async def _send(socket: web.WebSocketResponse, reader: Reader) -> None:
    """Send frames one by one as they come."""
    sent = 0
    while True:
        await socket.send_frame(await reader.next(), WSMsgType.TEXT)
        sent += 1
        if sent % IN_A_ROW == 0:
            await asyncio.sleep(0)
