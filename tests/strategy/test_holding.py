"""An exit that holds at its stop's slippage limit, on the paper exchange: told once, sold when it can be."""

from decimal import Decimal

import pytest
from django.utils import timezone

from orders.models import Instrument, Leg, Order
from polytrader.models import Alert
from strategy import managing
from tests.orders.trades import ended, hurry, hurry_until
from tests.paper_process import PaperProcess
from tests.rows import Api, a_stop
from tests.truth import assert_our_rows_equal_the_exchange
from trailing import monitor
from trailing.maths import Trail
from trailing.models import TrailingStop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def held(paper: PaperProcess, paper_token: Instrument) -> TrailingStop:
    """A stop whose trigger is 0.48 and whose exit goes to 0.46, where the best bid is 0.44."""
    trail = Trail(amount=Decimal("0.02"))
    stop = a_stop(paper_token, trail, "0.50", max_slippage=Decimal("0.02"))
    put(paper, paper_token, "0.44")
    monitor.sweep()
    managing.work()
    return stop


def put(paper: PaperProcess, instrument: Instrument, bid: str, quantity: int = 1000) -> None:
    paper.put_book(instrument.symbol, bids=[(bid, quantity)], asks=[("0.60", 1000)])


def shown(stop: TrailingStop) -> dict[str, object]:
    answer = Api("read").get(f"/api/trailing-stops/{stop.state_key}")
    told: dict[str, object] = answer.json()
    return told


def kinds(stop: TrailingStop) -> list[str]:
    return list(stop.events.order_by("pk").values_list("kind", flat=True))


def test_a_hold_at_the_slippage_limit_is_told_at_once_and_once(held: TrailingStop):
    for _ in range(4):
        hurry()
    alert = Alert.objects.get()
    assert (alert.kind, alert.subject) == ("exit_at_limit", f"stop {held.state_key}")
    assert (alert.count, alert.resolved_at) == (1, None)
    assert "the best price is 0.44, the limit 0.46" in alert.text
    assert kinds(held) == ["triggered", "held"]
    assert Order.objects.count() == 0


def test_a_held_stop_says_so_in_phase_and_message(held: TrailingStop):
    told = shown(held)
    assert (told["status"], told["phase"]) == ("triggered", "held")
    assert "held at its slippage limit: the best price is 0.44" in str(told["errorMessage"])


def test_the_alert_ends_when_the_exit_goes_on(
    paper: PaperProcess, paper_token: Instrument, held: TrailingStop
):
    put(paper, paper_token, "0.46", quantity=5)
    hurry_until(Order.objects.filter(status="cancelled"))  # five of ten were sold
    assert Alert.objects.get().resolved_at is not None
    put(paper, paper_token, "0.45")
    hurry_until(Alert.objects.filter(resolved_at=None))  # it holds again
    assert shown(held)["phase"] == "held"
    put(paper, paper_token, "0.47")
    held.refresh_from_db()
    assert held.trade is not None
    assert [leg.status for leg in ended(held.trade)] == ["done"]
    assert not Alert.objects.filter(resolved_at=None).exists()
    assert (shown(held)["phase"], shown(held)["errorMessage"]) == ("exited", "")
    assert_our_rows_equal_the_exchange(paper)


def test_the_alert_ends_with_the_exit(paper: PaperProcess, held: TrailingStop):
    Leg.objects.update(cancel_requested_at=timezone.now())
    hurry()
    assert Leg.objects.get().status == "cancelled"
    assert Alert.objects.get().resolved_at is not None
