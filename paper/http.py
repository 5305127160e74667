"""What every handler needs of a request, and how an answer leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from paper.errors import Refused
from paper.faults import Fate, Fault, fate_of
from paper.keys import ApiKey, verify_call
from paper.replay import Player
from paper.state import Paper

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PAPER = web.AppKey("paper", Paper)
PLAYER = web.AppKey("player", Player)
LARGEST_BODY = 1 << 20
FAULT = "fault"


def state(request: web.Request) -> Paper:
    """Give the exchange's state."""
    return request.app[PAPER]


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Answer JSON."""
    return web.Response(
        body=orjson.dumps(body), status=status, content_type="application/json", headers=headers
    )


async def body_of(request: web.Request) -> object:
    """Read a JSON body; raises Refused 400."""
    try:
        parsed: object = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise Refused(400, "Invalid payload: expected JSON") from None
    return parsed


async def fields_of(request: web.Request, *known: str) -> dict[str, object]:
    """Read the object of a control call; raises Refused 400 for a field it does not know."""
    body = await body_of(request)
    if not isinstance(body, dict):
        raise Refused(400, f"expected a JSON object with {', '.join(known)}")
    unknown = sorted(set(body) - set(known))
    if unknown:
        raise Refused(400, f"unknown field {unknown[0]!r}: expected {', '.join(known)}")
    return body


async def key_of(request: web.Request) -> ApiKey:
    """Give the API key that the request's L2 headers prove; raises Refused 401."""
    path = request.raw_path.partition("?")[0]
    return verify_call(
        state(request).store, request.headers, request.method, path, await request.read()
    )


def fault_in(request: web.Request) -> Fault | None:
    """Give the fault that this call has used up."""
    fault = request.get(FAULT)
    return fault if isinstance(fault, Fault) else None


def fate_in(request: web.Request) -> Fate:
    """Say how what this request causes will settle."""
    return fate_of(fault_in(request))
