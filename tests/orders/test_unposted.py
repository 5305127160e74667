"""Exits that are committed as signed: what becomes of them when whoever fired them does not post them."""

import os
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from exchange.errors import Unavailable
from orders import planning, reconciling, sending, signing, starting, venues
from orders.models import Halt, Order, Trade, VenueState
from tests.orders.venue import MemoryVenue
from tests.rows import a_stop, an_instrument, seen
from trailing.maths import Trail
from trailing.tick import tick

pytestmark = pytest.mark.django_db(transaction=True)

TEN = Trail.of_percent(Decimal(10))


@pytest.fixture
def venue(transactional_db: None) -> Iterator[MemoryVenue]:
    made = MemoryVenue({"collateral": Decimal(100000)})
    venues._made[os.getpid(), "polymarket"] = made
    now = timezone.now()
    VenueState.objects.create(venue="polymarket", reconciled_at=now, listed_at=now)
    starting.forget()
    yield made
    sending.finish()
    venues.forget()
    starting.forget()


def an_unposted_exit() -> Order:
    """Signed and committed; whoever did it is dead, and the sweep is due."""
    instrument = an_instrument()
    a_stop(instrument, TEN, "0.50")
    tick([seen(instrument, "0.50")])
    (order,) = tick([seen(instrument, "0.40")]).orders
    assert (order.status, order.posts) == ("sent", 0)
    Order.objects.update(next_look_at=timezone.now())
    return order


def forget_the_reconciling() -> None:
    starting.forget()
    VenueState.objects.update(reconciled_at=timezone.now() - timedelta(hours=1))


@pytest.mark.usefixtures("venue")
def test_an_exit_of_a_time_of_halt_is_not_signed_before_the_halt_is_lifted():
    """The signer may be what is wrong."""
    instrument = an_instrument()
    a_stop(instrument, TEN, "0.50")
    Halt.objects.create(reason="another id")
    tick([seen(instrument, "0.40")])
    assert Order.objects.get().status == "planned"


@pytest.mark.usefixtures("venue")
def test_nothing_unposted_goes_out_before_the_book_is_reconciled(monkeypatch: pytest.MonkeyPatch):
    order = an_unposted_exit()
    forget_the_reconciling()
    monkeypatch.setattr(starting, "begin", lambda venue: None)
    reconciling.sweep()
    order.refresh_from_db()
    assert order.posts == 0


@pytest.mark.usefixtures("venue")
def test_what_waited_for_the_reconciling_goes_out_after_it():
    order = an_unposted_exit()
    forget_the_reconciling()
    reconciling.sweep()
    for thread in starting._under_way.values():
        thread.join(20)
    order.refresh_from_db()
    assert order.posts == 1


def test_what_was_never_posted_goes_out_though_look_ups_fail(
    venue: MemoryVenue, monkeypatch: pytest.MonkeyPatch
):
    def away(_: str) -> Any:
        raise Unavailable("look-ups are away")

    order = an_unposted_exit()
    monkeypatch.setattr(venue, "find_order", away)
    reconciling.sweep()
    order.refresh_from_db()
    assert order.posts == 1


def a_falling_market(stops: int) -> None:
    instrument = an_instrument(held="100000")
    for _ in range(stops):
        a_stop(instrument, TEN, "0.50")
    tick([seen(instrument, "0.50")])
    tick([seen(instrument, "0.40")])


def test_a_burst_whose_process_died_before_posting_goes_out_with_one_sweep(
    venue: MemoryVenue, monkeypatch: pytest.MonkeyPatch
):
    a_falling_market(60)
    Order.objects.update(next_look_at=timezone.now())
    asked, find = [], venue.find_order

    def find_order(order_id: str) -> Any:
        asked.extend([] if order_id in venue.orders else [order_id])
        return find(order_id)

    monkeypatch.setattr(venue, "find_order", find_order)
    reconciling.sweep()
    assert (Order.objects.filter(posts=0).count(), asked) == (0, [])


def test_a_burst_is_not_signed_whole_while_its_locks_are_held(
    venue: MemoryVenue, monkeypatch: pytest.MonkeyPatch
):
    signed, sign = [], venue.sign

    def counted(request: Any) -> Any:
        signed.append(request)
        return sign(request)

    monkeypatch.setattr(venue, "sign", counted)
    a_falling_market(100)
    assert (len(signed), Order.objects.count()) == (sending.SIGNED_AT_ONCE, 100)


@pytest.mark.usefixtures("venue")
def test_a_signal_too_old_that_was_never_posted_ends():
    instrument = an_instrument(held="100000")
    with transaction.atomic():
        planning.lock_positions([instrument])
        trade = Trade(purpose="signal", valid_until=timezone.now() + timedelta(seconds=60))
        leg = planning.LegRequest(instrument, "sell", Decimal(10), Decimal("0.50"), "FAK")
        [order] = planning.open_trade(trade, [leg])
    assert signing.claim([order.pk])
    Trade.objects.update(valid_until=timezone.now() - timedelta(seconds=1))
    Order.objects.update(next_look_at=timezone.now())
    reconciling.sweep()
    order.refresh_from_db()
    assert (order.status, order.posts) == ("cancelled", 0)
