"""The position manager on the paper exchange: completed, sent again, undone, hedged, given up; and each once."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from operations import status
from orders import cancelling, planning, reconciling, sending
from orders.models import Fill, Instrument, Leg, Order, Position, Trade
from orders.planning import LegRequest
from polytrader.models import Alert
from strategy import carrying_out, managing, rules, seeing
from strategy.models import Decision, PositionJob
from tests.orders.trades import (
    BOOK,
    ended,
    hurry,
    hurry_until,
    order_pks,
    planned,
    purchase,
    sale,
    set_balance,
    traded,
)
from tests.paper_process import PaperProcess, wait_until
from tests.rows import open_exits
from tests.trailing.test_tick import in_threads
from tests.truth import assert_our_rows_equal_the_exchange

pytestmark = pytest.mark.django_db(transaction=True)


def kinds(leg: Leg) -> list[str]:
    return [row.kind for row in leg.decisions.order_by("pk") if row.kind != "wait"]


def fills(leg: Leg) -> list[tuple[Decimal, Decimal]]:
    rows = Fill.objects.filter(order__leg=leg).exclude(status="failed").order_by("pk")
    return [(row.quantity, row.price) for row in rows]


def given_up(leg: Leg) -> Alert:
    return Alert.objects.get(kind="leg_given_up", subject=f"leg {leg.pk} of trade {leg.trade_id}")


def test_what_a_fak_order_left_is_completed_at_the_legs_own_price(
    paper: PaperProcess, paper_token: Instrument
):
    paper.put_book(paper_token.symbol, bids=[("0.50", 30)], asks=[("0.52", 1000)])
    trade = traded(sale(paper_token))
    hurry_until(Order.objects.filter(status="cancelled"))
    for _ in range(3):
        hurry()
    assert Order.objects.count() == 1  # the best price is beyond its limit: it is held
    paper.put_book(paper_token.symbol, bids=[("0.51", 500)], asks=[("0.52", 1000)])
    [leg] = ended(trade)
    assert (leg.status, leg.settled_quantity(), leg.attempts) == ("done", Decimal(100), 2)
    assert fills(leg) == [(Decimal(30), Decimal("0.5")), (Decimal(70), Decimal("0.51"))]
    assert Order.objects.order_by("pk").last().price == Decimal("0.5")
    assert_our_rows_equal_the_exchange(paper)


def test_every_decision_is_kept_with_what_it_was_taken_from(
    paper: PaperProcess, paper_token: Instrument
):
    paper.put_book(paper_token.symbol, bids=[("0.50", 30)], asks=[("0.52", 1000)])
    trade = traded(sale(paper_token), max_slippage=Decimal("0.01"))
    hurry_until(Order.objects.filter(status="cancelled"))
    paper.put_book(paper_token.symbol, bids=[("0.49", 500)], asks=[("0.52", 1000)])
    [leg] = ended(trade)
    assert kinds(leg) == ["place", "finish"]
    told = leg.decisions.get(kind="place")
    assert told.outcome == {"quantity": "70", "price": "0.49"}
    assert (
        told.inputs["leg"] | {"matched": "30", "attempts": 1, "price": "0.5"} == told.inputs["leg"]
    )
    assert told.inputs["market"]["price"] == "0.49"
    assert told.inputs["limits"]["max_slippage"] == "0.01"
    assert_our_rows_equal_the_exchange(paper)


def test_what_failed_to_settle_is_sent_again_once(paper: PaperProcess, paper_token: Instrument):
    paper.fault("POST /order", "settlement_fails")
    [leg] = ended(traded(purchase(paper_token)))
    assert (leg.status, leg.settled_quantity(), leg.attempts) == ("done", Decimal(100), 2)
    assert [fill.status for fill in Fill.objects.order_by("pk")] == ["failed", "confirmed"]
    assert kinds(leg) == ["resend", "finish"]
    assert Alert.objects.filter(kind="settlement_failed").count() == 1
    held = Position.objects.get(asset=paper_token.symbol)
    assert (held.matched, held.settled) == (Decimal(10100), Decimal(10100))
    truth = paper.ledger()
    assert [row["status"] for row in truth["trades"]] == ["FAILED", "CONFIRMED"]
    assert Decimal(next(iter(truth["balances"].values()))[paper_token.symbol]) == 10100


def test_a_settlement_that_is_retried_by_the_venue_is_waited_for(
    paper: PaperProcess, paper_token: Instrument
):
    paper.fault("POST /order", "settlement_retries")
    [leg] = ended(traded(sale(paper_token)))
    assert (leg.status, leg.attempts) == ("done", 1)
    assert_our_rows_equal_the_exchange(paper)


def test_a_delayed_order_is_waited_for_and_not_doubled(
    paper: PaperProcess, paper_token: Instrument
):
    paper.fault("POST /order", "delayed")
    [leg] = ended(traded(sale(paper_token)))
    assert (leg.status, leg.attempts, leg.settled_quantity()) == ("done", 1, Decimal(100))
    assert "the venue delays its order" in str(list(leg.decisions.values_list("reason", flat=True)))
    assert_our_rows_equal_the_exchange(paper)


@pytest.mark.parametrize(
    ("fault", "limits", "orders"),
    [
        ("reject:fak_not_filled", {"max_attempts": 3}, 3),
        ("reject:invalid_signature", {"max_rejections": 2}, 2),
        ("reject:not_enough_balance", {"max_attempts": 2}, 2),
        ("settlement_fails", {"max_failures": 2}, 2),
    ],
)
def test_a_leg_is_given_up_after_so_many_tries_and_a_person_told(
    paper: PaperProcess,
    paper_token: Instrument,
    impatient: Any,
    fault: str,
    limits: dict[str, int],
    orders: int,
):
    impatient(**limits)
    paper.fault("POST /order", fault, times=50)
    [leg] = ended(traded(sale(paper_token)))
    assert (leg.status, leg.orders.count(), leg.settled_quantity()) == ("failed", orders, 0)
    assert kinds(leg)[-1] == "give_up"
    assert "100 remain" in given_up(leg).text
    for _ in range(2):
        hurry()
    assert leg.orders.count() == orders
    assert PositionJob.objects.get().status == "failed"
    assert "100 remain" in PositionJob.objects.get().reason


def test_the_missing_leg_of_a_basket_is_completed_within_the_slippage(
    paper: PaperProcess, tokens: list[Instrument]
):
    first, second = tokens
    paper.put_book(second.symbol, bids=[("0.50", 1000)], asks=[("0.60", 1000)])
    trade = traded(purchase(first), purchase(second), max_slippage=Decimal("0.02"))
    hurry_until(Leg.objects.filter(status="done"))
    assert Order.objects.count() == 2
    paper.put_book(second.symbol, bids=[("0.50", 1000)], asks=[("0.54", 1000)])
    legs = ended(trade)
    assert [leg.status for leg in legs] == ["done", "done"]
    assert fills(legs[1]) == [(Decimal(100), Decimal("0.54"))]
    assert_our_rows_equal_the_exchange(paper)


def test_a_basket_whose_other_leg_stays_out_of_reach_is_undone(
    paper: PaperProcess, tokens: list[Instrument], impatient: Any
):
    first, second = tokens
    paper.put_book(second.symbol, bids=[("0.50", 1000)], asks=[("0.60", 1000)])
    trade = traded(purchase(first), purchase(second), max_slippage=Decimal("0.02"))
    impatient(longest_hold=timedelta(seconds=1))
    legs = ended(trade)
    shown = [(leg.role, leg.side, leg.status, leg.settled_quantity()) for leg in legs]
    assert shown == [
        ("wanted", "buy", "done", Decimal(100)),
        ("wanted", "buy", "failed", Decimal(0)),
        ("unwind", "sell", "done", Decimal(100)),
    ]
    assert legs[2].price == Decimal("0.5")  # what was paid, 0.52, less the slippage
    assert kinds(legs[1])[-1] == "unwind"
    assert "undone" in given_up(legs[1]).text
    assert Position.objects.get(asset=first.symbol).settled == 10000
    assert_our_rows_equal_the_exchange(paper)


def test_what_cannot_be_undone_within_the_slippage_is_told_to_a_person(
    paper: PaperProcess, tokens: list[Instrument], impatient: Any
):
    first, second = tokens
    paper.put_book(first.symbol, bids=[("0.40", 1000)], asks=[("0.52", 1000)])
    paper.put_book(second.symbol, bids=[("0.50", 1000)], asks=[("0.60", 1000)])
    trade = traded(purchase(first), purchase(second), max_slippage=Decimal("0.02"))
    impatient(longest_hold=timedelta(seconds=1))
    legs = ended(trade)
    assert [leg.status for leg in legs] == ["done", "failed", "failed"]
    assert legs[2].orders.count() == 0
    assert "held: the best price is 0.4, the limit 0.5" in given_up(legs[2]).text
    assert_our_rows_equal_the_exchange(paper)


def test_a_refused_leg_withdraws_a_leg_that_rests_unfilled(
    paper: PaperProcess, tokens: list[Instrument], impatient: Any
):
    """It would be naked as soon as it filled, with nobody left to see it."""
    first, second = tokens
    impatient(max_attempts=2)
    resting = LegRequest(first, "buy", Decimal(100), Decimal("0.45"), "GTC")
    trade = planned(resting, purchase(second))
    orders = order_pks(trade)
    sending.send(orders[0])
    paper.fault("POST /order", "reject:fak_not_filled", times=50)
    sending.send(orders[1])
    legs = ended(trade)
    assert [leg.status for leg in legs] == ["cancelled", "failed"]
    assert kinds(legs[1])[-2:] == ["withdraw", "give_up"]
    paper.fault("POST /order", "reject:fak_not_filled", times=0)
    paper.put_book(first.symbol, bids=[("0.40", 1000)], asks=[("0.44", 1000)])
    assert paper.ledger()["trades"] == []
    assert Position.objects.get(asset="collateral").reserved() == 0


def test_a_leg_that_is_sold_out_is_hedged_with_the_other_outcome(
    paper: PaperProcess, tokens: list[Instrument]
):
    first, second = tokens
    trade = planned(sale(first), sale(second), max_slippage=Decimal("0.02"))
    set_balance(paper, second.symbol, "0")
    sending.send_all(order_pks(trade))
    legs = ended(trade)
    assert [(leg.role, leg.status) for leg in legs] == [
        ("wanted", "done"),
        ("wanted", "failed"),
        ("hedge", "done"),
    ]
    hedge = legs[2]
    assert (hedge.instrument.symbol, hedge.side) == (second.complement, "buy")
    assert (hedge.price, hedge.of_id) == (Decimal("0.52"), legs[1].pk)
    assert hedge.settled_quantity() >= 100
    assert kinds(legs[1])[-1] == "hedge"
    assert "the pair can be merged later" in legs[1].reason
    assert_our_rows_equal_the_exchange(paper)


def test_a_hedge_that_fails_has_the_other_legs_undone(
    paper: PaperProcess, tokens: list[Instrument], impatient: Any
):
    first, second = tokens
    paper.put_book(first.symbol, bids=[("0.50", 1000)], asks=[("0.51", 1000)])
    trade = planned(sale(first), sale(second), max_slippage=Decimal("0.02"))
    set_balance(paper, second.symbol, "0")
    sending.send_all(order_pks(trade))
    impatient(longest_hold=timedelta(seconds=1))

    def is_hedged() -> bool:
        status.rearm()
        reconciling.sweep()
        managing.manage_due()
        return Leg.objects.filter(role="hedge").exists()

    wait_until(is_hedged)
    paper.put_book(second.symbol, bids=[("0.40", 1000)], asks=[("0.52", 1000)])
    legs = ended(trade)
    assert [(leg.role, leg.status) for leg in legs] == [
        ("wanted", "done"),
        ("wanted", "failed"),
        ("hedge", "failed"),
        ("unwind", "done"),
    ]
    assert (legs[3].of_id, legs[3].side) == (legs[0].pk, "buy")
    assert_our_rows_equal_the_exchange(paper)


def test_an_expired_order_ends_its_leg_with_what_it_has(
    paper: PaperProcess, paper_token: Instrument
):
    until = timezone.now() + timedelta(minutes=5)
    request = LegRequest(
        paper_token, "sell", Decimal(100), Decimal("0.60"), "GTD", expires_at=until
    )
    trade = traded(request)
    hurry_until(Order.objects.filter(status="open"))
    paper.put_book(paper_token.symbol, bids=[("0.60", 40)], asks=[("0.65", 10)])
    hurry_until(Fill.objects.filter(status="confirmed"))
    paper.call("POST", "/paper/expire", {"orderId": Order.objects.get().order_id})
    [leg] = ended(trade)
    assert (leg.status, leg.settled_quantity()) == ("cancelled", Decimal(40))
    assert "expired with 60 unmatched" in leg.reason
    assert leg.orders.count() == 1
    assert_our_rows_equal_the_exchange(paper)


def test_a_legs_expiry_undoes_what_the_other_leg_has_done(
    paper: PaperProcess, tokens: list[Instrument]
):
    first, second = tokens
    until = timezone.now() + timedelta(minutes=5)
    resting = LegRequest(second, "buy", Decimal(100), Decimal("0.40"), "GTD", expires_at=until)
    trade = traded(purchase(first), resting, max_slippage=Decimal("0.02"))
    hurry_until(Leg.objects.filter(status="done"))
    hurry_until(Order.objects.filter(status="open"))
    order = Order.objects.get(leg__order_type="GTD")
    paper.call("POST", "/paper/expire", {"orderId": order.order_id})
    legs = ended(trade)
    assert [leg.role for leg in legs] == ["wanted", "wanted", "unwind"]
    assert (legs[2].status, legs[2].settled_quantity()) == ("done", Decimal(100))
    assert_our_rows_equal_the_exchange(paper)


def test_a_basket_is_undone_though_its_signal_is_old(
    paper: PaperProcess, tokens: list[Instrument], impatient: Any
):
    first, second = tokens
    paper.put_book(second.symbol, bids=[("0.50", 1000)], asks=[("0.60", 1000)])
    trade = traded(purchase(first), purchase(second), max_slippage=Decimal("0.02"))
    Trade.objects.update(valid_until=timezone.now())
    impatient(longest_hold=timedelta(seconds=1))
    legs = ended(trade)
    assert [(leg.role, leg.status) for leg in legs] == [
        ("wanted", "done"),
        ("wanted", "failed"),
        ("unwind", "done"),
    ]


def test_a_basket_is_not_undone_while_the_venue_tells_no_prices(
    paper: PaperProcess, tokens: list[Instrument], impatient: Any
):
    first, second = tokens
    paper.put_book(second.symbol, bids=[("0.50", 1000)], asks=[("0.60", 1000)])
    trade = traded(purchase(first), purchase(second), max_slippage=Decimal("0.02"))
    hurry_until(Leg.objects.filter(status="done"))
    impatient(longest_hold=timedelta(0))
    for path in ("POST /books", "GET /book", "POST /prices", "GET /prices"):
        paper.fault(path, "http_500", times=1000)
    for _ in range(3):
        hurry()
    leg = Leg.objects.get(status="working")
    assert "does not tell its prices" in leg.reason
    paper.put_book(second.symbol, bids=[("0.50", 1000)], asks=[("0.53", 1000)])
    for path in ("POST /books", "GET /book", "POST /prices", "GET /prices"):
        paper.fault(path, "http_500", times=0)
    assert [leg.status for leg in ended(trade)] == ["done", "done"]
    assert_our_rows_equal_the_exchange(paper)


def an_exit(instrument: Instrument, quantity: str | None = "100") -> Trade:
    """A triggered stop's exit at a best price of 0.50, sent."""
    wanted = None if quantity is None else Decimal(quantity)
    request = planning.ExitRequest(instrument, "sell", wanted, Decimal("0.50"))
    with transaction.atomic():
        planning.lock_positions([instrument])
        [(trade, order)] = open_exits([request])
    sending.send_all([] if order is None else [order.pk])
    return trade


