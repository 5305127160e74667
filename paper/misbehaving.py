"""The outermost handler: arranged faults before and after a call, and errors as JSON."""

from __future__ import annotations

import asyncio
import logging

import orjson
from aiohttp import web

from paper.errors import Refused, SpotRefused
from paper.faults import TEXTS, Fault, fate_of
from paper.http import FATE, Handler, answer, state
from paper.orders import count_post
from paper.private_api import ROW_REJECTION

log = logging.getLogger("paper")

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
        fault = state(request).faults.take(request.method, request.path)
    if fault is None:
        return await _answered(request, handler)
    if fault.slow_ms:
        await asyncio.sleep(fault.slow_ms / 1000)
    if fault.kind in _STATUSES or fault.kind == "timeout_before_accept" or fault.code is not None:
        return await _refuse(request, handler, fault)
    request[FATE] = fate_of(fault)
    response = await _answered(request, handler)
    if fault.kind == "timeout_after_accept":
        return await _hang_up(request)
    if fault.kind == "http_500_after_accept":
        return answer(_BODIES[500], 500)
    return response


async def _refuse(request: web.Request, handler: Handler, fault: Fault) -> web.StreamResponse:
    """Answer wrongly instead of doing what was asked."""
    if fault.code is not None and request.path == "/orders":
        request[ROW_REJECTION] = fault.code
        return await _answered(request, handler)
    await _count_posts(request)
    if fault.kind == "timeout_before_accept":
        return await _hang_up(request)
    status = _STATUSES.get(fault.kind)
    if status is not None:
        return answer(_BODIES[status], status, {"Retry-After": "1"} if status == 429 else None)
    code = fault.code or ""
    if request.path.startswith("/api/v3/"):
        number, text = _SPOT_CODES.get(code, (-1000, code))
        return answer({"code": number, "msg": text}, 400)
    if code == "post_only_mode":
        words = "post-only mode: only post-only orders and cancels are allowed"
        body = {"error": words, "code": code, "retry_after_seconds": 2}
        return answer(body, 503, {"Retry-After": "2"})
    return answer({"error": TEXTS.get(code, code)}, 400)


async def _count_posts(request: web.Request) -> None:
    """Count orders that arrived although nothing is done with them."""
    raw = await request.read()
    if request.method != "POST" or request.path not in ("/order", "/orders"):
        return
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return
    for order in body if isinstance(body, list) else [body]:
        count_post(state(request), order)


async def _hang_up(request: web.Request) -> web.StreamResponse:
    """Keep the caller waiting, then close the connection without an answer."""
    await request.read()
    await asyncio.sleep(state(request).settings.hold_seconds)
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return answer({"error": refused.text}, refused.status)
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
