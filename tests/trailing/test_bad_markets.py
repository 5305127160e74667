"""Crowds and vanishing markets, on the paper exchange: nothing fires twice, no money is lost, others go on."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import F, Sum
from django.utils import timezone

from orders import instruments, posting
from orders.models import Instrument, Leg, Order, Position
from polytrader.models import Alert
from strategy import managing
from tests.orders.trades import hurry
from tests.paper_process import PaperProcess, wait_until
from tests.rows import Api, a_stop, a_watermark, an_instrument, seen
from trailing import monitor
from trailing.maths import Trail
from trailing.models import TrailingStop
from trailing.tick import tick

THREE_TICKS = Trail(amount=Decimal("0.03"))
pytestmark = pytest.mark.django_db(transaction=True)


def put(paper: PaperProcess, instrument: Instrument, bid: str, ask: str) -> None:
    paper.put_book(instrument.symbol, bids=[(bid, 100_000)], asks=[(ask, 1000)])


def a_crowd(instrument: Instrument, count: int) -> None:
    """So many stops of 5 to 20 shares with one trigger, 0.47."""
    mark = a_watermark(instrument, "sell", "0.50")
    TrailingStop.objects.bulk_create(
        TrailingStop(
            state_key=f"trailing_stop_{number}",
            instrument=instrument,
            side="sell",
            status="active",
            quantity=Decimal(5 + number % 16),
            trail_amount=THREE_TICKS.amount,
            entry_price=Decimal("0.50"),
            watermark=mark,
        )
        for number in range(count)
    )


def shown(stop: TrailingStop) -> dict[str, object]:
    told: dict[str, object] = Api("read").get(f"/api/trailing-stops/{stop.state_key}").json()
    return told


def test_a_thousand_stops_with_one_trigger_sell_what_is_held_and_no_more(
    paper: PaperProcess, paper_token: Instrument
):
    a_crowd(paper_token, 1000)  # 12,500 shares wanted of 10,000
    put(paper, paper_token, "0.47", "0.49")
    assert monitor.sweep().triggered == 1000
    orders = list(Order.objects.order_by("pk").values_list("quantity", flat=True))
    assert orders == sorted(orders, reverse=True)  # one price: the largest exposure first
    assert sum(orders) <= 10_000 < sum(orders) + 5
    assert monitor.sweep().triggered == 0
    sent = wait_until(lambda: _taken(paper, len(orders)), seconds=60)
    assert all(order["posts"] == 1 for order in sent["orders"])
    [balances] = sent["balances"].values()
    assert sum(Decimal(trade["size"]) for trade in sent["trades"]) == sum(orders)
    assert Decimal(balances[paper_token.symbol]) >= 0
    done = TrailingStop.objects.annotate(ordered=Sum("trade__legs__orders__quantity"))
    assert not done.filter(ordered__gt=F("quantity")).exists()
    short = Leg.objects.filter(orders=None)
    assert short.count() == 1000 - len(orders)
    assert managing.manage(list(short[:5])) == []  # nothing is free for them
    assert "settling or reserved" in short.get(pk=short[0].pk).reason


def _taken(paper: PaperProcess, count: int) -> Any:
    truth = paper.ledger()
    return truth if len(truth["trades"]) == count else None


def test_a_market_that_resolves_between_trigger_and_order_ends_the_stop_and_costs_nothing(
    paper: PaperProcess, paper_token: Instrument
):
    stop = a_stop(paper_token, THREE_TICKS, "0.50", quantity="20")
    other = a_stop(an_instrument(), THREE_TICKS, "0.50")
    orders = tick([seen(paper_token, "0.47", ask="0.49")]).orders
    resolved = {"conditionId": paper_token.condition_id, "state": "resolved", "payouts": [1, 0]}
    paper.call("POST", "/paper/market-state", resolved)
    posting.post_all(orders)

    def ended() -> bool:
        hurry()
        Instrument.objects.filter(pk=paper_token.pk, updated_at__lt=timezone.now()).update(
            updated_at=timezone.now() - instruments.FRESH_FOR
        )
        instruments.refresh()
        return monitor.mark_failed_exits() > 0

    wait_until(ended, seconds=20)
    told = shown(stop)
    assert told["status"] == "error"
    assert "the market is closed" in str(told["errorMessage"])
    position = Position.objects.get(asset=paper_token.symbol)
    assert (position.matched, position.reserved()) == (Decimal(10_000), Decimal(0))
    truth = paper.ledger()
    assert truth["trades"] == []
    assert Decimal(next(iter(truth["balances"].values()))[paper_token.symbol]) == 10_000
    assert shown(other)["status"] == "active"
    assert Alert.objects.filter(kind="leg_given_up", resolved_at=None).count() == 1


def a_delisted_symbol() -> Instrument:
    return an_instrument(
        "OLDUSDT",
        venue="binance",
        base_asset="OLD",
        quote_asset="USDT",
        condition_id="",
        complement="",
        observed_at=timezone.now() - timedelta(minutes=1),
        bid=Decimal("0.50"),
        ask=Decimal("0.51"),
    )


def a_delisted_token() -> Instrument:
    return an_instrument(bid=Decimal("0.50"), ask=Decimal("0.51"))


@pytest.mark.parametrize("delisted", [a_delisted_symbol, a_delisted_token])
@pytest.mark.parametrize("reference", ["bid", "last"])
def test_a_delisted_instrument_blinds_its_own_stops_alone(
    paper: PaperProcess, paper_token: Instrument, delisted, reference
):
    paper.call("PUT", "/paper/prices/BTCUSDT", {"price": "50000"})
    spot = instruments.known("BTCUSDT")
    gone = a_stop(delisted(), THREE_TICKS, "0.50", reference=reference)
    on_spot = a_stop(spot, Trail.of_percent(Decimal(1)), "51000", quantity="0.1")
    on_token = a_stop(paper_token, THREE_TICKS, "0.50")
    long_ago = timezone.now() - timedelta(minutes=1)
    TrailingStop.objects.filter(pk=gone.pk).update(created_at=long_ago)
    put(paper, paper_token, "0.47", "0.49")
    for _ in range(3):
        monitor.sweep()
    for stop in (on_spot, on_token):
        stop.refresh_from_db()
        assert stop.status == "triggered"
    told = shown(gone)
    assert (told["status"], told["phase"], told["protected"]) == ("active", "suspended", False)
    assert "no fresh price" in str(told["protectedReason"])
    alert = Alert.objects.get(kind="stop_not_protected", resolved_at=None)
    assert alert.subject == f"instrument {gone.instrument.symbol}"
