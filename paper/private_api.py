"""The paths that need an API key: keys, orders, trades, balances."""

from __future__ import annotations

import re
import time
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable

from aiohttp import web

from paper import keys, orders, posting, resting, shapes
from paper.addresses import (
    COLLATERAL_ADAPTER,
    CONDITIONAL_TOKENS,
    EXCHANGE,
    NEG_RISK_COLLATERAL_ADAPTER,
    NEG_RISK_EXCHANGE,
    PUSD,
)
from paper.approvals import allowance
from paper.errors import Refused
from paper.http import answer, body_of, fault_in, key_of, state
from paper.ledger import COLLATERAL
from paper.relayer import wallet_for
from paper.state import Paper
from paper.store import Row, Value

routes = web.RouteTableDef()

PAGE = 100
LAST_PAGE = "LTE="
LARGEST_BATCH = 15
_ID = re.compile(r"0x[0-9a-fA-F]{64}")


def _credentials(key: keys.ApiKey) -> web.Response:
    return answer({"apiKey": key.key, "secret": key.secret, "passphrase": key.passphrase})


@routes.post("/auth/api-key")
async def create_key(request: web.Request) -> web.Response:
    return _credentials(keys.issue_key(state(request).store, request.headers, create=True))


@routes.get("/auth/derive-api-key")
async def derive_key(request: web.Request) -> web.Response:
    return _credentials(keys.issue_key(state(request).store, request.headers, create=False))


@routes.get("/auth/api-keys")
async def list_keys(request: web.Request) -> web.Response:
    key = await key_of(request)
    rows = state(request).store.all(
        "SELECT key FROM api_keys WHERE address = ? AND deleted = 0 ORDER BY nonce", (key.address,)
    )
    return answer({"apiKeys": [row["key"] for row in rows]})


@routes.delete("/auth/api-key")
async def delete_key(request: web.Request) -> web.Response:
    key = await key_of(request)
    store = state(request).store
    with store.transaction():
        store.write("UPDATE api_keys SET deleted = 1 WHERE key = ?", key.key)
    return answer("OK")


@routes.get("/auth/ban-status/closed-only")
async def closed_only(request: web.Request) -> web.Response:
    await key_of(request)
    return answer({"closed_only": False})


@routes.post("/order")
async def post_order(request: web.Request) -> web.Response:
    at = time.time()
    key = await key_of(request)
    body = await body_of(request)
    paper, fault = state(request), fault_in(request)
    orders.count_post(paper, body, at)
    paper.engine.check_up()
    answered = posting.post(paper, key, body, fault)
    return _garbage() if fault is not None and fault.lie == "garbage" else answer(answered)


@routes.post("/orders")
async def post_orders(request: web.Request) -> web.Response:
    """Take a batch row by row; a fault of orders is used up by each row, any other by the call."""
    at = time.time()
    key = await key_of(request)
    rows = await body_of(request)
    if not isinstance(rows, list) or not rows:
        raise Refused(400, "Invalid order payload")
    if len(rows) > LARGEST_BATCH:
        raise Refused(400, f"Too many orders in payload: {len(rows)}, max allowed: {LARGEST_BATCH}")
    paper, fault = state(request), fault_in(request)
    for row in rows:
        orders.count_post(paper, row, at)
    paper.engine.check_up()
    of_call = fault is not None and not fault.is_of_rows
    answers: list[dict[str, object]] = []
    garbled = False
    for number, row in enumerate(rows):
        if number and not of_call:
            fault = paper.faults.take_for_row("/orders")
        garbled |= fault is not None and fault.lie == "garbage"
        answers.append(posting.post_row(paper, key, row, fault))
    return _garbage() if garbled else answer(answers)


def _garbage() -> web.Response:
    return web.Response(body=posting.GARBAGE, content_type="text/html")


@routes.delete("/order")
async def cancel_order(request: web.Request) -> web.Response:
    key = await key_of(request)
    state(request).engine.check_up()
    body = await body_of(request)
    order_id = body.get("orderID") if isinstance(body, dict) else None
    return answer(resting.cancel(state(request), key.address, _ids([order_id])))


@routes.delete("/orders")
async def cancel_orders(request: web.Request) -> web.Response:
    key = await key_of(request)
    state(request).engine.check_up()
    body = await body_of(request)
    if not isinstance(body, list) or len(body) > 3000:
        raise Refused(400, "Invalid order payload")
    return answer(resting.cancel(state(request), key.address, _ids(body)))


def _ids(values: list[object]) -> list[str]:
    if not all(isinstance(value, str) and _ID.fullmatch(value) for value in values):
        raise Refused(400, "Invalid orderID")
    return [str(value).lower() for value in values]


@routes.delete("/cancel-all")
async def cancel_all(request: web.Request) -> web.Response:
    key = await key_of(request)
    state(request).engine.check_up()
    return answer(_cancel_where(request, key.address, {}))


@routes.delete("/cancel-market-orders")
async def cancel_market_orders(request: web.Request) -> web.Response:
    key = await key_of(request)
    state(request).engine.check_up()
    body = await body_of(request)
    wanted = body if isinstance(body, dict) else {}
    chosen = {name: wanted[name] for name in ("market", "asset_id") if wanted.get(name)}
    if not chosen or not all(isinstance(value, str) for value in chosen.values()):
        raise Refused(400, "Invalid payload: expected market or asset_id")
    return answer(_cancel_where(request, key.address, chosen))


def _cancel_where(request: web.Request, signer: str, chosen: dict[str, str]) -> dict[str, object]:
    rows = state(request).store.all(
        "SELECT id FROM orders WHERE status = 'LIVE' AND signer = ?1"
        " AND (?2 IS NULL OR condition_id = ?2) AND (?3 IS NULL OR token = ?3)",
        (signer, chosen.get("market"), chosen.get("asset_id")),
    )
    return resting.cancel(state(request), signer, [row["id"] for row in rows])


