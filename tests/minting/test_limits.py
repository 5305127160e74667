"""Limits of the queue: collateral, sizes, expiry, approvals, and what becomes of what waits for them."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from minting import draining, requesting
from minting.models import Mint, Transaction
from orders.models import Entry, Instrument, Position
from paper.addresses import COLLATERAL_ADAPTER, CONDITIONAL_TOKENS, PUSD
from polytrader.models import Alert
from tests.minting.test_minting import a_request, drained
from tests.paper_process import PaperProcess
from tests.truth import assert_our_rows_equal_the_exchange

pytestmark = pytest.mark.django_db(transaction=True)

Rules = Callable[..., None]


def collateral(paper: PaperProcess, amount: str) -> None:
    paper.call("POST", "/paper/balances", {"asset": "collateral", "amount": amount})


def make_due(after: timedelta = timedelta(0)) -> None:
    """Let time pass for the rows: what waits is due, what was asked for is older."""
    for job in Mint.objects.all():
        Mint.objects.filter(pk=job.pk).update(
            next_attempt_at=timezone.now(), asked_at=job.asked_at - after
        )
    Position.objects.update(doubted_at=timezone.now() - timedelta(minutes=1))


def splits(paper: PaperProcess) -> list[str]:
    return [split["amount"] for split in paper.ledger()["splits"]]


def approve(paper: PaperProcess, amount: str, token: str = PUSD) -> None:
    body = {"token": token, "spender": COLLATERAL_ADAPTER, "amount": amount}
    paper.call("POST", "/paper/approvals", body)


def allowance(paper: PaperProcess) -> Decimal:
    from exchange.types import Conversion
    from orders.venues import minter

    low, high = Decimal(0), Decimal(1_000_000)
    who = minter()
    while high - low > Decimal("0.5"):
        middle = ((low + high) / 2).quantize(Decimal("0.000001"))
        asked = Conversion("split", "0x" + "00" * 32, False, ("1", "2"), middle)
        low, high = (middle, high) if who.missing_approval(asked) is None else (low, middle)
    return high.quantize(Decimal(1))


def test_a_balance_short_for_ten_minutes_delays_and_completes_all_once_topped_up(
    paper: PaperProcess, paper_token: Instrument, rules: Rules
):
    """The collateral left is too little from the start; each attempt is put off further."""
    rules(reserve_factor=Decimal(6))
    for quantity in ("10000", "20000", "16000"):
        a_request(paper_token, quantity)
    for _ in range(10):
        make_due(timedelta(minutes=1))
        draining.drain()
        states = Mint.objects.order_by("pk").values_list("status", flat=True)
        if Transaction.objects.filter(status="sent").exists():
            drained(paper)
    assert list(states) == ["confirmed", "delayed", "delayed"]
    waiting = Mint.objects.filter(status="delayed")
    assert all("MINT_RESERVE_FACTOR" in job.reason for job in waiting)
    assert {job.next_attempt_at > timezone.now() for job in waiting} == {True}
    Entry.objects.update(created_at=timezone.now() - timedelta(minutes=2))  # long after the split
    collateral(paper, "500000")
    make_due()
    drained(paper)
    make_due()
    drained(paper)
    assert set(Mint.objects.values_list("status", "reason")) == {("confirmed", "")}
    assert sum(map(Decimal, splits(paper))) == 46_000
    assert_our_rows_equal_the_exchange(paper)


def test_a_job_above_the_maximum_goes_out_in_parts_and_each_request_sees_its_outcome(
    paper: PaperProcess, paper_token: Instrument, rules: Rules
):
    rules(most=Decimal(40))
    large, small = a_request(paper_token, "100"), a_request(paper_token, "15")
    draining.drain()
    large.refresh_from_db()
    small.refresh_from_db()
    assert (large.status, large.sent_quantity, small.status) == ("sent", 40, "requested")
    drained(paper)
    large.refresh_from_db()
    small.refresh_from_db()
    assert (large.status, large.done_quantity, large.left) == ("confirmed", 100, 0)
    assert (small.status, small.done_quantity, small.left) == ("confirmed", 15, 0)
    assert splits(paper) == ["40", "40", "35"]
    assert_our_rows_equal_the_exchange(paper)


def test_a_part_that_fails_on_the_chain_leaves_the_others_done(
    paper: PaperProcess, paper_token: Instrument, rules: Rules
):
    rules(most=Decimal(40))
    job = a_request(paper_token, "60")
    draining.drain()
    paper.fault("split", "settlement_fails", 1)
    drained(paper)
    make_due()
    drained(paper)
    job.refresh_from_db()
    assert (job.status, job.done_quantity) == ("confirmed", 60)
    assert splits(paper) == ["40", "20"]
    assert Transaction.objects.filter(status="failed").count() == 1
    assert_our_rows_equal_the_exchange(paper)


def test_fewer_than_the_minimum_wait_for_company(
    paper: PaperProcess, paper_token: Instrument, rules: Rules
):
    rules(least=Decimal(20))
    first = a_request(paper_token, "12")
    draining.drain()
    first.refresh_from_db()
    assert first.status == "delayed"
    assert "MINT_MIN_PER_SPLIT" in first.reason
    a_request(paper_token, "8")
    drained(paper)
    assert splits(paper) == ["20"]
    assert set(Mint.objects.values_list("status", flat=True)) == {"confirmed"}


def test_an_expired_request_fails_with_its_reason_and_retry_failed_brings_it_back(
    paper: PaperProcess, paper_token: Instrument, rules: Rules
):
    rules(expiry=timedelta(seconds=600))
    old, fresh = a_request(paper_token, "10"), a_request(paper_token, "5")
    Mint.objects.filter(pk=old.pk).update(asked_at=timezone.now() - timedelta(seconds=601))
    drained(paper)
    old.refresh_from_db()
    fresh.refresh_from_db()
    assert (old.status, fresh.status) == ("failed", "confirmed")
    assert old.reason.startswith("expired")
    assert "MINT_EXPIRY_SECONDS" in old.reason
    assert Alert.objects.filter(kind="mint_failed", resolved_at=None).count() == 1
    assert requesting.retry_failed() == 1
    drained(paper)
    assert splits(paper) == ["5", "10"]
    assert not Alert.objects.filter(kind="mint_failed", resolved_at=None).exists()


@pytest.mark.parametrize(
    ("cap", "left"), [(None, 0), (Decimal(500), 475), (Decimal("Infinity"), 1_000_000)]
)
def test_a_missing_approval_is_given_exactly_or_up_to_the_cap(
    paper: PaperProcess, paper_token: Instrument, rules: Rules, cap: Decimal | None, left: int
):
    rules(approval_cap=cap)
    approve(paper, "0")
    a_request(paper_token, "25")
    drained(paper)
    assert splits(paper) == ["25"]
    assert allowance(paper) == left
    assert_our_rows_equal_the_exchange(paper)


def test_an_approval_that_is_there_is_left_alone(
    paper: PaperProcess, paper_token: Instrument, rules: Rules
):
    rules(approval_cap=Decimal(5000))
    approve(paper, "100")
    a_request(paper_token, "25")
    drained(paper)
    assert allowance(paper) == 75


def test_merging_without_the_tokens_approval_gives_it_and_merges(
    paper: PaperProcess, paper_token: Instrument
):
    approve(paper, "0", CONDITIONAL_TOKENS)
    requesting.request_by_hand(paper_token, "merge", Decimal(30))
    drained(paper)
    assert [row["amount"] for row in paper.ledger()["merges"]] == ["30"]
    assert Position.objects.get(asset="collateral").settled == 100_030
