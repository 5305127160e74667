"""A stop's page says all of its options and its history in words a person reads, and draws it."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from operations.admin.history_chart import BOTTOM, LEFT, RIGHT, TOP, draw
from orders.models import Instrument
from tests.rows import a_stop, an_instrument, seen
from trailing import history
from trailing.history import Point
from trailing.maths import Trail
from trailing.models import TrailingStop, Watermark
from trailing.tick import tick

TEN_PERCENT = Trail.of_percent(Decimal(10))


@pytest.fixture
def person(db: None) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("someone", password="secret"))
    return client


def page(person: Client, stop: TrailingStop) -> str:
    """The page's text, without tags and with single spaces."""
    answer = person.get(f"/admin/trailing/trailingstop/{stop.pk}/change/")
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]*>", " ", answer.content.decode()).split())


def test_a_page_says_every_option_in_words(person: Client):
    stop = a_stop(
        an_instrument(),
        TEN_PERCENT,
        "0.50",
        reference="executable",
        stop_price=Decimal("0.30"),
        take_profit_price=Decimal("0.80"),
        confirm_updates=3,
        confirm_ms=1500,
        max_spread=Decimal("0.05"),
        max_slippage=Decimal("0.02"),
        gap_policy="ask",
        expires_at=timezone.now() + timedelta(days=1),
    )
    text = page(person, stop)
    for said in (
        "what its quantity would get",
        "Hard floor 0.3",
        "Take-profit 0.8",
        "3 book states or 1.5 s",
        "a quote wider than 0.05 is held back for up to 10 s",
        "0.02 from the trigger, to 0.43 now",
        "ask a person",
    ):
        assert said in text, said
    listed = person.get("/admin/trailing/trailingstop/").content.decode()
    assert "by executable, floor 0.3, profit 0.8" in listed
    assert 'title="suspended: no fresh price from the venue' in listed


def test_a_page_says_what_triggered_it_and_what_goes_on_instead(person: Client):
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50", stop_price=Decimal("0.47"))
    again = a_stop(instrument, TEN_PERCENT, "0.50", resumes=stop)
    tick([seen(instrument, "0.46")])
    text = page(person, stop)
    assert "the hard floor at 0.46" in text
    assert again.state_key[-6:] in text
    assert "the price reached the hard floor" in text  # its events


def test_a_breach_and_a_question_are_said(person: Client):
    instrument = an_instrument()
    waits = a_stop(instrument, TEN_PERCENT, "0.50", confirm_updates=3)
    tick([seen(instrument, "0.40")])
    assert re.search(r"In breach for \d+ s, 1 book state", page(person, waits))
    Instrument.objects.update(observed_at=timezone.now() - timedelta(minutes=1))
    asks = a_stop(instrument, TEN_PERCENT, "0.50", gap_policy="ask")
    tick([seen(instrument, "0.39")])
    assert "it waits for your decision" in page(person, asks)


def test_a_page_draws_where_best_price_and_trigger_stood(person: Client):
    stop = a_stop(an_instrument(), TEN_PERCENT, "0.50")
    old = timezone.now() - timedelta(minutes=10)
    TrailingStop.objects.filter(pk=stop.pk).update(created_at=old)
    Watermark.objects.update(price=Decimal("0.60"))
    history.record(old + timedelta(minutes=5))
    answer = person.get(f"/admin/trailing/trailingstop/{stop.pk}/change/").content.decode()
    best, trigger = re.findall(r'<polyline points="([^"]*)"', answer)
    middle = (LEFT + RIGHT) // 2
    assert best.split() == [f"{LEFT},150", f"{middle},150", f"{middle},{TOP}", f"{RIGHT},{TOP}"]
    assert trigger.split()[0] == f"{LEFT},{BOTTOM}"
    assert "best price 0.6, trigger 0.54" in answer


def test_a_price_that_never_moved_is_a_straight_line():
    now = timezone.now()
    price = Decimal("0.50")
    chart = draw([Point(now, price, price), Point(now, price, price)])
    assert chart.best == f"{LEFT},120 {LEFT},120"
