"""What a person watches: health with its reasons, true numbers, an admin that cannot break a row."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from minting.models import Mint
from orders.models import Leg, Order, Trade
from polytrader import heartbeats, tokens
from polytrader.models import ApiToken, Heartbeat
from polytrader.rows import IllegalMoveError
from tests.rows import Api, a_stop, an_instrument, seen
from trailing.maths import Trail
from trailing.models import TrailingStop
from trailing.tick import tick

TEN_PERCENT = Trail.of_percent(Decimal(10))


@pytest.fixture
def person(db: None) -> Client:
    """A browser logged in to the admin."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("someone", password="secret"))
    return client


def test_queue_status_counts_rows_and_has_the_contracts_shape(api: Api):
    instrument = an_instrument()
    for _ in range(2):
        a_stop(instrument, TEN_PERCENT, "0.50")
    a_stop(instrument, TEN_PERCENT, "0.50", activation="0.60")
    a_stop(instrument, Trail(amount=Decimal("0.01")), "0.50")
    tick([seen(instrument, "0.49")])
    Mint.objects.create(instrument=instrument, quantity=5)
    heartbeats.beat("monitor", "evaluated 1 of 1 instruments")
    told = api.get("/api/queue-status").json()
    assert told["success"] is True
    assert told["databaseStats"] == {
        "active": 2,
        "pending_activation": 1,
        "triggered": 1,
        "cancelled": 0,
        "error": 0,
    }
    assert set(told["queueStats"]) == {"waiting", "active", "completed", "failed", "total"}
    assert told["queues"]["orders"]["waiting"] == 1
    assert told["queues"]["mint-queue"]["waiting"] == 1
    assert (
        told["queueStats"]["total"] == told["queueStats"]["waiting"] + told["queueStats"]["active"]
    )
    assert told["systemHealth"]["queueInitialized"] is True
    assert told["processes"][0]["role"] == "monitor"
    assert told["feed"]["fresh"] == 1


def test_reinitialize_rearms_and_deletes_nothing(api: Api):
    instrument = an_instrument()
    a_stop(instrument, Trail(amount=Decimal("0.01")), "0.50")
    tick([seen(instrument, "0.40")])
    later = timezone.now() + timedelta(hours=1)
    Order.objects.update(next_look_at=later)
    counts = (TrailingStop.objects.count(), Order.objects.count(), Leg.objects.count())
    assert api.post("/api/queue-status", {"action": "reinitialize"}).status_code == 200
    assert Order.objects.get().next_look_at <= timezone.now()
    assert (TrailingStop.objects.count(), Order.objects.count(), Leg.objects.count()) == counts
    for body in ({"action": "flush"}, {}, {"action": None}, []):
        assert api.post("/api/queue-status", body).status_code == 400


def test_healthz_answers_anyone_and_readyz_says_what_is_missing(db: None, client: Client):
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "not been evaluated" in answer.json()["problems"][0]
    heartbeats.beat("monitor", "evaluated 0 of 0 instruments")
    assert client.get("/readyz").status_code == 200
    Heartbeat.objects.update(at=timezone.now() - timedelta(seconds=30))
    assert "30 s" in client.get("/readyz").json()["problems"][0]


def test_readyz_says_that_the_broker_is_away(db: None, client: Client, settings: Any):
    heartbeats.beat("monitor", "evaluated 0 of 0 instruments")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "broker" in answer.json()["problems"][0]


def test_a_stop_is_accepted_while_the_broker_is_away(api: Api, settings: Any):
    from celery import current_app

    instrument = an_instrument()
    tick([seen(instrument, "0.48")])
    broker = current_app.conf.broker_url
    current_app.conf.broker_url = "redis://127.0.0.1:1/0"
    try:
        body = {"symbol": instrument.symbol, "quantity": 10, "trailingPercent": 10}
        assert api.post("/api/trailing-stops", body).status_code == 201
        assert api.post("/api/queue-status", {"action": "reinitialize"}).status_code == 200
    finally:
        current_app.conf.broker_url = broker


