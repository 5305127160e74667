"""Mints made before the queue was rebuilt are carried over, and the one under way completes."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from exchange.errors import Unavailable
from exchange.polymarket.positions import position_id
from exchange.types import Conversion, SignedTransaction
from minting import draining, requesting
from minting.models import Mint, Transaction
from orders.models import Instrument, Position
from orders.venues import minter
from tests.minting.test_minting import drained
from tests.paper_process import PaperProcess, wait_until
from tests.truth import assert_our_rows_equal_the_exchange

pytestmark = pytest.mark.django_db(transaction=True)


def migrate(*targets: tuple[str, str]) -> Any:
    """Bring the database to these migrations; the apps as they were then."""
    executor = MigrationExecutor(connection)
    found = list(targets) or executor.loader.graph.leaf_nodes()
    state = executor.migrate(found)
    return state.apps


@pytest.fixture
def before(paper_token: Instrument) -> Iterator[Any]:
    """The apps as they were before; the database is brought back to the present after the test."""
    try:
        yield migrate(("minting", "0001_initial"))
    finally:
        migrate()


def a_split(instrument: Instrument, quantity: str) -> SignedTransaction:
    """The bytes of a split as the client signed them then, which is as it does now."""
    first, second = (position_id(instrument.condition_id, index, False) for index in (0, 1))
    wanted = Decimal(quantity)
    conversion = Conversion("split", instrument.condition_id, False, (first, second), wanted)
    return minter().sign(conversion, minter().next_nonce())


def is_used(nonce: int) -> bool:
    """Whether chain and relayer agree that a nonce is used; for a moment they may not."""
    try:
        return minter().next_nonce() > nonce
    except Unavailable:
        return False


def a_row(
    apps: Any, signed: SignedTransaction, instrument: Instrument, quantity: str, **columns: Any
) -> Any:
    row = apps.get_model("minting", "Transaction").objects.create(
        wallet=signed.wallet,
        nonce=signed.nonce,
        deadline=signed.deadline,
        payload=signed.payload,
        condition_id=instrument.condition_id,
        quantity=Decimal(quantity),
        **columns,
    )
    apps.get_model("minting", "Mint").objects.create(
        instrument_id=instrument.pk,
        quantity=Decimal(quantity),
        status=columns["status"],
        transaction=row,
    )
    return row


@pytest.mark.parametrize("is_submitted", [True, False])
def test_mints_of_before_are_carried_over_and_the_sent_one_completes(
    paper: PaperProcess, paper_token: Instrument, before: Any, is_submitted: bool
):
    done = a_split(paper_token, "10")
    minter().submit(done)
    wait_until(lambda: (report := minter().find([done], "")) and report.status == "confirmed")
    confirmed = a_row(before, done, paper_token, "10", status="confirmed", submits=1)
    sent = a_split(paper_token, "25")
    failed = a_row(before, sent, paper_token, "7", status="failed", reason="of before")
    if is_submitted:
        minter().submit(sent)
    under_way = a_row(before, sent, paper_token, "25", status="sent", submits=1)
    for asset in (paper_token.symbol, paper_token.complement):
        row = Position.objects.filter(asset=asset)
        row.update(matched=10_010, settled=10_010, pending_transactions=1)
    Position.objects.filter(asset="collateral").update(
        matched=99_990, settled=99_990, pending_transactions=1, pending_outflow=25
    )
    migrate()
    jobs = {row.transaction_id: row for row in Mint.objects.all()}
    assert (jobs[confirmed.pk].done_quantity, jobs[confirmed.pk].left) == (10, 0)
    assert (jobs[under_way.pk].sent_quantity, jobs[under_way.pk].left) == (25, 0)
    assert (jobs[failed.pk].left, jobs[failed.pk].reason) == (7, "")
    assert {row.kind for row in jobs.values()} == {"split"}
    row = Transaction.objects.get(pk=under_way.pk)
    assert row.signed() == [replace(sent, since_block=0)]
    assert row.brought() == {paper_token.symbol: 25, paper_token.complement: 25}
    assert row.taken() == {"collateral": 25}
    drained(paper)
    assert Transaction.objects.get(pk=under_way.pk).status == "confirmed"
    assert [split["amount"] for split in paper.ledger()["splits"]] == ["10", "25"]
    assert_our_rows_equal_the_exchange(paper)
    assert requesting.retry_failed() == 1
    drained(paper)
    assert [split["amount"] for split in paper.ledger()["splits"]] == ["10", "25", "7"]
    assert set(Position.objects.values_list("pending_transactions", "pending_outflow")) == {(0, 0)}
    assert_our_rows_equal_the_exchange(paper)
    assert draining.drain() == 0
