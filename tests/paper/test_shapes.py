"""Our answers have the fields of recorded and published ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

DATA = Path("../shared/data")
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the recorded data is not at hand")


def fixture(name: str) -> dict:
    return json.loads((DATA / "rest-fixtures" / name).read_text())


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
    assert set(order) >= set(fixture("http_open_order.json"))
    page = private(client, "/data/trades")
    assert set(page) >= set(fixture("http_trades_page.json"))
    wanted = fixture("http_trade_report.json")
    assert set(page["data"][0]) >= set(wanted)
    assert set(page["data"][0]["maker_orders"][0]) >= set(wanted["maker_orders"][0])


def test_the_book_has_the_venues_fields_and_order(paper, traded):
    book = paper.http.get("/book", params={"token_id": traded[1]}).json()
    recorded = json.loads((DATA / "gamma-clob/fed_june2026_clob_books.json").read_text())[0]
    assert set(book) == set(recorded)
    assert book["bids"] == sorted(book["bids"], key=lambda level: float(level["price"]))
    assert book["asks"] == sorted(book["asks"], key=lambda level: -float(level["price"]))


def test_gamma_markets_have_the_fields_the_client_reads(paper, client):
    recorded = json.loads((DATA / "gamma-clob/fed_june2026_gamma_event.json").read_text())
    event = recorded[0] if isinstance(recorded, list) else recorded
    ours = paper.http.get("/markets", params={"limit": 1}).json()[0]
    assert set(ours) - set(event["markets"][0]) <= {"version", "secondsDelay", "events"}
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
