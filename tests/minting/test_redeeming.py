"""Redemptions: everything held of a resolved market, once, when nothing of it is under way."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.utils import timezone

from minting import draining, requesting, resolving
from minting.models import Mint, Resolution, Transaction
from orders import balances
from orders.models import Entry, Instrument, Position
from tests.minting.test_minting import a_settled_sale, drained
from tests.paper_process import PaperProcess
from tests.truth import assert_our_rows_equal_the_exchange

pytestmark = pytest.mark.django_db(transaction=True)


def resolve(paper: PaperProcess, instrument: Instrument, *payouts: str) -> None:
    body = {"conditionId": instrument.condition_id, "state": "resolved", "payouts": payouts}
    paper.call("POST", "/paper/market-state", body)
    Resolution.objects.all().delete()  # so that the chain is asked at once


def hold(paper: PaperProcess, asset: str, amount: str) -> None:
    """Open a position anew with what the wallet holds."""
    paper.call("POST", "/paper/balances", {"asset": asset, "amount": amount})
    Entry.objects.filter(position__asset=asset).delete()
    Position.objects.filter(asset=asset).delete()
    balances.opened(asset, "polymarket")


def paid(paper: PaperProcess) -> list[str]:
    return [row["amount"] for row in paper.ledger()["redemptions"]]


@pytest.mark.parametrize(
    ("payouts", "amount"), [(("1", "0"), "10000"), (("0", "1"), "7"), (("0.5", "0.5"), "5003.5")]
)
def test_what_is_held_of_a_resolved_market_is_redeemed_winner_and_loser(
    paper: PaperProcess, paper_token: Instrument, payouts: tuple[str, str], amount: str
):
    hold(paper, paper_token.complement, "7")
    is_first = paper.markets()[0]["tokenIds"].index(paper_token.symbol) == 0
    assert is_first
    assert resolving.request_redemptions() == 0
    resolve(paper, paper_token, *payouts)
    assert resolving.request_redemptions() == 1
    assert resolving.request_redemptions() == 0
    drained(paper)
    assert paid(paper) == [amount]
    assert Mint.objects.get().status == "confirmed"
    for asset in (paper_token.symbol, paper_token.complement):
        assert Position.objects.get(asset=asset).settled == 0
    assert Position.objects.get(asset="collateral").settled == 100_000 + Decimal(amount)
    Resolution.objects.all().delete()
    assert resolving.request_redemptions() == 0
    assert_our_rows_equal_the_exchange(paper)


def test_a_loser_alone_is_redeemed_for_nothing(paper: PaperProcess, paper_token: Instrument):
    hold(paper, paper_token.complement, "0")
    resolve(paper, paper_token, "0", "1")
    resolving.request_redemptions()
    drained(paper)
    assert Mint.objects.get().status == "confirmed"
    assert Position.objects.get(asset=paper_token.symbol).settled == 0
    assert Position.objects.get(asset="collateral").settled == 100_000
    assert_our_rows_equal_the_exchange(paper)


def test_a_payout_is_rounded_down_for_each_outcome_as_the_chain_does(
    paper: PaperProcess, paper_token: Instrument
):
    """Half of an odd number of base units: what arrives is less than the product, and all there is."""
    hold(paper, paper_token.symbol, "10.000001")
    hold(paper, paper_token.complement, "3.000001")
    resolve(paper, paper_token, "0.5", "0.5")
    resolving.request_redemptions()
    drained(paper)
    assert Mint.objects.get().status == "confirmed"
    assert Position.objects.get(asset="collateral").settled == Decimal("100006.5")
    assert_our_rows_equal_the_exchange(paper)


def test_a_redemption_requested_twice_is_done_once(paper: PaperProcess, paper_token: Instrument):
    resolve(paper, paper_token, "1", "0")
    for _ in range(2):
        requesting.request_by_hand(paper_token, "redeem", Decimal(20_000))
    resolving.request_redemptions()
    drained(paper)
    assert paid(paper) == ["10000"]
    assert set(Mint.objects.values_list("status", flat=True)) == {"confirmed"}
    late = requesting.request_by_hand(paper_token, "redeem", Decimal(1))
    drained(paper)
    late.refresh_from_db()
    assert (late.status, paid(paper)) == ("failed", ["10000"])
    assert "nothing is held" in late.reason


def test_a_redemption_waits_for_trades_to_settle(paper: PaperProcess, paper_token: Instrument):
    fill = a_settled_sale(paper_token, "25", mints=False)
    fill.note(status="matched")
    resolve(paper, paper_token, "1", "0")
    resolving.request_redemptions()
    draining.drain()
    job = Mint.objects.get()
    assert (job.status, paid(paper)) == ("delayed", [])
    assert "not final yet" in job.reason
    fill.note(status="confirmed")
    job.note(next_attempt_at=timezone.now())
    draining.drain()
    assert Transaction.objects.get().kind == "redeem"
    drained(paper)
    assert paid(paper) == ["10000"]


def test_an_unresolved_market_is_not_redeemed(paper: PaperProcess, paper_token: Instrument):
    job = requesting.request_by_hand(paper_token, "redeem", Decimal(20_000))
    draining.drain()
    job.refresh_from_db()
    assert (job.status, job.reason) == ("delayed", "the market is not resolved yet")


def test_nothing_is_redeemed_unasked_where_that_is_off(
    paper: PaperProcess, paper_token: Instrument, rules: Callable[..., None]
):
    rules(redeem_resolved=False)
    resolve(paper, paper_token, "1", "0")
    assert resolving.request_redemptions() == 0
    assert not Mint.objects.exists()


@pytest.mark.parametrize("kind", ["timeout_after_accept", "http_500", "settlement_fails"])
def test_a_redemption_whose_answer_is_lost_or_that_reverts_is_done_once(
    paper: PaperProcess, paper_token: Instrument, kind: str
):
    resolve(paper, paper_token, "1", "0")
    paper.fault("split", kind)
    resolving.request_redemptions()
    drained(paper)
    Mint.objects.filter(status="delayed").update(next_attempt_at=timezone.now())
    drained(paper)
    assert paid(paper) == ["10000"]
    assert_our_rows_equal_the_exchange(paper)