def make_old(trade: Trade, seconds: int = 20) -> None:
    Leg.objects.filter(trade=trade).update(created_at=timezone.now() - timedelta(seconds=seconds))


def test_an_exit_outlives_any_number_of_refusals_for_its_balance(
    paper: PaperProcess, paper_token: Instrument
):
    paper.fault("POST /order", "reject:not_enough_balance", times=10)
    paper.fault("POST /orders", "reject:not_enough_balance", times=10)
    trade = an_exit(paper_token)

    def refused_ten_times() -> bool:
        # Its order ended long ago: the pauses of 3 to 20 s in between are over.
        Order.objects.update(closed_at=timezone.now() - timedelta(minutes=1))
        hurry()
        return Order.objects.filter(status="rejected").count() == 10

    wait_until(refused_ten_times, seconds=40)
    Order.objects.update(closed_at=timezone.now() - timedelta(minutes=1))
    paper.put_book(paper_token.symbol, bids=[("0.50", 30)], asks=[("0.52", 1000)])
    hurry_until(Order.objects.filter(status="cancelled"))
    paper.put_book(paper_token.symbol, **BOOK)
    [leg] = ended(trade)
    assert (leg.status, leg.settled_quantity(), leg.rejections) == ("done", Decimal(100), 10)
    assert_our_rows_equal_the_exchange(paper)


