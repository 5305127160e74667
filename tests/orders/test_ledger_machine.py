"""The book under random orders, fills, failures, cancels and crashes: nothing is lost, nothing oversold."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from structlog.testing import capture_logs

from orders import (
    answering,
    balances,
    cancelling,
    listing,
    planning,
    posting,
    reconciling,
    reserving,
    sending,
    signing,
    venues,
)
from orders.models import Entry, Fill, Leg, Order, Position, Trade, VenueState
from orders.planning import ExitRequest, LegRequest
from strategy import managing
from tests.orders.venue import MemoryVenue, Mood
from tests.rows import an_instrument, open_exits

pytestmark = pytest.mark.django_db

HELD, COLLATERAL = Decimal(1000), Decimal(2000)
LONG = timedelta(hours=1)
MODULES = (sending, signing, posting, answering, reconciling, cancelling, managing)
POINTS = (
    "rows_claimed",
    "orders_claimed",
    "orders_signed",
    "turn_taken",
    "orders_posted",
    "answer_noted",
    "refusal_noted",
    "order_looked_up",
    "fill_made",
    "trades_booked",
    "order_closed",
    "fill_closed",
    "cancel_wished",
    "decision_recorded",
    "decision_carried_out",
)
MOODS: tuple[Mood, ...] = (
    *("takes", "takes", "takes", "takes", "takes silently", "loses", "refuses", "unmatched"),
    "is away",
)
quantities = st.integers(5, 400).map(Decimal)
moods = st.sampled_from(MOODS)
Fate = tuple[str, int] | None
fates = st.none() | st.tuples(st.sampled_from(POINTS), st.integers(0, 2))
parts = st.sampled_from([Decimal(text) for text in ("0", "0.3", "0.5", "1", "1")])


class Crash(BaseException):
    """The process dies: what was not committed is gone."""


class Book(RuleBasedStateMachine):
    """Our rows on one side, a venue that holds the truth on the other."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = transaction.atomic()
        self.outer.__enter__()
        self.dies_at, self.dies_in = "", 0
        self.kept = {module: module.point for module in MODULES}
        for module in MODULES:
            module.point = self.pass_point

    @initialize(fee_rate=st.sampled_from([Decimal(0), Decimal("0.05")]))
    def open(self, fee_rate: Decimal) -> None:
        """Two tokens and collateral, their balances opened."""
        rates = {"fee_rate": fee_rate, "fee_exponent": 1}
        self.tokens = [
            an_instrument(f"7{number:020d}", complement="", **rates) for number in (1, 2)
        ]
        Position.objects.update(matched=0, settled=0, compared_at=None)
        held = {token.symbol: HELD for token in self.tokens} | {"collateral": COLLATERAL}
        self.venue = MemoryVenue(held, fee_rate)
        venues._made[os.getpid(), "polymarket"] = self.venue
        now = timezone.now()
        VenueState.objects.create(venue="polymarket", reconciled_at=now, listed_at=now)
        for asset in Position.objects.values_list("asset", flat=True):
            balances.opened(asset, "polymarket")

    def teardown(self) -> None:
        try:
            if hasattr(self, "venue"):
                self.come_to_rest()
        finally:
            for module, point in self.kept.items():
                module.point = point
            venues._made.pop((os.getpid(), "polymarket"), None)
            transaction.set_rollback(True)
            self.outer.__exit__(None, None, None)

    # How things happen

    def pass_point(self, name: str) -> None:
        if name == self.dies_at:
            self.dies_in -= 1
            if self.dies_in < 0:
                self.dies_at = ""
                raise Crash(name)

    def done(self, act: Callable[[], Any], fate: Fate = None) -> None:
        """Do something as a process does that may die on the way; then another one does it again."""
        self.dies_at, self.dies_in = fate or ("", 0)
        with quiet():
            try:
                act()
            except Crash:
                act()
        self.dies_at = ""

    # What people and stops want

    @rule(
        wanted=st.lists(
            st.tuples(st.integers(0, 1), st.none() | quantities), min_size=1, max_size=3
        ),
        mood=moods,
        part=parts,
        fate=fates,
    )
    def trigger(
        self, wanted: list[tuple[int, Decimal | None]], mood: Mood, part: Decimal, fate: Fate
    ) -> None:
        """Stops on one or two tokens trigger together; their exits are sent at once."""
        requests = [
            ExitRequest(self.tokens[which], "sell", quantity, Decimal("0.50"))
            for which, quantity in wanted
        ]
        free = self.sellable()
        with transaction.atomic():
            planning.lock_positions(request.instrument for request in requests)
            opened = open_exits(requests)
        planned: dict[str, Decimal] = defaultdict(Decimal)
        for _, order in opened:
            if order is not None:
                planned[order.instrument.base_asset] += order.quantity
        assert all(amount <= free[asset] for asset, amount in planned.items())
        self.send(mood, part, fate)

    @rule(
        legs=st.lists(
            st.tuples(
                st.integers(0, 1),
                st.sampled_from(["buy", "sell"]),
                quantities,
                st.sampled_from(["GTC", "GTC", "FAK", "FOK"]),
            ),
            min_size=1,
            max_size=3,
        ),
        mood=moods,
        part=parts,
        fate=fates,
    )
    def signal(
        self, legs: list[tuple[int, Any, Decimal, Any]], mood: Mood, part: Decimal, fate: Fate
    ) -> None:
        """A signal is taken as a whole, or not at all."""
        requests = [
            LegRequest(
                self.tokens[which],
                side,
                quantity,
                Decimal("0.50" if side == "sell" else "0.52"),
                kind,
            )
            for which, side, quantity, kind in legs
        ]
        free, before = self.sellable(), Order.objects.count()
        try:
            with transaction.atomic():
                planning.lock_positions(request.instrument for request in requests)
                planning.open_trade(Trade(purpose="signal", max_slippage=0), requests)
        except planning.NotSellable:
            assert (self.sellable(), Order.objects.count()) == (free, before)
        self.send(mood, part, fate)

    @precondition(lambda self: Order.objects.filter(status="open").exists())
    @rule(data=st.data(), fate=fates)
    def cancel(self, data: st.DataObject, fate: Fate) -> None:
        order = data.draw(st.sampled_from(list(Order.objects.filter(status="open"))))
        self.done(transaction.atomic(lambda: cancelling.request(order)), fate)

    # What workers do

    @rule(mood=moods, part=parts, fates=st.tuples(fates, fates, fates), is_later=st.booleans())
    def attend(self, mood: Mood, part: Decimal, fates: tuple[Fate, ...], is_later: bool) -> None:
        """Ask about everything in flight, whenever it was due; decide; send what was planned."""
        if is_later:
            self.let_time_pass()
        self.make_due()
        self.venue.mood = mood
        self.done(reconciling.look_at_due, fates[0])
        self.done(reconciling.settle_due, fates[1])
        self.decide(fates[2])
        self.venue.mood = "takes"
        self.send(mood, part, None)

    def decide(self, fate: Fate) -> None:
        free = self.sellable()
        known = set(Order.objects.values_list("pk", flat=True))
        self.done(lambda: managing.manage(self.some_legs()), fate)
        planned: dict[str, Decimal] = defaultdict(Decimal)
        for order in Order.objects.exclude(pk__in=known).filter(side="sell"):
            planned[order.instrument.base_asset] += order.quantity
        assert all(amount <= free[asset] for asset, amount in planned.items())

    def some_legs(self) -> list[Leg]:
        """Not all at a time, as batches do; those that were looked at longest ago."""
        return list(Leg.objects.filter(status="working").order_by("updated_at")[:4])

    def send(self, mood: Mood, part: Decimal, fate: Fate) -> None:
        self.venue.mood, self.venue.takes_part = mood, part
        planned = Order.objects.filter(status="planned").order_by("pk")
        self.done(lambda: sending.send_all(list(planned.values_list("pk", flat=True))), fate)
        self.venue.mood = "takes"

    def let_time_pass(self) -> None:
        """What was doubtful, or under way in a process that died, can arrive no more."""
        Order.objects.update(sent_at=F("sent_at") - LONG, doubtful_until=F("doubtful_until") - LONG)

    @rule()
    def compare(self) -> None:
        """Our book explains the venue's balances: nothing from outside is ever found."""
        with quiet():
            for asset in Position.objects.values_list("asset", flat=True):
                balances.compare(asset, "polymarket")

    # What happens at the venue

    @precondition(lambda self: self.resting() or self.venue.unsettled())
    @rule(part=parts, ends=st.booleans(), fates=st.lists(st.booleans(), max_size=3))
    def happen(self, part: Decimal, ends: bool, fates: list[bool]) -> None:
        """Others' orders reach one of ours, it may be taken out of the book; trades settle or fail."""
        for trade, fails in zip(self.venue.unsettled(), fates, strict=False):
            self.venue.settle(trade, fails=fails)
        for order in self.resting()[:1]:
            self.venue.match(order, (order.left * part).quantize(Decimal(1)))
            if ends and order.status == "open":
                order.status = "cancelled"

    # What always holds

    @invariant()
    def the_book_is_right(self) -> None:
        if not hasattr(self, "venue"):
            return
        positions = {row.pk: row for row in Position.objects.all()}
        entries = list(Entry.objects.all())
        orders = list(Order.objects.select_related("instrument"))
        check_that_postings_add_up_to_nothing(entries)
        check_that_positions_are_the_sum_of_their_entries(positions, entries)
        taken, owed = taken_by(orders), taken_by(orders, booked())
        leaving = leaving_with(Fill.objects.select_related("order__instrument"))
        at_once = reserving.sellable(list(positions.values()))
        for position in positions.values():
            reserved = taken[position.asset] + self.elsewhere(position.asset)
            there = position.settled - leaving[position.asset]
            assert at_once[position.asset] == max(there - reserved, 0)
            self.check_reserved(min(position.matched, position.settled), owed[position.asset])
        self.check_the_venue(orders)

    def check_reserved(self, there: Decimal, owed: Decimal) -> None:
        assert owed <= there

    def check_the_venue(self, orders: list[Order]) -> None:
        """It was never asked for more than it holds, no leg trades more than was wanted."""
        assert self.venue.shortages == []
        done: dict[int, Decimal] = defaultdict(Decimal)
        for order in orders:
            there = self.venue.orders.get(order.order_id or "")
            if there is not None:
                alive = [trade.quantity for trade in there.trades if trade.status != "failed"]
                done[order.leg_id] += sum(alive, start=there.left)
        wanted = dict(Leg.objects.values_list("pk", "quantity"))
        assert all(quantity <= wanted[leg] for leg, quantity in done.items())

    # Aids

    def elsewhere(self, asset: str) -> Decimal:
        return Decimal(0)

    def resting(self) -> list[Any]:
        return [order for order in self.venue.orders.values() if order.status == "open"]

    def sellable(self) -> dict[str, Decimal]:
        return reserving.sellable(list(Position.objects.all()))

    def make_due(self) -> None:
        past = timezone.now() - timedelta(seconds=1)
        Order.objects.filter(next_look_at__isnull=False).update(next_look_at=past)
        Fill.objects.filter(status="matched").update(next_look_at=past)

    def come_to_rest(self) -> None:
        """In the end the venue answers, everything settles, and the book is the venue's."""
        for _ in range(3):
            self.let_time_pass()
            self.ask_about_everything()
            for order in self.resting():
                order.status = "cancelled"
            for trade in self.venue.unsettled():
                self.venue.settle(trade, fails=False)
            self.ask_about_everything()
        self.compare()
        assert not Order.objects.filter(status__in=["sent", "open"]).exists()
        assert not Fill.objects.filter(status="matched").exists()
        for position in Position.objects.all():
            assert position.settled == self.venue.balances.get(position.asset, 0), position.asset
            assert position.matched == position.settled
        trades = [trade for order in self.venue.orders.values() for trade in order.trades]
        booked = Fill.objects.values_list("trade_id", "status")
        assert sorted(booked) == sorted((trade.trade_id, trade.status) for trade in trades)
        self.nothing_came_from_outside()

    def ask_about_everything(self) -> None:
        self.make_due()
        self.done(lambda: reconciling.look_at_due() + reconciling.settle_due())

    def nothing_came_from_outside(self) -> None:
        assert not Entry.objects.filter(kind__in=["outside", "hand"]).exists()


