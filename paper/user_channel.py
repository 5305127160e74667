"""The WebSocket's user channel: an owner's own orders and trades.

Source: docs.polymarket.com/api-reference/wss/user; a PING before the subscription closes with 1008
(nautilus_trader issue 4864).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from functools import partial

import orjson
from aiohttp import WSMessage, web

from paper.feed import Listener
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

routes = web.RouteTableDef()


@routes.get("/ws/user")
async def user_channel(request: web.Request) -> web.StreamResponse:
    """Serve one connection until either side ends it."""
    return await serve(request, _talk)


async def _talk(paper: Paper, socket: web.WebSocketResponse, cut: Cut) -> None:
    body = await first_object(socket)
    auth, conditions = body.get("auth"), _conditions(body)
    if body.get("type") != "user" or not isinstance(auth, dict) or conditions is None:
        raise Closed("invalid subscription payload")
    listener = Listener(_signer(paper, auth), conditions, cut)
    with paper.feed.listening(listener):
        await converse(socket, _send(socket, listener), partial(_hear, socket, listener))


def _signer(paper: Paper, auth: Mapping[str, object]) -> str:
    """Give the address whose API key this is."""
    row = paper.store.one(
        "SELECT * FROM api_keys WHERE key = ? AND deleted = 0", str(auth.get("apiKey", ""))
    )
    if row is None or not all(
        hmac.compare_digest(str(auth.get(name, "")).encode(), str(row[name]).encode())
        for name in ("secret", "passphrase")
    ):
        raise Closed("invalid api key, secret or passphrase")
    return str(row["address"])


async def _hear(socket: web.WebSocketResponse, listener: Listener, message: WSMessage) -> None:
    """Answer a PING, or change the conditions; naming none means all of them."""
    if is_ping(message):
        await socket.send_str("PONG")
        return
    body = as_object(message)
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


def _conditions(body: Mapping[str, object]) -> set[str] | None:
    """Read `markets`, a list of condition ids that may be left out; None when it is no such list."""
    given = texts_in(body.get("markets"))
    return None if given is None else {value.lower() for value in given}
