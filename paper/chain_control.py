"""The control API's chain: fees, approvals, the relayer's key and limit, what Gamma says of a market.

Extensions of contract section 6, for tests; a reset takes all of it back:

- `POST /paper/gas` `{"baseFeeGwei": "500"}`: the base fee (30 at first); what offers less waits
- `POST /paper/approvals` `{"wallet", "token", "spender", "amount"}`: what a spender may move; `token` is a
  contract's address, pUSD when left out, `wallet` the installation's; `amount` in whole units or
  "unlimited", for ERC-1155 tokens 0 or "unlimited"
- `POST /paper/relayer-key` `{"key": "..."}`: the key that the relayer takes, "" for any; others get 401
- `POST /paper/relayer-limit` `{"perMinute": 25}`: 429 above it, 0 (at first) for no limit
- `POST /paper/market-fields` `{"conditionId", "version": "v2", "negRiskMarketId": ""}`: either may be left
  out; `negRiskMarketId` null gives the market its own again
"""

from __future__ import annotations

from aiohttp import web

from paper import changes, gas, mining, money
from paper.addresses import PUSD
from paper.approvals import UNLIMITED, approve
from paper.encoding import checksum
from paper.errors import Refused
from paper.http import answer, fields_of, state
from paper.staging import market_in

routes = web.RouteTableDef()

_GWEI_DECIMALS = 9
_MOST_GWEI = 1_000_000
_MOST_SUBMITS = 100_000


@routes.post("/paper/gas")
async def set_gas(request: web.Request) -> web.Response:
    fields = await fields_of(request, "baseFeeGwei")
    try:
        wei = money.parse(fields.get("baseFeeGwei"), _GWEI_DECIMALS)
    except ValueError as error:
        raise Refused(400, f"baseFeeGwei: {error}") from None
    if wei > _MOST_GWEI * gas.GWEI:
        raise Refused(400, f"baseFeeGwei: expected at most {_MOST_GWEI}")
    gas.set_base_fee(state(request).store, wei)
    mining.look_again(state(request))
    return answer({"baseFeeGwei": money.text(wei, _GWEI_DECIMALS)})


@routes.post("/paper/approvals")
async def set_approval(request: web.Request) -> web.Response:
    paper = state(request)
    fields = await fields_of(request, "wallet", "token", "spender", "amount")
    wallet = _address(fields, "wallet", paper.settings.wallet)
    token, spender = _address(fields, "token", PUSD), _address(fields, "spender", None)
    amount = _allowance(fields)
    if token != PUSD and amount not in (0, UNLIMITED):
        raise Refused(400, 'amount: expected 0 or "unlimited" for ERC-1155 tokens')
    with paper.store.transaction():
        approve(paper.store, wallet, token, spender, amount)
    return answer({"ok": True})


@routes.post("/paper/relayer-key")
async def set_relayer_key(request: web.Request) -> web.Response:
    key = (await fields_of(request, "key")).get("key")
    if not isinstance(key, str):
        raise Refused(400, f"key: expected text, got {key!r}")
    state(request).store.arrange("relayer_key", key)
    return answer({"ok": True})


@routes.post("/paper/relayer-limit")
async def set_relayer_limit(request: web.Request) -> web.Response:
    limit = (await fields_of(request, "perMinute")).get("perMinute")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 <= limit <= _MOST_SUBMITS:
        raise Refused(400, f"perMinute: expected a whole number to {_MOST_SUBMITS}, got {limit!r}")
    state(request).store.arrange("submits", str(limit))
    state(request).submits.clear()
    return answer({"perMinute": limit})


@routes.post("/paper/market-fields")
async def set_market_fields(request: web.Request) -> web.Response:
    fields = await fields_of(request, "conditionId", "version", "negRiskMarketId")
    market = market_in(request, fields)
    version = fields.get("version", market.version)
    group = fields.get("negRiskMarketId", market.neg_risk_group)
    if version not in ("v1", "v2"):
        raise Refused(400, f"version: expected v1 or v2, got {version!r}")
    if group is not None and not isinstance(group, str):
        raise Refused(400, f"negRiskMarketId: expected text or null, got {group!r}")
    changes.change_fields(state(request), market, str(version), group)
    return answer({"version": version, "negRiskMarketId": group})


def _address(fields: dict[str, object], name: str, default: str | None) -> str:
    try:
        return checksum(str(fields.get(name, default)))
    except ValueError:
        raise Refused(400, f"{name}: expected an address, 0x and 40 digits") from None


def _allowance(fields: dict[str, object]) -> int:
    given = fields.get("amount")
    if given == "unlimited":
        return UNLIMITED
    try:
        return money.parse(given)
    except ValueError as error:
        raise Refused(400, f'amount: {error}, or "unlimited"') from None
