"""The pages for signals: what was wanted, what was decided, what a person may retry."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders import planning
from orders.models import ForeignOrder, Leg, Order, Trade, VenueState
from orders.planning import LegRequest
from strategy.models import Decision, PositionJob, Signal
from tests.operations.test_admin import TRAILING_ZEROS, page_of, read
from tests.rows import a_stop, an_instrument, seen
from trailing.maths import Trail
from trailing.tick import tick


@pytest.fixture
def person(db: None) -> Client:
    """A browser logged in to the admin."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("someone", password="secret"))
    return client


@pytest.fixture
def signal(db: None) -> Signal:
    """A signal of two legs: one was given up and hedged, its job has failed."""
    yes, no = (an_instrument(question="Will it rain?", outcome=text) for text in ("Yes", "No"))
    trade = Trade(purpose="signal", strategy="pairs", max_slippage=Decimal("0.02"))
    wanted = [LegRequest(i, "sell", Decimal(10), Decimal("0.5"), "FAK") for i in (yes, no)]
    planning.open_trade(trade, wanted)
    made = Signal.objects.create(
        strategy="pairs",
        trade=trade,
        body={"legs": [{"side": "sell", "size": "10", "price": "0.5", "assetId": yes.symbol}]},
    )
    leg = Leg.objects.filter(trade=trade).order_by("pk").first()
    Leg.objects.filter(pk=leg.pk).update(
        status="failed", attempts=6, reason="6 orders did not fill"
    )
    Leg.objects.create(
        trade=trade, role="hedge", of=leg, instrument=no, side="buy", quantity=10, price="0.51"
    )
    Decision.objects.create(
        leg=leg,
        kind="give_up",
        reason="6 orders did not fill it",
        inputs={"leg": {"price": "0.5", "expires_at": None}, "others": [{"id": 2}]},
        outcome={"quantity": "10"},
    )
    PositionJob.objects.create(
        trade=trade, status="failed", runs=4, reason="leg 1: given up", closed_at=timezone.now()
    )
    return made


def test_pages_lead_from_the_signal_to_the_decision_and_back(person: Client, signal: Signal):
    trade, job, decision = signal.trade, PositionJob.objects.get(), Decision.objects.get()
    legs, order = list(trade.legs.order_by("pk")), Order.objects.first()
    for row, leads_to in (
        (signal, (trade, *legs)),
        (trade, (signal, *legs, order, decision, job)),
        (legs[0], (trade, order, decision, legs[2])),
        (order, (trade, legs[0])),
        (decision, (legs[0], trade)),
        (job, (trade, legs[0], decision)),
    ):
        text = read(person, page_of(row))
        assert not TRAILING_ZEROS.search(text)
        for target in leads_to:
            assert f'href="{page_of(target)}"' in text, (row, target)


def test_a_decision_is_read_as_names_and_values(person: Client, signal: Signal):
    text = read(person, page_of(Decision.objects.get()))
    for name in ("leg", "price", "expires_at", "others 1"):
        assert f">{name}<" in text
    assert ">0.5<" in text


def test_trades_are_listed_with_their_state_and_found_by_it(person: Client, signal: Signal):
    a_stop(an_instrument(), Trail(amount=Decimal("0.01")), "0.50")
    stop = a_stop(an_instrument(), Trail(amount=Decimal("0.01")), "0.50")
    tick([seen(stop.instrument, "0.48")])
    Leg.objects.filter(trade__purpose="exit").update(status="done")
    path = "/admin/orders/trade/"
    text = read(person, path)
    assert "1 of 3 ended" in text
    assert f'href="{page_of(signal)}"' in text
    assert f'href="{page_of(stop)}"' in text
    for state, count in (("working", 1), ("done", 1), ("failed", 0)):
        assert read(person, path, state=state).count('class="data-row') == count
    assert read(person, path, q="rain").count('class="data-row') == 1


def test_the_list_of_trades_takes_few_queries(person: Client, signal: Signal):
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            read(person, "/admin/orders/trade/")
        counts.append(len(queries))
        for _ in range(5):
            trade = Trade.objects.create(purpose="signal", strategy="pairs")
            Signal.objects.create(body={"legs": []}, trade=trade)
    assert counts[0] == counts[1]


def test_a_failed_job_is_retried_from_the_list(person: Client, signal: Signal):
    job = PositionJob.objects.get()
    path = "/admin/strategy/positionjob/"
    chosen: dict[str, Any] = {"action": "retry_jobs", "_selected_action": [job.pk]}
    assert "1 job waiting again" in person.post(path, chosen, follow=True).content.decode()
    job.refresh_from_db()
    assert job.status == "waiting"
    assert "0 jobs waiting again" in person.post(path, chosen, follow=True).content.decode()


def test_venues_and_orders_placed_elsewhere_are_shown(person: Client):
    VenueState.objects.create(
        venue="polymarket",
        reconciled_at=timezone.now(),
        clock_offset=timedelta(milliseconds=-420),
        reason="",
    )
    ForeignOrder.objects.create(
        order_id="0x" + "cd" * 32,
        venue="polymarket",
        symbol="123",
        asset="collateral",
        side="buy",
        quantity=5,
        price=Decimal("0.1"),
        reserved=Decimal("0.5"),
    )
    assert "-420 ms" in read(person, "/admin/orders/venuestate/")
    assert "-420 ms" in read(person, "/admin/orders/venuestate/polymarket/change/")
    assert "0xcdcdcd…cdcdcd" in read(person, "/admin/orders/foreignorder/")
