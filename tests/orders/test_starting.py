"""Starting: nothing is sent before the book has been reconciled, and nothing is held back for ever."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from orders import planning, posting, reconciling, sending, starting
from orders.models import Fill, Instrument, Order, Trade, VenueState
from tests.paper_process import PaperProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[None]:
    monkeypatch.setattr(starting, "TRY_AGAIN_AFTER", 0.05)
    starting.forget()
    yield
    for thread in starting._under_way.values():
        thread.join(20)  # it still sweeps, in a database that is about to be emptied
    starting.forget()


def planned(instrument: Instrument) -> Order:
    leg = planning.LegRequest(instrument, "sell", Decimal(10), Decimal("0.50"), "FAK")
    [order] = planning.open_trade(Trade(purpose="signal"), [leg])
    return order


def left_behind(instrument: Instrument) -> Order:
    """An order that was posted and matched, whose process died before it noted the answer."""
    order = planned(instrument)
    assert sending.send(order.pk)
    long_ago = timezone.now() - timedelta(minutes=10)
    Order.objects.filter(pk=order.pk).update(
        acknowledged_at=None, answered_at=None, sent_at=long_ago, next_look_at=long_ago
    )
    VenueState.objects.update_or_create(venue="polymarket", defaults={"reconciled_at": long_ago})
    starting.forget()
    return order


def test_what_was_in_flight_is_booked_before_the_first_order_goes_out(
    paper: PaperProcess, paper_token: Instrument
):
    old = left_behind(paper_token)
    new = planned(paper_token)
    assert not sending.send(new.pk)
    wait_until(lambda: Order.objects.filter(pk=new.pk, posts=1).exists())
    assert Fill.objects.filter(order=old).exists()
    assert Fill.objects.get(order=old).matched_at <= Order.objects.get(pk=new.pk).sent_at
    assert [row["posts"] for row in paper.ledger()["orders"]] == [1, 1]


def test_while_the_venue_is_silent_nothing_is_sent(paper: PaperProcess, paper_token: Instrument):
    left_behind(paper_token)
    paper.fault("GET /time", "http_500", times=1000)
    new = planned(paper_token)
    for _ in range(3):
        assert not sending.send(new.pk)
    assert Order.objects.get(pk=new.pk).status == "planned"
    paper.fault("GET /time", "http_500", times=0)
    wait_until(lambda: Order.objects.filter(pk=new.pk, posts=1).exists())


def test_an_order_that_waited_for_the_reconciling_goes_out_at_its_end(
    paper: PaperProcess, paper_token: Instrument
):
    """A sweep that could not send it has put it off; with the broker away the next is far."""
    left_behind(paper_token)
    paper.fault("GET /time", "http_500", times=1000)
    new = planned(paper_token)
    assert reconciling.send_due() == 1
    assert Order.objects.get(pk=new.pk).status == "planned"
    paper.fault("GET /time", "http_500", times=0)
    wait_until(lambda: Order.objects.filter(pk=new.pk, posts=1).exists())


def test_lists_that_do_not_answer_hold_nothing_back_for_ever(
    paper: PaperProcess, paper_token: Instrument, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(starting, "PATIENCE", 0.3)
    left_behind(paper_token)
    paper.fault("GET /data/orders", "http_500", times=100000)
    new = planned(paper_token)
    assert not sending.send(new.pk)
    wait_until(lambda: Order.objects.filter(pk=new.pk, posts=1).exists())
    paper.fault("GET /data/orders", "http_500", times=0)


def test_a_process_beside_running_ones_may_send_at_once(
    paper: PaperProcess, paper_token: Instrument
):
    left_behind(paper_token)
    VenueState.objects.update(reconciled_at=timezone.now() - timedelta(seconds=20))
    assert sending.send(planned(paper_token).pk)


def test_a_process_that_was_frozen_before_its_post_leaves_the_order_to_others(
    paper: PaperProcess, paper_token: Instrument, monkeypatch: pytest.MonkeyPatch
):
    order = planned(paper_token)
    take_turns = posting._take_turns

    def frozen(orders: list[Order]) -> list[Order]:
        taken = take_turns(orders)
        for one in taken:
            one.sent_at -= timedelta(seconds=20)
        return taken

    monkeypatch.setattr(posting, "_take_turns", frozen)
    sending.send(order.pk)
    assert (paper.ledger()["orders"], Order.objects.get().posts) == ([], 1)
