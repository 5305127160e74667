"""Several workers at once on one wallet: every request is carried out once, one transaction at a time."""

from decimal import Decimal

import pytest
from django.db.models import Sum

from minting import draining
from minting.models import Mint, Transaction
from orders.models import Instrument, Position
from tests.minting.test_minting import a_request
from tests.paper_process import PaperProcess, wait_until
from tests.trailing.test_tick import in_threads
from tests.truth import assert_our_rows_equal_the_exchange

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("short_waits"),
    pytest.mark.timeout(120),
]

QUANTITIES = [Decimal(5 + number) + Decimal(number) / 1_000_000 for number in range(50)]


def is_all_done() -> bool:
    draining.drain()
    return Mint.objects.filter(status="confirmed").count() == len(QUANTITIES)


@pytest.mark.parametrize("kind", [None, "timeout_after_accept", "http_500", "settlement_fails"])
def test_fifty_requests_two_workers_one_wallet_add_up_and_use_each_nonce_once(
    paper: PaperProcess, markets: list[Instrument], kind: str | None
):
    """Half of them wait already, half come while two workers drain."""
    if kind:
        paper.fault("split", kind, 2)
    asked = [(markets[number % 3], quantity) for number, quantity in enumerate(QUANTITIES)]

    def act(index: int) -> None:
        if index == 2:
            for instrument, quantity in asked[25:]:
                a_request(instrument, str(quantity))
        else:
            wait_until(is_all_done, seconds=60)

    for instrument, quantity in asked[:25]:
        a_request(instrument, str(quantity))
    in_threads(3, act)
    confirmed = Transaction.objects.filter(status="confirmed")
    for number, instrument in enumerate(markets[:3]):
        wanted = sum(QUANTITIES[number::3])
        mine = confirmed.filter(condition_id=instrument.condition_id)
        assert mine.aggregate(total=Sum("quantity"))["total"] == wanted
        for asset in (instrument.base_asset, instrument.complement):
            assert Position.objects.get(asset=asset).settled == 10_000 + wanted
    nonces = list(confirmed.values_list("nonce", flat=True))
    assert len(nonces) == len(set(nonces)) == len(paper.ledger()["splits"])
    assert set(Position.objects.values_list("pending_transactions", "pending_outflow")) == {(0, 0)}
    assert_our_rows_equal_the_exchange(paper)


def test_a_transaction_is_looked_after_by_one_worker_at_a_time_and_booked_once(
    paper: PaperProcess, paper_token: Instrument
):
    a_request(paper_token, "25")
    draining.drain()
    in_threads(4, lambda _: wait_until(lambda: draining.drain() == 0, seconds=30))
    assert Transaction.objects.get().status == "confirmed"
    assert Position.objects.get(asset=paper_token.symbol).settled == 10_025
    assert_our_rows_equal_the_exchange(paper)