class BookWithAnOwner(Book):
    """The same wallet is also used by hand, which our orders cannot know beforehand."""

    @rule(which=st.integers(0, 2), amount=st.integers(-300, 300).map(Decimal))
    def deposit_or_withdraw(self, which: int, amount: Decimal) -> None:
        asset = ([token.symbol for token in self.tokens] + ["collateral"])[which]
        self.venue.balances[asset] += max(amount, -max(self.venue.free(asset), Decimal(0)))

    @rule(which=st.integers(0, 1), side=st.sampled_from(["buy", "sell"]), wanted=quantities)
    def trade_by_hand(self, which: int, side: str, wanted: Decimal) -> None:
        symbol, price = self.tokens[which].symbol, Decimal("0.51")
        free = self.venue.free(symbol if side == "sell" else "collateral")
        if free >= wanted:
            self.venue.trade_by_hand(symbol, side, wanted, price)

    @rule(fate=fates)
    def list_everything(self, fate: Fate) -> None:
        self.done(lambda: listing.refresh("polymarket"), fate)

    @rule()
    def wait_for_the_cache(self) -> None:
        """A difference long after our own movements is believed at once."""
        Entry.objects.update(created_at=F("created_at") - timedelta(seconds=20))

    def come_to_rest(self) -> None:
        self.list_everything(None)
        super().come_to_rest()

    def compare(self) -> None:
        for _ in range(2):
            self.wait_for_the_cache()
            super().compare()

    def check_reserved(self, there: Decimal, owed: Decimal) -> None:
        """Whoever takes shares away by hand may take reserved ones."""

    def check_the_venue(self, orders: list[Order]) -> None:
        self.venue.shortages.clear()  # as it may, after a withdrawal that we have not seen
        super().check_the_venue(orders)

    def nothing_came_from_outside(self) -> None:
        """Everything that came is explained by a trade by hand, a deposit or a withdrawal."""


