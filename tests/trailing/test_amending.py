"""Changing live stops over HTTP: amended, answered, resumed; loosened only when asked."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from orders.models import Instrument, Leg, Order, Trade
from tests.rows import Api, a_stop, an_instrument, seen
from trailing.executable import Depth
from trailing.maths import Trail
from trailing.models import TrailingStop
from trailing.tick import tick

pytestmark = pytest.mark.django_db

TEN_PERCENT = Trail.of_percent(Decimal(10))


@pytest.fixture
def api() -> Api:
    return Api("trade")


def a_live_stop(price: str = "0.50", **changes: object) -> TrailingStop:
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50", **changes)  # type: ignore[arg-type]
    tick([seen(instrument, price)])
    return stop


def url(stop: TrailingStop, what: str = "") -> str:
    return f"/api/trailing-stops/{stop.state_key}{what}"


def patched(api: Api, stop: TrailingStop, **body: object):
    import json

    return api.client.patch(url(stop), json.dumps(body), content_type="application/json")


def test_a_tighter_trail_keeps_the_best_price_and_moves_the_trigger(api: Api):
    stop = a_live_stop("0.60")
    shown = patched(api, stop, trailingPercent=5).json()
    assert (shown["watermarkPrice"], shown["triggerPrice"]) == ("0.6", "0.57")
    assert shown["trailingPercent"] == "5"
    shown = patched(api, stop, trailingTicks=2).json()
    assert (shown["triggerPrice"], shown["trailingPercent"]) == ("0.58", None)


def test_loosening_is_refused_unless_it_is_meant(api: Api):
    stop = a_live_stop(stop_price=Decimal("0.40"))
    for body, field in (
        ({"trailingPercent": 20}, "trailingPercent"),
        ({"stopPrice": "0.30"}, "stopPrice"),
        ({"stopPrice": None}, "stopPrice"),
    ):
        answer = patched(api, stop, **body)
        assert answer.status_code == 400
        assert "allowLoosening" in answer.json()["error"]["fields"][field]
        assert patched(api, stop, **body, allowLoosening=True).status_code == 200
        patched(api, stop, trailingPercent=10, stopPrice="0.40")
    assert TrailingStop.objects.get(pk=stop.pk).stop_price == Decimal("0.40")


def test_a_trigger_that_the_price_has_reached_is_refused(api: Api):
    stop = a_live_stop("0.48")
    answer = patched(api, stop, trailingPercent=4)
    assert answer.status_code == 400
    assert "has reached" in answer.json()["error"]["fields"]["trailingPercent"]
    assert TrailingStop.objects.get(pk=stop.pk).status == "active"


def test_optional_fields_are_changed_and_taken_away(api: Api):
    stop = a_live_stop()
    later = (timezone.now() + timedelta(hours=1)).isoformat()
    body = {
        "takeProfitPrice": "0.80",
        "maxSpread": "0.05",
        "maxSlippage": "0.02",
        "confirmUpdates": 3,
        "gapPolicy": "ask",
        "expiresAt": later,
        "quantity": 20,
    }
    shown = patched(api, stop, **body).json()
    assert (shown["takeProfitPrice"], shown["confirmUpdates"]) == ("0.8", 3)
    assert (shown["gapPolicy"], shown["quantity"]) == ("ask", "20")
    gone = patched(api, stop, takeProfitPrice=None, expiresAt=None, maxSpread=None).json()
    assert (gone["takeProfitPrice"], gone["expiresAt"], gone["maxSpread"]) == (None, None, None)
    kinds = [event["kind"] for event in api.get(url(stop, "/events")).json()["results"]]
    assert kinds.count("amended") == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"trailingPercent": 0}, "trailingPercent"),
        ({"trailingPercent": 5, "trailingTicks": 2}, "trailingTicks"),
        ({"quantity": 1}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"stopPrice": "0.60"}, "stopPrice"),
        ({"takeProfitPrice": "0.40"}, "takeProfitPrice"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"gapPolicy": "guess"}, "gapPolicy"),
        ({"confirmMs": 10**9}, "confirmMs"),
        ({"side": "buy"}, "side"),
    ],
)
def test_bad_changes_are_400_with_the_field_named_and_change_nothing(api: Api, body, field):
    stop = a_live_stop()
    before = TrailingStop.objects.filter(pk=stop.pk).values().get()
    answer = patched(api, stop, **body)
    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, [field])
    assert TrailingStop.objects.filter(pk=stop.pk).values().get() == before


def test_a_triggered_stop_is_not_changed(api: Api):
    stop = a_live_stop("0.40")
    assert patched(api, stop, trailingPercent=5).status_code == 409


def asking(price: str = "0.40") -> TrailingStop:
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50", gap_policy="ask")
    old = timezone.now() - timedelta(minutes=5)
    Instrument.objects.filter(pk=instrument.pk).update(observed_at=old)
    tick([seen(instrument, price)])
    return stop


@pytest.mark.parametrize(
    ("how", "status", "trigger"),
    [("watch", "active", "0.45"), ("rearm", "active", "0.36"), ("fire", "triggered", "0.45")],
)
def test_a_person_decides_for_a_stop_that_asks(api: Api, how, status, trigger):
    stop = asking()
    assert api.get(url(stop)).json()["protected"] is False
    shown = api.post(url(stop, "/resume"), {"how": how}).json()
    assert (shown["status"], shown["triggerPrice"]) == (status, trigger)
    assert Order.objects.filter(leg__instrument=stop.instrument).count() == (how == "fire")


def test_rearming_a_stop_by_its_own_quantity_follows_what_that_would_get(api: Api):
    instrument = an_instrument()
    stop = a_stop(
        instrument,
        TEN_PERCENT,
        "0.50",
        quantity="100",
        reference="executable",
        gap_policy="ask",
    )
    old = timezone.now() - timedelta(minutes=5)
    Instrument.objects.filter(pk=instrument.pk).update(observed_at=old)
    bids = ((Decimal("0.45"), Decimal(10)), (Decimal("0.30"), Decimal(90)))
    tick([seen(instrument, "0.45", depth=Depth(bids, ()))])
    shown = api.post(url(stop, "/resume"), {"how": "rearm"}).json()
    assert (shown["status"], shown["watermarkPrice"]) == ("active", "0.315")


def failed(sold: str = "4") -> TrailingStop:
    instrument = an_instrument()
    trade = Trade.objects.create(purpose="exit")
    leg = Leg.objects.create(
        trade=trade, instrument=instrument, side="sell", quantity=20, status="failed"
    )
    order = Order.objects.create(
        leg=leg, instrument=instrument, side="sell", quantity=20, price="0.4", status="cancelled"
    )
    order.fills.create(
        trade_id="t", quantity=sold, price="0.4", status="confirmed", matched_at=timezone.now()
    )
    stop = a_stop(instrument, TEN_PERCENT, "0.50", quantity="20", stop_price=Decimal("0.3"))
    TrailingStop.objects.filter(pk=stop.pk).update(
        status="error",
        trade=trade,
        watermark=None,
        final_watermark_price=Decimal("0.60"),
        final_trigger_price=Decimal("0.54"),
    )
    return stop


def test_a_failed_stop_is_resumed_once_for_what_is_left_from_its_best_price(api: Api):
    stop = failed()
    shown = api.post(url(stop, "/resume")).json()
    assert shown["stateKey"] != stop.state_key
    assert (shown["quantity"], shown["watermarkPrice"]) == ("16", "0.6")
    assert (shown["triggerPrice"], shown["stopPrice"]) == ("0.54", "0.3")
    assert shown["resumes"] == stop.state_key
    assert api.post(url(stop, "/resume")).status_code == 409


def test_nothing_is_resumed_of_what_is_sold_closed_or_alive(api: Api):
    assert api.post(url(failed(sold="18"), "/resume")).status_code == 409
    closed = failed()
    Instrument.objects.filter(pk=closed.instrument_id).update(is_closed=True)
    assert api.post(url(closed, "/resume")).status_code == 409
    assert api.post(url(a_live_stop(), "/resume")).status_code == 409
