"""The position manager's rules: every order state with every trade state, and what always holds."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from exchange.types import CONVERSIONS_ALONE, RejectionCode, Side
from strategy.rules import (
    Decision,
    LegState,
    Limits,
    MarketState,
    OrderState,
    OtherLeg,
    decide,
    edge_price,
    furthest_price,
    retry_after,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ZERO = Decimal(0)
TICK, STEP = Decimal("0.01"), Decimal("0.01")
LIMITS = Limits(max_slippage=Decimal("0.02"))
ROLES = ("exit", "single", "basket", "hedge", "unwind")
TRADES = ("none", "MATCHED", "MINED", "RETRYING", "CONFIRMED", "FAILED")
REFUSALS = tuple(
    code.value
    for code in RejectionCode
    if code not in {RejectionCode.UNMATCHED, *CONVERSIONS_ALONE}
)
ORDERS = ("none", "planned", "sent", "live", "delayed", "matched", "unmatched", "cancelled")

# What is decided about a leg of 100 that has had one order. Of the trade states all but `none` stand
# for a trade of 60 (of 100 where the order is `matched`). The other leg of a basket is done.
#
# order                            trade                     exit     single   basket   hedge    unwind
TABLE = """
  none                             none                      place    place    place    place    place
  none                             MATCHED,MINED,RETRYING    place    place    place    place    place
  none                             CONFIRMED                 place    place    place    place    place
  none                             FAILED                    resend   resend   resend   resend   resend
  planned,sent,live,delayed        none                      wait     wait     wait     wait     wait
  planned,sent,live,delayed        MATCHED,MINED,RETRYING    wait     wait     wait     wait     wait
  planned,sent,live,delayed        CONFIRMED                 wait     wait     wait     wait     wait
  planned,sent,live,delayed        FAILED                    wait     wait     wait     wait     wait
  matched                          none                      wait     wait     wait     wait     wait
  matched                          MATCHED,MINED,RETRYING    wait     wait     wait     wait     wait
  matched                          CONFIRMED                 finish   finish   finish   finish   finish
  matched                          FAILED                    resend   resend   resend   resend   resend
  unmatched,cancelled              none                      place    place    place    place    place
  unmatched,cancelled              MATCHED,MINED,RETRYING    place    place    place    place    place
  unmatched,cancelled              CONFIRMED                 place    place    place    place    place
  unmatched,cancelled              FAILED                    resend   resend   resend   resend   resend
  not_enough_balance,tick_size     none                      place    place    place    place    place
  not_enough_balance,tick_size     MATCHED,MINED,RETRYING    place    place    place    place    place
  not_enough_balance,tick_size     CONFIRMED                 place    place    place    place    place
  not_enough_balance,tick_size     FAILED                    resend   resend   resend   resend   resend
  not_allowed,market_closed        none                      place    place    place    place    place
  not_allowed,market_closed        MATCHED,MINED,RETRYING    place    place    place    place    place
  not_allowed,market_closed        CONFIRMED                 place    place    place    place    place
  not_allowed,market_closed        FAILED                    resend   resend   resend   resend   resend
  invalid_signature,nonce,other    none                      place    place    place    place    place
  invalid_signature,nonce,other    MATCHED,MINED,RETRYING    place    place    place    place    place
  invalid_signature,nonce,other    CONFIRMED                 place    place    place    place    place
  invalid_signature,nonce,other    FAILED                    resend   resend   resend   resend   resend
  post_only,expiration,precision   none                      place    place    place    place    place
  post_only,expiration,precision   MATCHED,MINED,RETRYING    place    place    place    place    place
  post_only,expiration,precision   CONFIRMED                 place    place    place    place    place
  post_only,expiration,precision   FAILED                    resend   resend   resend   resend   resend
  unknown_instrument,duplicated    none                      place    place    place    place    place
  unknown_instrument,duplicated    MATCHED,MINED,RETRYING    place    place    place    place    place
  unknown_instrument,duplicated    CONFIRMED                 place    place    place    place    place
  unknown_instrument,duplicated    FAILED                    resend   resend   resend   resend   resend
  min_size                         none                      place    place    place    place    place
  min_size                         MATCHED,MINED,RETRYING    wait     wait     wait     wait     wait
  min_size                         CONFIRMED                 finish   finish   finish   finish   finish
  min_size                         FAILED                    resend   resend   resend   resend   resend
  blocked                          none                      give_up  give_up  unwind   unwind   give_up
  blocked                          MATCHED,MINED,RETRYING    wait     wait     wait     wait     wait
  blocked                          CONFIRMED                 give_up  give_up  unwind   unwind   give_up
  blocked                          FAILED                    give_up  give_up  unwind   unwind   give_up
