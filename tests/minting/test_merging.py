"""Merges: the pairs of a hedge, surplus above the threshold, never what a stop protects."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from minting import requesting
from minting.models import Mint
from orders.models import Fill, Instrument, Leg, Order, Position, Trade
from strategy import inventory
from tests.minting.test_minting import a_request, drained
from tests.paper_process import PaperProcess
from tests.rows import a_stop
from tests.truth import assert_our_rows_equal_the_exchange
from trailing.maths import Trail

pytestmark = pytest.mark.django_db(transaction=True)

Rules = Callable[..., None]
KEPT = Decimal(10_000)
"""Of each token, in the opening state."""


def a_settled_hedge(instrument: Instrument, quantity: str, age: timedelta = timedelta(0)) -> Fill:
    """A CONFIRMED purchase that stands in for a sale, as reconciling leaves it, but for the entries."""
    trade = Trade.objects.create(purpose="signal")
    columns = {"trade": trade, "instrument": instrument, "quantity": quantity}
    sale = Leg.objects.create(side="sell", status="failed", **columns)
    leg = Leg.objects.create(side="buy", status="done", role="hedge", of=sale, **columns)
    order = Order.objects.create(
        leg=leg,
        instrument=instrument,
        side="buy",
        quantity=quantity,
        price="0.5",
        status="filled",
        order_id=f"0x{leg.pk}",
        payload="{}",
    )
    return Fill.objects.create(
        order=order,
        trade_id=f"t{leg.pk}",
        quantity=quantity,
        price="0.5",
        status="confirmed",
        matched_at=timezone.now(),
        closed_at=timezone.now() - age,
    )


def merges(paper: PaperProcess) -> list[str]:
    return [row["amount"] for row in paper.ledger()["merges"]]


def stop(instrument: Instrument, quantity: str | None) -> None:
    a_stop(instrument, Trail(amount=Decimal("0.03")), "0.50", quantity=quantity)


def test_hedges_of_long_ago_are_left_to_their_owner(paper_token: Instrument):
    a_settled_hedge(paper_token, "17.5", age=timedelta(days=2))
    assert requesting.request_for_settled_trades() == 0


def test_the_pairs_of_a_settled_hedge_are_merged_once(paper: PaperProcess, paper_token: Instrument):
    fill = a_settled_hedge(paper_token, "17.5")
    assert requesting.request_for_settled_trades() == 1
    assert requesting.request_for_settled_trades() == 0
    job = Mint.objects.get()
    assert (job.kind, job.cause, job.fill) == ("merge", "hedge", fill)
    drained(paper)
    assert merges(paper) == ["17.5"]
    assert Position.objects.get(asset="collateral").settled == Decimal("100017.5")
    assert Position.objects.get(asset=paper_token.complement).settled == KEPT - Decimal("17.5")


def test_a_merge_of_more_pairs_than_are_free_is_delayed_until_they_are(
    paper: PaperProcess, paper_token: Instrument
):
    job = requesting.request_by_hand(paper_token, "merge", KEPT + 5)
    drained(paper)
    job.refresh_from_db()
    assert job.status == "delayed"
    assert "10000 pairs are free, 10005 needed" in job.reason
    a_request(paper_token, "5")
    drained(paper)
    Mint.objects.filter(pk=job.pk).update(next_attempt_at=timezone.now(), status="requested")
    drained(paper)
    assert merges(paper) == ["10005"]
    assert_our_rows_equal_the_exchange(paper)


@pytest.mark.parametrize(
    ("keep", "above", "merged"),
    [
        (KEPT - 30, Decimal(20), ["30"]),
        (KEPT - 30, Decimal(30), []),
        (KEPT, Decimal(0), []),
        (KEPT - 30, None, []),
    ],
)
def test_surplus_is_merged_above_the_threshold_down_to_what_is_kept(
    paper: PaperProcess,
    paper_token: Instrument,
    rules: Rules,
    keep: Decimal,
    above: Decimal | None,
    merged: list[str],
):
    rules(keep_pairs=keep, merge_above=above)
    assert inventory.merge_surplus() == len(merged)
    assert inventory.merge_surplus() == 0
    drained(paper)
    assert inventory.merge_surplus() == 0
    assert merges(paper) == merged
    assert_our_rows_equal_the_exchange(paper)


@pytest.mark.parametrize(("quantity", "merged"), [("9000", ["1000"]), ("9990", []), (None, [])])
def test_what_armed_stops_protect_is_no_surplus(
    paper: PaperProcess,
    paper_token: Instrument,
    rules: Rules,
    quantity: str | None,
    merged: list[str],
):
    """A stop with a quantity protects that much, one without protects all."""
    rules(merge_above=Decimal(50))
    stop(paper_token, quantity)
    inventory.merge_surplus()
    drained(paper)
    assert merges(paper) == merged
    assert_our_rows_equal_the_exchange(paper)


def test_surplus_that_a_stop_needs_before_it_went_out_is_not_merged(
    paper: PaperProcess, paper_token: Instrument, rules: Rules
):
    rules(merge_above=Decimal(50))
    assert inventory.merge_surplus() == 1
    stop(paper_token, "9000")
    assert inventory.merge_surplus() == 1
    drained(paper)
    first, second = Mint.objects.order_by("pk")
    assert (first.status, second.status, second.quantity) == ("failed", "confirmed", 1000)
    assert "no surplus any more" in first.reason
    assert requesting.retry_failed() == 0
    assert merges(paper) == ["1000"]


def test_surplus_that_was_switched_off_before_it_went_out_is_not_merged(
    paper: PaperProcess, paper_token: Instrument, rules: Rules
):
    rules(merge_above=Decimal(50))
    inventory.merge_surplus()
    rules(merge_above=None)
    inventory.merge_surplus()
    drained(paper)
    assert merges(paper) == []


def test_surplus_goes_out_in_parts_and_is_not_withdrawn_between_them(
    paper: PaperProcess, paper_token: Instrument, rules: Rules
):
    rules(merge_above=Decimal(50), keep_pairs=KEPT - 100, most=Decimal(60))
    inventory.merge_surplus()
    while Mint.objects.filter(status__in=["requested", "sent"]).exists():
        drained(paper)
        inventory.merge_surplus()
    assert merges(paper) == ["60", "40"]
    assert Mint.objects.get().status == "confirmed"