def test_an_exit_without_an_answer_is_told_to_a_person_after_15_s_and_no_sooner(
    paper: PaperProcess, paper_token: Instrument
):
    for path in ("POST /order", "POST /orders"):
        paper.fault(path, "http_425", times=1000)
    trade = an_exit(paper_token)
    managing.open_jobs()
    job = PositionJob.objects.get()
    managing.run(job)
    leg = Leg.objects.get(trade=trade)
    assert Alert.objects.count() == 0
    assert leg.next_attempt_at == leg.created_at + carrying_out.HELD_TOO_LONG
    make_old(trade)
    managing.run(PositionJob.objects.get())
    alert = Alert.objects.get(kind="exit_held")
    assert "no clear answer yet" in alert.text
    for path in ("POST /order", "POST /orders"):
        paper.fault(path, "http_425", times=0)
    assert [leg.status for leg in ended(trade)] == ["done"]
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_an_exit_of_all_where_nothing_is_held_fails_with_an_alert(
    paper: PaperProcess, paper_token: Instrument
):
    set_balance(paper, paper_token.symbol, "0")
    Position.objects.filter(asset=paper_token.symbol).update(matched=0, settled=0)
    [leg] = ended(an_exit(paper_token, quantity=None))
    assert (leg.status, leg.quantity) == ("failed", 0)
    assert given_up(leg).text == "nothing was sold: no more is held"