"""

# The same when its last order was the last that it may have, and the last refusal that is borne.
SPENT = """
  none                             none                      place    give_up  unwind   unwind   give_up
  none                             MATCHED,MINED,RETRYING    place    wait     wait     wait     wait
  none                             CONFIRMED                 place    give_up  unwind   unwind   give_up
  none                             FAILED                    resend   give_up  unwind   unwind   give_up
  planned,sent,live,delayed        none                      wait     wait     wait     wait     wait
  planned,sent,live,delayed        MATCHED,MINED,RETRYING    wait     wait     wait     wait     wait
  planned,sent,live,delayed        CONFIRMED                 wait     wait     wait     wait     wait
  planned,sent,live,delayed        FAILED                    wait     wait     wait     wait     wait
  matched                          none                      wait     wait     wait     wait     wait
  matched                          MATCHED,MINED,RETRYING    wait     wait     wait     wait     wait
  matched                          CONFIRMED                 finish   finish   finish   finish   finish
  matched                          FAILED                    resend   give_up  unwind   unwind   give_up
  unmatched,cancelled              none                      place    give_up  unwind   unwind   give_up
  unmatched,cancelled              MATCHED,MINED,RETRYING    place    wait     wait     wait     wait
  unmatched,cancelled              CONFIRMED                 place    give_up  unwind   unwind   give_up
  unmatched,cancelled              FAILED                    resend   give_up  unwind   unwind   give_up
  not_enough_balance               none                      place    give_up  hedge    unwind   give_up
  not_enough_balance               MATCHED,MINED,RETRYING    place    wait     wait     wait     wait
  not_enough_balance               CONFIRMED                 place    give_up  hedge    unwind   give_up
  not_enough_balance               FAILED                    resend   give_up  hedge    unwind   give_up
  tick_size,not_allowed            none                      place    give_up  unwind   unwind   give_up
  tick_size,not_allowed            MATCHED,MINED,RETRYING    place    wait     wait     wait     wait
  tick_size,not_allowed            CONFIRMED                 place    give_up  unwind   unwind   give_up
  tick_size,not_allowed            FAILED                    resend   give_up  unwind   unwind   give_up
  market_closed                    none                      place    give_up  unwind   unwind   give_up
  market_closed                    MATCHED,MINED,RETRYING    place    wait     wait     wait     wait
  market_closed                    CONFIRMED                 place    give_up  unwind   unwind   give_up
  market_closed                    FAILED                    resend   give_up  unwind   unwind   give_up
  blocked                          none                      give_up  give_up  unwind   unwind   give_up
  blocked                          MATCHED,MINED,RETRYING    wait     wait     wait     wait     wait
  blocked                          CONFIRMED                 give_up  give_up  unwind   unwind   give_up
  blocked                          FAILED                    give_up  give_up  unwind   unwind   give_up
  invalid_signature,nonce,other    none                      give_up  give_up  unwind   unwind   give_up
  invalid_signature,nonce,other    MATCHED,MINED,RETRYING    wait     wait     wait     wait     wait
  invalid_signature,nonce,other    CONFIRMED                 give_up  give_up  unwind   unwind   give_up
  invalid_signature,nonce,other    FAILED                    give_up  give_up  unwind   unwind   give_up
  post_only,expiration,precision   none                      give_up  give_up  unwind   unwind   give_up
  post_only,expiration,precision   MATCHED,MINED,RETRYING    wait     wait     wait     wait     wait
  post_only,expiration,precision   CONFIRMED                 give_up  give_up  unwind   unwind   give_up
  post_only,expiration,precision   FAILED                    give_up  give_up  unwind   unwind   give_up
  unknown_instrument,duplicated    none                      give_up  give_up  unwind   unwind   give_up
  unknown_instrument,duplicated    MATCHED,MINED,RETRYING    wait     wait     wait     wait     wait
  unknown_instrument,duplicated    CONFIRMED                 give_up  give_up  unwind   unwind   give_up
  unknown_instrument,duplicated    FAILED                    give_up  give_up  unwind   unwind   give_up
  min_size                         none                      give_up  give_up  unwind   unwind   give_up
  min_size                         MATCHED,MINED,RETRYING    wait     wait     wait     wait     wait
  min_size                         CONFIRMED                 finish   finish   finish   finish   finish
  min_size                         FAILED                    give_up  give_up  unwind   unwind   give_up
"""


def cells(table: str) -> Iterator[tuple[str, str, str, str]]:
    """Every (order, trade, role, decision) that a table's rows stand for."""
    for row in table.strip().splitlines():
        orders, trades, *decisions = row.split()
        for order, trade in product(orders.split(","), trades.split(",")):
            for role, kind in zip(ROLES, decisions, strict=True):
                yield order, trade, role, kind


@pytest.mark.parametrize("table", [TABLE, SPENT], ids=["with tries left", "with none left"])
def test_the_table_has_every_combination_once(table: str):
    written = [(order, trade, role) for order, trade, role, _ in cells(table)]
    assert len(written) == len(set(written))
    assert set(written) == set(product(ORDERS + REFUSALS, TRADES, ROLES))


@pytest.mark.parametrize("row", TABLE.strip().splitlines())
def test_every_order_state_with_every_trade_state_is_decided(row: str):
    assert wrong_in(row, attempts=1, rejections=1) == []


@pytest.mark.parametrize("row", SPENT.strip().splitlines())
def test_a_leg_whose_tries_are_spent_ends_and_protects_its_trade(row: str):
    assert wrong_in(row, attempts=6, rejections=64) == []


def wrong_in(row: str, attempts: int, rejections: int) -> list[tuple[str, ...]]:
    wrong = []
    for order, trade, role, expected in cells(row):
        leg = a_leg(order, trade, role, attempts, rejections)
        found = decide(leg, a_market(leg.side), others_of(role), LIMITS, now=NOW)
        if found.kind != expected:
            wrong.append((order, trade, role, expected, found.kind, found.reason))
    return wrong


def a_leg(order: str, trade: str, role: str, attempts: int = 1, rejections: int = 0) -> LegState:
    """A leg of 100: an exit, a sale at 0.50 alone or in a basket, or a remedy."""
    leg = LegState("sell", Decimal(100), price=Decimal("0.50"), attempts=attempts, id=1)
    if role == "exit":
        leg = replace(leg, price=None)
    elif role == "hedge":
        leg = replace(leg, side="buy", role="hedge", price=Decimal("0.52"))
    elif role == "unwind":
        leg = replace(leg, role="unwind")
    quantity = Decimal(100 if order == "matched" else 60)
    if trade == "FAILED":
        leg = replace(leg, failures=1)
    elif trade != "none":
        settling = Decimal(0) if trade == "CONFIRMED" else quantity
        leg = replace(leg, matched=quantity, settling=settling)
    if order in REFUSALS:
        leg = replace(leg, rejections=rejections)
    return replace(leg, order=an_order(order))


