"""The mint queue for people: reasons, costs, links both ways, what is retried, never the bytes."""

import dataclasses
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from minting import postponing
from minting.models import Mint, Resolution, Transaction, Version
from orders.models import Instrument
from polytrader.models import Alert
from tests.minting.test_minting import a_settled_sale
from tests.operations.test_admin import page_of, read
from tests.rows import Api, an_instrument

LIST = "/admin/minting/mint/"
HASH = "0x" + "cd" * 32


@pytest.fixture
def person(db: None) -> Client:
    """A browser logged in to the admin."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("someone", password="secret"))
    return client


@pytest.fixture
def token(db: None) -> Instrument:
    return an_instrument(question="Will it?", outcome="Yes")


def a_transaction(instrument: Instrument, **changes: Any) -> Transaction:
    row = Transaction.objects.create(
        **{
            "wallet": "0x" + "12" * 20,
            "nonce": 3,
            "instrument": instrument,
            "condition_id": instrument.condition_id,
            "quantity": 10,
            "takes": {instrument.quote_asset: "10"},
            "brings": {instrument.base_asset: "10", instrument.complement: "10"},
            "transaction_hash": HASH,
            "cost": Decimal("0.0125"),
            "status": "confirmed",
            **changes,
        }
    )
    for fee in ("0.02", "0.0225"):
        Version.objects.create(transaction=row, payload="secret bytes", max_fee=Decimal(fee))
    return row


def a_job(instrument: Instrument, **changes: Any) -> Mint:
    return Mint.objects.create(instrument=instrument, **{"quantity": 10, **changes})


def test_a_job_shows_its_reason_its_cost_and_what_caused_it(person: Client, token: Instrument):
    fill = a_settled_sale(token)
    job = a_job(token, fill=fill, cause="sale", reason="the chain said <b>no</b>")
    job.move("sent", transaction=a_transaction(token))
    job.move("confirmed")
    text = read(person, page_of(job))
    assert "the chain said &lt;b&gt;no&lt;/b&gt;" in text
    assert "0.0125 POL" in text
    assert job.transaction is not None
    order = fill.order
    for row in (fill, order, order.leg.trade, job.transaction, token):
        assert f'href="{page_of(row)}"' in text, row
        if row != token:
            assert f'href="{page_of(job)}"' in read(person, page_of(row)), row
    listed = read(person, LIST)
    assert "the chain said &lt;b&gt;no" in listed
    assert "0.0125 POL" in listed


def test_a_transaction_shows_its_versions_and_amounts_without_the_bytes(
    person: Client, token: Instrument
):
    row = a_transaction(token)
    text = read(person, page_of(row))
    assert "secret bytes" not in text
    for seen in ("0.02<", "0.0225<", "10 collateral", "Will it? [Yes]", "[not Yes]", HASH):
        assert seen in text, seen
    assert "polygonscan" not in text
    assert "secret bytes" not in read(person, "/admin/minting/transaction/")


def test_a_live_transaction_leads_to_the_public_explorer(
    person: Client, token: Instrument, settings: Any
):
    settings.CONFIGURATION = dataclasses.replace(settings.CONFIGURATION, exchange="live")
    row = a_transaction(token)
    job = a_job(token, status="confirmed", transaction=row)
    for page in (page_of(row), page_of(job)):
        assert f'href="https://polygonscan.com/tx/{HASH}"' in read(person, page)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [("kind", "merge", 1), ("status", "delayed", 1), ("cause", "surplus", 1), ("kind", "split", 2)],
)
def test_jobs_are_filtered_by_kind_status_and_cause(
    person: Client, token: Instrument, name: str, value: str, found: int
):
    a_job(token)
    a_job(token, status="delayed")
    a_job(token, kind="merge", cause="surplus")
    text = read(person, LIST, **{f"{name}__exact": value})
    assert text.count('class="data-row') == found


def test_failed_jobs_are_requested_again_and_waiting_ones_are_due(
    person: Client, token: Instrument
):
    failed, delayed, done = (a_job(token) for _ in range(3))
    postponing.give_up([failed], "the wallet has no POL")
    later = timezone.now() + timedelta(hours=1)
    delayed.move("delayed", next_attempt_at=later, put_off=4, reason="too little collateral")
    done.move("sent", transaction=a_transaction(token))
    chosen = [job.pk for job in (failed, delayed, done)]
    body = {"action": "retry_mints", "_selected_action": chosen}
    text = person.post(LIST, body, follow=True).content.decode()
    assert "1 job requested again, 1 due now" in text
    assert "The others are under way or done." in text
    for job, status in ((failed, "requested"), (delayed, "delayed"), (done, "sent")):
        job.refresh_from_db()
        assert job.status == status
    assert failed.next_attempt_at <= timezone.now()
    assert delayed.next_attempt_at <= timezone.now()
    assert not Alert.objects.filter(kind="mint_failed", resolved_at=None).exists()


def test_resolutions_are_listed_with_their_market_and_cannot_be_edited(
    person: Client, token: Instrument
):
    Resolution.objects.create(condition_id="0x" + "22" * 32, checked_at=timezone.now())
    resolved = Resolution.objects.create(
        condition_id=token.condition_id,
        checked_at=timezone.now(),
        first_payout=Decimal("0.5"),
        second_payout=Decimal("0.5"),
    )
    job = a_job(token, kind="redeem", cause="resolved")
    text = read(person, "/admin/minting/resolution/")
    for seen in ("Will it?", "resolved", "open", ">0.5<"):
        assert seen in text
    page = read(person, page_of(resolved))
    assert f'href="{page_of(job)}"' in page
    assert 'name="_save"' not in page


def test_a_list_takes_as_many_queries_for_ten_jobs_as_for_two(person: Client):
    counts = []
    for many in (2, 8):
        for _ in range(many):
            token = an_instrument()
            row = a_transaction(token, status="failed")
            a_job(token, fill=a_settled_sale(token), cause="sale", transaction=row)
        with CaptureQueriesContext(connection) as queries:
            read(person, LIST)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_reinitialize_has_transactions_looked_up_and_waiting_jobs_tried_at_once(
    api: Api, token: Instrument
):
    later = timezone.now() + timedelta(hours=1)
    row = a_transaction(token, status="sent", next_look_at=later)
    job = a_job(token, next_attempt_at=later)
    told = api.post("/api/queue-status", {"action": "reinitialize"}).json()["rearmed"]
    assert (told["mints"], told["transactions"]) == (1, 1)
    row.refresh_from_db()
    job.refresh_from_db()
    assert max(row.next_look_at, job.next_attempt_at) <= timezone.now()
