"""The WebSocket's user channel: an owner's own orders and trades.

Source: docs.polymarket.com/api-reference/wss/user; a PING before the subscription closes with 1008
(nautilus_trader issue 4864).
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping

import orjson
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from paper.errors import Refused
from paper.feed import Listener
from paper.http import state
from paper.state import Paper

routes = web.RouteTableDef()

SUBSCRIBE_SECONDS = 15
LONGEST_FRAME = 1 << 18


class _Closed(Exception):
    """The connection is closed with these words."""


@routes.get("/ws/user")
async def user_channel(request: web.Request) -> web.StreamResponse:
    """Serve one connection until either side ends it."""
    paper, transport = state(request), request.transport
    if paper.feed.state == "dropped" or transport is None:
        raise Refused(503, "the WebSocket is dropped")
    socket = web.WebSocketResponse(compress=False, max_msg_size=LONGEST_FRAME)
    await socket.prepare(request)
    with paper.feed.connected(transport.abort):
        try:
            listener = await _subscribed(paper, socket, transport.abort)
            await _serve(paper, socket, listener)
        except _Closed as closed:
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=str(closed).encode())
    return socket


async def _subscribed(
    paper: Paper, socket: web.WebSocketResponse, cut: Callable[[], None]
) -> Listener:
    """Read the subscription, which has to come first."""
    try:
        message = await socket.receive(timeout=SUBSCRIBE_SECONDS)
    except TimeoutError:
        raise _Closed("no subscription") from None
    body = _object(message) or {}
    auth, conditions = body.get("auth"), _conditions(body)
    if body.get("type") != "user" or not isinstance(auth, dict) or conditions is None:
        raise _Closed("invalid subscription payload")
    return Listener(_signer(paper, auth), conditions, cut)


def _signer(paper: Paper, auth: Mapping[str, object]) -> str:
    """Give the address whose API key this is."""
    row = paper.store.one(
        "SELECT * FROM api_keys WHERE key = ? AND deleted = 0", str(auth.get("apiKey", ""))
    )
    if row is None or not all(
        hmac.compare_digest(str(auth.get(name, "")).encode(), str(row[name]).encode())
        for name in ("secret", "passphrase")
    ):
        raise _Closed("invalid api key, secret or passphrase")
    return str(row["address"])


async def _serve(paper: Paper, socket: web.WebSocketResponse, listener: Listener) -> None:
    sender = asyncio.create_task(_send(socket, listener))
    try:
        with paper.feed.listening(listener):
            async for message in socket:
                await _hear(socket, listener, message)
    finally:
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)


async def _hear(socket: web.WebSocketResponse, listener: Listener, message: WSMessage) -> None:
    """Answer a PING, or change the conditions; naming none means all of them."""
    if message.type is WSMsgType.TEXT and message.data == "PING":
        await socket.send_str("PONG")
        return
    body = _object(message)
    conditions = None if body is None else _conditions(body)
    operation = None if body is None else body.get("operation")
    if conditions is None or operation not in ("subscribe", "unsubscribe"):
        await socket.send_str("INVALID OPERATION")
    elif operation == "subscribe":
        listener.conditions |= conditions
    else:
        listener.conditions -= conditions


async def _send(socket: web.WebSocketResponse, listener: Listener) -> None:
    """Send events as they come: one as an object, several that wait as an array."""
    while True:
        events = await listener.next()
        await socket.send_str(orjson.dumps(events if len(events) > 1 else events[0]).decode())


def _object(message: WSMessage) -> dict[str, object] | None:
    if message.type is not WSMsgType.TEXT:
        return None
    try:
        body = orjson.loads(message.data)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _conditions(body: Mapping[str, object]) -> set[str] | None:
    """Read `markets`, a list of condition ids that may be left out; None when it is no such list."""
    given = body.get("markets") or []
    if not isinstance(given, list) or not all(isinstance(value, str) for value in given):
        return None
    return {value.lower() for value in given}
