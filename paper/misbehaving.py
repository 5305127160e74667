"""The outermost handler: arranged faults before and after a call, and errors as JSON."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

import orjson
from aiohttp import web

from paper.errors import Refused, SpotRefused
from paper.faults import Fault, refusal
from paper.http import FAULT, Handler, answer, state
from paper.orders import count_post
from paper.posting import GARBAGE

log = logging.getLogger("paper")

_POSTS = ("/order", "/orders")
_STATUSES = {"http_425": 425, "http_429": 429, "http_500": 500}
_BODIES = {
    425: {"error": "service not ready"},
    429: {"error": "Too Many Requests"},
    500: {"error": "could not run the execution"},
}
_SPOT_CODES = {
    "not_enough_balance": (-2010, "Account has insufficient balance for requested action.")
}


@web.middleware
async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a call go wrong as arranged, else go right; never answers a traceback."""
    fault = None
    if not request.path.startswith("/paper/"):
        splits = await _submits(request)
        fault = state(request).faults.take(request.method, request.path, splits)
    if fault is None:
        return await _answered(request, handler)
    if fault.slow_ms:
        await asyncio.sleep(fault.slow_ms / 1000)
    if _is_refused(fault, request.path):
        return await _refuse(request, fault)
    request[FAULT] = fault
    response = await _answered(request, handler)
    if fault.has("timeout_after_accept"):
        return await _hang_up(request)
    if fault.has("http_500_after_accept"):
        return answer(_BODIES[500], 500)
    if fault.lie == "garbage" and request.path in ("/rpc", "/submit"):
        return web.Response(body=GARBAGE, content_type="text/html")
    return response


async def _submits(request: web.Request) -> bool:
    """Say whether a call submits a transaction: to the relayer, or raw to the chain."""
    if request.method != "POST" or request.path not in ("/submit", "/rpc"):
        return False
    if request.path == "/submit":
        return True
    with suppress(web.HTTPRequestEntityTooLarge):
        return b"eth_sendRawTransaction" in await request.read()
    return False


def _is_refused(fault: Fault, path: str) -> bool:
    """Say whether nothing is done; a posted order's refusal is its handler's, row by row."""
    if fault.has("timeout_before_accept") or not _STATUSES.keys().isdisjoint(fault.parts):
        return True
    return fault.code is not None and path not in _POSTS


async def _refuse(request: web.Request, fault: Fault) -> web.StreamResponse:
    """Answer wrongly instead of doing what was asked."""
    await _count_posts(request)
    if fault.has("timeout_before_accept"):
        return await _hang_up(request)
    for kind, status in _STATUSES.items():
        if fault.has(kind):
            return answer(_BODIES[status], status, {"Retry-After": "1"} if status == 429 else None)
    code = fault.code or ""
    if request.path == "/rpc":
        return await _rpc_error(request, refusal(code).text)
    if request.path.startswith("/api/v3/"):
        number, text = _SPOT_CODES.get(code, (-1000, code))
        return answer({"code": number, "msg": text}, 400)
    return _no(refusal(code))


async def _rpc_error(request: web.Request, words: str) -> web.Response:
    """Refuse in JSON-RPC's shape, each row of a batch."""
    body: object = None
    with suppress(orjson.JSONDecodeError):
        body = orjson.loads(await request.read())
    error = {"code": -32000, "message": words}
    rows = [
        {"jsonrpc": "2.0", "id": row.get("id") if isinstance(row, dict) else None, "error": error}
        for row in (body if isinstance(body, list) else [body])
    ]
    return answer(rows if isinstance(body, list) else rows[0])


async def _count_posts(request: web.Request) -> None:
    """Count orders that arrived although nothing is done with them."""
    raw = await request.read()
    if request.method != "POST" or request.path not in _POSTS:
        return
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return
    for order in body if isinstance(body, list) else [body]:
        count_post(state(request), order, time.time())


async def _hang_up(request: web.Request) -> web.StreamResponse:
    """Keep the caller waiting, then close the connection without an answer."""
    await request.read()
    await asyncio.sleep(state(request).settings.hold_seconds)
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _no(refused: Refused) -> web.Response:
    return answer(refused.body, refused.status, refused.headers)


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return _no(refused)
    except SpotRefused as refused:
        return answer({"code": refused.code, "msg": refused.text}, refused.status)
    except web.HTTPRequestEntityTooLarge:
        return answer({"error": "request body too large"}, 413)
    except web.HTTPException as error:
        words = {404: "not found", 405: "method not allowed"}.get(error.status, error.reason)
        return answer({"error": words}, error.status)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return answer({"error": "internal server error"}, 500)
