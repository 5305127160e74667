"""The pages for people: plain numbers, short ids, links that lead on; and the API's own description."""

import itertools
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from minting.models import Mint, Resolution, Transaction, Version
from operations.admin.cells import shortened
from operations.admin.price_line import LABEL_WIDTH, draw
from orders.models import Entry, Fill, Halt, Instrument, Order, Position
from polytrader import heartbeats
from polytrader.alerts import raise_alert, resolve_alert
from polytrader.models import Alert
from polytrader.urls import urlpatterns
from tests.rows import Api, a_stop, an_instrument, seen
from trailing.maths import Trail
from trailing.models import TrailingStop
from trailing.tick import tick

OURS = ("trailing", "orders", "minting", "strategy", "polytrader")
TRAILING_ZEROS = re.compile(r"\.\d*00000000")
QUESTION = "Will the Federal Reserve cut interest rates at its next meeting, or not?"


@pytest.fixture
def person(db: None) -> Client:
    """A browser logged in to the admin."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("someone", password="secret"))
    return client


@pytest.fixture
def sold(db: None) -> TrailingStop:
    """A stop that has sold, with order, fill, entry, mint and transaction; another one is watched."""
    instrument = an_instrument("9" * 30 + "123456789", question=QUESTION, outcome="Yes")
    a_stop(instrument, Trail.of_percent(Decimal(10)), "0.50")
    a_stop(instrument, Trail.of_percent(Decimal(10)), "0.50", activation="0.90")
    stop = a_stop(instrument, Trail(amount=Decimal("0.01")), "0.50")
    tick([seen(instrument, "0.48")])
    stop.refresh_from_db()
    _settle(Order.objects.get())
    heartbeats.beat("monitor", "evaluated 1 of 1 instruments")
    return stop


def _settle(order: Order) -> None:
    order.move("sent", order_id="0x" + "ab" * 32, payload="{}", sent_at=timezone.now())
    order.move("filled", matched_quantity=order.quantity)
    fill = Fill.objects.create(
        order=order,
        trade_id="5b3b9365-8afa-4bbc-b2df-aef9fe7b9ef4",
        quantity=order.quantity,
        price=Decimal("0.48"),
        fee=Decimal("0.0125"),
        status="confirmed",
        transaction_hash="0x" + "cd" * 32,
        matched_at=timezone.now(),
    )
    token, collateral = order.instrument.base_asset, order.instrument.quote_asset
    transaction = Transaction.objects.create(
        wallet="0x" + "12" * 20,
        nonce=3,
        instrument=order.instrument,
        condition_id=order.instrument.condition_id,
        quantity=order.quantity,
        takes={collateral: "10.000000000000"},
        brings={token: "10.000000000000"},
        status="confirmed",
        transaction_hash="0x" + "ef" * 32,
        cost=Decimal("0.0125"),
    )
    Version.objects.create(transaction=transaction, payload="secret bytes", max_fee=Decimal("0.05"))
    Resolution.objects.create(
        condition_id=order.instrument.condition_id, checked_at=timezone.now(), first_payout=1,
        second_payout=0,
    )  # fmt: skip
    Mint.objects.create(
        fill=fill,
        instrument=order.instrument,
        quantity=order.quantity,
        status="confirmed",
        transaction=transaction,
    )
    position = Position.objects.get(asset=order.instrument.base_asset)
    Entry.objects.create(
        position=position, kind="match", reference="trade", matched_change=-order.quantity
    )


def page_of(row: Any) -> str:
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/change/"


def read(person: Client, path: str, **params: str) -> str:
    answer = person.get(path, params)
    assert answer.status_code == 200, path
    return str(answer.content.decode())


def test_no_page_shows_a_number_with_its_trailing_zeros_or_signed_bytes(
    person: Client, sold: TrailingStop
):
    for model in [model for model in admin.site._registry if model._meta.app_label in OURS]:
        pages = [f"/admin/{model._meta.app_label}/{model._meta.model_name}/"]
        pages += [page_of(row) for row in model._default_manager.all()]
        for path in pages:
            text = read(person, path)
            assert not TRAILING_ZEROS.search(text), path
            assert "secret bytes" not in text, path


def test_the_list_of_stops_cuts_market_and_key_and_tells_them_whole(
    person: Client, sold: TrailingStop
):
    text = read(person, "/admin/trailing/trailingstop/")
    assert f">…{sold.state_key[-8:]}<" in text
    assert f'title="{sold.state_key}"' in text
    assert ">Will the Federal Reserve cut interest r… [Yes]<" in text
    assert QUESTION in text


def test_a_stop_is_found_by_its_whole_key(person: Client, sold: TrailingStop):
    text = read(person, "/admin/trailing/trailingstop/", q=sold.state_key)
    assert f'title="{sold.state_key}"' in text
    assert text.count('class="data-row') == 1


def test_a_filter_narrows_the_list(person: Client, sold: TrailingStop):
    path = "/admin/trailing/trailingstop/"
    assert read(person, path).count('class="data-row') == 3
    assert read(person, path, status__exact="pending_activation").count('class="data-row') == 1


def test_pages_lead_from_the_stop_to_its_mint_and_back(person: Client, sold: TrailingStop):
    order, fill, mint = Order.objects.get(), Fill.objects.get(), Mint.objects.get()
    of_stop = read(person, page_of(sold))
    for row in (order, fill, mint, mint.transaction, sold.instrument):
        assert f'href="{page_of(row)}"' in of_stop
    for row, leads_to in (
        (order, (sold, fill, sold.instrument)),
        (fill, (order, mint, sold.instrument, sold)),
        (mint, (fill, mint.transaction, sold.instrument)),
        (mint.transaction, (mint,)),
    ):
        text = read(person, page_of(row))
        for target in leads_to:
            assert f'href="{page_of(target)}"' in text, (row, target)


def test_positions_and_entries_name_the_market(person: Client, sold: TrailingStop):
    Position.objects.create(asset=sold.instrument.complement, venue="polymarket")
    positions = read(person, "/admin/orders/position/")
    assert "r… [Yes]" in positions
    assert "[not Yes]" in positions
    assert ">collateral<" in positions
    assert "r… [Yes]" in read(person, "/admin/orders/entry/")


def test_a_market_without_an_outcome_is_named_without_brackets(person: Client):
    Instrument.objects.filter(pk=an_instrument("BTCUSDT").pk).update(question="BTC/USDT")
    text = read(person, "/admin/orders/instrument/")
    assert "BTC/USDT" in text
    assert "[]" not in text


def test_the_sidebar_names_what_there_is_in_the_order_of_an_exit(person: Client):
    text = read(person, "/admin/polytrader/apitoken/")
    names = ["Trailing stops", "Orders", "Fills", "Mints", "Transactions", "Positions", "Entries",
             "Instruments", "Alerts", "Heartbeats", "API tokens", "Users"]  # fmt: skip
    places = [text.index(f"<span>{name}</span>") for name in names]
    assert places == sorted(places)
    assert "Api token" not in text
    assert "Return to site" not in Client().get("/admin/login/").content.decode()


def test_a_stop_is_cancelled_and_an_exit_retried_from_the_list(person: Client, sold: TrailingStop):
    watched = TrailingStop.objects.get(status="active")
    path = "/admin/trailing/trailingstop/"
    for action in ("cancel_stops", "retry_exits"):
        assert f'value="{action}"' in read(person, path)
    chosen = {"action": "cancel_stops", "_selected_action": [watched.pk]}
    assert "1 stop cancelled" in person.post(path, chosen, follow=True).content.decode()
    leg = Order.objects.get().leg
    later = timezone.now() + timedelta(hours=1)
    type(leg).objects.filter(pk=leg.pk).update(status="working", next_attempt_at=later)
    chosen = {"action": "retry_exits", "_selected_action": [sold.pk]}
    assert "1 exit due now" in person.post(path, chosen, follow=True).content.decode()
    leg.refresh_from_db()
    assert leg.next_attempt_at is not None
    assert leg.next_attempt_at <= timezone.now()


def test_open_alerts_come_first_and_are_resolved_by_a_person(person: Client):
    over = raise_alert("exit_held", "stop 1", "held at 0.48", price="0.48")
    resolve_alert("exit_held", "stop 1", "sold")
    still = raise_alert("leg_given_up", "leg 2", "<b>refused</b> eight times")
    text = read(person, "/admin/polytrader/alert/")
    assert text.index("leg given up") < text.index("exit held")
    assert "&lt;b&gt;refused&lt;/b&gt;" in text
    chosen = {"action": "mark_as_resolved", "_selected_action": [over, still]}
    text = person.post("/admin/polytrader/alert/", chosen, follow=True).content.decode()
    assert "1 alert marked as resolved" in text
    assert Alert.objects.get(pk=still).resolution == "by someone"
    assert Alert.objects.get(pk=over).resolution == "sold"
    assert "0.48" in read(person, page_of(Alert.objects.get(pk=over)))


def test_a_halt_is_lifted_once_and_another_one_is_named(person: Client):
    first, other = (Halt.objects.create(reason=f"order {number}: odd") for number in (1, 2))
    for chosen, others_stand in ((first, True), (other, False)):
        body = {"action": "lift", "_selected_action": [chosen.pk]}
        text = person.post("/admin/orders/halt/", body, follow=True).content.decode()
        assert "1 halt lifted" in text
        assert ("Another halt stands" in text) is others_stand
        assert Halt.is_on() is others_stand


def test_marks_stand_in_the_order_of_their_prices_and_their_labels_apart():
    prices = {"entry": "0.50", "best": "0.51", "trigger": "0.49", "last": "0.505"}
    line = draw({name: Decimal(price) for name, price in prices.items()})
    assert [mark.name for mark in line.marks] == ["trigger", "entry", "last", "best"]
    for side in (True, False):
        labels = [mark.label_x for mark in line.marks if mark.above is side]
        assert all(b - a >= LABEL_WIDTH for a, b in itertools.pairwise(labels))


def test_equal_prices_share_a_mark_and_one_price_alone_stands_in_the_middle():
    line = draw({"entry": Decimal("0.5"), "best": Decimal("0.50"), "trigger": Decimal("0.45")})
    assert [mark.name for mark in line.marks] == ["trigger", "entry, best"]
    assert draw({"entry": Decimal(1)}).marks[0].x == 500


def test_an_id_is_cut_in_the_middle_and_escaped():
    assert shortened("short") == "short"
    assert ">01234567…456789<" in shortened("0123456789" * 4)
    assert "<script" not in shortened("<script>alert(1)</script>" * 2)


def test_the_schema_is_valid_and_generated_without_a_warning(tmp_path: Path):
    call_command(
        "spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml")
    )


def test_the_schema_tells_every_address_with_its_bodies_and_refusals(api: Api):
    schema = api.get("/api/schema", format="json").json()
    routes: list[Any] = list(urlpatterns)
    shown = {re.sub(r"<str:(\w+)>", r"{\1}", str(route.pattern)) for route in routes}
    pages = {"", "admin/", "api/docs"}
    assert set(schema["paths"]) == {f"/{path}" for path in shown - pages}
    assert schema["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    create = schema["paths"]["/api/trailing-stops"]["post"]
    assert "requestBody" in create
    assert set(create["responses"]) >= {"201", "400", "401", "403", "422", "503"}


def test_the_schema_knows_every_field_that_is_answered(api: Api, sold: TrailingStop):
    known = api.get("/api/schema", format="json").json()["components"]["schemas"]
    stop = api.get(f"/api/trailing-stops/{sold.state_key}").json()
    events = api.get(f"/api/trailing-stops/{sold.state_key}/events").json()
    status = api.get("/api/queue-status").json()
    mint = api.get(f"/strategy/mint-queue/{Mint.objects.get().pk}").json()
    for name, body in (
        ("MintJob", mint),
        ("MintTransaction", mint["transaction"]),
        ("Position", api.get("/api/positions").json()["results"][0]),
        ("TrailingStop", stop),
        ("Order", stop["orders"][0]),
        ("Fill", stop["orders"][0]["fills"][0]),
        ("TrailingStopEvents", events),
        ("TrailingStopEvent", events["results"][0]),
        ("QueueStatus", status),
        ("SystemHealth", status["systemHealth"]),
        ("Queue", status["queueStats"]),
        ("Process", status["processes"][0]),
        ("MintQueue", api.get("/strategy/mint-queue/stats").json()),
        ("Error", api.get("/api/trailing-stops/none").json()),
    ):
        assert set(known[name]["properties"]) == set(body), name