def an_order(state: str) -> OrderState | None:
    return {
        "none": None,
        "planned": OrderState("planned"),
        "sent": OrderState("sent"),
        "live": OrderState("open", "LIVE"),
        "delayed": OrderState("sent", "delayed"),
        "matched": OrderState("filled", "MATCHED"),
        "unmatched": OrderState("cancelled", refusal="unmatched"),
        "cancelled": OrderState("cancelled", "CANCELED"),
    }.get(state, OrderState("rejected", refusal=state))


def a_market(side: Side = "sell", **changes: object) -> MarketState:
    """A book of 0.50 / 0.52 in which everything is free."""
    market = MarketState(
        price=Decimal("0.50") if side == "sell" else Decimal("0.52"),
        tick_size=TICK,
        min_quantity=Decimal(5),
        quantity_step=STEP,
        free=Decimal(10_000),
        held=Decimal(10_000),
        complement_ask=Decimal("0.50"),
        collateral=Decimal(10_000),
    )
    return replace(market, **changes)


def others_of(role: str) -> tuple[OtherLeg, ...]:
    return (other("100"),) if role in ("basket", "hedge") else ()


def other(matched: str, *, id: int = 2, is_working: bool = False, hedged: str = "0") -> OtherLeg:
    return OtherLeg(
        id, Decimal(100), Decimal(matched), is_working, Decimal(5), STEP, Decimal(hedged)
    )


def decided(
    leg: LegState, market: MarketState | None = None, *others: OtherLeg, limits: Limits = LIMITS
) -> Decision:
    return decide(leg, market or a_market(leg.side), others, limits, now=NOW)


@pytest.mark.parametrize(
    ("order", "is_asked", "kind"),
    [
        ("planned", False, "cancel"),
        ("sent", False, "cancel"),
        ("live", False, "cancel"),
        ("delayed", False, "cancel"),
        ("sent", True, "wait"),
        ("live", True, "wait"),
        ("delayed", True, "wait"),
        ("matched", True, "wait"),
        ("cancelled", True, "stop"),
        ("unmatched", True, "stop"),
        ("other", True, "stop"),
    ],
)
def test_a_cancelled_leg_withdraws_its_order_once_and_stops(order: str, is_asked: bool, kind: str):
    leg = replace(a_leg(order, "none", "single"), is_cancel_requested=True)
    leg = replace(leg, order=replace(leg.order, is_cancel_requested=is_asked))
    assert decided(leg).kind == kind


def test_a_leg_cancelled_by_a_person_is_left_as_it_is_though_the_other_leg_is_filled():
    leg = replace(a_leg("cancelled", "CONFIRMED", "basket"), is_cancel_requested=True)
    assert decided(leg, None, other("100")).kind == "stop"
    settling = replace(leg, settling=Decimal(60))
    assert decided(settling, None, other("100")).kind == "wait"


@pytest.mark.parametrize(
    ("others", "kind", "unwinds"),
    [
        ([], "stop", ()),
        ([other("0")], "unwind", ((1, Decimal(60)),)),
        ([other("60")], "stop", ()),
        ([other("100")], "unwind", ((2, Decimal(40)),)),
        ([other("0", is_working=True)], "withdraw", ()),
        ([other("100", is_working=True)], "withdraw", ()),
    ],
)
def test_an_expired_leg_stops_unless_its_basket_is_uneven(
    others: list[OtherLeg], kind: str, unwinds: tuple[tuple[int, Decimal], ...]
):
    """A GTD leg that ran out beside a filled one is a half-filled basket like any other."""
    leg = replace(a_leg("cancelled", "CONFIRMED", "basket"), order_type="GTD", expires_at=NOW)
    decision = decided(leg, None, *others)
    assert (decision.kind, decision.unwinds) == (kind, unwinds)
    assert decided(replace(leg, settling=Decimal(1)), None, *others).kind == "wait"


def test_an_order_that_the_venue_calls_expired_is_not_placed_again_though_our_clock_is_behind():
    leg = a_leg("cancelled", "none", "single")
    leg = replace(leg, order_type="GTD", expires_at=NOW + timedelta(seconds=2))
    assert decided(replace(leg, order=an_order("none"))).kind == "place"
    expired = OrderState("cancelled", "CANCELED_EXPIRED_ORDER")
    assert decided(replace(leg, order=expired)).kind == "stop"
    too_near = OrderState("cancelled", refusal="expiration")
    assert decided(replace(leg, order=too_near)).kind == "give_up"


@pytest.mark.parametrize(
    ("role", "kind"),
    [("exit", "give_up"), ("single", "give_up"), ("basket", "unwind"), ("unwind", "give_up")],
)
def test_a_closed_market_ends_a_leg_and_undoes_its_basket(role: str, kind: str):
    leg = a_leg("cancelled", "CONFIRMED", role)
    decision = decided(leg, a_market(is_closed=True), *others_of(role))
    assert decision.kind == kind
    assert "the market is closed" in decision.reason


def test_a_paused_market_is_waited_for_whatever_its_refusal_said():
    leg = a_leg("market_closed", "none", "exit", rejections=7)
    assert decided(leg, a_market(accepting_orders=False)).kind == "wait"


@pytest.mark.parametrize(
    ("others", "kind", "unwinds"),
    [
        ([other("0")], "give_up", ()),
        ([other("0", is_working=True)], "withdraw", ()),
        ([other("100"), other("0", id=3, is_working=True)], "withdraw", ()),
        ([other("100"), other("40", id=3)], "unwind", ((2, Decimal(100)), (3, Decimal(40)))),
        ([other("4.99")], "give_up", ()),
        ([other("40", hedged="20")], "unwind", ((2, Decimal(40)),)),
    ],
)
def test_a_refused_leg_leaves_no_other_leg_naked(
    others: list[OtherLeg], kind: str, unwinds: tuple[tuple[int, Decimal], ...]
):
    """Also those that rest unfilled: nobody would look when they fill later."""
    decision = decided(a_leg("blocked", "none", "basket"), None, *others)
    assert (decision.kind, decision.unwinds) == (kind, unwinds)


