"""The mint queue over HTTP: jobs by hand, their refusals, lists with reasons, retry, scopes."""

import dataclasses
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from minting import draining, postponing
from minting.models import Mint, Transaction
from orders import instruments
from orders.models import Instrument, Position
from polytrader.models import Alert
from tests.minting.test_minting import a_settled_sale, drained
from tests.paper_process import PaperProcess
from tests.rows import Api, an_instrument
from trailing.maths import Trail
from trailing.models import TrailingStop

PATH = "/strategy/mint-queue"
KEY = "Idempotency-Key"


@pytest.fixture
def token(db: None) -> Instrument:
    return an_instrument(question="Will it?", outcome="Yes")


def a_transaction(instrument: Instrument, **changes: Any) -> Transaction:
    return Transaction.objects.create(
        **{
            "wallet": "0x" + "12" * 20,
            "nonce": 3,
            "instrument": instrument,
            "condition_id": instrument.condition_id,
            "quantity": 10,
            "transaction_id": "0b1d",
            "transaction_hash": "0x" + "cd" * 32,
            "cost": Decimal("0.012500"),
            "status": "confirmed",
            "submits": 1,
            **changes,
        }
    )


def test_a_job_by_hand_is_accepted_with_all_that_it_says(token: Instrument):
    answer = Api("trade").post(
        PATH, {"assetId": token.symbol, "size": 12.5, "createdAt": 1705314600000}
    )
    assert answer.status_code == 202, answer.content
    told = answer.json()
    row = Mint.objects.get()
    assert told == {
        "id": row.pk,
        "kind": "split",
        "cause": "hand",
        "status": "requested",
        "assetId": token.symbol,
        "conditionId": token.condition_id,
        "question": "Will it?",
        "outcome": "Yes",
        "size": "12.5",
        "doneSize": "0",
        "reason": "",
        "attempts": 0,
        "reverts": 0,
        "createdAt": told["createdAt"],
        "askedAt": told["askedAt"],
        "nextAttemptAt": told["nextAttemptAt"],
        "closedAt": None,
        "fillId": None,
        "tradeId": None,
        "stateKey": None,
        "transaction": None,
    }
    assert datetime.fromisoformat(told["askedAt"]) == datetime.fromisoformat("2024-01-15T10:30:00Z")
    assert Api("read").get(f"{PATH}/{row.pk}").json() == told


def test_a_moment_in_the_future_makes_no_job_younger_than_now(api: Api, token: Instrument):
    body = {"assetId": token.symbol, "size": "1", "createdAt": "2099-01-01T00:00:00Z"}
    assert api.post(PATH, body).status_code == 202
    assert Mint.objects.get().asked_at <= timezone.now()


@pytest.mark.parametrize("kind", ["split", "merge", "redeem"])
def test_every_kind_can_be_asked_for(api: Api, token: Instrument, kind: str):
    answer = api.post(PATH, {"assetId": token.symbol, "size": "0.000001", "kind": kind})
    assert (answer.status_code, answer.json()["kind"]) == (202, kind)
    assert Mint.objects.get().quantity == Decimal("0.000001")


@pytest.mark.parametrize(
    ("field", "change"),
    [
        *[
            ("size", {"size": size})
            for size in (0, -1, "0", "x", "NaN", "1e400", None, True, [], "1.0000001", 10**16)
        ],
        ("size", {"size": "100000.000001"}),
        ("size", {"size": "100001", "kind": "merge"}),
        ("size", {"size": "0.0000001", "kind": "redeem"}),
        *[("kind", {"kind": kind}) for kind in ("mint", "", None, 1, "approve")],
        *[("createdAt", {"createdAt": at}) for at in ("soon", None, [], 5, "2024-01-15")],
        *[("assetId", {"assetId": asset}) for asset in (None, "", 5, "x", "9" * 90, "0xab")],
        ("queue", {"queue": "mint"}),
    ],
    ids=str,
)
def test_what_is_wrong_in_the_request_is_400_by_its_field(
    api: Api, token: Instrument, field: str, change: dict[str, Any]
):
    answer = api.post(PATH, {"assetId": token.symbol, "size": 10, **change})
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["error"]["fields"]
    assert Mint.objects.count() == 0


