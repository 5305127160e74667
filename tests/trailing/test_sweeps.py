"""Sweeps under bad conditions: old prices, wrong clocks, slow venues, closed markets."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from orders import instruments
from orders.models import Instrument, Position
from polytrader.models import Alert
from tests.paper_process import PaperProcess, wait_until
from tests.rows import Api, a_stop, an_instrument, seen
from trailing import monitor
from trailing.maths import Trail
from trailing.tick import tick

PATH = "/api/trailing-stops"
THREE_TICKS = Trail(amount=Decimal("0.03"))


@pytest.mark.django_db
def test_a_price_of_two_minutes_ago_does_not_fire():
    instrument = an_instrument()
    stop = a_stop(instrument, THREE_TICKS, "0.50")
    assert tick([seen(instrument, "0.40", timezone.now() - timedelta(minutes=2))]).claimed == 0
    stop.refresh_from_db()
    assert stop.status == "active"


@pytest.mark.django_db
def test_a_last_observation_in_the_future_does_not_stop_evaluation():
    """The clock stepped back by an hour since it was made."""
    instrument = an_instrument(observed_at=timezone.now() + timedelta(hours=1))
    stop = a_stop(instrument, THREE_TICKS, "0.50")
    assert tick([seen(instrument, "0.40")]).triggered == 1
    stop.refresh_from_db()
    assert stop.status == "triggered"


@pytest.mark.django_db(transaction=True)
def test_a_hung_venue_does_not_hold_up_the_stops_of_the_other(
    paper: PaperProcess, paper_token: Instrument
):
    spot = instruments.known("BTCUSDT")
    a_stop(spot, Trail.of_percent(Decimal(1)), "50000", quantity="0.1")
    a_stop(paper_token, THREE_TICKS, "0.50")
    paper.put_book(paper_token.symbol, bids=[("0.47", 1000)], asks=[("0.49", 1000)])
    paper.fault("GET /api/v3/ticker/bookTicker", "slow:2500")
    assert monitor.sweep().triggered == 1
    spot.refresh_from_db()
    assert spot.observed_at is None
    seen_now = Instrument.objects.filter(pk=spot.pk, observed_at__isnull=False)
    wait_until(lambda: monitor.sweep() and seen_now.exists())


@pytest.mark.django_db(transaction=True)
def test_a_slow_venue_at_creation_does_not_hold_up_a_stop_of_the_same_token(
    paper: PaperProcess, paper_token: Instrument
):
    a_stop(paper_token, THREE_TICKS, "0.50")
    Position.objects.filter(asset=paper_token.complement).update(compared_at=None)
    paper.fault("GET /balance-allowance", "slow:2500")
    paper.put_book(paper_token.symbol, bids=[("0.47", 1000)], asks=[("0.49", 1000)])
    trade, answers = Api("trade"), []
    body = {"symbol": paper_token.symbol, "quantity": 10, "trailingTicks": 3, "entryPrice": "0.5"}

    def create() -> None:
        try:
            answers.append(trade.post(PATH, body | {"mintAfterSell": True}).status_code)
        finally:
            connection.close()

    creating = threading.Thread(target=create)
    creating.start()
    wait_until(lambda: paper.call("GET", "/paper/faults") == {"faults": []})  # it is asked now
    assert monitor.sweep().triggered == 1
    assert answers == []
    creating.join()
    assert answers == [201]


@pytest.mark.django_db
def test_a_stop_of_a_market_that_has_closed_for_good_becomes_an_error():
    closed, paused = an_instrument(is_closed=True), an_instrument(accepting_orders=False)
    ended, waiting = (a_stop(each, THREE_TICKS, "0.50") for each in (closed, paused))
    assert monitor.end_closed() == 1
    ended.refresh_from_db()
    waiting.refresh_from_db()
    assert (ended.status, waiting.status) == ("error", "active")
    assert "the market has closed" in ended.error_message
    assert ended.current_trigger_price == Decimal("0.47")


def test_all_is_400_for_a_buy(api: Api):
    body = {"symbol": an_instrument().symbol, "trailingPercent": 10, "entryPrice": "0.5"}
    answer = api.post(PATH, body | {"side": "buy", "quantity": "all"})
    assert answer.status_code == 400
    assert "quantity" in answer.content.decode()
    assert api.post(PATH, body | {"side": "sell", "quantity": "all"}).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_a_blind_instrument_is_told_once_and_again_when_it_protects(
    paper: PaperProcess, paper_token: Instrument
):
    stop = a_stop(paper_token, THREE_TICKS, "0.50")
    long_ago = timezone.now() - timedelta(minutes=1)
    type(stop).objects.filter(pk=stop.pk).update(created_at=long_ago)
    paper.fault("POST /prices", "http_500", times=1000)
    for _ in range(3):
        monitor.sweep()
    alert = Alert.objects.get(kind="stop_not_protected")
    assert (alert.count, alert.resolved_at) == (1, None)
    assert "no fresh price" in alert.text
    paper.fault("POST /prices", "http_500", times=0)
    wait_until(lambda: monitor.sweep().evaluated)
    alert.refresh_from_db()
    assert alert.resolved_at is not None