def test_a_leg_that_did_more_than_the_others_undoes_its_own_excess():
    decision = decided(a_leg("blocked", "CONFIRMED", "basket"), None, other("40"))
    assert (decision.kind, decision.unwinds) == ("unwind", ((1, Decimal(20)),))


def test_what_a_hedge_stands_in_for_counts_with_it():
    """40 sold and 30 of 60 hedged are 70 of 100: 30 of the other leg are too much, not 50."""
    hedge = replace(
        a_leg("blocked", "none", "hedge"),
        quantity=Decimal(60),
        matched=Decimal(30),
        covered=Decimal(40),
    )
    decision = decided(hedge, None, other("100"))
    assert (decision.kind, decision.unwinds) == ("unwind", ((2, Decimal(30)),))
    even = decided(hedge, None, other("50"))
    assert even.unwinds == ((1, Decimal(20)),)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "hedge"),
        ({"complement_ask": Decimal("0.52")}, "hedge"),
        ({"complement_ask": Decimal("0.53")}, "unwind"),
        ({"complement_ask": None}, "unwind"),
        ({"collateral": Decimal("51.99")}, "unwind"),
        ({"collateral": Decimal("52"), "complement_fee_per_unit": Decimal("0.01")}, "unwind"),
        ({"is_outcome": False}, "unwind"),
    ],
)
def test_a_sale_without_shares_is_hedged_within_the_limits_and_the_means(
    changes: dict[str, object], kind: str
):
    nothing_held = a_market(free=Decimal(0), held=Decimal(0), **changes)
    decision = decided(a_leg("cancelled", "none", "basket"), nothing_held, other("100"))
    assert decision.kind == kind
    if kind == "hedge":
        assert (decision.quantity, decision.price) == (Decimal(100), Decimal("0.52"))


@pytest.mark.parametrize("role", ["single", "basket", "hedge", "unwind"])
@pytest.mark.parametrize(
    ("changes", "held_for", "is_over"),
    [
        ({"price": Decimal("0.40")}, 29, False),
        ({"price": Decimal("0.40")}, 30, True),
        ({"price": None}, 30, True),
        ({"price": None, "is_quoted": False}, 3000, False),
        ({"free": Decimal(0)}, 30, True),
        ({"accepting_orders": False}, 30, True),
        ({"price": Decimal("0.505")}, 30, True),
    ],
)
def test_a_leg_of_a_signal_waits_for_its_price_only_so_long(
    role: str, changes: dict[str, object], held_for: int, is_over: bool
):
    """A basket is undone when the price does not come back; a silent venue is not held against it."""
    leg = a_leg("unmatched", "none", role)
    leg = replace(leg, idle_since=NOW - timedelta(seconds=held_for))
    if role == "hedge":
        changes = {**changes, "price": changes.get("price") and Decimal("0.605")}
        if "price" in changes and held_for == 29:
            changes["price"] = Decimal("0.60")
    if "free" not in changes and "accepting_orders" not in changes and changes["price"] is None:
        changes = {**changes, "price": None}
    decision = decided(leg, a_market(leg.side, **changes), *others_of(role))
    ends = {"single": "give_up", "basket": "unwind", "hedge": "unwind", "unwind": "give_up"}
    if role == "basket" and "free" in changes:
        ends["basket"] = "hedge"
    assert decision.kind == (ends[role] if is_over else "wait")


def test_an_exit_waits_for_ever():
    leg = replace(a_leg("unmatched", "none", "exit"), idle_since=NOW - timedelta(days=9))
    for changes in ({"price": None}, {"accepting_orders": False}, {"free": Decimal(0)}):
        decision = decided(leg, a_market(**changes))
        assert decision.kind == "wait"
        assert decision.wait is not None
        assert decision.wait <= timedelta(seconds=2)


@pytest.mark.parametrize(
    ("matched", "kind"), [("0", "give_up"), ("60", "finish")], ids=["nothing sold", "some sold"]
)
def test_an_exit_that_holds_no_more_ends(matched: str, kind: str):
    leg = replace(a_leg("cancelled", "none", "exit"), matched=Decimal(matched))
    decision = decided(leg, a_market(free=Decimal(0), held=Decimal("4.99")))
    assert decision.kind == kind


def test_a_remainder_below_the_minimum_is_done_with_what_it_has():
    leg = replace(a_leg("cancelled", "none", "single"), matched=Decimal("95.01"))
    assert decided(leg).kind == "finish"
    assert decided(replace(leg, settling=Decimal(1))).kind == "wait"
    assert decided(replace(leg, matched=Decimal(95))).quantity == 5


def test_fok_is_offered_whole_or_not_at_all():
    leg = replace(a_leg("unmatched", "none", "single"), order_type="FOK")
    assert decided(leg, a_market(free=Decimal("99.99"))).kind == "wait"
    assert decided(leg, a_market(free=Decimal(100))).quantity == 100


@pytest.mark.parametrize("code", ["not_enough_balance", "tick_size", "not_allowed"])
def test_an_exit_is_never_given_up_for_what_often_passes(code: str):
    for refusals in (1, 8, 64, 500):
        leg = a_leg(code, "none", "exit", attempts=refusals)
        leg = replace(leg, pauses=refusals, idle_since=NOW - timedelta(days=1))
        assert decided(leg).kind == "place"


def test_an_exit_that_is_refused_again_and_again_waits_longer_each_time_but_never_long():
    waits = []
    for pauses in range(1, 40):
        leg = replace(a_leg("not_allowed", "none", "exit"), pauses=pauses, idle_since=NOW)
        waits.append(decided(leg).wait or timedelta(0))
    assert waits[0] == timedelta(0)
    assert waits == sorted(waits)
    assert waits[-1] == timedelta(seconds=20)
    assert "(not_allowed)" in decided(leg).reason
    signal = replace(a_leg("not_allowed", "none", "single"), pauses=5, idle_since=NOW)
    assert decided(signal).kind == "place"


