"""The spot venue's orders: MARKET and LIMIT IOC against unlimited depth at one price.

Amounts and prices are integers of 1e-8. Codes and texts: Binance spot API documentation
(errors.md, filters.md).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from paper import ledger as accounts
from paper import money
from paper.agenda import now_ms
from paper.errors import SpotRefused
from paper.ledger import move
from paper.money import SPOT_DECIMALS
from paper.state import Paper
from paper.store import Row

ONE = 10**SPOT_DECIMALS
LARGEST_ORDER = 9_000 * ONE
"""As much as one order may be is there at the touch, always anew."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A traded pair and its filters, in 1e-8."""

    name: str
    base: str
    quote: str
    tick: int
    lot: int
    least_notional: int


SYMBOLS = {
    "BTCUSDT": Symbol("BTCUSDT", "BTC", "USDT", ONE // 100, ONE // 100_000, 5 * ONE),
    "ETHUSDT": Symbol("ETHUSDT", "ETH", "USDT", ONE // 100, ONE // 10_000, 5 * ONE),
}


def symbol_named(name: str | None) -> Symbol:
    """Find a symbol; raises SpotRefused -1121."""
    symbol = SYMBOLS.get(name or "")
    if symbol is None:
        raise SpotRefused(-1121, "Invalid symbol.")
    return symbol


def touch(paper: Paper, symbol: Symbol) -> tuple[int, int]:
    """Give bid and ask: both exactly a pinned price, else a tick apart."""
    price = paper.spot_prices[symbol.name]
    return (price, price) if symbol.name in paper.spot_pinned else (price, price + symbol.tick)


def place(paper: Paper, query: Mapping[str, str]) -> Row:
    """Take an order, fill what is within its limit at once, and give its row.

    A client id is refused while an order with it is open, and taken again once that one has ended.
    Raises SpotRefused as Binance would.
    """
    symbol = symbol_named(query.get("symbol"))
    side, kind = query.get("side", ""), query.get("type", "")
    if side not in ("BUY", "SELL"):
        raise SpotRefused(-1117, "Invalid side.")
    if kind not in ("MARKET", "LIMIT"):
        raise SpotRefused(-1116, "Invalid orderType.")
    if kind == "LIMIT" and query.get("timeInForce") != "IOC":
        raise SpotRefused(-1115, "Invalid timeInForce.")
    client_id = query.get("newClientOrderId") or uuid.uuid4().hex
    open_order = _open_order(paper, client_id)
    ledger_id = _new_id(paper, client_id) if open_order is None else str(open_order["ledger_id"])
    with paper.store.transaction():
        paper.store.write(
            "INSERT INTO posts VALUES (?, 1) ON CONFLICT (order_id) DO UPDATE SET count = count + 1",
            ledger_id,
        )
    bid, ask = touch(paper, symbol)
    at = ask if side == "BUY" else bid
    limit = _amount(query, "price") if kind == "LIMIT" else at
    quantity = _quantity(query, symbol, kind, at)
    _check_filters(symbol, limit, quantity)
    if open_order is not None:
        raise SpotRefused(-2010, "Duplicate order sent.")
    filled = quantity if (at <= limit if side == "BUY" else at >= limit) else 0
    return _fill(paper, symbol, (client_id, side, kind, ledger_id), (limit, quantity, filled, at))


def _open_order(paper: Paper, client_id: str) -> Row | None:
    return paper.store.one(
        "SELECT * FROM spot_orders WHERE client_id = ? AND status IN ('NEW', 'PARTIALLY_FILLED')",
        client_id,
    )


def _new_id(paper: Paper, client_id: str) -> str:
    """Name the next order of a client id in the ledger: the id itself, then id#2, id#3."""
    known = paper.store.number("SELECT COUNT(*) FROM spot_orders WHERE client_id = ?", client_id)
    return f"{client_id}#{known + 1}" if known else client_id


def _quantity(query: Mapping[str, str], symbol: Symbol, kind: str, at: int) -> int:
    if kind == "MARKET" and "quoteOrderQty" in query and "quantity" not in query:
        lots: int = _amount(query, "quoteOrderQty") * ONE // at // symbol.lot
        return lots * symbol.lot
    return _amount(query, "quantity")


def _amount(query: Mapping[str, str], name: str) -> int:
    if name not in query:
        raise SpotRefused(
            -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        )
    try:
        return money.parse(query[name], SPOT_DECIMALS)
    except ValueError:
        raise SpotRefused(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is"
            " '^([0-9]{1,20})(\\.[0-9]{1,20})?$'.",
        ) from None  # fmt: skip


def _check_filters(symbol: Symbol, limit: int, quantity: int) -> None:
    if quantity < symbol.lot or quantity % symbol.lot or quantity > LARGEST_ORDER:
        raise SpotRefused(-1013, "Filter failure: LOT_SIZE")
    if limit < symbol.tick or limit % symbol.tick:
        raise SpotRefused(-1013, "Filter failure: PRICE_FILTER")
    if quantity * limit // ONE < symbol.least_notional:
        raise SpotRefused(-1013, "Filter failure: NOTIONAL")


def _fill(
    paper: Paper, symbol: Symbol, what: tuple[str, str, str, str], terms: tuple[int, int, int, int]
) -> Row:
    client_id, side, kind, ledger_id = what
    limit, quantity, filled, at = terms
    quote = (filled * at + ONE // 2) // ONE
    wallet = paper.settings.wallet
    given, amount = (symbol.quote, quote) if side == "BUY" else (symbol.base, filled)
    got, received = (symbol.base, filled) if side == "BUY" else (symbol.quote, quote)
    if paper.ledger.balance(wallet, given) < amount:
        raise SpotRefused(-2010, "Account has insufficient balance for requested action.")
    with paper.store.transaction():
        paper.store.write(
            "INSERT INTO spot_orders VALUES (NULL" + ", ?" * 13 + ")",
            client_id, symbol.name, side, kind, "FILLED" if filled else "EXPIRED",
            limit if kind == "LIMIT" else 0, quantity, filled, quote, at, wallet, now_ms(), ledger_id,
        )  # fmt: skip
        if filled:
            legs = move(wallet, accounts.SPOT, given, amount)
            legs += move(accounts.SPOT, wallet, got, received)
            paper.ledger.post("spot", ledger_id, now_ms(), legs)
    return find(paper, symbol, {"origClientOrderId": client_id})


def find(paper: Paper, symbol: Symbol, query: Mapping[str, str]) -> Row:
    """Find an order by `orderId`, or the newest by `origClientOrderId`; raises SpotRefused -2013."""
    if "orderId" in query:
        column, value = "CAST(number AS TEXT)", query["orderId"]
    elif "origClientOrderId" in query:
        column, value = "client_id", query["origClientOrderId"]
    else:
        raise SpotRefused(
            -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
        )
    row = paper.store.one(
        f"SELECT * FROM spot_orders WHERE {column} = ? AND symbol = ?"  # noqa: S608
        " ORDER BY number DESC LIMIT 1",
        value, symbol.name,
    )  # fmt: skip
    if row is None:
        raise SpotRefused(-2013, "Order does not exist.")
    return row


def full(amount: int) -> str:
    """Write an amount with Binance's eight decimals."""
    return f"{amount // ONE}.{amount % ONE:08d}"


def show_new(row: Row) -> dict[str, object]:
    """Show a new order's FULL response."""
    symbol = SYMBOLS[row["symbol"]]
    fill = {
        "price": full(row["fill_price"]), "qty": full(row["executed"]), "commission": full(0),
        "commissionAsset": symbol.base if row["side"] == "BUY" else symbol.quote,
        "tradeId": row["number"],
    }  # fmt: skip
    return _common(row) | {
        "transactTime": row["at_ms"],
        "workingTime": row["at_ms"],
        "fills": [fill] if row["executed"] else [],
        "selfTradePreventionMode": "NONE",
    }


def show(row: Row) -> dict[str, object]:
    """Show an order as GET /api/v3/order has it."""
    return _common(row) | {
        "stopPrice": full(0), "icebergQty": full(0), "time": row["at_ms"],
        "updateTime": row["at_ms"], "isWorking": True, "workingTime": row["at_ms"],
        "selfTradePreventionMode": "NONE",
    }  # fmt: skip


def _common(row: Row) -> dict[str, object]:
    return {
        "symbol": row["symbol"], "orderId": row["number"], "orderListId": -1,
        "clientOrderId": row["client_id"], "price": full(row["price"]),
        "origQty": full(row["quantity"]), "executedQty": full(row["executed"]),
        "origQuoteOrderQty": full(0), "cummulativeQuoteQty": full(row["quote"]),
        "status": row["status"], "timeInForce": "IOC" if row["type"] == "LIMIT" else "GTC",
        "type": row["type"], "side": row["side"],
    }  # fmt: skip


def show_trade(row: Row) -> dict[str, object]:
    """Show an order's only fill as GET /api/v3/myTrades has it."""
    symbol = SYMBOLS[row["symbol"]]
    return {
        "symbol": row["symbol"], "id": row["number"], "orderId": row["number"], "orderListId": -1,
        "price": full(row["fill_price"]), "qty": full(row["executed"]),
        "quoteQty": full(row["quote"]), "commission": full(0),
        "commissionAsset": symbol.base if row["side"] == "BUY" else symbol.quote,
        "time": row["at_ms"], "isBuyer": row["side"] == "BUY", "isMaker": False,
        "isBestMatch": True,
    }  # fmt: skip


def show_symbol(symbol: Symbol) -> dict[str, object]:
    """Show a symbol of exchangeInfo with the filters we hold to."""
    return {
        "symbol": symbol.name, "status": "TRADING", "baseAsset": symbol.base,
        "baseAssetPrecision": 8, "quoteAsset": symbol.quote, "quotePrecision": 8,
        "quoteAssetPrecision": 8, "baseCommissionPrecision": 8, "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"], "icebergAllowed": False, "ocoAllowed": False,
        "quoteOrderQtyMarketAllowed": True, "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False, "permissions": [], "permissionSets": [["SPOT"]],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": full(symbol.tick),
             "maxPrice": full(10**6 * ONE), "tickSize": full(symbol.tick)},
            {"filterType": "LOT_SIZE", "minQty": full(symbol.lot), "maxQty": full(LARGEST_ORDER),
             "stepSize": full(symbol.lot)},
            {"filterType": "NOTIONAL", "minNotional": full(symbol.least_notional),
             "applyMinToMarket": True, "maxNotional": full(9 * 10**6 * ONE),
             "applyMaxToMarket": False, "avgPriceMins": 5},
        ],
    }  # fmt: skip
