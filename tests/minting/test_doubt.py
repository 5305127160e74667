"""Mints in doubt: a nonce that somebody else used, and more requests than collateral."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from exchange.polymarket.positions import position_id
from exchange.types import Conversion
from minting import draining, sending
from minting.models import Mint, Transaction
from orders.models import Instrument
from orders.venues import minter
from tests.minting.test_minting import a_request, drained
from tests.paper_process import PaperProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def a_split(instrument: Instrument, quantity: str) -> Conversion:
    first, second = (position_id(instrument.condition_id, index, False) for index in (0, 1))
    return Conversion("split", instrument.condition_id, False, (first, second), Decimal(quantity))


@pytest.mark.parametrize(
    ("arrived", "splits", "ends"),
    [
        ("7", ["7", "25"], ["failed", "confirmed"]),
        ("30", ["30", "25"], ["failed", "confirmed"]),
        ("25", ["25"], ["confirmed"]),
    ],
)
def test_a_nonce_used_by_somebody_else_is_judged_by_the_chains_logs_after_a_minute_of_doubt(
    paper: PaperProcess,
    paper_token: Instrument,
    monkeypatch: pytest.MonkeyPatch,
    arrived: str,
    splits: list[str],
    ends: list[str],
):
    a_request(paper_token, "25")
    with monkeypatch.context() as patch:
        patch.setattr(sending, "submit", lambda row, who, signed: None)
        draining.drain()
    row, who = Transaction.objects.get(), minter()
    who.submit(who.sign(a_split(paper_token, arrived), row.nonce))
    wait_until(lambda: paper.ledger()["splits"])
    Transaction.objects.update(next_look_at=timezone.now())
    draining.drain()
    assert Transaction.objects.get().status == "sent"
    Transaction.objects.update(doubted_at=timezone.now() - timedelta(minutes=2))
    drained(paper)
    assert [split["amount"] for split in paper.ledger()["splits"]] == splits
    assert list(Transaction.objects.order_by("pk").values_list("status", flat=True)) == ends
    assert Mint.objects.get().status == "confirmed"


def test_what_the_collateral_covers_is_minted_and_the_rest_delayed(
    paper: PaperProcess, paper_token: Instrument
):
    for quantity in ("10000", "6000", "1000"):
        a_request(paper_token, quantity)
    draining.drain()
    states = Mint.objects.order_by("pk").values_list("status", flat=True)
    assert list(states) == ["sent", "sent", "delayed"]
    assert "collateral" in Mint.objects.get(status="delayed").reason
    wait_until(lambda: [split["amount"] for split in paper.ledger()["splits"]] == ["16000"])