def test_a_market_that_pauses_is_no_end_of_an_exit_but_one_that_is_closed_is():
    leg = a_leg("market_closed", "none", "exit", rejections=64)
    leg = replace(leg, pauses=64, idle_since=NOW)
    assert (decided(leg).kind, decided(leg).reason) == ("wait", "the market takes no orders now")
    assert decided(leg, a_market(is_closed=True)).kind == "give_up"


@pytest.mark.parametrize("order", ["unmatched", "cancelled", "not_enough_balance"])
def test_refusals_before_an_order_that_was_taken_end_nothing(order: str):
    """Ten refusals for want of shares and then one without a match ended a stop's exit."""
    leg = replace(a_leg(order, "CONFIRMED", "exit", attempts=11), rejections=10)
    assert decided(leg).kind == "place"


def test_an_exit_ends_after_eight_refusals_in_a_row_that_do_not_pass():
    leg = a_leg("invalid_signature", "none", "exit", rejections=7)
    assert decided(leg).kind == "place"
    decision = decided(replace(leg, rejections=8))
    assert decision.kind == "give_up"
    assert "refused 8 times in a row, last: invalid_signature" in decision.reason


WITHDRAWN = replace(other("0"), is_withdrawn=True)
ALONE = replace(WITHDRAWN, is_by_a_person=True)


@pytest.mark.parametrize("role", ["basket", "hedge"])
@pytest.mark.parametrize(
    ("beside", "kind"),
    [
        (other("0"), "unwind"),
        (other("40"), "unwind"),
        (other("95"), "unwind"),
        (other("95.01"), "place"),
        (other("100"), "place"),
        (other("40", hedged="60"), "place"),
        (other("0", is_working=True), "place"),
        (replace(WITHDRAWN, is_working=True), "withdraw"),
        (WITHDRAWN, "unwind"),
        (replace(ALONE, is_working=True), "wait"),
        (ALONE, "give_up"),
        (replace(ALONE, matched=Decimal(100)), "place"),
    ],
)
def test_no_leg_is_completed_beside_one_that_has_ended_with_less(
    role: str, beside: OtherLeg, kind: str
):
    """The price came back just after the other leg had been withdrawn: it was bought, and naked.

    60 of 100 are done here. What a person has cancelled is left as it is.
    """
    leg = a_leg("cancelled", "CONFIRMED", role)
    decision = decided(leg, None, beside)
    assert decision.kind == kind
    if kind == "give_up":
        assert "leg 2 was cancelled by a person: nothing is undone" in decision.reason


def test_nothing_is_undone_in_a_trade_that_a_person_has_taken_a_hand_in():
    leg = a_leg("blocked", "CONFIRMED", "basket")
    assert decided(leg, None, ALONE, other("100", id=3)).kind == "give_up"
    assert decided(leg, None, WITHDRAWN, other("100", id=3)).kind == "unwind"


@pytest.mark.parametrize(
    ("others", "kind"),
    [([], "stop"), ([other("0", is_working=True)], "withdraw"), ([other("100")], "unwind")],
)
def test_an_order_cancelled_on_the_venues_website_is_not_placed_again(
    others: list[OtherLeg], kind: str
):
    for order_type in ("GTC", "GTD"):
        leg = replace(a_leg("cancelled", "none", "single"), order_type=order_type)
        leg = replace(leg, expires_at=NOW + timedelta(hours=1))
        decision = decided(leg, None, *others)
        assert decision.kind == kind
        assert "cancelled at the venue" in decision.reason
    ours = replace(leg, order=OrderState("cancelled", "CANCELED", is_cancel_requested=True))
    never_sent = replace(leg, order=OrderState("cancelled"))
    assert decided(ours).kind == decided(never_sent).kind == "place"
    assert decided(a_leg("cancelled", "none", "single")).kind == "place"  # a FAK's rest


def test_a_raised_minimum_leaves_no_other_leg_naked():
    leg = a_leg("unmatched", "none", "basket")
    raised = a_market(min_quantity=Decimal(101))
    decision = decided(leg, raised, other("100"))
    assert (decision.kind, decision.unwinds) == ("unwind", ((2, Decimal(100)),))
    assert decided(leg, raised).kind == "give_up"
    assert "nothing was sold: less than the venue's minimum order" in decided(leg, raised).reason


def test_an_exit_of_nothing_is_given_up_with_its_reason():
    leg = replace(a_leg("none", "none", "exit", attempts=0), quantity=ZERO)
    decision = decided(leg, a_market(free=ZERO, held=ZERO))
    assert (decision.kind, decision.reason) == ("give_up", "nothing was sold: no more is held")
    assert leg.share == replace(other("0"), quantity=ZERO).share == 1


@pytest.mark.parametrize(
    ("role", "changes", "kind", "quantity"),
    [
        ("exit", {"resting": "100"}, "free", "100"),
        ("exit", {"resting": "500"}, "free", "100"),
        ("exit", {"resting": "30"}, "free", "30"),
        ("exit", {"resting": "500", "free": "4"}, "free", "96"),
        ("exit", {"resting": "500", "free": "40"}, "place", "40"),
        ("exit", {"resting": "0"}, "wait", "0"),
        ("exit", {"resting": "100", "held": "0"}, "give_up", "0"),
        ("single", {"resting": "100"}, "wait", "0"),
        ("unwind", {"resting": "100"}, "wait", "0"),
    ],
)
def test_an_exit_frees_what_our_own_resting_sales_hold(
    role: str, changes: dict[str, str], kind: str, quantity: str
):
    numbers = {name: Decimal(text) for name, text in ({"free": "0"} | changes).items()}
    decision = decided(a_leg("none", "none", role), a_market(**numbers))
    assert (decision.kind, decision.quantity) == (kind, Decimal(quantity))