@pytest.mark.parametrize("body", [{"size": 5}, {}, [], "x", 5])
def test_a_body_without_an_asset_is_400(api: Api, body: Any):
    assert api.post(PATH, body).status_code == 400


def test_the_size_may_be_missing_of_a_redemption_only(api: Api, token: Instrument):
    Position.objects.create(
        asset=token.complement,
        venue=token.venue,
        settled=Decimal("2.5"),
        compared_at=timezone.now(),
    )
    for body in ({}, {"kind": "split"}, {"kind": "merge"}):
        answer = api.post(PATH, {"assetId": token.symbol, **body})
        assert answer.json()["error"]["fields"]["size"] == "is required"
    answer = api.post(PATH, {"assetId": token.symbol, "kind": "redeem"})
    assert (answer.status_code, answer.json()["size"]) == (202, "10002.5")
    Position.objects.update(settled=0)
    answer = api.post(PATH, {"assetId": token.symbol, "kind": "redeem"})
    assert "nothing is held" in answer.json()["error"]["fields"]["size"]


def test_the_cap_is_the_setting(api: Api, token: Instrument, settings: Any):
    rules = dataclasses.replace(settings.CONFIGURATION.minting, most=Decimal(50))
    settings.CONFIGURATION = dataclasses.replace(settings.CONFIGURATION, minting=rules)
    assert api.post(PATH, {"assetId": token.symbol, "size": 50}).status_code == 202
    answer = api.post(PATH, {"assetId": token.symbol, "size": "50.1"})
    assert answer.json()["error"]["fields"] == {"size": "expected at most 50 (MINT_MAX_PER_SPLIT)"}


def test_spot_symbols_are_refused_whether_known_or_not(api: Api, token: Instrument):
    an_instrument("BTCUSDT", venue="binance", condition_id="", complement="")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        answer = api.post(PATH, {"assetId": symbol, "size": 1})
        assert answer.status_code == 400
        assert "only outcome tokens" in answer.json()["error"]["fields"]["assetId"]


