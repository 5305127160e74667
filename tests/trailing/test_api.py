"""The HTTP face of stops: the contract's bodies, every field's bad inputs, cancel against trigger."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from orders.models import Instrument, Order
from polytrader.models import KEPT_FOR, IdempotentAnswer
from tests.rows import Api, a_stop, an_instrument, seen
from tests.trailing.test_tick import in_threads
from trailing import ending
from trailing.maths import Trail
from trailing.models import TrailingStop
from trailing.tick import tick

PATH = "/api/trailing-stops"
TEN_PERCENT = Trail.of_percent(Decimal(10))


def spot() -> Instrument:
    return an_instrument(
        "BTCUSDT",
        venue="binance",
        base_asset="BTC",
        quote_asset="USDT",
        min_quantity=Decimal("0.00001"),
        quantity_step=Decimal("0.00001"),
        condition_id="",
        complement="",
    )


@pytest.fixture
def token(db: None) -> Instrument:
    instrument = an_instrument()
    tick([seen(instrument, "0.48", ask="0.50")])
    return instrument


def test_the_sample_body_of_the_contract_works_as_printed(api: Api):
    spot()
    body = (
        '{"symbol": "BTCUSDT", "quantity": 0.001, "trailingPercent": 2, "entryPrice": 50000,'
        ' "side": "sell", "useActivationPrice": true, "activationPrice": 51000}'
    )
    answer = api.post(PATH, raw=body)
    assert answer.status_code == 201
    told = answer.json()
    assert told.pop("stateKey").removeprefix("trailing_stop_").isdigit()
    assert told == {
        "message": "Trailing stop simulation started for BTCUSDT",
        "status": "pending_activation",
        "entryPrice": 50000,
        "triggerPrice": 49000,
        "system": "Celery",
    }


def test_activation_sets_best_price_and_trigger(api: Api):
    instrument = spot()
    body = {"symbol": "BTCUSDT", "quantity": "0.001", "trailingPercent": "2"}
    key = api.post(
        PATH, body | {"entryPrice": 50000, "useActivationPrice": True, "activationPrice": 51000}
    ).json()["stateKey"]
    tick([seen(instrument, "51000")])
    stop = api.get(f"{PATH}/{key}").json()
    assert (stop["status"], stop["triggerPrice"], stop["watermarkPrice"]) == (
        "active",
        "49980",
        "51000",
    )


def test_an_activation_price_satisfied_already_makes_it_active_at_once(api: Api, token: Instrument):
    body = {"symbol": token.symbol, "quantity": 10, "trailingPercent": 10, "entryPrice": 0.40}
    told = api.post(PATH, body | {"activationPrice": "0.45"}).json()
    assert (told["status"], told["triggerPrice"]) == ("active", 0.432)


def test_the_current_price_is_the_entry_price_when_none_is_given(api: Api, token: Instrument):
    body = {"symbol": token.symbol, "quantity": 10, "trailingPercent": 10}
    assert api.post(PATH, body).json()["entryPrice"] == 0.48
    assert api.post(PATH, body | {"side": "buy"}).json()["entryPrice"] == 0.5


def test_a_stop_is_shown_with_plain_decimal_strings(api: Api, token: Instrument):
    key = api.post(
        PATH,
        {"symbol": token.symbol, "quantity": 50, "trailingAmount": "0.050", "strategy": "mine"},
    ).json()["stateKey"]
    stop = api.get(f"{PATH}/{key}").json()
    shown = {name: stop[name] for name in ("quantity", "trailingAmount", "entryPrice")}
    assert shown == {"quantity": "50", "trailingAmount": "0.05", "entryPrice": "0.48"}
    assert stop["protected"] is True
    assert stop["lastPrice"] == "0.48"
    listed = api.get(PATH, strategy="mine").json()
    assert listed["count"] == 1
    assert [row["stateKey"] for row in listed["results"]] == [key]
    assert api.get(PATH, strategy="other").json()["count"] == 0


def test_a_stop_without_fresh_prices_says_that_it_does_not_protect(api: Api, token: Instrument):
    key = api.post(PATH, {"symbol": token.symbol, "quantity": 10, "trailingPercent": 10}).json()[
        "stateKey"
    ]
    Instrument.objects.update(observed_at=timezone.now() - timedelta(seconds=11))
    stop = api.get(f"{PATH}/{key}").json()
    assert (stop["phase"], stop["protected"]) == ("suspended", False)
    assert "no fresh price" in stop["protectedReason"]


def test_below_two_ticks_is_accepted_with_a_warning(api: Api, token: Instrument):
    answer = api.post(PATH, {"symbol": token.symbol, "quantity": 10, "trailingAmount": "0.015"})
    assert answer.status_code == 201
    assert "two ticks" in answer.json()["warnings"][0]


WRONG_NUMBERS: list[Any] = [
    None,
    True,
    [],
    {},
    "abc",
    "",
    "NaN",
    "Infinity",
    -1,
    0,
    "1_0",
    "1" * 40,
]
BAD = [
    *[
        (name, value)
        for name in ("quantity", "trailingPercent", "entryPrice")
        for value in WRONG_NUMBERS
    ],
    *[("activationPrice", value) for value in WRONG_NUMBERS],
    *[("symbol", value) for value in (None, 5, "", "nothing", "123", "a" * 90, [], "\u0000")],
    *[("side", value) for value in (None, "hold", 1, "SELL", [])],
    *[("useActivationPrice", value) for value in (None, 1, "true")],
    *[("mintAfterSell", value) for value in (None, 1, "yes")],
    *[("strategy", value) for value in (None, 1, "", "x" * 100)],
    *[("trailingPercent", value) for value in (100, 250, "99.99999999999999")],
    ("trailingPercent", "0.5"),  # less than a tick of 0.01 at 0.48
    ("quantity", 10001),  # more than is held
    ("quantity", 4),  # below the venue's minimum
    ("quantity", "10.001"),
    ("entryPrice", 1),
    ("entryPrice", "1.5"),
    ("activationPrice", 2),
    ("stopPrice", "0.60"),  # above the entry price
    ("takeProfitPrice", "0.40"),  # below it
    ("takeProfitPrice", 1),
    ("triggerBy", "nothing"),
    ("confirmUpdates", 0),
    ("confirmMs", 60_001),
    ("maxSpread", 0),
    ("maxSlippage", "-0.1"),
    ("gapPolicy", "guess"),
    ("expiresAt", "2020-01-01T00:00:00Z"),
    ("quanttity", 10),
]


@pytest.mark.parametrize(("field", "value"), BAD, ids=lambda v: str(v)[:24])
def test_bad_input_is_400_with_the_field_named_and_nothing_stored(
    api: Api, token: Instrument, paper_is_silent: None, field: str, value: Any
):
    body = {"symbol": token.symbol, "quantity": 10, "trailingPercent": 10, "entryPrice": "0.48"}
    answer = api.post(PATH, {**body, field: value})
    assert answer.status_code == 400, answer.content
    error = answer.json()["error"]
    assert field in error["fields"]
    assert error["message"]
    assert TrailingStop.objects.count() == 0


@pytest.fixture
def paper_is_silent(settings: Any) -> None:
    """No venue answers: what is refused is refused by what we know."""
    from orders import venues

    venues.forget()


@pytest.mark.parametrize("field", ["symbol", "quantity", "trailingPercent"])
def test_a_missing_field_is_400_with_its_name(api: Api, token: Instrument, field: str):
    body = {"symbol": token.symbol, "quantity": 10, "trailingPercent": 10}
    del body[field]
    answer = api.post(PATH, body)
    assert answer.status_code == 400
    assert field in answer.json()["error"]["fields"]


@pytest.mark.parametrize(
    "raw",
    ["", "[]", "nonsense", "null", "5", '{"quantity": NaN}', '{"quantity": 1e999}', "{" * 9000],
)
def test_a_body_that_is_no_json_object_is_400(api: Api, token: Instrument, raw: str):
    answer = api.post(PATH, raw=raw)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_one_trail_is_given_and_only_one(api: Api, token: Instrument):
    body = {"symbol": token.symbol, "quantity": 10, "trailingPercent": 10, "trailingTicks": 3}
    assert "trailingTicks" in api.post(PATH, body).json()["error"]["fields"]


def test_without_a_token_nothing_answers_and_scopes_are_kept(db: None, token: Instrument, client):
    assert client.get(PATH).status_code == 401
    assert client.post(PATH, {}, content_type="application/json").status_code == 401
    reader, trader = Api("read"), Api("trade")
    body = {"symbol": token.symbol, "quantity": 10, "trailingPercent": 10}
    assert reader.get(PATH).status_code == 200
    assert reader.post(PATH, body).status_code == 403
    assert trader.post(PATH, body).status_code == 201
    assert trader.post("/api/queue-status", {"action": "reinitialize"}).status_code == 403
    assert client.get(PATH, headers={"Authorization": "Bearer nonsense"}).status_code == 401


def test_the_same_idempotency_key_gets_the_same_answer_and_one_stop(api: Api, token: Instrument):
    body = {"symbol": token.symbol, "quantity": 10, "trailingPercent": 10}
    first = api.post(PATH, body, **{"Idempotency-Key": "a"})
    second = api.post(PATH, body, **{"Idempotency-Key": "a"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert TrailingStop.objects.count() == 1
    other = api.post(PATH, {**body, "quantity": 20}, **{"Idempotency-Key": "a"})
    assert other.status_code == 422


def test_a_key_of_more_than_a_day_ago_counts_for_a_new_one(api: Api, token: Instrument):
    body = {"symbol": token.symbol, "quantity": 10, "trailingPercent": 10}
    key = {"Idempotency-Key": "again"}
    first = api.post(PATH, body, **key).json()["stateKey"]
    IdempotentAnswer.objects.update(created_at=timezone.now() - KEPT_FOR)
    second = api.post(PATH, body | {"quantity": 20}, **key).json()["stateKey"]
    third = api.post(PATH, body | {"quantity": 20}, **key).json()["stateKey"]
    assert first != second == third
    assert IdempotentAnswer.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_concurrent_duplicates_wait_for_the_first_and_make_one_stop():
    instrument = an_instrument()
    tick([seen(instrument, "0.48")])
    api = Api("trade")
    body = {"symbol": instrument.symbol, "quantity": 10, "trailingPercent": 10}
    answers = in_threads(4, lambda _: api.post(PATH, body, **{"Idempotency-Key": "b"}))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert TrailingStop.objects.count() == 1


def test_cancel_ends_a_stop_and_a_late_tick_does_not_undo_it(api: Api, token: Instrument):
    key = api.post(PATH, {"symbol": token.symbol, "quantity": 10, "trailingPercent": 10}).json()[
        "stateKey"
    ]
    assert api.post(f"{PATH}/{key}/cancel").json()["status"] == "cancelled"
    tick([seen(token, "0.10")])
    stop = api.get(f"{PATH}/{key}").json()
    assert (stop["status"], stop["triggerPrice"]) == ("cancelled", "0.432")
    assert api.post(f"{PATH}/{key}/cancel").status_code == 409
    kinds = [event["kind"] for event in api.get(f"{PATH}/{key}/events").json()["results"]]
    assert kinds == ["created", "cancelled"]
    assert api.get(f"{PATH}/trailing_stop_0").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_cancel_against_trigger_200_times_exactly_one_wins():
    instrument = an_instrument(held="100000")
    now = timezone.now()
    seen_both = set()
    for number in range(200):
        stop = a_stop(instrument, TEN_PERCENT, "0.50")
        at = now + timedelta(milliseconds=number)

        def act(index: int, stop: TrailingStop = stop, at: Any = at) -> bool:
            if index == 0:
                return ending.cancel(TrailingStop.objects.get(pk=stop.pk))
            return tick([seen(instrument, "0.40", at)]).triggered == 1

        cancelled, triggered = in_threads(2, act)
        stop.refresh_from_db()
        assert cancelled != triggered
        assert stop.status == ("cancelled" if cancelled else "triggered")
        assert Order.objects.filter(leg__trade__trailingstop=stop).count() == int(triggered)
        seen_both.add(stop.status)
    assert seen_both == {"cancelled", "triggered"}