def test_a_leg_whose_shares_an_exit_needed_ends_and_protects_its_trade():
    leg = replace(a_leg("cancelled", "none", "basket"), is_cancel_requested=True, is_freed=True)
    assert decided(leg).kind == "stop"
    assert "a stop's exit needs its shares" in decided(leg).reason
    assert decided(leg, None, other("0", is_working=True)).kind == "withdraw"
    assert decided(leg, None, other("100")).kind == "unwind"


# side, own price, best price, slippage, edge, tick -> limit, or `None` where it is held
PRICES = [
    ("sell", "0.50", "0.50", "0.02", None, "0.01", "0.5"),
    ("sell", "0.50", "0.60", "0.02", None, "0.01", "0.5"),
    ("sell", "0.50", "0.49", "0.02", None, "0.01", "0.49"),
    ("sell", "0.50", "0.48", "0.02", None, "0.01", "0.48"),
    ("sell", "0.50", "0.47", "0.02", None, "0.01", None),
    ("sell", "0.50", "0.49", "0", None, "0.01", None),
    ("sell", "0.50", "0.48", "0.02", "0.485", "0.01", None),
    ("sell", "0.50", "0.49", "0.02", "0.485", "0.01", "0.49"),
    ("sell", "0.50", "0.50", "0.02", "0.55", "0.01", "0.5"),
    ("sell", "0.50", "0.49", "0.02", "0.55", "0.01", None),
    ("sell", "0.505", "0.60", "0.02", None, "0.01", "0.51"),
    ("sell", "0.505", "0.50", "0.02", None, "0.01", "0.5"),
    ("sell", "0.505", "0.50", "0", None, "0.01", None),
    ("sell", "0.995", "0.99", "0", None, "0.01", None),
    ("sell", "0.005", "0.001", "0.02", None, "0.001", None),
    ("sell", "0.005", "0.002", "0.02", None, "0.001", "0.002"),
    ("sell", "0.001", "0.001", "0.02", None, "0.001", "0.001"),
    ("buy", "0.50", "0.50", "0.02", None, "0.01", "0.5"),
    ("buy", "0.50", "0.40", "0.02", None, "0.01", "0.5"),
    ("buy", "0.50", "0.52", "0.02", None, "0.01", "0.52"),
    ("buy", "0.50", "0.53", "0.02", None, "0.01", None),
    ("buy", "0.50", "0.52", "0.02", "0.515", "0.01", None),
    ("buy", "0.50", "0.51", "0.02", "0.515", "0.01", "0.51"),
    ("buy", "0.50", "0.50", "0.02", "0.45", "0.01", "0.5"),
    ("buy", "0.995", "0.999", "0.02", None, "0.001", None),
    ("buy", "0.995", "0.998", "0.02", None, "0.001", "0.998"),
    ("buy", "0.999", "0.999", "0.02", None, "0.001", "0.999"),
    ("buy", "0.005", "0.01", "0", None, "0.01", None),
]


@pytest.mark.parametrize(("side", "own", "best", "slippage", "edge", "tick", "limit"), PRICES)
def test_a_retry_goes_as_far_as_its_slippage_and_its_edge(
    side: Side, own: str, best: str, slippage: str, edge: str | None, tick: str, limit: str | None
):
    leg = LegState(side, Decimal(100), price=Decimal(own), attempts=1)
    limits = Limits(Decimal(slippage), None if edge is None else Decimal(edge))
    market = a_market(price=Decimal(best), tick_size=Decimal(tick))
    decision = decided(leg, market, limits=limits)
    assert decision.price == (None if limit is None else Decimal(limit))
    assert decision.kind == ("wait" if limit is None else "place")


def test_what_rests_is_offered_again_at_its_own_price_without_looking_at_the_book():
    leg = replace(a_leg("unmatched", "none", "single"), order_type="GTC")
    for best in (None, Decimal("0.40"), Decimal("0.505")):
        assert decided(leg, a_market(price=best)).price == Decimal("0.50")
    coarser = a_market(tick_size=Decimal("0.1"))
    assert decided(replace(leg, price=Decimal("0.45")), coarser).price == Decimal("0.5")


@pytest.mark.parametrize(
    ("side", "complement", "fee", "edge"),
    [("sell", "0.55", "0.01", "0.46"), ("buy", "0.55", "0.01", "0.44"), ("buy", "0.4", "0", "0.6")],
)
def test_the_edge_of_a_pair_counts_its_fees(side: Side, complement: str, fee: str, edge: str):
    """Sold at 0.46 and 0.55 less 0.01 of fees a pair brings 1, which it costs to split."""
    own = Decimal("0.5")
    assert edge_price(side, own, Decimal(complement), Decimal(fee)) == Decimal(edge)


def test_waits_grow_with_the_tries_and_with_the_time_in_between():
    waits = [retry_after(attempts, LIMITS) for attempts in range(12)]
    assert waits[0] == timedelta(milliseconds=200)
    assert waits == sorted(waits)
    assert waits[-1] == timedelta(seconds=2)
    assert retry_after(1, LIMITS, idle=timedelta(seconds=4)) == timedelta(seconds=1)
    assert retry_after(1, LIMITS, idle=timedelta(days=1)) == timedelta(seconds=2)


# What always holds.

ticks = st.sampled_from([Decimal(text) for text in ("0.1", "0.01", "0.005", "0.001")])
sides: st.SearchStrategy[Side] = st.sampled_from(["buy", "sell"])
amounts = st.decimals(0, 300, places=2)
seconds = st.integers(0, 100).map(lambda number: NOW - timedelta(seconds=number))