def check_that_postings_add_up_to_nothing(entries: list[Entry]) -> None:
    sums: dict[tuple[str, str, int], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 2)
    for entry in entries:
        key = (entry.kind, entry.reference, entry.position_id)
        matched, settled = sums[key]
        sums[key] = [matched + entry.matched_change, settled + entry.settled_change]
    assert all(row == [0, 0] for row in sums.values())


def check_that_positions_are_the_sum_of_their_entries(
    positions: dict[int, Position], entries: list[Entry]
) -> None:
    for position in positions.values():
        mine = [e for e in entries if (e.position_id, e.account) == (position.pk, "wallet")]
        assert position.matched == sum(entry.matched_change for entry in mine)
        assert position.settled == sum(entry.settled_change for entry in mine)


def booked() -> dict[int, Decimal]:
    """What each order's fills have, also those whose order has not been looked at since."""
    sums: dict[int, Decimal] = defaultdict(Decimal)
    for order_id, quantity in Fill.objects.values_list("order_id", "quantity"):
        sums[order_id] += quantity
    return sums


def taken_by(orders: list[Order], fills: dict[int, Decimal] | None = None) -> dict[str, Decimal]:
    """What live orders may still take, by asset: as they know it, or by their fills."""
    taken: dict[str, Decimal] = defaultdict(Decimal)
    for order in orders:
        if order.status in ("planned", "sent", "open"):
            left = order.quantity - max(order.matched_quantity, (fills or {}).get(order.pk, 0))
            if order.side == "sell":
                taken[order.instrument.base_asset] += left
            else:
                taken[order.instrument.quote_asset] += left * (order.price + order.fee_per_unit)
    return taken


def leaving_with(fills: Iterable[Fill]) -> dict[str, Decimal]:
    """What trades still unsettled will take, by asset."""
    leaving: dict[str, Decimal] = defaultdict(Decimal)
    for fill in fills:
        instrument = fill.order.instrument
        if fill.status == "matched" and fill.order.side == "sell":
            leaving[instrument.base_asset] += fill.quantity
        elif fill.status == "matched":
            leaving[instrument.quote_asset] += fill.quantity * fill.price + fill.fee
    return leaving


@contextmanager
def quiet() -> Iterator[None]:
    """Insist that no loop's rim has swallowed an exception."""
    with capture_logs() as logs:
        yield
    swallowed = [
        entry for entry in logs if entry.get("exc_info") or entry["log_level"] == "exception"
    ]
    assert swallowed == []


def test_nothing_is_lost_or_oversold_whatever_happens():
    run_state_machine_as_test(Book, settings=settings(max_examples=18, stateful_step_count=14))


def test_what_the_owner_does_by_hand_is_booked_beside_ours():
    run_state_machine_as_test(
        BookWithAnOwner, settings=settings(max_examples=15, stateful_step_count=14)
    )
