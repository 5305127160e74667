"""Several processes at once on the same rows: what is reserved, sent, booked and undone is so once."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from orders import (
    balances,
    cancelling,
    hand_trades,
    ledger,
    planning,
    reconciling,
    reserving,
    sending,
    venues,
)
from orders.models import Entry, Fill, Instrument, Leg, Order, Position, Trade, VenueState
from orders.planning import ExitRequest, LegRequest, NotSellable
from strategy import managing
from tests.orders.test_ledger_machine import quiet
from tests.orders.venue import MemoryVenue
from tests.rows import an_instrument, open_exits
from tests.trailing.test_tick import in_threads

pytestmark = pytest.mark.django_db(transaction=True)

BID = Decimal("0.50")


@pytest.fixture
def token(transactional_db: None) -> Instrument:
    """A token of which 1000 are held, and collateral of 1000."""
    return an_instrument(held="1000", collateral="1000", complement="")


@pytest.fixture
def venue(token: Instrument) -> Iterator[MemoryVenue]:
    """A venue in memory that agrees with our book."""
    made = MemoryVenue({token.symbol: Decimal(1000), "collateral": Decimal(1000)})
    venues._made[os.getpid(), "polymarket"] = made
    now = timezone.now()
    VenueState.objects.create(venue="polymarket", reconciled_at=now, listed_at=now)
    yield made
    sending.finish()
    venues.forget()


def an_exit(token: Instrument, quantity: int = 400) -> ExitRequest:
    return ExitRequest(token, "sell", Decimal(quantity), BID)


def a_sale(token: Instrument, quantity: int = 400, kind: Any = "GTC") -> LegRequest:
    return LegRequest(token, "sell", Decimal(quantity), BID, kind)


def open_exit(token: Instrument) -> list[int]:
    with transaction.atomic():
        opened = open_exits([an_exit(token)])
    return [order.pk for _, order in opened if order is not None]


def open_signal(token: Instrument, kind: Any = "GTC") -> list[int]:
    try:
        with transaction.atomic():
            planning.lock_positions([token])
            made = planning.open_trade(Trade(purpose="signal"), [a_sale(token, kind=kind)])
    except NotSellable:
        return []
    return [order.pk for order in made]


def send_all() -> int:
    planned = Order.objects.filter(status="planned").order_by("pk")
    return sending.send_all(list(planned.values_list("pk", flat=True)))


def the_book_is_right(token: Instrument) -> None:
    """Positions are the sum of what was posted, and no more is reserved than there is."""
    for position in Position.objects.all():
        assert min(position.matched, position.settled) >= position.reserved()
        start = Decimal(1000)
        entries = position.entries.filter(account="wallet")
        assert position.matched == start + sum(entry.matched_change for entry in entries)
        assert position.settled == start + sum(entry.settled_change for entry in entries)


@pytest.fixture
def slow_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading what is free and taking it, everybody waits for the others a moment."""
    meeting = threading.Barrier(4)
    read = reserving.reserved_by

    def reserved_by(*told: Any) -> dict[str, Decimal]:
        taken = read(*told)
        with suppress(threading.BrokenBarrierError):
            meeting.wait(timeout=0.2)
        return taken

    monkeypatch.setattr(reserving, "reserved_by", reserved_by)


@pytest.mark.usefixtures("slow_reading")
def test_without_the_positions_lock_four_plans_reserve_more_than_there_is(
    token: Instrument, monkeypatch: pytest.MonkeyPatch
):
    """The race is real. Shown so that the next tests can fail."""
    monkeypatch.setattr(ledger, "_LOCK", ledger._LOCK.replace("FOR UPDATE", ""))
    in_threads(4, lambda _: open_exit(token))
    assert Position.objects.get(asset=token.symbol).reserved() == 1600


@pytest.mark.usefixtures("slow_reading")
def test_exits_and_signals_on_one_token_share_what_there_is(token: Instrument):
    in_threads(4, lambda index: (open_exit, open_signal)[index % 2](token))
    position = Position.objects.get(asset=token.symbol)
    assert position.reserved() in (800, 1000)  # an exit takes the rest, a signal all or nothing
    assert position.sellable() == position.settled - position.reserved()
    the_book_is_right(token)


@pytest.mark.parametrize("round_", range(3))
def test_many_planners_and_senders_never_ask_the_venue_for_more_than_is_held(
    token: Instrument, venue: MemoryVenue, round_: int
):
    def act(index: int) -> None:
        for _ in range(3):
            if index % 2:
                open_exit(token)
            else:
                open_signal(token, kind="FAK")
            send_all()

    in_threads(6, act)
    assert venue.shortages == []
    assert sum(order.request.quantity for order in venue.orders.values()) <= 1000
    the_book_is_right(token)


def test_one_planned_order_is_signed_and_posted_by_one_sender(
    token: Instrument, venue: MemoryVenue
):
    for _ in range(4):
        order_pk = open_signal(token, kind="FAK") or open_exit(token)
        sent = in_threads(6, lambda _, pks=order_pk: sending.send_all(pks))
        assert sum(sent) == len(order_pk)
    assert set(Order.objects.values_list("posts", flat=True)) == {1}
    assert len(venue.signed) == Order.objects.count()


