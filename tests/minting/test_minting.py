"""Mints on the paper relayer: exactly what was sold, once, whatever the relayer answers."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from minting import draining, requesting, sending
from minting.models import Mint, Transaction
from minting.pausing import set_paused
from orders.models import Fill, Instrument, Leg, Order, Position, Trade
from tests.paper_process import PaperProcess, wait_until
from tests.rows import Api
from tests.truth import assert_our_rows_equal_the_exchange

pytestmark = pytest.mark.django_db(transaction=True)


def a_settled_sale(instrument: Instrument, quantity: str = "25", mints: bool = True) -> Fill:
    """A CONFIRMED fill as reconciling leaves it, but for the entries."""
    trade = Trade.objects.create(purpose="exit", mint_after_sell=mints)
    leg = Leg.objects.create(
        trade=trade, instrument=instrument, side="sell", quantity=quantity, status="done"
    )
    order = Order.objects.create(
        leg=leg,
        instrument=instrument,
        side="sell",
        quantity=quantity,
        price="0.5",
        status="filled",
        order_id=f"0x{leg.pk}",
        payload="{}",
    )
    now = timezone.now()
    return Fill.objects.create(
        order=order,
        trade_id=f"t{leg.pk}",
        quantity=quantity,
        price="0.5",
        status="confirmed",
        matched_at=now,
    )


def a_request(instrument: Instrument, quantity: str = "25") -> Mint:
    return Mint.objects.create(instrument=instrument, quantity=Decimal(quantity))


def drained(paper: PaperProcess) -> None:
    """Drain the queue until nothing waits and nothing is under way."""

    def idle() -> bool:
        Transaction.objects.filter(status="sent").update(next_look_at=timezone.now())
        draining.drain()
        return not Mint.objects.filter(status__in=["requested", "sent"]).exists()

    wait_until(idle, seconds=20)


def test_a_settled_sale_requests_exactly_its_quantity_once(paper_token: Instrument):
    fill = a_settled_sale(paper_token, "12.34")
    a_settled_sale(paper_token, "7", mints=False)
    assert requesting.request_for_settled_trades() == 1
    assert requesting.request_for_settled_trades() == 0
    mint = Mint.objects.get()
    assert (mint.fill, mint.quantity, mint.status) == (fill, Decimal("12.34"), "requested")
    with pytest.raises(IntegrityError), transaction.atomic():
        Mint.objects.create(fill=fill, instrument=paper_token, quantity=1)


def test_waiting_requests_of_one_condition_go_out_as_one_split(
    paper: PaperProcess, paper_token: Instrument
):
    for quantity in ("10", "20.5", "3"):
        a_request(paper_token, quantity)
    drained(paper)
    assert [row["amount"] for row in paper.ledger()["splits"]] == ["33.5"]
    assert set(Mint.objects.values_list("status", flat=True)) == {"confirmed"}
    assert Position.objects.get(asset=paper_token.symbol).settled == Decimal("10033.5")
    assert Position.objects.get(asset=paper_token.complement).settled == Decimal("10033.5")
    assert Position.objects.get(asset="collateral").settled == Decimal("99966.5")
    assert set(Position.objects.values_list("pending_transactions", flat=True)) == {0}
    assert_our_rows_equal_the_exchange(paper)


@pytest.mark.parametrize(
    "kind", ["timeout_after_accept", "timeout_before_accept", "http_500", "http_500_after_accept"]
)
def test_no_clear_answer_mints_exactly_once(
    paper: PaperProcess, paper_token: Instrument, kind: str
):
    paper.fault("split", kind)
    a_request(paper_token)
    drained(paper)
    assert [row["amount"] for row in paper.ledger()["splits"]] == ["25"]
    assert Mint.objects.get().status == "confirmed"
    assert Transaction.objects.count() == 1
    assert_our_rows_equal_the_exchange(paper)


def test_a_committed_split_that_was_never_submitted_is_submitted_by_the_next_drain(
    paper: PaperProcess, paper_token: Instrument, monkeypatch: pytest.MonkeyPatch
):
    """The process dies between the commit and the request; the same bytes go out later."""
    a_request(paper_token)
    with monkeypatch.context() as patch:
        patch.setattr(sending, "submit", lambda row, who, signed: None)
        draining.drain()
    assert Transaction.objects.get().status == "sent"
    assert paper.ledger()["splits"] == []
    drained(paper)
    assert [row["amount"] for row in paper.ledger()["splits"]] == ["25"]
    assert_our_rows_equal_the_exchange(paper)


def test_the_message_three_times_mints_once(paper: PaperProcess, paper_token: Instrument):
    a_settled_sale(paper_token)
    for _ in range(3):
        requesting.request_for_settled_trades()
        draining.drain()
    drained(paper)
    assert [row["amount"] for row in paper.ledger()["splits"]] == ["25"]


def test_too_little_collateral_delays_and_does_not_fail(
    paper: PaperProcess, paper_token: Instrument
):
    mint = a_request(paper_token, "200000")
    draining.drain()
    mint.refresh_from_db()
    assert (mint.status, paper.ledger()["splits"]) == ("delayed", [])
    assert "collateral" in mint.reason
    assert mint.next_attempt_at > timezone.now()


def test_one_transaction_of_a_wallet_is_under_way_at_a_time(paper_token: Instrument):
    columns = {
        "wallet": "0x" + "1" * 40,
        "condition_id": paper_token.condition_id,
        "quantity": 1,
    }
    Transaction.objects.create(nonce=1, **columns)
    with pytest.raises(IntegrityError), transaction.atomic():
        Transaction.objects.create(nonce=2, **columns)


def test_a_paused_queue_sends_nothing_new_and_forgets_nothing(
    paper: PaperProcess, paper_token: Instrument
):
    set_paused("mint-queue", True)
    mint = a_request(paper_token)
    draining.drain()
    mint.refresh_from_db()
    assert mint.status == "requested"
    stats = Api("read").get("/strategy/mint-queue/stats").json()
    assert (stats["waiting"], stats["isPaused"]) == (1, True)
    set_paused("mint-queue", False)
    drained(paper)
    stats = Api("read").get("/strategy/mint-queue/stats").json()
    assert (stats["waiting"], stats["completed"], stats["isPaused"]) == (0, 1, False)
