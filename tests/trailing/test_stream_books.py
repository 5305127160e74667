"""What the stream knows of each book, and when it is believed."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from exchange.market_news import (
    Garbled,
    Heard,
    Lost,
    PricesChanged,
    Snapshot,
    TickSizeChanged,
    Traded,
)
from exchange.types import Book, Quote
from trailing.books import GRACE, Books
from trailing.line import CLOCK_STEP, REPEAT_AFTER, Watched
from trailing.shards import spread

START = datetime(2026, 11, 22, tzinfo=UTC)
A, B = "1" * 20, "2" * 20


def price(ticks):
    return None if ticks is None else Decimal(ticks) / 100


def levels(*prices):
    return tuple((price(ticks), Decimal(10)) for ticks in prices)


def snapshot(bid=50, ask=52, told_at=1, symbol=A, last=51):
    return Snapshot(
        symbol,
        levels(*([] if bid is None else [bid, bid - 1])),
        levels(*([] if ask is None else [ask, ask + 1])),
        price(last),
        told_at,
    )


def change(bid, ask, told_at=2, symbol=A, changes=()):
    return PricesChanged(
        symbol,
        price(bid),
        price(ask),
        told_at,
        tuple((s, price(p), Decimal(q)) for s, p, q in changes),
    )


class Ear:
    """Books, and a clock that goes on a little with every message."""

    def __init__(self, *, is_deep=False):
        self.books = Books()
        self.now = START
        self.books.watch([Watched(1, A, is_deep), Watched(2, B)], START)

    def hears(self, *news, after=timedelta(milliseconds=1)):
        self.now += after
        return [
            (each.bid and int(each.bid * 100), each.ask and int(each.ask * 100))
            for each in self.books.hear(Heard(self.now, news))
        ]

    def compares(self, bid, ask):
        asked_at = self.now = self.now + timedelta(seconds=3)
        return self.books.compare(Quote(A, price(bid), price(ask), self.now), asked_at)

    def is_asked_for(self):
        self.now += GRACE + timedelta(milliseconds=1)
        return A in self.books.doubtful(self.now)

    def restores(self, bid, ask, told_at=0):
        told = snapshot(bid, ask)
        book = Book(A, told.bids, told.asks, None, self.now, told_at)
        return self.books.restore(book, self.now)


def test_nothing_is_observed_before_the_first_snapshot():
    ear = Ear()
    assert ear.hears(change(50, 52)) == []
    assert ear.hears(snapshot(50, 52, told_at=3)) == [(50, 52)]
    assert ear.hears(change(48, 52, told_at=4)) == [(48, 52)]


def test_every_price_of_one_message_is_observed_in_order_and_each_is_younger():
    ear = Ear()
    seen = ear.books.hear(Heard(START, [snapshot(), change(40, 52), change(50, 52)]))
    assert [int(each.bid * 100) for each in seen] == [50, 40, 50]
    assert seen[0].received_at < seen[1].received_at < seen[2].received_at


def test_a_price_told_again_is_observed_again_only_after_a_second():
    ear = Ear()
    ear.hears(snapshot())
    assert ear.hears(change(50, 52)) == []
    assert ear.hears(change(50, 52), after=REPEAT_AFTER) == [(50, 52)]


def test_an_empty_side_is_no_price_and_two_of_them_are_no_observation():
    ear = Ear()
    assert ear.hears(snapshot(50, None)) == [(50, None)]
    assert ear.hears(change(None, None)) == []


@pytest.mark.parametrize(
    "doubt",
    [Lost(frozenset({A})), TickSizeChanged(A), change(53, 52), Garbled(frozenset({A, "3" * 20}))],
    ids=["lost", "tick size", "crossed", "garbled"],
)
def test_what_is_in_doubt_is_not_observed_until_a_fresh_snapshot(doubt):
    ear = Ear()
    ear.hears(snapshot())
    assert ear.hears(doubt) == []
    assert ear.hears(change(30, 52, told_at=3)) == []
    assert ear.is_asked_for()
    assert ear.hears(snapshot(45, 47, told_at=4)) == [(45, 47)]
    assert not ear.is_asked_for()


def test_a_snapshot_of_rest_ends_a_doubt_that_is_older_than_the_question():
    ear = Ear()
    ear.hears(snapshot())
    ear.now += timedelta(seconds=1)
    asked_at = ear.now
    ear.hears(TickSizeChanged(A))
    told = Book(A, levels(45), levels(47), None, ear.now)
    assert ear.books.restore(told, asked_at) is None
    assert ear.is_asked_for()
    assert ear.restores(45, 47).bid == price(45)


def test_a_doubt_that_arises_again_is_not_ended_by_what_rest_was_asked_before():
    ear = Ear()
    ear.hears(snapshot())
    ear.hears(TickSizeChanged(A))
    assert ear.is_asked_for()
    asked_at = ear.now
    ear.hears(Garbled(frozenset({A})))
    told = Book(A, levels(45), levels(47), None, ear.now)
    assert ear.books.restore(told, asked_at) is None
    assert ear.is_asked_for()  # at once: it has been in doubt for long enough
    assert ear.restores(45, 47).bid == price(45)


def test_what_was_garbled_is_counted_and_does_not_concern_the_other_books():
    ear = Ear()
    ear.hears(snapshot(), snapshot(symbol=B))
    assert ear.hears(Garbled(frozenset({A})), change(48, 52, symbol=B)) == [(48, 52)]
    assert ear.books.count() == (2, 1)
    assert ear.books.skipped == {"garbled": 1}


def test_a_snapshot_older_than_the_best_prices_told_since_does_not_undo_them():
    ear = Ear()
    ear.hears(change(40, 42, told_at=9))
    assert ear.is_asked_for()
    assert ear.restores(50, 52, told_at=5).bid == price(40)


def test_news_that_is_late_is_counted_and_not_used():
    ear = Ear()
    ear.hears(snapshot(told_at=10))
    assert ear.hears(change(30, 52, told_at=9), snapshot(30, 52, told_at=8)) == []
    assert ear.hears(Traded(A, price(40), 5)) == []
    assert ear.books.skipped == {"late": 2}


def test_a_venue_whose_clock_steps_back_is_believed_again_from_the_next_snapshot():
    ear = Ear()
    ear.hears(snapshot(told_at=10 + 2 * CLOCK_STEP))
    assert ear.hears(change(30, 52, told_at=11)) == []
    assert ear.hears(snapshot(45, 47, told_at=12)) == [(45, 47)]


def test_unknown_tokens_are_counted_but_not_the_other_token_of_a_market():
    ear = Ear()
    other = "3" * 20
    assert (
        ear.hears(snapshot(symbol=other), change(1, 2, symbol=other), Lost(frozenset({other})))
        == []
    )
    assert ear.books.skipped == {"unknown token": 1}


def test_the_last_trade_goes_with_the_best_prices():
    ear = Ear()
    ear.hears(snapshot(last=None))
    (seen,) = ear.books.hear(Heard(ear.now, [Traded(A, price(40), 7)]))
    assert (seen.bid, seen.last) == (price(50), price(40))


def test_a_trade_of_a_wrong_clock_does_not_keep_later_trades_out_for_ever():
    ear = Ear()
    ear.hears(snapshot(told_at=10), Traded(A, price(60), 20 + CLOCK_STEP))
    (seen,) = ear.books.hear(Heard(ear.now, [Traded(A, price(40), 11)]))
    assert seen.last == price(40)


def test_a_quiet_line_is_confirmed_by_rest_with_the_time_of_the_answer():
    ear = Ear()
    ear.hears(snapshot())
    assert ear.books.quiet(ear.now + timedelta(seconds=1)) == [A]
    found, seen = ear.compares(50, 52)
    assert found == "same"
    assert seen.received_at == ear.now
    assert ear.books.quiet(ear.now) == []


def test_a_line_that_differs_from_rest_twice_is_frozen_and_doubted():
    ear = Ear()
    ear.hears(snapshot())
    assert ear.compares(40, 42)[0] == "differs"
    assert ear.books.suspect() == [A]
    assert ear.compares(40, 42)[0] == "frozen"
    assert ear.is_asked_for()
    assert ear.restores(40, 42, told_at=99).bid == price(40)


def test_news_in_between_clears_a_line_of_the_suspicion():
    ear = Ear()
    ear.hears(snapshot())
    assert ear.compares(40, 42)[0] == "differs"
    assert ear.hears(change(40, 42)) == [(40, 42)]
    assert ear.compares(40, 42)[0] == "same"


def test_rest_says_nothing_of_a_line_heard_since_it_was_asked():
    ear = Ear()
    ear.hears(snapshot())
    asked_at = ear.now
    ear.hears(change(40, 42))
    quote = Quote(A, price(50), price(52), ear.now)
    assert ear.books.compare(quote, asked_at) == ("unknown", None)


def test_the_depth_follows_the_changes_and_is_left_out_while_it_does_not_fit():
    ear = Ear(is_deep=True)
    (seen,) = ear.books.hear(Heard(START, [snapshot()]))
    assert seen.depth.bids == levels(50, 49)
    (seen,) = ear.books.hear(Heard(START, [change(48, 52, 2)]))  # best_bid_ask comes first
    assert seen.depth is None
    gone = change(48, 52, 2, changes=[("buy", 50, 0), ("buy", 49, 0), ("buy", 48, 7)])
    (seen,) = ear.books.hear(Heard(START, [gone]))
    assert seen.depth.bids == ((price(48), Decimal(7)),)


def test_a_depth_that_does_not_fit_for_long_is_asked_for():
    ear = Ear(is_deep=True)
    ear.hears(snapshot(), change(48, 52))
    assert not ear.is_asked_for()
    ear.now += timedelta(seconds=2)
    assert ear.is_asked_for()


def test_changes_told_before_their_snapshot_are_applied_to_it():
    ear = Ear(is_deep=True)
    ear.hears(change(51, 52, 9, changes=[("buy", 51, 5)]))
    (seen,) = ear.books.hear(Heard(ear.now, [snapshot(50, 52, told_at=9)]))
    assert seen.bid == price(50)  # the snapshot is the later word on the best prices
    ear.hears(Lost(frozenset({A})))
    ear.hears(change(51, 52, 12, changes=[("buy", 51, 5)]))
    assert ear.is_asked_for()
    assert ear.restores(50, 52, told_at=11).depth.bids == ((price(51), Decimal(5)), *levels(50, 49))


def test_a_line_whose_depth_is_wanted_later_is_asked_for():
    ear = Ear()
    ear.hears(snapshot())
    ear.books.watch([Watched(1, A, is_deep=True)], ear.now)
    assert ear.is_asked_for()
    assert ear.books.count() == (1, 0)


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ([], "abc", ["ab", "c"]),
        (["ab"], "abc", ["ab", "c"]),
        (["ab", "c"], "bcd", ["bd", "c"]),
        (["ab", "c"], "c", ["", "c"]),
        (["ab"], "", [""]),
        ([], "", []),
    ],
)
def test_what_is_followed_stays_on_its_connection_and_none_is_overfull(before, wanted, after):
    assert spread([set(part) for part in before], set(wanted), 2) == [set(part) for part in after]