def test_a_cancel_that_meets_a_sender_cancels_what_was_not_sent_and_withdraws_what_was(
    token: Instrument, venue: MemoryVenue
):
    for _ in range(8):
        [order_pk] = open_signal(token)

        def act(index: int, pk: int = order_pk) -> None:
            if index:
                sending.send(pk)
                return
            with suppress(cancelling.NotCancellable), transaction.atomic():
                cancelling.request(Order.objects.get(pk=pk))

        in_threads(2, act)
        order = Order.objects.get(pk=order_pk)
        if order.status in ("sent", "open"):
            reconciling.look(order)
            reconciling.look(order)
        order.refresh_from_db()
        assert order.status == "cancelled"
        there = venue.orders.get(order.order_id or "")
        assert there is None or there.status == "cancelled"
    the_book_is_right(token)


def test_many_workers_book_a_trade_and_its_settlement_once(token: Instrument, venue: MemoryVenue):
    [order_pk] = open_signal(token, kind="FAK")
    venue.takes_part = Decimal("0.5")
    sending.send(order_pk)
    in_threads(5, lambda _: reconciling.look(Order.objects.get(pk=order_pk)))
    [trade] = venue.unsettled()
    venue.settle(trade, fails=False)
    in_threads(5, lambda _: reconciling.settle(order_pk))
    assert Fill.objects.get().status == "confirmed"
    kinds = Entry.objects.filter(position__asset=token.symbol, account="wallet")
    assert sorted(kinds.values_list("kind", flat=True)) == ["match", "settle"]
    assert Position.objects.get(asset=token.symbol).settled == 800
    the_book_is_right(token)


def test_a_failure_booked_by_many_workers_is_taken_back_and_sent_again_once(
    token: Instrument, venue: MemoryVenue
):
    [order_pk] = open_signal(token, kind="FAK")
    sending.send(order_pk)
    reconciling.look(Order.objects.get(pk=order_pk))
    [trade] = venue.unsettled()
    venue.settle(trade, fails=True)
    leg = Leg.objects.get()

    def act(_: int) -> None:
        reconciling.settle(order_pk)
        managing.manage([Leg.objects.get(pk=leg.pk)])

    in_threads(5, act)
    assert Order.objects.filter(status="planned").count() == 1
    assert Order.objects.count() == 2
    assert Position.objects.get(asset=token.symbol).reserved() == 400
    the_book_is_right(token)


@pytest.mark.parametrize("round_", range(4))
def test_a_comparison_that_meets_a_settlement_books_nothing_from_outside(
    token: Instrument, venue: MemoryVenue, round_: int
):
    [order_pk] = open_signal(token, kind="FAK")
    sending.send(order_pk)
    reconciling.look(Order.objects.get(pk=order_pk))
    [trade] = venue.unsettled()

    def act(index: int) -> None:
        if index == 0:
            venue.settle(trade, fails=False)
            reconciling.settle(order_pk)
        else:
            balances.compare(token.symbol, "polymarket")
            balances.compare("collateral", "polymarket")

    in_threads(4, act)
    assert not Entry.objects.filter(kind="outside").exists()
    assert Position.objects.get(asset=token.symbol).settled == 600
    the_book_is_right(token)


def test_a_hand_trade_read_by_many_is_booked_once(token: Instrument, venue: MemoryVenue):
    venue.trade_by_hand(token.symbol, "sell", Decimal(100), BID)
    in_threads(5, lambda _: hand_trades.read("polymarket"))
    assert Entry.objects.filter(kind="hand", account="wallet").count() == 2
    assert Position.objects.get(asset=token.symbol).settled == 900
    assert Position.objects.get(asset="collateral").settled == 1050
    the_book_is_right(token)


def test_planning_settling_and_cancelling_at_once_neither_deadlock_nor_oversell(
    token: Instrument, venue: MemoryVenue
):
    """Every path takes its locks in one order: a deadlock would be an error in a thread."""
    errors: list[BaseException] = []

    def act(index: int) -> None:
        try:
            for turn in range(4):
                (open_exit if (index + turn) % 2 else open_signal)(token)
                send_all()
                for order in list(venue.orders.values())[-2:]:
                    venue.match(order, (order.left / 2).quantize(Decimal(1)))
                for order in Order.objects.filter(status__in=["sent", "open"]):
                    reconciling.look(order)
                for trade in venue.unsettled()[:2]:
                    venue.settle(trade, fails=bool(turn % 2))
                for pk in Fill.objects.filter(status="matched").values_list("order_id", flat=True):
                    reconciling.settle(pk)
                managing.manage(list(Leg.objects.filter(status="working")))
                if index == 0:
                    cancelling.request_all()
        except BaseException as error:
            errors.append(error)

    with quiet():  # nor has a loop's rim caught one
        in_threads(4, act)
    assert errors == []
    assert venue.shortages == []
    the_book_is_right(token)
