"""Many stops in one request: each row is answered by itself, what they share is looked up once."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders.models import Instrument, Position
from tests.paper_process import PaperProcess
from tests.rows import Api, an_instrument, seen
from tests.trailing.test_tick import in_threads
from trailing.models import TrailingStop
from trailing.tick import tick

PATH = "/api/trailing-stops/bulk"


@pytest.fixture
def token(db: None) -> Instrument:
    """A token of which 100 are held, last seen at 0.50."""
    instrument = an_instrument(held="100")
    tick([seen(instrument, "0.50", ask="0.52")])
    return instrument


def a_body(token: Instrument, **changes: Any) -> dict[str, Any]:
    return {"symbol": token.symbol, "quantity": 10, "trailingPercent": 10} | changes


def test_each_row_is_answered_in_its_place_by_its_key_or_its_error(api: Api, token: Instrument):
    rows = [
        a_body(token),
        a_body(token, quantity=1000),
        "nonsense",
        a_body(token, entryPrice="0.40", trailingPercent=4),
        a_body(token, symbol="no such"),
        a_body(token, trailingPercent=120, side="up"),
    ]
    told = api.post(PATH, {"stops": rows})
    assert told.status_code == 201
    body = told.json()
    assert (body["created"], body["refused"]) == (2, 4)
    first, second, third, fourth, fifth, sixth = body["results"]
    stop = TrailingStop.objects.get(state_key=first.pop("stateKey"))
    assert first == {"status": "active", "entryPrice": 0.5, "triggerPrice": 0.45}
    assert stop.quantity == 10
    assert second["error"]["fields"] == {"quantity": "only 100 is held"}
    assert third["error"]["code"] == "invalid"
    assert TrailingStop.objects.get(state_key=fourth["stateKey"]).entry_price == Decimal("0.40")
    assert "below two ticks" in fourth["warnings"][0]
    assert set(fifth["error"]["fields"]) == {"symbol"}
    assert set(sixth["error"]["fields"]) == {"trailingPercent", "side"}
    assert TrailingStop.objects.count() == 2


def test_when_no_row_can_be_made_it_is_400_with_every_field_named(api: Api, token: Instrument):
    told = api.post(PATH, {"stops": [a_body(token, quantity=-1), "nonsense"]})
    assert told.status_code == 400
    fields = told.json()["error"]["fields"]
    assert set(fields) == {"stops[0].quantity", "stops[1]"}


@pytest.mark.parametrize(
    "body", [{}, {"stops": []}, {"stops": {}}, {"stops": [{}] * 1001}, {"stop": []}, []]
)
def test_what_is_no_list_of_stops_is_400(api: Api, token: Instrument, body: Any):
    assert api.post(PATH, body).status_code == 400
    assert TrailingStop.objects.count() == 0


def test_reading_many_rows_takes_as_many_statements_as_reading_two(api: Api, token: Instrument):
    other = an_instrument(held="100")
    tick([seen(other, "0.50", ask="0.52")])
    counts = []
    for count in (1, 1, 100):
        rows = [a_body(token), a_body(other)] * count
        with CaptureQueriesContext(connection) as queries:
            assert api.post(PATH, {"stops": rows}).json()["created"] == 2 * count
        counts.append(len(queries))
    assert counts[1] == counts[2]  # the first makes the watermarks


def test_the_same_key_makes_the_stops_once_also_for_concurrent_duplicates(transactional_db: None):
    token = an_instrument(held="100")
    tick([seen(token, "0.50", ask="0.52")])
    api, body = Api("trade"), {"stops": [a_body(token)] * 20 + [a_body(token, quantity=1000)]}
    answers = in_threads(4, lambda _: api.post(PATH, body, **{"Idempotency-Key": "many"}))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert TrailingStop.objects.count() == 20
    other = api.post(PATH, {"stops": [a_body(token)]}, **{"Idempotency-Key": "many"})
    assert other.status_code == 422


@pytest.mark.django_db(transaction=True)
def test_new_symbols_are_asked_for_once_and_a_venue_that_is_silent_is_not_asked_again(
    paper: PaperProcess,
):
    [one, silent] = [market["tokenIds"][0] for market in paper.markets()[:2]]
    row = {"quantity": 10, "trailingPercent": 10, "entryPrice": "0.50"}
    api = Api("trade")
    assert api.post(PATH, {"stops": [{**row, "symbol": one}] * 3}).json()["created"] == 3
    assert Position.objects.filter(asset=one, compared_at__isnull=False).exists()
    paper.fault("GET /balance-allowance", "http_500", times=50)
    rows = [{**row, "symbol": symbol} for symbol in (silent, one, silent, silent)]
    told = api.post(PATH, {"stops": rows}).json()
    assert [("error" in result) for result in told["results"]] == [True, False, True, True]
    assert told["results"][0]["error"]["code"] == "venue_unavailable"
    faults: Any = paper.call("GET", "/paper/faults")
    assert faults["faults"][0]["times"] >= 44  # one attempt with its repetitions, not one per row


@pytest.mark.django_db(transaction=True)
def test_prices_that_nobody_has_are_asked_for_together(paper: PaperProcess):
    tokens = [market["tokenIds"][0] for market in paper.markets()[:3]]
    for token in tokens:
        paper.put_book(token, bids=[("0.50", 1000)], asks=[("0.52", 1000)])
    row = {"quantity": 10, "trailingPercent": 10}
    told = Api("trade").post(PATH, {"stops": [{**row, "symbol": token} for token in tokens]}).json()
    assert [result.get("entryPrice") for result in told["results"]] == [0.5, 0.5, 0.5]
