"""Binance's spot REST paths under /api/v3, signed with HMAC-SHA256 over the parameters."""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from paper import spot
from paper.agenda import now_ms
from paper.errors import SpotRefused
from paper.http import answer, state
from paper.ledger import SPOT_ASSETS

routes = web.RouteTableDef()
_SIGNATURE = re.compile(r"&?signature=[^&]*")


async def _signed(request: web.Request) -> dict[str, str]:
    """Give the parameters of a signed call; raises SpotRefused as Binance does."""
    settings = state(request).settings
    if request.headers.get("X-MBX-APIKEY") != settings.binance_key:
        raise SpotRefused(-2015, "Invalid API-key, IP, or permissions for action.", 401)
    raw_query = request.raw_path.partition("?")[2]
    raw_body = (await request.read()).decode("latin-1")
    fields = dict(parse_qsl(raw_query, keep_blank_values=True))
    fields |= dict(parse_qsl(raw_body, keep_blank_values=True))
    message = _SIGNATURE.sub("", raw_query) + _SIGNATURE.sub("", raw_body)
    expected = hmac.new(
        settings.binance_secret.encode(), message.lstrip("&").encode("latin-1"), hashlib.sha256
    ).hexdigest()
    if not hmac.compare_digest(fields.get("signature", "").encode(), expected.encode()):
        raise SpotRefused(-1022, "Signature for this request is not valid.")
    _check_time(fields)
    return fields


def _check_time(fields: dict[str, str]) -> None:
    try:
        at = int(fields["timestamp"])
        window = float(fields.get("recvWindow", "5000"))
    except (KeyError, ValueError):
        raise SpotRefused(
            -1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed."
        ) from None
    if not now_ms() - window <= at <= now_ms() + 1000:
        raise SpotRefused(-1021, "Timestamp for this request is outside of the recvWindow.")


def _symbols(request: web.Request) -> tuple[list[spot.Symbol], bool]:
    """Give the symbols asked for, and whether it was exactly one by `symbol`."""
    if "symbol" in request.query:
        return [spot.symbol_named(request.query["symbol"])], True
    if "symbols" not in request.query:
        return list(spot.SYMBOLS.values()), False
    try:
        names = orjson.loads(request.query["symbols"])
    except orjson.JSONDecodeError:
        names = None
    if not isinstance(names, list):
        raise SpotRefused(-1100, "Illegal characters found in parameter 'symbols'.")
    return [spot.symbol_named(str(name)) for name in names], False


@routes.get("/api/v3/ping")
async def ping(_request: web.Request) -> web.Response:
    return answer({})


@routes.get("/api/v3/time")
async def time(_request: web.Request) -> web.Response:
    return answer({"serverTime": now_ms()})


@routes.get("/api/v3/exchangeInfo")
async def exchange_info(request: web.Request) -> web.Response:
    symbols, _ = _symbols(request)
    return answer(
        {
            "timezone": "UTC",
            "serverTime": now_ms(),
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": [spot.show_symbol(symbol) for symbol in symbols],
        }
    )


@routes.get("/api/v3/ticker/bookTicker")
async def book_ticker(request: web.Request) -> web.Response:
    symbols, single = _symbols(request)
    rows = []
    for symbol in symbols:
        bid, ask = spot.touch(state(request), symbol)
        size = spot.full(spot.LARGEST_ORDER)
        rows.append(
            {"symbol": symbol.name, "bidPrice": spot.full(bid), "bidQty": size,
             "askPrice": spot.full(ask), "askQty": size}
        )  # fmt: skip
    return answer(rows[0] if single else rows)


@routes.get("/api/v3/depth")
async def depth(request: web.Request) -> web.Response:
    symbol = spot.symbol_named(request.query.get("symbol"))
    bid, ask = spot.touch(state(request), symbol)
    size = spot.full(spot.LARGEST_ORDER)
    return answer(
        {
            "lastUpdateId": now_ms(),
            "bids": [[spot.full(bid), size]],
            "asks": [[spot.full(ask), size]],
        }
    )


@routes.get("/api/v3/ticker/price")
async def price(request: web.Request) -> web.Response:
    symbols, single = _symbols(request)
    prices = state(request).spot_prices
    rows = [{"symbol": s.name, "price": spot.full(prices[s.name])} for s in symbols]
    return answer(rows[0] if single else rows)


@routes.post("/api/v3/order")
async def place(request: web.Request) -> web.Response:
    return answer(spot.show_new(spot.place(state(request), await _signed(request))))


@routes.get("/api/v3/order")
async def order(request: web.Request) -> web.Response:
    fields = await _signed(request)
    symbol = spot.symbol_named(fields.get("symbol"))
    return answer(spot.show(spot.find(state(request), symbol, fields)))


@routes.delete("/api/v3/order")
async def cancel(request: web.Request) -> web.Response:
    fields = await _signed(request)
    spot.symbol_named(fields.get("symbol"))
    raise SpotRefused(-2011, "Unknown order sent.")


@routes.get("/api/v3/openOrders")
async def open_orders(request: web.Request) -> web.Response:
    await _signed(request)
    return answer([])


@routes.get("/api/v3/myTrades")
async def my_trades(request: web.Request) -> web.Response:
    fields = await _signed(request)
    symbol = spot.symbol_named(fields.get("symbol"))
    limit = min(int(fields["limit"]), 1000) if fields.get("limit", "").isdecimal() else 500
    rows = state(request).store.all(
        "SELECT * FROM spot_orders WHERE symbol = ?1 AND executed > 0"
        " AND (?2 IS NULL OR CAST(number AS TEXT) = ?2) ORDER BY number DESC LIMIT ?3",
        (symbol.name, fields.get("orderId"), limit),
    )
    return answer([spot.show_trade(row) for row in reversed(rows)])


@routes.get("/api/v3/account")
async def account(request: web.Request) -> web.Response:
    await _signed(request)
    paper = state(request)
    balances = [
        {"asset": asset, "free": spot.full(paper.ledger.balance(paper.settings.wallet, asset)),
         "locked": spot.full(0)}
        for asset in SPOT_ASSETS
    ]  # fmt: skip
    return answer(
        {
            "makerCommission": 0, "takerCommission": 0, "buyerCommission": 0, "sellerCommission": 0,
            "commissionRates": dict.fromkeys(("maker", "taker", "buyer", "seller"), spot.full(0)),
            "canTrade": True, "canWithdraw": False, "canDeposit": False, "brokered": False,
            "requireSelfTradePrevention": False, "preventSor": False, "updateTime": now_ms(),
            "accountType": "SPOT", "balances": balances, "permissions": ["SPOT"], "uid": 1,
        }
    )  # fmt: skip
