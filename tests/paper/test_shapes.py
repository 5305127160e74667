"""Our answers have the fields of recorded and published ones."""

from __future__ import annotations

import pytest

ORDER = frozenset(
    [
        "asset_id",
        "associate_trades",
        "created_at",
        "expiration",
        "id",
        "maker_address",
        "market",
        "order_type",
        "original_size",
        "outcome",
        "owner",
        "price",
        "side",
        "size_matched",
        "status",
    ]
)
PAGE = frozenset(["data", "next_cursor"])
TRADE = frozenset(
    [
        "asset_id",
        "bucket_index",
        "fee_rate_bps",
        "id",
        "last_update",
        "maker_address",
        "maker_orders",
        "market",
        "match_time",
        "outcome",
        "owner",
        "price",
        "side",
        "size",
        "status",
        "taker_order_id",
        "trader_side",
        "transaction_hash",
    ]
)
MAKER = frozenset(
    [
        "asset_id",
        "fee_rate_bps",
        "maker_address",
        "matched_amount",
        "order_id",
        "outcome",
        "owner",
        "price",
        "side",
    ]
)
BOOK = frozenset(
    [
        "asks",
        "asset_id",
        "bids",
        "hash",
        "last_trade_price",
        "market",
        "min_order_size",
        "neg_risk",
        "tick_size",
        "timestamp",
    ]
)
GAMMA = frozenset(
    [
        "acceptingOrders",
        "acceptingOrdersTimestamp",
        "active",
        "approved",
        "archived",
        "automaticallyActive",
        "bestAsk",
        "bestBid",
        "clearBookOnStart",
        "clobTokenIds",
        "closed",
        "competitive",
        "conditionId",
        "createdAt",
        "customLiveness",
        "cyom",
        "deploying",
        "deployingTimestamp",
        "description",
        "enableOrderBook",
        "endDate",
        "endDateIso",
        "featured",
        "feeSchedule",
        "feeType",
        "feesEnabled",
        "funded",
        "groupItemThreshold",
        "groupItemTitle",
        "hasReviewedDates",
        "holdingRewardsEnabled",
        "icon",
        "id",
        "image",
        "lastTradePrice",
        "liquidity",
        "liquidityClob",
        "liquidityNum",
        "makerBaseFee",
        "manualActivation",
        "marketMakerAddress",
        "negRisk",
        "negRiskMarketID",
        "negRiskOther",
        "negRiskRequestID",
        "new",
        "oneDayPriceChange",
        "oneMonthPriceChange",
        "oneWeekPriceChange",
        "orderMinSize",
        "orderPriceMinTickSize",
        "outcomePrices",
        "outcomes",
        "pagerDutyNotificationEnabled",
        "pendingDeployment",
        "question",
        "questionID",
        "ready",
        "requiresTranslation",
        "resolvedBy",
        "restricted",
        "rewardsMaxSpread",
        "rewardsMinSize",
        "rfqEnabled",
        "showGmpOutcome",
        "showGmpSeries",
        "slug",
        "spread",
        "startDate",
        "startDateIso",
        "submitted_by",
        "takerBaseFee",
        "umaBond",
        "umaResolutionStatuses",
        "umaReward",
        "updatedAt",
        "volume",
        "volume1mo",
        "volume1moClob",
        "volume1wk",
        "volume1wkClob",
        "volume1yr",
        "volume1yrClob",
        "volume24hr",
        "volume24hrClob",
        "volumeClob",
        "volumeNum",
    ]
)


@pytest.fixture
def traded(paper, client):
    token = paper.markets()[0]["tokenIds"][0]
    paper.put_book(token, [("0.48", 100)], [("0.50", 80)])
    signed = client.create_market_order(
        asset_id=token, side="SELL", shares="10", min_price="0.45", order_type="FAK"
    )
    return client.post_order(signed), token


def private(client, path: str, **params: str):
    return client._ctx.secure_clob.get_json(path, params=params)


def test_orders_and_trades_have_the_venues_fields(client, traded):
    accepted, _ = traded
    order = private(client, f"/data/order/{accepted.order_id}")
    assert set(order) >= ORDER
    page = private(client, "/data/trades")
    assert set(page) >= PAGE
    assert set(page["data"][0]) >= TRADE
    assert set(page["data"][0]["maker_orders"][0]) >= MAKER


def test_the_book_has_the_venues_fields_and_order(paper, traded):
    book = paper.http.get("/book", params={"token_id": traded[1]}).json()
    assert set(book) == BOOK
    assert book["bids"] == sorted(book["bids"], key=lambda level: float(level["price"]))
    assert book["asks"] == sorted(book["asks"], key=lambda level: -float(level["price"]))


def test_gamma_markets_have_the_fields_the_client_reads(paper, client):
    ours = paper.http.get("/markets", params={"limit": 1}).json()[0]
    assert set(ours) - GAMMA <= {"version", "secondsDelay", "events"}
    listed = client.list_markets(page_size=4).first_page()
    assert len(listed.items) == 4
    assert listed.has_more
    markets = {m.condition_id: m for page in client.list_markets(page_size=4) for m in page.items}
    assert set(markets) == {m["conditionId"] for m in paper.markets()}
    first = paper.markets()[0]
    assert markets[first["conditionId"]].outcomes.yes.token_id == first["tokenIds"][0]


def test_every_public_read_satisfies_the_client(client, traded):
    _, token = traded
    assert str(client.get_price(asset_id=token, side="BUY")) == "0.48"
    assert str(client.get_midpoint(asset_id=token)) == "0.49"
    assert str(client.get_spread(asset_id=token)) == "0.02"
    assert client.get_last_trade_price(asset_id=token).side == "SELL"
    assert client.get_order_books(asset_ids=[token])[0].asset_id == token
    assert client.get_midpoints(asset_ids=[token]).keys() == {token}
