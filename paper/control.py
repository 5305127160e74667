"""The control API under /paper, for tests and demonstrations; contract section 6.

Wrong input is answered 400 `{"error"}` saying what was expected, and changes nothing.

Beyond the contract, POST /paper/replay takes `hold` (show the first prices and wait for `{"resume": true}`)
and `waits` (stand still while a reader of the market channel is behind, instead of cutting it off: a recording
at any speed without a frame lost). A frozen feed silences the WebSocket alone: the markets move on.
"""

from __future__ import annotations

from aiohttp import web

from paper import mining, money, pol
from paper.agenda import now_ms
from paper.encoding import checksum
from paper.errors import Refused
from paper.generator import Generator
from paper.http import PLAYER, answer, fields_of, state
from paper.ledger import COLLATERAL, SPOT_ASSETS, decimals_of
from paper.markets import Market
from paper.money import UNIT
from paper.recording import RecordingError
from paper.resting import match_resting
from paper.spot import SYMBOLS
from paper.truth import ledger

routes = web.RouteTableDef()
GENERATOR = web.AppKey("generator", Generator)
POL = "POL"
"""The asset that pays for gas; not in the ledger."""


@routes.get("/paper/markets")
async def markets(request: web.Request) -> web.Response:
    return answer(
        [
            {
                "question": market.question,
                "conditionId": market.condition_id,
                "tokenIds": list(market.tokens),
                "tickSize": money.text(market.tick),
                "minSize": money.text(market.min_size),
                "negRisk": market.neg_risk,
            }
            for market in state(request).markets.values()
        ]
    )


@routes.put("/paper/books/{token}")
async def put_book(request: web.Request) -> web.Response:
    paper = state(request)
    found = paper.tokens.get(request.match_info["token"])
    if found is None:
        raise Refused(
            404, f"unknown token {request.match_info['token'][:80]!r}: see GET /paper/markets"
        )
    market, index = found
    fields = await fields_of(request, "bids", "asks")
    bids = _levels(fields, "bids", market)
    asks = _levels(fields, "asks", market)
    if bids and asks and max(bids) >= min(asks):
        raise Refused(400, "expected the best bid below the best ask")
    if index == 1:
        bids, asks = (
            {UNIT - price: size for price, size in asks.items()},
            {UNIT - price: size for price, size in bids.items()},
        )
    book = paper.book_of(market)
    with paper.store.transaction():
        book.replace(bids, asks)
        book.pinned, book.changed_ms = True, now_ms()
        paper.save_book(market.condition_id)
    match_resting(paper, market.condition_id)
    return answer({"ok": True})


def _levels(fields: dict[str, object], name: str, market: Market) -> dict[int, int]:
    rows = fields.get(name, [])
    if not isinstance(rows, list) or len(rows) > 1_000:
        raise Refused(400, f'{name}: expected a list of at most 1000 ["price", "size"] pairs')
    levels: dict[int, int] = {}
    for row in rows:
        if not isinstance(row, list) or len(row) != 2:
            raise Refused(400, f'{name}: expected ["price", "size"] pairs, got {str(row)[:80]}')
        try:
            price, size = money.parse(row[0]), money.parse(row[1])
        except ValueError as error:
            raise Refused(400, f"{name}: {error}") from None
        if price % market.tick or not market.tick <= price <= UNIT - market.tick:
            raise Refused(
                400,
                f"{name}: expected prices that are multiples of {money.text(market.tick)} between"
                f" 0 and 1, got {money.text(price)}",
            )
        if price in levels or size <= 0:
            raise Refused(400, f"{name}: expected each price once and a size above 0")
        levels[price] = size
    return levels


@routes.put("/paper/prices/{symbol}")
async def put_price(request: web.Request) -> web.Response:
    paper = state(request)
    symbol = SYMBOLS.get(request.match_info["symbol"])
    if symbol is None:
        raise Refused(404, f"unknown symbol: expected one of {', '.join(SYMBOLS)}")
    fields = await fields_of(request, "price")
    try:
        price = money.parse(fields.get("price"), money.SPOT_DECIMALS)
    except ValueError as error:
        raise Refused(400, f"price: {error}") from None
    if not 0 < price <= 10**14:
        raise Refused(400, "price: expected a price above 0 and at most 1000000")
    with paper.store.transaction():
        paper.spot_prices[symbol.name] = price
        paper.spot_pinned.add(symbol.name)
        paper.save_spot_price(symbol.name)
    return answer({"ok": True})


