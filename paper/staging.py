"""The control API's second half: the engine, the clock, markets' lives, and the owner's own hand.

Extensions of contract section 6, for tests:

- `POST /paper/restart-engine` `{"postOnlySeconds": 2, "downSeconds": 0.5}`: 425 on the order endpoints,
  then post-only mode; both 0 ends either
- `POST /paper/clock` `{"offsetSeconds": 30}`: skews GET /time only
- `POST /paper/market-state` `{"conditionId", "acceptingOrders", "closed"}`: either may be left out; or
  `{"conditionId", "state": "open"|"paused"|"closed"|"resolved", "payouts": [1, 0]}`, where a resolved
  market needs payouts that add up to 1, such as [1, 0] or [0.5, 0.5]
- `POST /paper/tick-size` `{"conditionId", "tickSize": "0.001"}`
- `POST /paper/hand-trade`, `POST /paper/hand-order` `{"assetId", "side", "size", "price"}`: the wallet
  trades, or places a GTC order, past our service -> `{"orderId", "tradeIds"}`
- `POST /paper/expire` `{"orderId"}`: ends a resting order as if its GTD time had come
"""

from __future__ import annotations

from math import gcd

from aiohttp import web

from paper import changes, hand, money, resting
from paper.errors import Refused
from paper.http import answer, fields_of, state
from paper.markets import OUTCOMES, Market
from paper.money import UNIT

routes = web.RouteTableDef()


@routes.post("/paper/restart-engine")
async def restart_engine(request: web.Request) -> web.Response:
    fields = await fields_of(request, "postOnlySeconds", "downSeconds")
    down = _seconds(fields, "downSeconds", 0.5)
    post_only = _seconds(fields, "postOnlySeconds", 120)
    state(request).engine.restart(int(down * 1000), int(post_only * 1000))
    return answer({"downSeconds": down, "postOnlySeconds": post_only})


@routes.post("/paper/clock")
async def set_clock(request: web.Request) -> web.Response:
    fields = await fields_of(request, "offsetSeconds")
    given = fields.get("offsetSeconds")
    if isinstance(given, bool) or not isinstance(given, int) or abs(given) > 10**6:
        raise Refused(400, f"offsetSeconds: expected a whole number, got {given!r}")
    state(request).clock_offset = given
    return answer({"offsetSeconds": given})


@routes.post("/paper/market-state")
async def market_state(request: web.Request) -> web.Response:
    fields = await fields_of(
        request, "conditionId", "acceptingOrders", "closed", "state", "payouts"
    )
    market = market_in(request, fields)
    payouts = market.payouts
    if "state" in fields:
        accepting, closed = _named_state(fields)
        payouts = _payouts(fields) if fields["state"] == "resolved" else None
    else:
        closed = _flag(fields, "closed", market.closed)
        accepting = _flag(fields, "acceptingOrders", not closed and market.accepting) and not closed
    changes.change_state(state(request), market, accepting, closed, payouts if closed else None)
    return answer({"acceptingOrders": accepting, "closed": closed})


def _named_state(fields: dict[str, object]) -> tuple[bool, bool]:
    """Read a state by its name as (accepting orders, closed)."""
    names = {
        "open": (True, False), "paused": (False, False), "closed": (False, True),
        "resolved": (False, True),
    }  # fmt: skip
    given = fields["state"]
    if not isinstance(given, str) or given not in names:
        raise Refused(400, f"state: expected one of {', '.join(names)}, got {given!r}")
    return names[given]


def _payouts(fields: dict[str, object]) -> tuple[int, ...]:
    """Read payouts as the smallest whole numerators, as oracles report them."""
    given = fields.get("payouts")
    rows = given if isinstance(given, list) and len(given) == len(OUTCOMES) else []
    try:
        shares = [money.parse(row) for row in rows]
    except ValueError as error:
        raise Refused(400, f"payouts: {error}") from None
    if sum(shares) != UNIT:
        raise Refused(400, "payouts: expected one for each outcome, adding up to 1")
    return tuple(share // gcd(*shares) for share in shares)


@routes.post("/paper/tick-size")
async def tick_size(request: web.Request) -> web.Response:
    fields = await fields_of(request, "conditionId", "tickSize")
    market, tick = market_in(request, fields), _amount(fields, "tickSize")
    if tick not in changes.TICKS:
        known = ", ".join(money.text(known) for known in changes.TICKS)
        raise Refused(400, f"tickSize: expected one of {known}, got {money.text(tick)}")
    changes.change_tick(state(request), market, tick)
    return answer({"tickSize": money.text(tick)})


@routes.post("/paper/hand-trade")
async def hand_trade(request: web.Request) -> web.Response:
    return answer(hand.trade(state(request), *await _by_hand(request)))


@routes.post("/paper/hand-order")
async def hand_order(request: web.Request) -> web.Response:
    return answer(hand.order(state(request), *await _by_hand(request)))


@routes.post("/paper/expire")
async def expire(request: web.Request) -> web.Response:
    fields = await fields_of(request, "orderId")
    if not resting.expire(state(request), str(fields.get("orderId")).lower()):
        raise Refused(400, "orderId: expected the id of an order that rests in the book")
    return answer({"ok": True})


async def _by_hand(request: web.Request) -> tuple[tuple[Market, int], str, int, int]:
    fields = await fields_of(request, "assetId", "side", "size", "price")
    place = state(request).tokens.get(str(fields.get("assetId")))
    if place is None:
        raise Refused(400, "assetId: expected a token id, see GET /paper/markets")
    side, market = fields.get("side"), place[0]
    if side not in ("BUY", "SELL"):
        raise Refused(400, f"side: expected BUY or SELL, got {side!r}")
    shares, price = _amount(fields, "size"), _amount(fields, "price")
    if not 0 < shares < 1 << 60:
        raise Refused(400, "size: expected a number of shares above 0")
    if price % market.tick or not market.tick <= price <= UNIT - market.tick:
        raise Refused(
            400,
            f"price: expected a multiple of {money.text(market.tick)} between 0 and 1,"
            f" got {money.text(price)}",
        )
    return place, str(side), shares, price


def market_in(request: web.Request, fields: dict[str, object]) -> Market:
    """Find the market that a control call names; raises Refused 400."""
    market = state(request).markets.get(str(fields.get("conditionId")).lower())
    if market is None:
        raise Refused(400, "conditionId: expected a condition id, see GET /paper/markets")
    return market


def _flag(fields: dict[str, object], name: str, default: bool) -> bool:
    given = fields.get(name, default)
    if not isinstance(given, bool):
        raise Refused(400, f"{name}: expected true or false, got {given!r}")
    return given


def _amount(fields: dict[str, object], name: str) -> int:
    try:
        return money.parse(fields.get(name))
    except ValueError as error:
        raise Refused(400, f"{name}: {error}") from None


def _seconds(fields: dict[str, object], name: str, default: float) -> float:
    given = fields.get(name, default)
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 3600:
        raise Refused(400, f"{name}: expected seconds from 0 to 3600, got {given!r}")
    return given