def prices(tick: Decimal) -> st.SearchStrategy[Decimal]:
    return st.integers(1, int(1 / tick) - 1).map(lambda number: number * tick)


rarely = st.integers(0, 9).map(lambda number: number == 0)


def order_states(names: tuple[str, ...]) -> st.SearchStrategy[OrderState | None]:
    return st.sampled_from(names).map(an_order)


live_orders = order_states(("planned", "sent", "live", "delayed"))
ended_orders = order_states(("none", "matched", "unmatched", "cancelled", *REFUSALS))


@st.composite
def legs(draw: st.DrawFn, order: st.SearchStrategy[OrderState | None] = ended_orders) -> LegState:
    """Mostly such that there is something to be done."""
    quantity = draw(st.decimals("0.01", 300, places=2))
    matched = draw(st.decimals(0, quantity + 10 * draw(rarely), places=2))
    role = draw(st.sampled_from(["exit", "wanted", "wanted", "hedge", "unwind"]))
    is_exit = role == "exit"
    return LegState(
        side=draw(sides),
        quantity=quantity,
        matched=matched,
        settling=min(draw(amounts), matched) * draw(rarely),
        failures=draw(st.integers(0, 12)) * draw(rarely),
        price=None if is_exit else draw(prices(draw(ticks))),
        order_type="FAK" if is_exit else draw(st.sampled_from(["FAK", "FOK", "GTC", "GTD"])),
        role="wanted" if is_exit else role,
        attempts=draw(st.integers(0, 7)),
        rejections=draw(st.integers(0, 70)) * draw(rarely),
        order=draw(order),
        expires_at=draw(seconds) if draw(rarely) else None,
        is_cancel_requested=draw(rarely),
        idle_since=draw(st.none() | seconds),
        id=1,
    )


@st.composite
def markets(draw: st.DrawFn) -> MarketState:
    tick = draw(ticks)
    return MarketState(
        price=draw(st.none() | prices(draw(ticks))),
        tick_size=tick,
        min_quantity=draw(st.sampled_from([Decimal(5), Decimal(0), Decimal("0.5")])),
        quantity_step=STEP,
        free=draw(amounts),
        held=draw(amounts),
        resting=draw(amounts) * draw(rarely),
        fee_per_unit=draw(st.decimals(0, "0.02", places=4)),
        is_closed=draw(st.integers(0, 9)) == 0,
        accepting_orders=draw(st.integers(0, 9)) > 0,
        complement_ask=draw(st.none() | prices(tick)),
        collateral=draw(amounts),
    )


@st.composite
def other_legs(draw: st.DrawFn) -> tuple[OtherLeg, ...]:
    made = []
    for number in range(draw(st.integers(0, 3))):
        quantity = draw(st.decimals("0.01", 300, places=2))
        matched = draw(st.decimals(0, quantity, places=2))
        is_working = draw(st.booleans())
        one = OtherLeg(number + 2, quantity, matched, is_working, Decimal(5), STEP)
        is_withdrawn = draw(rarely)
        is_by_a_person = is_withdrawn and draw(st.booleans())
        made.append(replace(one, is_withdrawn=is_withdrawn, is_by_a_person=is_by_a_person))
    return tuple(made)


ROUNDING = Decimal("1e-20")
often = settings(max_examples=150)
limits = st.builds(
    Limits,
    max_slippage=st.decimals(0, "0.1", places=3),
    edge_price=st.none() | st.decimals("0.01", "0.99", places=3),
)


@often
@given(legs(live_orders | ended_orders), markets(), other_legs(), limits)
def test_deciding_twice_decides_the_same(
    leg: LegState, market: MarketState, others: tuple[OtherLeg, ...], limits: Limits
):
    """Pure, and total: whatever is seen is decided, and nothing that waits waits without an end."""
    decision = decide(leg, market, others, limits, now=NOW)
    assert decision == decide(leg, market, others, limits, now=NOW)
    assert (decision.wait is not None) == (decision.kind in ("wait", "withdraw", "free"))
    assert (decision.price is not None) == (decision.kind in ("place", "resend", "hedge"))
    assert bool(decision.unwinds) == (decision.kind == "unwind")


@often
@given(legs(live_orders), markets(), other_legs(), limits)
def test_nothing_new_is_planned_while_an_order_is_live(
    leg: LegState, market: MarketState, others: tuple[OtherLeg, ...], limits: Limits
):
    assert decide(leg, market, others, limits, now=NOW).kind in ("wait", "cancel")


@often
@given(legs(), markets(), other_legs(), limits)
def test_no_order_is_larger_than_what_remains_and_what_is_free(
    leg: LegState, market: MarketState, others: tuple[OtherLeg, ...], limits: Limits
):
    decision = decide(leg, market, others, limits, now=NOW)
    event(decision.kind)
    if decision.kind not in ("place", "resend"):
        return
    assert 0 < decision.quantity <= leg.remaining
    assert market.min_quantity <= decision.quantity
    assert decision.quantity % market.quantity_step == 0
    assert decision.price is not None
    per_unit = 1 if leg.side == "sell" else decision.price + market.fee_per_unit
    assert decision.quantity * per_unit <= market.free


@often
@given(legs(), markets(), other_legs(), limits)
def test_no_price_leaves_the_grid_the_slippage_or_the_edge(
    leg: LegState, market: MarketState, others: tuple[OtherLeg, ...], limits: Limits
):
    decision = decide(leg, market, others, limits, now=NOW)
    event(decision.kind)
    if decision.price is None:
        return
    tick, price = market.tick_size, decision.price
    assert price % tick == 0
    assert tick <= price <= 1 - tick
    if leg.price is None or decision.kind == "hedge":
        return
    sign = 1 if leg.side == "sell" else -1
    assert (leg.price - price) * sign <= limits.max_slippage
    is_worse = price * sign < leg.price * sign
    if limits.edge_price is not None and is_worse:
        assert price * sign >= limits.edge_price * sign
    if is_worse:
        assert price not in (tick, 1 - tick) or {tick, 1 - tick} == {price}