@routes.get("/data/order/{id}")
async def get_order(request: web.Request) -> web.Response:
    key = await key_of(request)
    row = state(request).store.one(
        "SELECT * FROM orders WHERE id = ? AND signer = ?",
        request.match_info["id"].lower(), key.address,
    )  # fmt: skip
    if row is None:
        raise Refused(404, "Order not found")
    return answer(shapes.order(state(request), row))


@routes.get("/data/orders")
async def list_orders(request: web.Request) -> web.Response:
    key = await key_of(request)
    query = request.query
    statement = (
        "SELECT * FROM orders WHERE status = 'LIVE' AND signer = ?1 AND (?2 IS NULL OR id = ?2)"
        " AND (?3 IS NULL OR condition_id = ?3) AND (?4 IS NULL OR token = ?4)"
        " ORDER BY number DESC LIMIT ?5 OFFSET ?6"
    )
    values = (key.address, query.get("id"), query.get("market"), query.get("asset_id"))
    return _page(request, statement, values, lambda row: shapes.order(state(request), row))


@routes.get("/data/trades")
async def list_trades(request: web.Request) -> web.Response:
    key = await key_of(request)
    query = request.query
    statement = (
        "SELECT * FROM trades WHERE (taker_signer = ?1 OR maker_signer = ?1)"
        " AND (?2 IS NULL OR id = ?2) AND (?3 IS NULL OR condition_id = ?3)"
        " AND (?4 IS NULL OR token = ?4 OR maker_token = ?4)"
        " AND (?5 IS NULL OR lower(taker_wallet) = ?5 OR lower(maker_wallet) = ?5)"
        " AND (?6 IS NULL OR matched_ms / 1000 < ?6) AND (?7 IS NULL OR matched_ms / 1000 > ?7)"
        " ORDER BY number DESC LIMIT ?8 OFFSET ?9"
    )
    maker = query.get("maker_address")
    values = (
        key.address, query.get("id"), query.get("market"), query.get("asset_id"),
        maker.lower() if maker else None, _seconds(request, "before"), _seconds(request, "after"),
    )  # fmt: skip
    return _page(request, statement, values, lambda row: _trade_for(request, row, key.address))


def _trade_for(request: web.Request, row: Row, signer: str) -> dict[str, object]:
    """Show a trade to the owner of either side; who is both sees it as its taker."""
    return shapes.trade(state(request), row, "TAKER" if row["taker_signer"] == signer else "MAKER")


def _seconds(request: web.Request, name: str) -> int | None:
    given = request.query.get(name)
    if given is None:
        return None
    if not (given.isascii() and given.isdecimal()) or len(given) > 12:
        raise Refused(400, f"Invalid {name}: expected epoch seconds")
    return int(given)


def _page(
    request: web.Request,
    statement: str,
    values: tuple[Value, ...],
    show: Callable[[Row], dict[str, object]],
) -> web.Response:
    cursor = request.query.get("next_cursor") or "MA=="
    try:
        offset = 1 << 40 if cursor == LAST_PAGE else int(b64decode(cursor, validate=True))
    except ValueError:
        raise Refused(400, "Invalid next_cursor") from None
    rows = state(request).store.all(statement, (*values, PAGE + 1, max(offset, 0)))
    more = len(rows) > PAGE
    shown = [show(row) for row in rows[:PAGE]]
    after = b64encode(str(offset + PAGE).encode()).decode() if more else LAST_PAGE
    return answer({"limit": PAGE, "count": len(shown), "next_cursor": after, "data": shown})


@routes.get("/balance-allowance")
async def balance_allowance(request: web.Request) -> web.Response:
    key = await key_of(request)
    return answer(_balance(request, key))


@routes.get("/balance-allowance/update")
async def update_balance_allowance(request: web.Request) -> web.Response:
    await key_of(request)
    return web.Response(body=b"", content_type="application/json")


def _balance(request: web.Request, key: keys.ApiKey) -> dict[str, object]:
    paper, query = state(request), request.query
    kind, token = query.get("asset_type"), query.get("token_id")
    if kind not in ("COLLATERAL", "CONDITIONAL") or (kind == "CONDITIONAL" and not token):
        raise Refused(400, "Invalid asset type")
    wallet = _wallet_of(paper, key.address, query.get("signature_type", "0"))
    contract = PUSD if kind == "COLLATERAL" else CONDITIONAL_TOKENS
    spenders = (EXCHANGE, NEG_RISK_EXCHANGE, COLLATERAL_ADAPTER, NEG_RISK_COLLATERAL_ADAPTER)
    balance = paper.ledger.balance(wallet, COLLATERAL if kind == "COLLATERAL" else str(token))
    return {
        "balance": str(balance),
        "allowances": {s: str(allowance(paper.store, wallet, contract, s)) for s in spenders},
    }


def _wallet_of(paper: Paper, owner: str, signature_type: str) -> str:
    kind = {"1": "PROXY", "2": "SAFE", "3": "WALLET"}.get(signature_type)
    return wallet_for(paper, owner, kind) if kind else owner


@routes.post("/v1/heartbeats")
async def heartbeat(request: web.Request) -> web.Response:
    """Accept a heartbeat; unlike the venue, missing ones cancel nothing here."""
    await key_of(request)
    return answer({"heartbeat_id": str(uuid.uuid4())})


@routes.get("/notifications")
async def notifications(request: web.Request) -> web.Response:
    await key_of(request)
    return answer([])