def test_every_list_and_page_of_the_admin_opens_and_edits_nothing(person: Client):
    instrument = an_instrument()
    a_stop(instrument, TEN_PERCENT, "0.50")
    stop = a_stop(instrument, Trail(amount=Decimal("0.01")), "0.50")
    tick([seen(instrument, "0.48")])
    Mint.objects.create(instrument=instrument, quantity=5)
    for model, site in admin.site._registry.items():
        if model._meta.app_label not in ("trailing", "orders", "minting", "strategy", "polytrader"):
            continue
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert person.get(path).status_code == 200, path
        assert person.get(path, {"q": "abc"}).status_code == 200, path
        assert person.get(f"{path}add/").status_code == 403, path
        for row in model._default_manager.all()[:1]:
            page = person.get(f"{path}{row.pk}/change/")
            assert page.status_code == 200, path
            assert person.post(f"{path}{row.pk}/change/", {"status": "active"}).status_code == 403
            assert person.post(f"{path}{row.pk}/delete/", {"post": "yes"}).status_code == 403
        assert site is not None
    stop.refresh_from_db()
    assert stop.status == "triggered"


def test_the_admins_cancel_ends_what_has_not_triggered_and_nothing_else(person: Client):
    instrument = an_instrument()
    live = a_stop(instrument, TEN_PERCENT, "0.50")
    gone = a_stop(instrument, Trail(amount=Decimal("0.01")), "0.50")
    tick([seen(instrument, "0.48")])
    chosen = {"action": "cancel_stops", "_selected_action": [live.pk, gone.pk]}
    answer = person.post("/admin/trailing/trailingstop/", chosen, follow=True)
    assert answer.status_code == 200
    live.refresh_from_db()
    gone.refresh_from_db()
    assert (live.status, gone.status) == ("cancelled", "triggered")


def test_the_admins_retry_requests_a_failed_mint_again(person: Client):
    mint = Mint.objects.create(instrument=an_instrument(), quantity=5, status="failed")
    chosen = {"action": "retry_mints", "_selected_action": [mint.pk]}
    person.post("/admin/minting/mint/", chosen, follow=True)
    mint.refresh_from_db()
    assert mint.status == "requested"


def test_a_move_happens_once_and_an_illegal_one_is_a_bug(db: None):
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50")
    twin = TrailingStop.objects.get(pk=stop.pk)
    assert stop.move("cancelled", watermark=None)
    assert not twin.move("error")
    with pytest.raises(IllegalMoveError):
        stop.move("active")
    leg = Leg.objects.create(
        trade=Trade.objects.create(purpose="exit"), instrument=instrument, side="sell", quantity=5
    )
    with pytest.raises(IllegalMoveError):
        leg.move("nonsense")


def test_create_token_prints_a_token_once_and_stores_a_digest(db: None, capsys: Any):
    call_command("create_token", "robot", "--scope", "trade")
    token = capsys.readouterr().out.strip()
    assert ApiToken.objects.get(name="robot").digest == tokens.digest_of(token)
    assert token not in str(ApiToken.objects.values())
    with pytest.raises(CommandError, match="already"):
        call_command("create_token", "robot")


def test_commands_that_trade_refuse_live(db: None, settings: Any):
    import dataclasses

    settings.CONFIGURATION = dataclasses.replace(settings.CONFIGURATION, exchange="live")
    for command in (["check_system"], ["rehearse", "x.csv"]):
        with pytest.raises(CommandError, match="live"):
            call_command(*command)


def test_release_is_safe_to_run_again(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch):
    import dataclasses

    monkeypatch.setenv("ADMIN_PASSWORD", "first")
    settings.CONFIGURATION = dataclasses.replace(settings.CONFIGURATION, token="pt_installation")
    for _ in range(2):
        call_command("release", verbosity=0)
    assert ApiToken.objects.get(digest=tokens.digest_of("pt_installation")).scope == "admin"
    assert get_user_model().objects.get(username="admin").check_password("first")


def test_unknown_addresses_and_methods_answer_in_the_one_error_shape(api: Api):
    for answer, status in (
        (api.get("/nothing"), 404),
        (api.get("/api/nothing"), 404),
        (api.client.delete("/api/trailing-stops"), 405),
        (api.client.post("/api/trailing-stops", "a=1", content_type="text/plain"), 415),
    ):
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"code", "message", "fields"}


def test_the_schema_needs_a_token_and_names_the_stops(api: Api, client: Client):
    assert client.get("/api/schema").status_code == 401
    assert b"/api/trailing-stops" in api.get("/api/schema").content


def test_the_api_docs_are_for_people_who_are_logged_in_and_fetch_nothing_elsewhere(
    person: Client, client: Client
):
    assert client.get("/api/docs").url.startswith("/admin/login/")
    page = person.get("/api/docs").content.decode()
    assert "//cdn" not in page
    assert "/static/drf_spectacular_sidecar/" in page
    assert person.get("/api/schema").status_code == 200
