"""Mints in doubt: a nonce that somebody else used, and more requests than collateral."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from minting import splitting
from minting.models import Mint, Transaction
from orders.models import Instrument
from orders.venues import minter
from tests.minting.test_minting import a_request, drained
from tests.paper_process import PaperProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("arrived", "splits", "ends"),
    [("7", ["7", "25"], ["failed", "confirmed"]), ("30", ["30"], ["confirmed"])],
)
def test_a_nonce_used_by_somebody_else_is_judged_by_what_arrived_after_the_deadline(
    paper: PaperProcess,
    paper_token: Instrument,
    monkeypatch: pytest.MonkeyPatch,
    arrived: str,
    splits: list[str],
    ends: list[str],
):
    a_request(paper_token, "25")
    with monkeypatch.context() as patch:
        patch.setattr(splitting, "submit", lambda row, who: None)
        splitting.drain()
    row, who = Transaction.objects.get(), minter()
    condition, neg_risk = paper_token.condition_id, paper_token.neg_risk
    who.submit(who.sign_split(condition, neg_risk, Decimal(arrived), row.nonce))
    wait_until(lambda: who.next_nonce() > row.nonce and paper.ledger()["splits"])
    Transaction.objects.update(next_look_at=timezone.now())
    splitting.drain()
    assert Transaction.objects.get().status == "sent"
    Transaction.objects.update(deadline=timezone.now() - timedelta(hours=1))
    drained(paper)
    assert [split["amount"] for split in paper.ledger()["splits"]] == splits
    assert list(Transaction.objects.order_by("pk").values_list("status", flat=True)) == ends
    assert Mint.objects.get().status == "confirmed"


def test_what_the_collateral_covers_is_minted_and_the_rest_delayed(
    paper: PaperProcess, paper_token: Instrument
):
    for quantity in ("60000", "30000", "20000"):
        a_request(paper_token, quantity)
    drained(paper)
    assert [split["amount"] for split in paper.ledger()["splits"]] == ["90000"]
    states = Mint.objects.order_by("pk").values_list("status", flat=True)
    assert list(states) == ["confirmed", "confirmed", "delayed"]
    assert "collateral" in Mint.objects.get(status="delayed").reason