def test_an_exit_takes_the_shares_of_our_own_resting_sales(
    paper: PaperProcess, paper_token: Instrument
):
    """The largest first, and no more than it needs; nobody is asked."""
    kept = traded(sale(paper_token, 100, "0.60", "GTC"))
    freed = traded(sale(paper_token, 9900, "0.61", "GTC"))
    hurry_until(Order.objects.filter(status="open", leg__trade=freed))
    trade = an_exit(paper_token)
    assert [leg.status for leg in ended(trade)] == ["done"]
    [sold] = ended(freed)
    assert (sold.status, sold.reason) == ("cancelled", "withdrawn: a stop's exit needs its shares")
    assert "freed" in kinds(sold)
    assert "free" in kinds(Leg.objects.get(trade=trade))
    assert Leg.objects.get(trade=kept).status == "working"
    assert Order.objects.get(leg__trade=kept).status == "open"
    assert Position.objects.get(asset=paper_token.symbol).settled == 9900


def test_a_leg_withdrawn_for_a_sibling_is_no_reason_to_complete_the_sibling_alone(
    paper: PaperProcess, tokens: list[Instrument], impatient: Any
):
    """The price comes back just when the resting leg has been withdrawn."""
    first, second = tokens
    paper.put_book(second.symbol, bids=[("0.50", 1000)], asks=[("0.60", 1000)])
    resting = LegRequest(first, "buy", Decimal(100), Decimal("0.45"), "GTC")
    trade = traded(resting, purchase(second), max_slippage=Decimal("0.02"))
    hurry_until(Order.objects.filter(status="open"))
    hurry_until(Order.objects.filter(status="cancelled"))
    impatient(longest_hold=timedelta(0))
    hurry_until(Decision.objects.filter(kind="withdraw"))
    paper.put_book(second.symbol, bids=[("0.50", 1000)], asks=[("0.52", 1000)])
    legs = ended(trade)
    assert [leg.status for leg in legs] == ["cancelled", "failed"]
    assert legs[0].decisions.filter(kind="withdrawn").count() == 1
    assert paper.ledger()["trades"] == []


