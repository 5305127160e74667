"""The book over HTTP: orders found and cancelled, positions with what is free, alerts resolved."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.types import Side
from operations import book_api
from orders import ledger, listing, planning, reserving
from orders.models import Entry, Fill, ForeignOrder, Instrument, Leg, Order, Position, Trade
from orders.planning import LegRequest
from polytrader.alerts import raise_alert
from polytrader.models import Alert
from strategy import managing, signals
from tests.paper_process import PaperProcess, wait_until
from tests.rows import Api, a_stop, an_instrument, counted_runs, seen
from tests.trailing.test_tick import in_threads
from trailing.maths import Trail
from trailing.tick import tick

KEY = "Idempotency-Key"
RESTING = {"side": "sell", "size": 10, "price": "0.90", "orderType": "GTC"}


def an_order(
    instrument: Instrument,
    side: Side = "sell",
    quantity: int = 10,
    price: str = "0.5",
    **changes: Any,
) -> Order:
    """A planned order of a signal, with these columns changed."""
    request = LegRequest(instrument, side, Decimal(quantity), Decimal(price))
    [order] = planning.open_trade(Trade(purpose="signal", strategy="mine"), [request])
    order.note(**changes)
    return order


def an_exit(instrument: Instrument) -> Order:
    """The planned order of a stop that has triggered."""
    a_stop(instrument, Trail(amount=Decimal("0.01")), "0.50")
    tick([seen(instrument, "0.40")])
    return Order.objects.get(leg__price=None)


# Orders


def test_orders_are_found_by_our_number_and_by_the_venues_id(api: Api):
    order = an_order(an_instrument(question="Will it?", outcome="Yes"))
    order.move("sent", order_id="0x" + "ab" * 32, payload="secret bytes")
    Fill.objects.create(
        order=order,
        trade_id="t",
        quantity=4,
        price=Decimal("0.51"),
        status="confirmed",
        matched_at=timezone.now(),
    )
    told = api.get(f"/api/orders/{order.pk}").json()
    assert api.get(f"/api/orders/{order.order_id}").json() == told
    assert api.get("/api/orders").json()["results"] == [told]
    assert (told["assetId"], told["question"], told["outcome"]) == (
        order.instrument.symbol,
        "Will it?",
        "Yes",
    )
    assert (told["purpose"], told["strategy"], told["tradeId"]) == (
        "signal",
        "mine",
        order.leg.trade_id,
    )
    assert (told["quantity"], told["averagePrice"]) == ("10", "0.51")
    assert "secret" not in str(told)


def test_orders_are_filtered_by_state_token_and_trade(api: Api):
    one, other = an_instrument(), an_instrument()
    first = an_order(one)
    an_order(other, status="cancelled")
    for params, count in (
        ({}, 2),
        ({"status": "planned"}, 1),
        ({"status": "open"}, 0),
        ({"assetId": other.symbol}, 1),
        ({"tradeId": str(first.leg.trade_id)}, 1),
        ({"tradeId": "99999"}, 0),
    ):
        assert api.get("/api/orders", **params).json()["count"] == count, params
    for wrong in ({"status": "x"}, {"tradeId": "x"}, {"tradeId": "-1"}, {"assetId": "\u0000"}):
        answer = api.get("/api/orders", **wrong)
        assert answer.status_code == 400
        assert set(answer.json()["error"]["fields"]) == set(wrong)


def test_a_planned_order_is_cancelled_and_its_leg_ends(api: Api):
    order = an_order(an_instrument())
    told = api.post(f"/api/orders/{order.pk}/cancel").json()
    assert told["status"] == "cancelled"
    assert told["cancelRequestedAt"]
    order.leg.refresh_from_db()
    assert order.leg.cancel_requested_at is not None
    again = api.post(f"/api/orders/{order.pk}/cancel")
    assert again.status_code == 409
    assert "cancelled" in again.json()["error"]["message"]
    assert api.post("/api/orders/999/cancel").status_code == 404
    assert Api("read").post(f"/api/orders/{order.pk}/cancel").status_code == 403


def test_an_exit_is_never_withdrawn(api: Api):
    order = an_exit(an_instrument())
    answer = api.post(f"/api/orders/{order.pk}/cancel")
    assert answer.status_code == 409
    assert "exit" in answer.json()["error"]["message"]
    an_order(an_instrument())
    told = api.post("/api/orders/cancel-all").json()
    assert told["cancelled"] == 1
    assert "1 exit" in told["message"]
    order.refresh_from_db()
    assert (order.status, order.cancel_requested_at) == ("planned", None)
    assert api.post("/api/orders/cancel-all").json()["cancelled"] == 0


def test_a_cancel_with_a_key_has_one_answer(api: Api):
    order = an_order(an_instrument())
    path = f"/api/orders/{order.pk}/cancel"
    first = api.post(path, **{KEY: "c"})
    assert (first.status_code, api.post(path, **{KEY: "c"}).content) == (200, first.content)


@pytest.fixture
def resting(
    paper: PaperProcess, paper_token: Instrument, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """The leg of a signal whose order rests at the paper exchange; a busy machine is waited for."""
    monkeypatch.setattr(signals, "WAIT_FOR_ANSWERS", 20.0)
    told = Api("trade").post(
        "/strategy/signals", {"legs": [{"assetId": paper_token.symbol, **RESTING}]}
    )
    [leg] = told.json()["legs"]
    assert leg["status"] == "open", leg
    return dict(leg)


def test_cancelling_asks_the_venue_at_once(
    resting: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(book_api, "WAIT_FOR_CANCEL", 20.0)
    api = Api("trade")
    told = api.post(f"/api/orders/{resting['orderId']}/cancel").json()
    assert (told["status"], told["reason"]) == ("cancelled", "cancelled by request")

    def is_ended() -> bool:
        managing.work()
        return Leg.objects.get(pk=resting["id"]).status == "cancelled"

    wait_until(is_ended)


def test_a_cancel_that_the_venue_does_not_answer_is_still_asked_for(
    paper: PaperProcess, resting: dict[str, Any]
):
    api = Api("trade")
    paper.fault("DELETE /order", "slow:3000")
    answer = api.post(f"/api/orders/{resting['order']['id']}/cancel")
    assert answer.status_code == 200
    assert answer.json()["status"] == "open"
    assert answer.json()["cancelRequestedAt"]
    order = Order.objects.get(order_id=resting["orderId"])

    def is_gone() -> bool:
        managing.work()
        order.refresh_from_db()
        return order.status == "cancelled"

    wait_until(is_gone, seconds=20)


def test_duplicates_of_a_cancel_get_one_answer(resting: dict[str, Any]):
    api, path = Api("trade"), f"/api/orders/{resting['orderId']}/cancel"
    answers = in_threads(4, lambda _: api.post(path, **{KEY: "d"}))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


def test_orders_placed_by_hand_are_shown(paper: PaperProcess, paper_token: Instrument):
    api = Api("read")
    ForeignOrder.objects.create(
        order_id="0xgone",
        venue="polymarket",
        symbol=paper_token.symbol,
        asset="collateral",
        side="buy",
        quantity=5,
        price=Decimal("0.1"),
        closed_at=timezone.now(),
    )
    assert listing.refresh("polymarket") in (True, False)
    assert api.get("/api/orders/foreign").json()["count"] == 1
    assert api.get("/api/orders/foreign", open="true").json()["count"] == 0
    [told] = api.get("/api/orders/foreign", open="false").json()["results"]
    assert (told["orderId"], told["size"], told["reserved"]) == ("0xgone", "5", "0")
    assert api.get("/api/orders/foreign", open="yes").status_code == 400


# Positions


@settings(max_examples=25)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["sell", "buy"]),
            st.integers(1, 400),
            st.integers(1, 99),
            st.integers(0, 100),
            st.sampled_from(["planned", "cancelled", "filled"]),
        ),
        max_size=8,
    ),
    outflow=st.integers(0, 50),
    elsewhere=st.integers(0, 900),
)
@pytest.mark.django_db(transaction=True)
def test_all_positions_at_once_agree_with_each_for_itself(
    rows: list[tuple[Side, int, int, int, str]], outflow: int, elsewhere: int
):
    Fill.objects.all().delete()
    for model in (Order, Leg, Trade, ForeignOrder, Entry, Position, Instrument):
        model.objects.all().delete()
    instruments = [an_instrument(held="500", collateral="300") for _ in range(2)]
    trade = Trade.objects.create(purpose="signal")
    for index, (side, quantity, cents, matched, state) in enumerate(rows):
        leg = Leg.objects.create(
            trade=trade, instrument=instruments[index % 2], side=side, quantity=quantity
        )
        Order.objects.create(
            leg=leg,
            instrument=leg.instrument,
            side=side,
            quantity=quantity,
            matched_quantity=Decimal(quantity * matched) / 100,
            price=Decimal(cents) / 100,
            fee_per_unit=Decimal("0.00731"),
            status="planned" if state == "planned" else "cancelled",
        )
    ForeignOrder.objects.create(
        order_id="0x1",
        venue="polymarket",
        symbol=instruments[0].symbol,
        asset=instruments[0].symbol,
        side="sell",
        quantity=elsewhere + 1,
        price=Decimal("0.5"),
        reserved=elsewhere,
    )
    Position.objects.filter(asset="collateral").update(pending_outflow=outflow)
    positions = list(Position.objects.all())
    with counted_runs() as runs:
        reserved, sellable = reserving.reserved(positions), reserving.sellable(positions)
    assert runs.call_count == 2
    assert reserved == {one.asset: one.reserved() for one in positions}
    assert sellable == {one.asset: one.sellable() for one in positions}


def test_positions_show_what_is_held_reserved_and_free(api: Api):
    token = an_instrument(question="Will it?", outcome="Yes", held="100")
    an_order(token, quantity=30)
    told = {row["assetId"]: row for row in api.get("/api/positions").json()["results"]}
    shown = told[token.symbol]
    assert (shown["question"], shown["outcome"]) == ("Will it?", "Yes")
    assert (shown["matched"], shown["settled"]) == ("100", "100")
    assert (shown["reserved"], shown["sellable"]) == ("30", "70")
    assert told["collateral"]["question"] == ""
    Position.objects.create(asset=token.complement, venue="polymarket")
    other = api.get(f"/api/positions/{token.complement}").json()
    assert (other["question"], other["outcome"]) == ("Will it?", "not Yes")
    assert (other["venueBalance"], other["entries"]) == (None, [])


def test_what_is_matched_and_not_settled_is_not_sellable(api: Api):
    token = an_instrument(held="100")
    Position.objects.filter(asset=token.symbol).update(settled=Decimal(40))
    shown = api.get(f"/api/positions/{token.symbol}").json()
    assert (shown["matched"], shown["sellable"]) == ("100", "40")
    an_order(token, quantity=35)
    Position.objects.filter(asset=token.symbol).update(settled=Decimal(10))
    shown = api.get(f"/api/positions/{token.symbol}").json()
    assert (shown["reserved"], shown["sellable"]) == ("35", "0")


def test_a_position_tells_its_latest_hundred_entries_of_the_wallet(api: Api):
    token = an_instrument()
    positions = ledger.lock([token.base_asset, "collateral"], "polymarket")
    for number in range(101):
        change = ledger.Change(token.base_asset, Decimal(1), "outside")
        ledger.post(positions, "outside", str(number), [change])
    entries = api.get(f"/api/positions/{token.symbol}").json()["entries"]
    assert len(entries) == 100
    assert (entries[0]["reference"], entries[0]["matchedChange"]) == ("100", "1")


def test_a_page_of_positions_takes_few_queries(api: Api):
    counts = []
    for _ in range(2):
        for _ in range(5):
            an_order(an_instrument())
        with counted_runs() as runs, CaptureQueriesContext(connection) as queries:
            api.get("/api/positions")
        counts.append(runs.call_count + len(queries))
    assert counts[0] == counts[1] <= 18


# Alerts


def test_alerts_are_listed_and_resolved_once(api: Api):
    first = raise_alert("clock_skew", "clock of polymarket", "5 s ahead", seconds=5)
    raise_alert("leg_given_up", "leg 3 of trade 2", "refused")
    assert api.get("/api/alerts").json()["count"] == 2
    assert api.get("/api/alerts", kind="clock_skew").json()["count"] == 1
    [_, told] = api.get("/api/alerts", open="true").json()["results"]
    assert (told["kind"], told["critical"], told["details"]) == (
        "clock_skew",
        False,
        {"seconds": 5},
    )
    path = f"/api/alerts/{first}/resolve"
    assert Api("read").post(path).status_code == 403
    answer = api.post(path, {"text": "NTP was off"}, **{KEY: "r"})
    assert answer.status_code == 200
    assert (answer.json()["open"], answer.json()["resolution"]) == (False, "NTP was off")
    assert api.post(path, {"text": "NTP was off"}, **{KEY: "r"}).content == answer.content
    assert api.post(path).status_code == 409
    assert api.get("/api/alerts", open="true").json()["count"] == 1
    other = Alert.objects.get(kind="leg_given_up")
    assert api.post(f"/api/alerts/{other.pk}/resolve").json()["resolution"] == "resolved by request"


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("9", {}, 404),
        ("x", {}, 404),
        ("9", [], 400),
        ("9", {"text": 5}, 400),
        ("9", {"text": ""}, 400),
        ("9", {"why": "x"}, 400),
    ],
)
def test_a_bad_resolution_is_refused(api: Api, name: str, body: Any, status: int):
    assert api.post(f"/api/alerts/{name}/resolve", body).status_code == status
    for wrong in ({"open": "1"}, {"kind": "x"}):
        assert api.get("/api/alerts", **wrong).status_code == 400
