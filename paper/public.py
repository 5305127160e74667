"""Reads without login: the CLOB's market data and Gamma's market list, in their shapes.

Sources: docs.polymarket.com/api-reference/market-data, Gamma answers recorded in 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import orjson

from paper import frames, money
from paper.agenda import now_ms
from paper.book import BUY, SELL, opposite
from paper.errors import Refused
from paper.markets import OUTCOMES, Market
from paper.money import UNIT
from paper.state import Paper

_END_DATE = "2030-01-01T00:00:00Z"
_START_DATE = "2026-01-01T00:00:00Z"


def listed(paper: Paper, token: str | None) -> tuple[Market, int]:
    """Find a token's market and which outcome it is; raises Refused 404."""
    found = paper.tokens.get(token or "")
    if found is None:
        raise Refused(404, "No orderbook exists for the requested token id")
    return found


def traded(paper: Paper, token: str | None) -> tuple[Market, int]:
    """Find a token's market and which outcome it is; raises Refused 404, also when it is closed."""
    found = listed(paper, token)
    if found[0].closed:
        raise Refused(404, "No orderbook exists for the requested token id")
    return found


def is_traded(paper: Paper, token: str) -> bool:
    """Say whether a token has a book."""
    return token in paper.tokens and not paper.tokens[token][0].closed


def condition(paper: Paper, condition_id: str) -> Market:
    """Find a market by its condition; raises Refused 404."""
    market = paper.markets.get(condition_id.lower())
    if market is None:
        raise Refused(404, "market not found")
    return market


def book(paper: Paper, token: str | None) -> dict[str, object]:
    """Show GET /book: both sides with the best level last."""
    market, index = traded(paper, token)
    held = paper.book_of(market)
    return {
        "market": market.condition_id,
        "asset_id": token,
        "timestamp": str(held.changed_ms or now_ms()),
        "hash": frames.digest(market, index, held),
        **frames.sides(held, index),
        "min_order_size": money.text(market.min_size),
        "tick_size": money.text(market.tick),
        "neg_risk": market.neg_risk,
        "last_trade_price": last_trade(paper, token)["price"] if held.last_side else "",
    }


def price(paper: Paper, token: str | None, side: str | None) -> str:
    """Give the best bid for BUY and the best ask for SELL; raises Refused 404 on an empty side."""
    market, index = traded(paper, token)
    if side not in (BUY, SELL):
        raise Refused(400, "Invalid side")
    best = paper.book_of(market).best(index, side)
    if best is None:
        raise Refused(404, "No orderbook exists for the requested token id")
    return money.text(best)


def midpoint(paper: Paper, token: str | None) -> str:
    """Give the price half way between best bid and best ask."""
    bid, ask = _touch(paper, token)
    return money.text((bid + ask) * 5, money.DECIMALS + 1)


def spread(paper: Paper, token: str | None) -> str:
    """Give best ask less best bid."""
    bid, ask = _touch(paper, token)
    return money.text(ask - bid)


def _touch(paper: Paper, token: str | None) -> tuple[int, int]:
    market, index = traded(paper, token)
    held = paper.book_of(market)
    bid, ask = held.best(index, BUY), held.best(index, SELL)
    if bid is None or ask is None:
        raise Refused(404, "No orderbook exists for the requested token id")
    return bid, ask


def last_trade(paper: Paper, token: str | None) -> dict[str, object]:
    """Give the last trade's price and taker side, 0.5 and nothing when there was none."""
    market, index = traded(paper, token)
    held = paper.book_of(market)
    if held.last_price is None:
        return {"price": "0.5", "side": ""}
    if index == 0:
        return {"price": money.text(held.last_price), "side": held.last_side}
    return {"price": money.text(UNIT - held.last_price), "side": opposite(held.last_side)}


def many(paper: Paper, rows: object, read: Callable[[Paper, str], str]) -> dict[str, str]:
    """Answer a batch of `[{"token_id"}]`, leaving out what has no answer."""
    answers: dict[str, str] = {}
    for token, _ in batch(rows):
        try:
            answers[token] = read(paper, token)
        except Refused:
            continue
    return answers


def batch(rows: object) -> list[tuple[str, str | None]]:
    """Read a batch body of at most 500 rows as (token, side); raises Refused 400."""
    if not isinstance(rows, list) or len(rows) > 500:
        raise Refused(400, "Invalid payload")
    if not all(isinstance(row, dict) and isinstance(row.get("token_id"), str) for row in rows):
        raise Refused(400, "Invalid payload")
    return [(row["token_id"], row.get("side")) for row in rows]