def test_a_person_who_cancels_one_leg_has_nothing_undone_and_nothing_bought_beside_it(
    paper: PaperProcess, tokens: list[Instrument]
):
    first, second = tokens
    paper.put_book(second.symbol, bids=[("0.50", 1000)], asks=[("0.52", 30)])
    resting = LegRequest(first, "buy", Decimal(100), Decimal("0.45"), "GTC")
    trade = traded(resting, purchase(second))
    hurry_until(Order.objects.filter(status="open"))
    hurry_until(Order.objects.filter(status="cancelled"))
    with transaction.atomic():
        cancelling.request(Order.objects.get(status="open"))
    paper.put_book(second.symbol, bids=[("0.50", 1000)], asks=[("0.52", 1000)])
    legs = ended(trade)
    assert [(leg.status, leg.settled_quantity()) for leg in legs] == [
        ("cancelled", Decimal(0)),
        ("failed", Decimal(30)),
    ]
    assert "was cancelled by a person: nothing is undone" in given_up(legs[1]).text
    assert_our_rows_equal_the_exchange(paper)


def test_a_tick_that_changed_is_noted_after_the_commit(
    paper: PaperProcess, paper_token: Instrument
):
    """The tick locks an instrument before the positions; a wait must not do it the other way round."""
    leg = Leg.objects.get(trade=planned(sale(paper_token)))
    family = [leg]
    before = timezone.now() - timedelta(minutes=1)
    Instrument.objects.update(updated_at=before)
    waits = rules.Decision("wait", rules.TICK_HAS_CHANGED, wait=timedelta(seconds=1))
    Order.objects.update(status="cancelled")
    with transaction.atomic():
        seen = seeing.see(leg, family, {})
        carrying_out.carry_out(leg, family, seen, waits)
        assert Instrument.objects.get(pk=paper_token.pk).updated_at == before
    assert Instrument.objects.get(pk=paper_token.pk).updated_at < before


