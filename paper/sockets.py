"""What the WebSocket's two channels have in common: how a connection begins, is served, and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import orjson
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from paper.errors import Refused
from paper.http import state
from paper.state import Paper

SUBSCRIBE_SECONDS = 15
LONGEST_FRAME = 1 << 18
"""A subscription that names thousands of tokens closes the connection, as the venue's does (2026-09)."""

Cut = Callable[[], None]
Talk = Callable[[Paper, web.WebSocketResponse, Cut], Awaitable[None]]


class Closed(Exception):
    """The connection is closed with these words."""


async def serve(request: web.Request, talk: Talk) -> web.StreamResponse:
    """Serve one connection until either side ends it; `talk` gets a way to cut it off at once."""
    paper, transport = state(request), request.transport
    if paper.feed.state == "dropped" or transport is None:
        raise Refused(503, "the WebSocket is dropped")
    socket = web.WebSocketResponse(compress=False, max_msg_size=LONGEST_FRAME)
    await socket.prepare(request)
    with paper.feed.connected(transport.abort):
        try:
            await talk(paper, socket, transport.abort)
        except Closed as closed:
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=str(closed).encode())
    return socket


async def first_object(socket: web.WebSocketResponse) -> dict[str, object]:
    """Read the subscription, which has to come first; empty when it is no object."""
    try:
        message = await socket.receive(timeout=SUBSCRIBE_SECONDS)
    except TimeoutError:
        raise Closed("no subscription") from None
    return as_object(message) or {}


async def converse(
    socket: web.WebSocketResponse,
    sending: Coroutine[None, None, None],
    hear: Callable[[WSMessage], Awaitable[None]],
) -> None:
    """Send and hear at the same time until the connection ends."""
    sender = asyncio.create_task(sending)
    try:
        async for message in socket:
            await hear(message)
    finally:
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)


def is_ping(message: WSMessage) -> bool:
    """Say whether a message is the text PING."""
    return message.type is WSMsgType.TEXT and message.data == "PING"


def as_object(message: WSMessage) -> dict[str, object] | None:
    """Read a message as a JSON object; None when it is none."""
    if message.type is not WSMsgType.TEXT:
        return None
    try:
        body = orjson.loads(message.data)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def texts_in(given: object) -> list[str] | None:
    """Read a list of texts that may be left out; None when it is no such list."""
    rows = given or []
    if not isinstance(rows, list) or not all(isinstance(value, str) for value in rows):
        return None
    return rows