@routes.post("/paper/faults")
async def post_fault(request: web.Request) -> web.Response:
    paper = state(request)
    fields = await fields_of(request, "on", "kind", "times")
    try:
        paper.faults.arrange(fields.get("on"), fields.get("kind"), fields.get("times", 1))
    except ValueError as error:
        raise Refused(400, str(error)) from None
    return _arranged(request)


@routes.get("/paper/faults")
async def get_faults(request: web.Request) -> web.Response:
    return _arranged(request)


def _arranged(request: web.Request) -> web.Response:
    faults = state(request).faults.arranged
    return answer({"faults": [{"on": f.on, "kind": f.kind, "times": f.left} for f in faults]})


@routes.post("/paper/feed")
async def post_feed(request: web.Request) -> web.Response:
    fields = await fields_of(request, "state")
    wanted = fields.get("state")
    if wanted not in ("live", "frozen", "dropped"):
        raise Refused(400, f"state: expected live, frozen or dropped, got {wanted!r}")
    state(request).feed.switch(str(wanted))
    return answer({"state": wanted})


@routes.post("/paper/balances")
async def post_balance(request: web.Request) -> web.Response:
    paper = state(request)
    fields = await fields_of(request, "wallet", "asset", "amount")
    asset = fields.get("asset")
    try:
        wallet = checksum(str(fields.get("wallet", paper.settings.wallet)))
    except ValueError:
        raise Refused(400, "wallet: expected an address, 0x and 40 digits") from None
    known = {COLLATERAL, POL, *SPOT_ASSETS, *paper.tokens}
    if not isinstance(asset, str) or asset not in known:
        raise Refused(400, f"asset: expected collateral, POL, a token id or one of {SPOT_ASSETS}")
    try:
        amount = money.parse(
            fields.get("amount"), pol.DECIMALS if asset == POL else decimals_of(asset)
        )
    except ValueError as error:
        raise Refused(400, f"amount: {error}") from None
    if asset == POL:
        with paper.store.transaction():
            pol.set_balance(paper.store, wallet, amount)
        mining.look_again(paper)
        return answer({"ok": True})
    if amount >= 1 << 60:
        raise Refused(400, "amount: expected a smaller amount")
    with paper.store.transaction():
        paper.ledger.set_balance(wallet, asset, amount, now_ms())
    return answer({"ok": True})


@routes.post("/paper/replay")
async def post_replay(request: web.Request) -> web.Response:
    fields = await fields_of(request, "file", "speed", "hold", "resume", "waits")
    player = request.app[PLAYER]
    if fields.get("resume") is True:
        if not player.resume():
            raise Refused(400, "resume: expected a replay started with hold")
        return answer(player.show())
    file, speed, hold = fields.get("file"), fields.get("speed", 1), fields.get("hold", False)
    if not isinstance(file, str) or not file or "\0" in file:
        raise Refused(400, "file: expected the path of a recorded .csv or .csv.gz file")
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 < speed <= 10_000:
        raise Refused(400, f"speed: expected a number above 0 and at most 10000, got {speed!r}")
    waits = fields.get("waits", False)
    for name, given in (("hold", hold), ("waits", waits)):
        if not isinstance(given, bool):
            raise Refused(400, f"{name}: expected true or false, got {given!r}")
    try:
        await player.start(file, speed, hold is True, waits is True)
    except RecordingError as error:
        raise Refused(400, str(error)) from None
    return answer(player.show())


@routes.get("/paper/replay")
async def get_replay(request: web.Request) -> web.Response:
    return answer(request.app[PLAYER].show())


@routes.delete("/paper/replay")
async def delete_replay(request: web.Request) -> web.Response:
    await request.app[PLAYER].stop()
    return answer(request.app[PLAYER].show())


@routes.get("/paper/ledger")
async def get_ledger(request: web.Request) -> web.Response:
    return answer(ledger(state(request)))


@routes.get("/paper/times")
async def get_times(request: web.Request) -> web.Response:
    """Show when each token's first frame after `after` left and each order first came, in seconds
    since 1970, and how many frames left; what it knows of their times reaches back a while only."""
    paper, given = state(request), request.query.get("after", "0")
    try:
        after = float(given)
    except ValueError:
        raise Refused(400, f"after: expected seconds since 1970, got {given[:40]!r}") from None
    told = {}
    for token, (market, _) in paper.tokens.items():
        times = paper.tape.told_at.get(market.condition_id, ())
        told[token] = next((time for time in times if time >= after), None)
    return answer({"told": told, "arrived": paper.arrived_at, "frames": paper.tape.frames})


@routes.post("/paper/reset")
async def reset(request: web.Request) -> web.Response:
    player = request.app[PLAYER]
    await player.stop()
    state(request).reset()
    player.forget()
    request.app[GENERATOR].seed()
    return answer({"ok": True})