def everything() -> dict[str, list[Any]]:
    return {
        model.__name__: list(model.objects.order_by("pk").values())
        for model in (Trade, Leg, Order, Fill, Position, Alert)
    }


def test_the_same_job_again_changes_nothing(paper: PaperProcess, paper_token: Instrument):
    trade = traded(sale(paper_token))
    ended(trade)
    job = PositionJob.objects.get()
    before, decisions = everything(), Decision.objects.count()
    for state in ("waiting", "delayed", "active"):
        PositionJob.objects.update(status=state)
        job.refresh_from_db()
        managing.run(job)
        assert PositionJob.objects.get().status == "completed"
    assert (everything(), Decision.objects.count()) == (before, decisions)
    assert [row["posts"] for row in paper.ledger()["orders"]] == [1]


def test_the_same_job_again_while_an_order_rests_plans_no_other(
    paper: PaperProcess, paper_token: Instrument
):
    traded(LegRequest(paper_token, "sell", Decimal(100), Decimal("0.60"), "GTC"))
    managing.open_jobs()
    for _ in range(4):
        managing.run(PositionJob.objects.get())
    assert [order.status for order in Order.objects.all()] == ["open"]
    assert len(paper.ledger()["orders"]) == 1
    assert Decision.objects.get(kind="wait").count == 4


@pytest.mark.parametrize("round_", range(3))
def test_many_workers_deciding_at_once_do_one_thing(
    paper: PaperProcess, tokens: list[Instrument], impatient: Any, round_: int
):
    """A remainder is planned once, a basket undone once, an alert raised once."""
    first, second = tokens
    paper.put_book(first.symbol, bids=[("0.50", 30)], asks=[("0.52", 1000)])
    trade = traded(sale(first))
    hurry_until(Order.objects.filter(status="cancelled"))
    paper.put_book(first.symbol, **BOOK)
    in_threads(4, lambda _: managing.manage([Leg.objects.get(trade=trade)]))
    assert Order.objects.filter(leg__trade=trade, status="planned").count() == 1
    ended(trade)

    paper.put_book(second.symbol, bids=[("0.50", 1000)], asks=[("0.60", 1000)])
    basket = traded(purchase(first), purchase(second), max_slippage=Decimal("0.02"))
    hurry_until(Leg.objects.filter(trade=basket, status="done"))
    impatient(longest_hold=timedelta(0))
    in_threads(4, lambda _: managing.manage([Leg.objects.get(trade=basket, status="working")]))
    assert Leg.objects.filter(trade=basket, role="unwind").count() == 1
    assert Alert.objects.filter(kind="leg_given_up").count() == 1
    assert [leg.status for leg in ended(basket)] == ["done", "failed", "done"]
    assert_our_rows_equal_the_exchange(paper)