def clob_market(market: Market) -> dict[str, object]:
    """Show GET /clob-markets/{condition}: tokens, sizes, fees in short names."""
    shown: dict[str, object] = {
        "c": market.condition_id,
        "t": [{"t": t, "o": o} for t, o in zip(market.tokens, OUTCOMES, strict=True)],
        "mos": int(market.min_size / UNIT),
        "mts": float(money.text(market.tick)),
        "mbf": 0,
        "tbf": 0,
        "ao": market.accepting,
        "cbos": True,
        "fd": {"r": float(market.fee_rate), "e": market.fee_exponent, "to": True},
    }
    return shown | ({"nr": True} if market.neg_risk else {})


def long_market(market: Market) -> dict[str, object]:
    """Show GET /markets/{condition} of the CLOB."""
    return {
        "condition_id": market.condition_id, "question_id": market.question_id,
        "question": market.question, "market_slug": market.slug, "active": True,
        "closed": market.closed, "archived": False, "accepting_orders": market.accepting, "enable_order_book": True,
        "minimum_order_size": int(market.min_size / UNIT),
        "minimum_tick_size": float(money.text(market.tick)), "neg_risk": market.neg_risk,
        "end_date_iso": _END_DATE, "seconds_delay": 0, "maker_base_fee": 0, "taker_base_fee": 0,
        "neg_risk_market_id": market.neg_risk_market_id,
        "tokens": [
            {"token_id": t, "outcome": o, "winner": p == "1"}
            for t, o, p in zip(
                market.tokens, OUTCOMES, _resolved_prices(market) or ("", ""), strict=True
            )
        ],
    }  # fmt: skip


def gamma_market(paper: Paper, market: Market) -> dict[str, object]:
    """Show a market as Gamma does; three lists are JSON text inside a string."""
    held = paper.book_of(market)
    bid, ask = held.best(0, BUY), held.best(0, SELL)
    middle = (bid + ask) // 2 if bid and ask else market.start_price
    prices = _resolved_prices(market) or [money.text(middle), money.text(UNIT - middle)]
    shown: dict[str, object] = {
        "id": market.id, "version": market.version, "question": market.question, "slug": market.slug,
        "conditionId": market.condition_id, "questionID": market.question_id,
        "outcomes": _inside(OUTCOMES), "outcomePrices": _inside(prices),
        "clobTokenIds": _inside(market.tokens), "active": True, "closed": market.closed,
        "archived": False, "acceptingOrders": market.accepting, "enableOrderBook": True, "negRisk": market.neg_risk,
        "orderPriceMinTickSize": float(money.text(market.tick)),
        "orderMinSize": int(market.min_size / UNIT), "startDate": _START_DATE, "endDate": _END_DATE,
        "volume": "0", "volumeNum": 0, "liquidity": "0", "liquidityNum": 0, "secondsDelay": 0,
        "feesEnabled": bool(market.fee_rate), "events": [],
        "feeSchedule": {
            "exponent": market.fee_exponent, "rate": float(market.fee_rate),
            "takerOnly": True, "rebateRate": 0,
        },
        "lastTradePrice": _plain(held.last_price), "bestBid": _plain(bid), "bestAsk": _plain(ask),
    }  # fmt: skip
    if market.neg_risk:
        shown["negRiskMarketID"] = market.neg_risk_market_id
    if market.payouts is not None:
        shown["umaResolutionStatus"] = "resolved"
    if market.version == "v2":
        shown["positionIds"] = [str(number) for number in _v2_positions(market)]
    return shown


def _resolved_prices(market: Market) -> list[str]:
    payouts = market.payouts or ()
    return [money.text(payout * UNIT // sum(payouts)) for payout in payouts]


def _v2_positions(market: Market) -> tuple[int, int]:
    """Number a Protocol-V2 market's positions: 31 bytes of its condition, then the outcome."""
    condition = int(market.condition_id, 16) & ~0xFF & ~(((1 << 64) - 1) << 40)
    return condition, condition | 1


def find_markets(paper: Paper, query: Mapping[str, list[str]]) -> list[Market]:
    """List markets by Gamma's filters: clob_token_ids, condition_ids, id, slug; open ones unless closed."""
    closed = query.get("closed", ["false"])[0].lower() == "true"
    found: Iterable[Market] = [m for m in paper.markets.values() if m.closed == closed]
    filters: dict[str, Callable[[Market, list[str]], bool]] = {
        "clob_token_ids": lambda market, wanted: not set(market.tokens).isdisjoint(wanted),
        "condition_ids": lambda market, wanted: market.condition_id in wanted,
        "id": lambda market, wanted: market.id in wanted,
        "slug": lambda market, wanted: market.slug in wanted,
    }
    for name, keep in filters.items():
        if name in query:
            wanted = [part.lower() for value in query[name] for part in value.split(",")]
            found = [market for market in found if keep(market, wanted)]
    return list(found)


def _inside(values: Iterable[str]) -> str:
    return orjson.dumps(list(values)).decode()


def _plain(price_: int | None) -> float | None:
    return None if price_ is None else float(money.text(price_))
