"""The paths that need no login: CLOB market data, Gamma's markets, the chain."""

from __future__ import annotations

import time as clock
from base64 import b64decode, b64encode

from aiohttp import web

from paper import chain, public
from paper.errors import Refused
from paper.http import answer, body_of, fault_in, state

routes = web.RouteTableDef()


def _token(request: web.Request) -> str | None:
    return request.query.get("token_id")


@routes.get("/ok")
async def ok(_request: web.Request) -> web.Response:
    return answer("OK")


@routes.get("/time")
async def time(request: web.Request) -> web.Response:
    return answer(int(clock.time()) + state(request).clock_offset)


@routes.get("/version")
async def version(_request: web.Request) -> web.Response:
    return answer({"version": 2})


@routes.get("/tick-size")
async def tick_size(request: web.Request) -> web.Response:
    market, _ = public.listed(state(request), _token(request))
    return answer({"minimum_tick_size": public.clob_market(market)["mts"]})


@routes.get("/neg-risk")
async def neg_risk(request: web.Request) -> web.Response:
    market, _ = public.listed(state(request), _token(request))
    return answer({"neg_risk": market.neg_risk})


@routes.get("/fee-rate")
async def fee_rate(request: web.Request) -> web.Response:
    public.listed(state(request), _token(request))
    return answer({"base_fee": 0})


@routes.get("/markets-by-token/{token}")
async def market_by_token(request: web.Request) -> web.Response:
    found = state(request).tokens.get(request.match_info["token"])
    if found is None:
        raise Refused(404, "market not found")
    first, second = found[0].tokens
    return answer(
        {
            "condition_id": found[0].condition_id,
            "primary_token_id": first,
            "secondary_token_id": second,
        }
    )


@routes.get("/clob-markets/{condition}")
async def clob_market(request: web.Request) -> web.Response:
    market = public.condition(state(request), request.match_info["condition"])
    return answer(public.clob_market(market))


@routes.get("/markets")
async def markets(request: web.Request) -> web.Response:
    """Serve Gamma's list, or the CLOB's page when it is asked for with a cursor."""
    paper = state(request)
    if "next_cursor" in request.query:
        rows = [public.long_market(market) for market in paper.markets.values()]
        return answer({"limit": 1000, "count": len(rows), "next_cursor": "LTE=", "data": rows})
    limit, offset = _whole(request, "limit", 100), _whole(request, "offset", 0)
    found = public.find_markets(paper, _query(request))
    return answer([public.gamma_market(paper, m) for m in found[offset : offset + limit]])


@routes.get("/markets/keyset")
async def markets_keyset(request: web.Request) -> web.Response:
    paper = state(request)
    found = public.find_markets(paper, _query(request))
    limit = max(_whole(request, "limit", 100), 1)
    try:
        offset = int(b64decode(request.query.get("after_cursor", "MA==")))
    except ValueError:
        raise Refused(400, "invalid cursor") from None
    page = found[offset : offset + limit]
    body: dict[str, object] = {"markets": [public.gamma_market(paper, m) for m in page]}
    if offset + limit < len(found):
        body["next_cursor"] = b64encode(str(offset + limit).encode()).decode()
    return answer(body)


@routes.get("/markets/slug/{slug}")
async def market_by_slug(request: web.Request) -> web.Response:
    return _one_market(request, "slug", request.match_info["slug"])


@routes.get("/markets/{id}")
async def market(request: web.Request) -> web.Response:
    """Serve the CLOB's market for a condition id, Gamma's for a number."""
    wanted = request.match_info["id"]
    if wanted.startswith("0x"):
        return answer(public.long_market(public.condition(state(request), wanted)))
    return _one_market(request, "id", wanted)


def _one_market(request: web.Request, name: str, value: str) -> web.Response:
    paper = state(request)
    found = public.find_markets(paper, {name: [value]})
    found += public.find_markets(paper, {name: [value], "closed": ["true"]})
    if not found:
        raise Refused(404, "market not found")
    return answer(public.gamma_market(state(request), found[0]))


def _query(request: web.Request) -> dict[str, list[str]]:
    return {name: request.query.getall(name) for name in request.query}


def _whole(request: web.Request, name: str, default: int) -> int:
    given = request.query.get(name, str(default))
    if not (given.isascii() and given.isdecimal()):
        raise Refused(400, f"{name}: expected a whole number")
    return min(int(given), 1_000_000)


@routes.get("/book")
async def book(request: web.Request) -> web.Response:
    return answer(public.book(state(request), _token(request)))


@routes.post("/books")
async def books(request: web.Request) -> web.Response:
    paper = state(request)
    rows = public.batch(await body_of(request))
    return answer(
        [public.book(paper, token) for token, _ in rows if public.is_traded(paper, token)]
    )


@routes.get("/price")
async def price(request: web.Request) -> web.Response:
    side = request.query.get("side")
    return answer({"price": public.price(state(request), _token(request), side)})


@routes.post("/prices")
async def prices(request: web.Request) -> web.Response:
    answers: dict[str, dict[str, str]] = {}
    for token, side in public.batch(await body_of(request)):
        try:
            found = public.price(state(request), token, side)
        except Refused:
            continue
        answers.setdefault(token, {})[str(side)] = found
    return answer(answers)


@routes.get("/midpoint")
async def midpoint(request: web.Request) -> web.Response:
    return answer({"mid": public.midpoint(state(request), _token(request))})


@routes.post("/midpoints")
async def midpoints(request: web.Request) -> web.Response:
    return answer(public.many(state(request), await body_of(request), public.midpoint))


@routes.get("/spread")
async def spread(request: web.Request) -> web.Response:
    return answer({"spread": public.spread(state(request), _token(request))})


@routes.post("/spreads")
async def spreads(request: web.Request) -> web.Response:
    return answer(public.many(state(request), await body_of(request), public.spread))


@routes.get("/last-trade-price")
async def last_trade_price(request: web.Request) -> web.Response:
    return answer(public.last_trade(state(request), _token(request)))


@routes.post("/last-trades-prices")
async def last_trades_prices(request: web.Request) -> web.Response:
    paper = state(request)
    rows = [
        {"token_id": token} | public.last_trade(paper, token)
        for token, _ in public.batch(await body_of(request))
        if public.is_traded(paper, token)
    ]
    return answer([row for row in rows if row["side"]])


@routes.post("/rpc")
async def rpc(request: web.Request) -> web.Response:
    """Answer one JSON-RPC request, or a batch of at most 1000."""
    paper, body, fault = state(request), await body_of(request), fault_in(request)
    if isinstance(body, list):
        return answer([chain.answer(paper, row, fault) for row in body[:1000]])
    return answer(chain.answer(paper, body, fault))