@often
@given(prices(TICK), prices(TICK), st.decimals(10, 60, places=2), amounts, limits)
def test_a_hedge_costs_no_more_than_the_sale_may_lose(
    own: Decimal, ask: Decimal, collateral: Decimal, matched: Decimal, limits: Limits
):
    leg = replace(a_leg("blocked", "none", "basket"), price=own, matched=matched / 4)
    market = a_market(free=Decimal(0), held=Decimal(0), complement_ask=ask, collateral=collateral)
    decision = decide(leg, market, [other("100")], limits, now=NOW)
    event(decision.kind)
    if decision.kind != "hedge":
        return
    assert decision.price is not None
    assert ask <= decision.price <= 1 - own + limits.max_slippage
    assert decision.quantity * decision.price <= collateral
    assert decision.quantity <= leg.remaining


@often
@given(amounts, st.lists(st.tuples(amounts, amounts, amounts), min_size=1, max_size=4))
def test_undoing_leaves_every_leg_with_the_same_share(
    matched: Decimal, rows: list[tuple[Decimal, Decimal, Decimal]]
):
    """But for what is below the minimum of an order."""
    leg = replace(a_leg("blocked", "none", "basket"), matched=matched / 4)
    others = [
        OtherLeg(number, size + 1, min(matched, size), False, Decimal(5), STEP, hedged)
        for number, (size, matched, hedged) in enumerate(rows, start=2)
    ]
    decision = decide(leg, a_market(complement_ask=None), others, LIMITS, now=NOW)
    event(decision.kind)
    undone = dict(decision.unwinds)
    common = min(leg.share, *(one.share for one in others))
    itself = replace(others[0], id=1, quantity=leg.quantity, matched=leg.matched, hedged=ZERO)
    for one in (*others, itself):
        back = undone.get(one.id, ZERO)
        assert 0 <= back <= one.matched
        too_much = one.matched + one.hedged - back - common * one.quantity
        assert too_much >= -ROUNDING
        assert too_much < 5 or one.matched - back < 5


@given(
    st.data(),
    st.sampled_from(["wanted", "hedge", "unwind"]),
    st.sampled_from(["FAK", "FOK", "GTC"]),
    sides,
)
def test_whatever_the_venue_answers_a_leg_of_a_signal_ends_within_its_attempts(
    data: st.DataObject, role: str, order_type: str, side: Side
):
    """Simulated: orders unmatched, partly filled, refused, cancelled; trades that fail or settle."""
    leg = LegState(side, Decimal(100), price=Decimal("0.50"), order_type=order_type, role=role)
    leg = replace(leg, attempts=1, order=OrderState("cancelled"), idle_since=NOW)
    now, orders = NOW, 1
    for _ in range(200):
        price = data.draw(st.none() | st.sampled_from([Decimal("0.5"), Decimal("0.7")]))
        market = a_market(side, price=price, free=data.draw(st.sampled_from([Decimal(0), TEN_K])))
        decision = decide(leg, market, (other("100"),), LIMITS, now=now)
        if decision.kind == "wait":
            assert decision.wait is not None
            now += decision.wait
            if leg.settling > 0:
                leg = settled(leg, has_failed=data.draw(st.booleans()))
            continue
        if decision.kind not in ("place", "resend"):
            assert decision.kind in ("finish", "give_up", "unwind", "hedge", "stop")
            break
        orders += 1
        now += timedelta(seconds=1)
        leg = replace(leg, attempts=orders, idle_since=now)
        leg = answered(leg, decision, data.draw(st.sampled_from(ANSWERS)))
    else:
        pytest.fail("it never ended")
    assert orders <= LIMITS.max_attempts


TEN_K = Decimal(10_000)
ANSWERS = ("unmatched", "part", "all", "cancelled", "other", "not_enough_balance", "tick_size")


def answered(leg: LegState, decision: Decision, answer: str) -> LegState:
    if answer in ("part", "all"):
        done = decision.quantity if answer == "all" else decision.quantity / 2
        order = OrderState("filled" if answer == "all" else "cancelled")
        return replace(leg, matched=leg.matched + done, settling=done, order=order)
    return replace(leg, rejections=leg.rejections + (answer == "other"), order=an_order(answer))


def settled(leg: LegState, *, has_failed: bool) -> LegState:
    if not has_failed:
        return replace(leg, settling=Decimal(0))
    return replace(
        leg,
        settling=Decimal(0),
        matched=leg.matched - leg.settling,
        failures=leg.failures + 1,
    )


@given(st.lists(st.sampled_from(["unmatched", "cancelled"]), min_size=50, max_size=300))
def test_an_exit_never_gives_up_for_orders_that_find_no_match(answers: list[str]):
    leg = a_leg("none", "none", "exit")
    for attempts, answer in enumerate(answers):
        leg = replace(leg, attempts=attempts, order=an_order(answer))
        assert decided(leg).kind == "place"


@given(sides, st.data(), ticks, st.decimals(0, "0.5", places=3))
def test_what_is_undone_costs_no_more_than_the_slippage(
    side: Side, data: st.DataObject, tick: Decimal, slippage: Decimal
):
    paid = data.draw(st.decimals("0.0011", "0.9989", places=4))
    limit = furthest_price(side, paid, slippage, tick, is_outcome=True)
    assert limit % tick == 0
    assert abs(limit - paid) <= slippage + tick
    sign = 1 if side == "sell" else -1
    assert (paid - limit) * sign <= slippage
    market = a_market(side, tick_size=tick, price=Decimal("0.5"))
    decision = decided(LegState(side, Decimal(100), price=limit, order=an_order("none")), market)
    assert decision.price is None or tick <= decision.price <= 1 - tick