def test_a_key_makes_one_job_and_another_body_is_refused(api: Api, token: Instrument):
    body = {"assetId": token.symbol, "size": 10}
    first = api.post(PATH, body, **{KEY: "one"})
    again = api.post(PATH, body, **{KEY: "one"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert api.post(PATH, {**body, "size": 11}, **{KEY: "one"}).status_code == 422
    assert Mint.objects.count() == 1
    assert api.post(PATH, body).json()["id"] != first.json()["id"]


def test_reading_needs_a_token_and_asking_for_jobs_the_trade_scope(token: Instrument):
    reader, body = Api("read"), {"assetId": token.symbol, "size": 10}
    for path in (PATH, f"{PATH}/retry-failed", f"{PATH}/pause", f"{PATH}/resume"):
        assert reader.post(path, body).status_code == 403
        assert reader.client.post(path, headers={"Authorization": ""}).status_code == 401
    for path in ("waiting", "failed", "stats", "status"):
        assert reader.get(f"{PATH}/{path}").status_code == 200
        assert reader.client.get(f"{PATH}/{path}", headers={"Authorization": ""}).status_code == 401
    assert Mint.objects.count() == 0


# What waits and what failed


def test_what_waits_is_listed_by_when_it_is_due_with_its_reason(api: Api, token: Instrument):
    now = timezone.now()
    late, soon = (
        Mint.objects.create(
            instrument=token, quantity=1, next_attempt_at=now + timedelta(seconds=wait)
        )
        for wait in (60, 5)
    )
    late.move("delayed", reason="5 collateral is free, 60 needed", put_off=3)
    row = a_transaction(token)
    for status in ("failed", "sent"):
        Mint.objects.create(instrument=token, quantity=1).move(status, transaction=row)
    told = api.get(f"{PATH}/waiting").json()
    assert [row["id"] for row in told["results"]] == [soon.pk, late.pk]
    shown = told["results"][1]
    assert (shown["status"], shown["attempts"]) == ("delayed", 3)
    assert shown["reason"] == "5 collateral is free, 60 needed"
    assert datetime.fromisoformat(shown["nextAttemptAt"]) == late.next_attempt_at
    assert api.get(f"{PATH}/waiting", pageSize=1).json()["next"] is not None


def test_what_failed_is_listed_newest_first_and_tried_again(api: Api, token: Instrument):
    jobs = [Mint.objects.create(instrument=token, quantity=1, kind="merge") for _ in range(2)]
    for job in jobs:
        postponing.give_up([job], "the market is closed for good")
    told = api.get(f"{PATH}/failed").json()
    assert [row["id"] for row in told["results"]] == [jobs[1].pk, jobs[0].pk]
    assert told["results"][0]["reason"] == "the market is closed for good"
    assert told["results"][0]["nextAttemptAt"] is None
    assert api.post(f"{PATH}/retry-failed", None, **{KEY: "again"}).json() == {"retried": 2}
    assert api.post(f"{PATH}/retry-failed", None, **{KEY: "again"}).json() == {"retried": 2}
    assert api.post(f"{PATH}/retry-failed").json() == {"retried": 0}
    assert api.get(f"{PATH}/failed").json()["count"] == 0
    assert not Alert.objects.filter(kind="mint_failed", resolved_at=None).exists()


def test_a_job_names_the_sale_that_caused_it_and_its_transaction(api: Api, token: Instrument):
    fill = a_settled_sale(token, "10")
    trade = fill.order.leg.trade
    trail = Trail(amount=Decimal("0.01"))
    stop = TrailingStop.objects.create(
        state_key="trailing_stop_1",
        instrument=token,
        side="sell",
        status="triggered",
        trail_amount=trail.amount,
        entry_price=Decimal("0.5"),
        trade=trade,
        final_watermark_price=Decimal("0.5"),
        final_trigger_price=Decimal("0.49"),
        triggered_by_price=Decimal("0.49"),
        triggered_at=timezone.now(),
    )
    row = a_transaction(token)
    job = Mint.objects.create(
        instrument=token, quantity=10, fill=fill, cause="sale", status="confirmed", transaction=row
    )
    told = api.get(f"{PATH}/{job.pk}").json()
    assert (told["fillId"], told["tradeId"], told["stateKey"]) == (
        fill.pk,
        trade.pk,
        stop.state_key,
    )
    assert api.get(f"/strategy/trades/{trade.pk}").json()["mints"] == [told]
    assert told["transaction"] == {
        "id": row.pk,
        "kind": "split",
        "status": "confirmed",
        "nonce": 3,
        "wallet": "0x" + "12" * 20,
        "transactionId": "0b1d",
        "transactionHash": "0x" + "cd" * 32,
        "cost": "0.0125",
        "explorerUrl": None,
        "submits": 1,
        "reason": "",
    }


def test_a_live_transaction_leads_to_the_public_explorer(
    api: Api, token: Instrument, settings: Any
):
    job = Mint.objects.create(
        instrument=token, quantity=10, status="confirmed", transaction=a_transaction(token)
    )
    settings.CONFIGURATION = dataclasses.replace(settings.CONFIGURATION, exchange="live")
    told = api.get(f"{PATH}/{job.pk}").json()["transaction"]
    assert told["explorerUrl"] == f"https://polygonscan.com/tx/0x{'cd' * 32}"


@pytest.mark.parametrize("number", ["0", "987654321", "x", "1.5", "9" * 30])
def test_a_job_that_is_not_there_is_404(api: Api, number: str):
    assert api.get(f"{PATH}/{number}").status_code == 404


def test_a_list_takes_as_many_queries_for_ten_jobs_as_for_two(api: Api):
    counts = []
    for many in (2, 8):
        for _ in range(many):
            instrument = an_instrument()
            fill = a_settled_sale(instrument)
            row = a_transaction(instrument, status="failed")
            Mint.objects.create(instrument=instrument, quantity=1, fill=fill, transaction=row)
        with CaptureQueriesContext(connection) as queries:
            assert api.get(f"{PATH}/waiting").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 4


def test_the_age_of_a_job_tried_again_runs_from_then(api: Api, token: Instrument):
    long_ago = timezone.now() - timedelta(days=3)
    job = Mint.objects.create(instrument=token, quantity=1, created_at=long_ago, asked_at=long_ago)
    assert api.get(f"{PATH}/stats").json()["oldestWaitingSeconds"] >= 3 * 86400
    postponing.give_up([job], "expired")
    assert api.post(f"{PATH}/retry-failed").json() == {"retried": 1}
    stats = api.get(f"{PATH}/status").json()
    assert (stats["waiting"], stats["failed"]) == (1, 0)
    assert stats["oldestWaitingSeconds"] < 60


# On the paper exchange


@pytest.mark.django_db(transaction=True)
def test_an_unknown_token_is_400_and_a_silent_venue_503(paper: PaperProcess, settings: Any):
    api = Api("trade")
    body = {"assetId": "9" * 77, "size": 5}
    answer = api.post(PATH, body)
    assert answer.status_code == 400, answer.content
    assert "assetId" in answer.json()["error"]["fields"]
    symbol = paper.markets()[0]["tokenIds"][0]
    from orders import venues

    settings.CONFIGURATION = dataclasses.replace(settings.CONFIGURATION, paper_port=1)
    venues.forget()
    answer = api.post(PATH, {"assetId": symbol, "size": 5})
    assert answer.status_code == 503, answer.content
    assert not Mint.objects.exists()
    assert not Instrument.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_closed_market_is_accepted_and_fails_with_its_reason(paper: PaperProcess):
    api = Api("trade")
    market = paper.markets()[0]
    paper.call(
        "POST", "/paper/market-state", {"conditionId": market["conditionId"], "closed": True}
    )
    answer = api.post(PATH, {"assetId": market["tokenIds"][0], "size": 5})
    assert answer.status_code == 202, answer.content
    draining.drain()
    told = api.get(f"{PATH}/{answer.json()['id']}").json()
    assert told["status"] == "failed"
    assert "closed" in told["reason"]
    assert api.get(f"{PATH}/failed").json()["results"][0]["id"] == told["id"]


@pytest.mark.django_db(transaction=True)
def test_what_is_minted_by_hand_is_merged_back_by_hand(
    paper: PaperProcess, paper_token: Instrument
):
    api = Api("trade")
    for kind, held in (("split", "10025"), ("merge", "10000")):
        answer = api.post(PATH, {"assetId": paper_token.symbol, "size": 25, "kind": kind})
        assert answer.status_code == 202
        drained(paper)
        told = api.get(f"{PATH}/{answer.json()['id']}").json()
        assert (told["status"], told["doneSize"]) == ("confirmed", "25")
        assert told["transaction"]["status"] == "confirmed"
        position = api.get(f"/api/positions/{paper_token.symbol}").json()
        assert (position["sellable"], position["pairs"], position["surplus"]) == (held,) * 3
    assert [row["amount"] for row in paper.ledger()["merges"]] == ["25"]


@pytest.mark.django_db(transaction=True)
def test_a_token_of_a_closed_market_is_stored_as_closed(paper: PaperProcess):
    market = paper.markets()[0]
    paper.call(
        "POST", "/paper/market-state", {"conditionId": market["conditionId"], "closed": True}
    )
    row = instruments.known_even_closed(market["tokenIds"][1])
    assert row.is_closed
    assert instruments.known_even_closed(row.symbol) == row
