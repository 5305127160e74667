"""What cannot be done: failed or delayed in words a user can act on, and the queue goes on."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from minting import draining, requesting
from minting.models import Mint, Transaction
from orders.models import Instrument
from polytrader.models import Alert
from tests.minting.test_minting import a_request, drained
from tests.paper_process import PaperProcess
from tests.truth import assert_our_rows_equal_the_exchange

pytestmark = pytest.mark.django_db(transaction=True)


def age(instrument: Instrument) -> None:
    """Make our description of a market an old one, so that the venue is asked again."""
    old = timezone.now() - timedelta(minutes=5)
    Instrument.objects.filter(pk=instrument.pk).update(updated_at=old)


def make_due() -> None:
    Mint.objects.update(next_attempt_at=timezone.now())


def splits(paper: PaperProcess) -> list[tuple[str, str]]:
    return [(split["conditionId"], split["amount"]) for split in paper.ledger()["splits"]]


def test_a_neg_risk_market_without_its_id_is_refused_and_others_go_on(
    paper: PaperProcess, markets: list[Instrument]
):
    plain, neg_risk = markets[0], markets[-1]
    assert (plain.neg_risk, neg_risk.neg_risk) == (False, True)
    Instrument.objects.filter(condition_id=neg_risk.condition_id).update(neg_risk_id="")
    refused = a_request(neg_risk, "10")
    done = a_request(plain, "5")
    drained(paper)
    refused.refresh_from_db()
    done.refresh_from_db()
    assert (refused.status, done.status) == ("failed", "confirmed")
    assert "neg-risk market without the id" in refused.reason
    assert splits(paper) == [(plain.condition_id, "5")]


def test_a_neg_risk_market_with_its_id_is_minted_for(
    paper: PaperProcess, markets: list[Instrument]
):
    a_request(markets[-1], "10")
    drained(paper)
    assert splits(paper) == [(markets[-1].condition_id, "10")]
    assert_our_rows_equal_the_exchange(paper)


@pytest.mark.parametrize("state", ["closed", "paused"])
def test_a_closed_market_fails_a_paused_one_waits_and_the_next_goes_on(
    paper: PaperProcess, markets: list[Instrument], state: str
):
    ended, other = markets[0], markets[1]
    body = {"conditionId": ended.condition_id, "state": state}
    paper.call("POST", "/paper/market-state", body)
    age(ended)
    first, second = a_request(ended, "10"), a_request(other, "5")
    drained(paper)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == (
        {"closed": "failed", "paused": "delayed"}[state],
        "confirmed",
    )
    assert {"closed": "closed for good", "paused": "takes no orders now"}[state] in first.reason
    assert splits(paper) == [(other.condition_id, "5")]


def test_a_wrong_relayer_key_delays_naming_the_setting_and_goes_on_once_it_is_right(
    paper: PaperProcess, paper_token: Instrument
):
    paper.call("POST", "/paper/relayer-key", {"key": "another"})
    job = a_request(paper_token, "25")
    draining.drain()
    job.refresh_from_db()
    assert job.status == "delayed"
    assert "POLY_RELAYER_KEY" in job.reason
    assert Alert.objects.filter(kind="minting_held", resolved_at=None).exists()
    assert splits(paper) == []
    for _ in range(4):  # it takes a person longer than three attempts
        make_due()
        draining.drain()
    job.refresh_from_db()
    assert job.status == "delayed"
    paper.call("POST", "/paper/relayer-key", {"key": "paper"})
    make_due()
    drained(paper)
    assert [amount for _, amount in splits(paper)] == ["25"]
    assert not Alert.objects.filter(kind="minting_held", resolved_at=None).exists()
    assert_our_rows_equal_the_exchange(paper)


@pytest.mark.parametrize(
    "endpoint", ["GET /v1/account/transactions/params", "POST /rpc", "POST /submit"]
)
def test_a_relayer_or_node_that_is_silent_for_one_drain_delays_and_loses_nothing(
    paper: PaperProcess, paper_token: Instrument, endpoint: str
):
    paper.fault(endpoint, "timeout_before_accept")
    job = a_request(paper_token, "25")
    draining.drain()
    job.refresh_from_db()
    assert job.status in ("delayed", "sent")
    assert (job.reason or job.transaction.reason) != ""
    make_due()
    drained(paper)
    assert [amount for _, amount in splits(paper)] == ["25"]
    assert_our_rows_equal_the_exchange(paper)


@pytest.mark.parametrize("lie", ["lie:nonsense", "lie:garbage"])
def test_a_node_that_answers_garbage_delays(paper: PaperProcess, paper_token: Instrument, lie: str):
    paper.fault("POST /rpc", lie, 1)
    job = a_request(paper_token, "25")
    draining.drain()
    job.refresh_from_db()
    assert (job.status, splits(paper)) == ("delayed", [])
    assert job.reason
    make_due()
    drained(paper)
    assert [amount for _, amount in splits(paper)] == ["25"]


def test_another_chain_than_polygon_delays_and_names_the_setting(
    paper: PaperProcess, paper_token: Instrument
):
    paper.fault("POST /rpc", "lie:chain_id", 1)
    job = a_request(paper_token, "25")
    draining.drain()
    job.refresh_from_db()
    assert (job.status, splits(paper)) == ("delayed", [])
    assert "POLYGON_RPC_URL" in job.reason
    assert Alert.objects.filter(kind="minting_held", resolved_at=None).exists()


def test_a_split_that_reverts_once_is_made_again(paper: PaperProcess, paper_token: Instrument):
    paper.fault("split", "settlement_fails")
    job = a_request(paper_token, "25")
    drained(paper)
    job.refresh_from_db()
    assert (job.status, job.reverts) == ("delayed", 1)
    assert "failed on the chain" in job.reason
    make_due()
    drained(paper)
    job.refresh_from_db()
    assert (job.status, job.reverts, job.reason) == ("confirmed", 0, "")
    assert_our_rows_equal_the_exchange(paper)


def test_a_split_that_reverts_three_times_fails_with_an_alert_and_can_be_retried(
    paper: PaperProcess, paper_token: Instrument
):
    paper.fault("split", "settlement_fails", 3)
    job = a_request(paper_token, "25")
    for _ in range(4):
        drained(paper)
        make_due()
    job.refresh_from_db()
    assert (job.status, Transaction.objects.filter(status="failed").count()) == ("failed", 3)
    assert Alert.objects.filter(kind="mint_failed", resolved_at=None).count() == 1
    assert requesting.retry_failed() == 1
    drained(paper)
    job.refresh_from_db()
    assert job.status == "confirmed"
    assert [amount for _, amount in splits(paper)] == ["25"]
    assert not Alert.objects.filter(kind="mint_failed", resolved_at=None).exists()
    assert_our_rows_equal_the_exchange(paper)


def test_more_than_one_may_be_retried_and_each_is_done_once(
    paper: PaperProcess, markets: list[Instrument]
):
    jobs = [a_request(markets[number % 2], "10") for number in range(4)]
    for job in jobs:
        job.move("failed", reason="of a test", closed_at=timezone.now())
    assert requesting.retry_failed(Mint.objects.filter(pk__in=[jobs[0].pk, jobs[1].pk])) == 2
    assert requesting.retry_failed() == 2
    assert requesting.retry_failed() == 0
    drained(paper)
    assert sum(Decimal(amount) for _, amount in splits(paper)) == 40
    assert_our_rows_equal_the_exchange(paper)


def test_a_deadline_that_has_passed_for_the_relayer_alone_fails_no_job(
    paper: PaperProcess, paper_token: Instrument
):
    """Until it has passed by the chain's clock the same bytes may still be taken."""
    job = a_request(paper_token, "5")
    paper.fault("split", "reject:batch deadline has passed")
    draining.drain()
    job.refresh_from_db()
    assert (job.status, Transaction.objects.get().status) == ("sent", "sent")
    drained(paper)
    assert [split["amount"] for split in paper.ledger()["splits"]] == ["5"]
    assert Transaction.objects.count() == 1
