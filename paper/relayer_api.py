"""The relayer's paths, of today (/v1/account/transactions) and of before (/transaction, /nonce)."""

from __future__ import annotations

from aiohttp import web

from paper import relayer, relayer_limits
from paper.encoding import checksum
from paper.errors import Refused
from paper.http import answer, body_of, fate_in, state
from paper.nonces import nonce_of
from paper.proxy import RELAY
from paper.relayer_shapes import find, show, show_old

routes = web.RouteTableDef()


def _check_key(request: web.Request) -> None:
    """Ask for a relayer key, or a builder's; raises Refused 401."""
    expected = relayer_limits.expected_key(state(request))
    given = request.headers.get("RELAYER_API_KEY", "")
    if not given and not expected:
        given = request.headers.get("POLY_BUILDER_API_KEY", "")
    if not given or (expected and given != expected):
        raise Refused(401, "invalid authorization")


def _address(request: web.Request) -> str:
    try:
        return checksum(request.query["address"])
    except (KeyError, ValueError):
        raise Refused(400, "invalid address") from None


@routes.get("/deployed")
async def deployed(request: web.Request) -> web.Response:
    return answer({"deployed": relayer.is_deployed(state(request), _address(request))})


@routes.get("/v1/account/transactions/params")
async def parameters(request: web.Request) -> web.Response:
    return answer(_parameters(request))


@routes.get("/nonce")
async def nonce(request: web.Request) -> web.Response:
    return answer({"nonce": _parameters(request)["nonce"]})


@routes.get("/relay-payload")
async def relay_payload(request: web.Request) -> web.Response:
    """Give a proxy owner's nonce, and the relay that the owner's signature has to name."""
    return answer(_parameters(request, "PROXY") | {"address": RELAY})


def _parameters(request: web.Request, usual: str = "WALLET") -> dict[str, str]:
    """Give the nonce for a signer's wallet of a type, or for the wallet itself when that is given."""
    paper, address = state(request), _address(request)
    kind = request.query.get("type", usual)
    if kind not in ("WALLET", "SAFE", "PROXY"):
        raise Refused(400, "invalid type")
    known = relayer.is_deployed(paper, address)
    wallet = address if known else relayer.wallet_for(paper, address, kind)
    return {"address": address, "nonce": str(nonce_of(paper.store, wallet))}


@routes.post("/submit")
async def submit(request: web.Request) -> web.Response:
    _check_key(request)
    relayer_limits.count_submit(state(request))
    return answer(relayer.submit(state(request), await body_of(request), fate_in(request)))


@routes.get("/v1/account/transactions")
async def list_transactions(request: web.Request) -> web.Response:
    _check_key(request)
    rows = find(state(request), request.query)
    return answer({"data": [show(row) for row in rows], "next_cursor": "LTE="})


@routes.get("/v1/account/transactions/{id}")
async def transaction(request: web.Request) -> web.Response:
    rows = find(state(request), {"id": request.match_info["id"]})
    if not rows:
        raise Refused(404, "transaction not found")
    return answer(show(rows[0]))


@routes.get("/transaction")
async def old_transaction(request: web.Request) -> web.Response:
    rows = find(state(request), {"id": request.query.get("id", "")})
    if not rows:
        raise Refused(404, "transaction not found")
    return answer([show_old(row) for row in rows])


@routes.get("/transactions")
async def old_transactions(request: web.Request) -> web.Response:
    _check_key(request)
    return answer([show_old(row) for row in find(state(request), request.query)])
