"""The queue manage-position over HTTP: jobs by hand, their checks, true numbers, pause and retry."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from minting import pausing
from orders import planning
from orders.models import Instrument, Leg, Order, Trade
from orders.planning import LegRequest
from polytrader.alerts import raise_alert
from polytrader.models import Alert
from strategy import jobs, managing
from strategy.models import PositionJob
from tests.rows import Api, an_instrument
from tests.trailing.test_tick import in_threads

PATH = "/strategy/manage-position"
KEY = "Idempotency-Key"


def a_trade(*instruments: Instrument, purpose: str = "signal") -> Trade:
    """A signal that sells 10 of each at 0.50, its orders cancelled so that nothing is sent."""
    trade = Trade(purpose=purpose)
    planning.open_trade(
        trade, [LegRequest(i, "sell", Decimal(10), Decimal("0.5")) for i in instruments]
    )
    Order.objects.filter(leg__trade=trade).update(status="cancelled")
    for order in Order.objects.filter(leg__trade=trade):
        order.note(order_id=f"0x{order.pk:064x}")
    return trade


@pytest.fixture
def trade(db: None) -> Trade:
    return a_trade(an_instrument(), an_instrument())


def orders_of(trade: Trade) -> list[Order]:
    found = Order.objects.filter(leg__trade=trade).select_related("instrument")
    return list(found.order_by("pk"))


def test_a_job_is_enqueued_once_while_it_is_open(api: Api, trade: Trade):
    first, second = orders_of(trade)
    body = {
        "tradeId": trade.pk,
        "originalOrders": [
            first.order_id,
            {
                "orderID": second.order_id.upper().replace("0X", "0x"),
                "tokenId": second.instrument.symbol,
                "side": "SELL",
                "size": "10.0",
                "price": 0.5,
                "status": "live",
            },
        ],
        "createdAt": 1705314600000,
    }
    answer = api.post(PATH, body)
    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert (told["tradeId"], told["status"], told["byHand"]) == (trade.pk, "waiting", True)
    assert told["originalOrders"] == [
        {"orderId": first.order_id},
        {
            "orderId": second.order_id,
            "tokenId": second.instrument.symbol,
            "side": "SELL",
            "size": "10.0",
            "price": "0.5",
        },
    ]
    assert api.post(PATH, body).json()["id"] == told["id"]
    assert api.post(PATH, {"tradeId": str(trade.pk)}).json()["id"] == told["id"]
    PositionJob.objects.update(status="completed")
    assert api.post(PATH, {"tradeId": trade.pk}).json()["id"] != told["id"]


@pytest.mark.django_db(transaction=True)
def test_two_requests_at_once_make_one_job():
    trade = a_trade(an_instrument())
    api = Api("trade")
    for _ in range(5):
        answers = in_threads(4, lambda _: api.post(PATH, {"tradeId": trade.pk}))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        PositionJob.objects.update(status="completed")
    assert PositionJob.objects.count() == 5


@pytest.mark.parametrize(
    ("field", "body"),
    [
        *[("tradeId", {"tradeId": value}) for value in (None, "x", 0, -1, 1.5, True, [], 10**30)],
        ("tradeId", {}),
        ("tradeId", {"tradeId": 987654321}),
        *[("originalOrders", {"originalOrders": value}) for value in (None, "x", {}, [1] * 501)],
        *[("createdAt", {"createdAt": value}) for value in (None, "soon", [], 5)],
        ("queue", {"queue": "x"}),
    ],
)
def test_a_bad_job_is_400_by_its_field(api: Api, trade: Trade, field: str, body: dict[str, Any]):
    whole = body if field == "tradeId" else {"tradeId": trade.pk, **body}
    answer = api.post(PATH, whole)
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["error"]["fields"]
    assert PositionJob.objects.count() == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"orderId": "0x" + "9" * 64}, "originalOrders[0]"),
        ({"orderId": None}, "originalOrders[0]"),
        ({"orderId": []}, "originalOrders[0]"),
        ({"orderId": True}, "originalOrders[0]"),
        ({"assetId": "123"}, "originalOrders[0].assetId"),
        ({"tokenId": None}, "originalOrders[0].tokenId"),
        ({"side": "buy"}, "originalOrders[0].side"),
        ({"size": 11}, "originalOrders[0].size"),
        ({"size": "NaN"}, "originalOrders[0].size"),
        ({"size": {}}, "originalOrders[0].size"),
        ({"price": "0.51"}, "originalOrders[0].price"),
    ],
    ids=str,
)
def test_what_an_original_order_says_must_be_so(
    api: Api, trade: Trade, change: dict[str, Any], field: str
):
    order = orders_of(trade)[0]
    row = {"orderId": order.order_id, "size": 10, **change}
    answer = api.post(PATH, {"tradeId": trade.pk, "originalOrders": [row]})
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["error"]["fields"]


def test_orders_of_another_trade_or_given_twice_or_too_large_together_are_refused(
    api: Api, trade: Trade
):
    foreign = orders_of(a_trade(an_instrument()))[0]
    first = orders_of(trade)[0]
    for rows, field in (
        ([foreign.order_id], "originalOrders[0]"),
        ([foreign.pk], "originalOrders[0]"),
        ([5.5], "originalOrders[0]"),
        ([first.order_id, first.pk], "originalOrders[1]"),
    ):
        answer = api.post(PATH, {"tradeId": trade.pk, "originalOrders": rows})
        assert answer.status_code == 400
        assert set(answer.json()["error"]["fields"]) == {field}
    retried = Order.objects.create(
        leg=first.leg,
        instrument=first.instrument,
        side="sell",
        quantity=4,
        price=Decimal("0.5"),
        status="cancelled",
        order_id="0xretried",
    )
    both = [{"id": one.order_id, "size": str(one.quantity)} for one in (first, retried)]
    answer = api.post(PATH, {"tradeId": trade.pk, "originalOrders": both})
    assert "add up to 14" in answer.json()["error"]["fields"]["originalOrders"]
    plain_ids = [first.order_id, retried.order_id]
    assert api.post(PATH, {"tradeId": trade.pk, "originalOrders": plain_ids}).status_code == 202


def test_the_numbers_are_counted_from_rows(api: Api):
    for state, count in (
        ("waiting", 2),
        ("active", 1),
        ("completed", 3),
        ("failed", 1),
        ("delayed", 2),
    ):
        for _ in range(count):
            job = PositionJob.objects.create(
                trade=Trade.objects.create(purpose="signal"), status=state
            )
            job.note(next_run_at=timezone.now() + timedelta(minutes=1))
    expected = {"waiting": 2, "active": 1, "completed": 3, "failed": 1, "delayed": 2}
    for name in ("stats", "status"):
        told = api.get(f"{PATH}/{name}").json()
        assert told == {**expected, "isPaused": False, "oldestWaitingSeconds": 0}
    oldest = PositionJob.objects.filter(status="delayed").first()
    oldest.note(next_run_at=timezone.now() - timedelta(seconds=42))
    assert api.get(f"{PATH}/stats").json()["oldestWaitingSeconds"] in (42, 43)
    assert api.get(f"{PATH}/waiting").json()["results"][0]["id"] == oldest.pk
    assert api.get(f"{PATH}/waiting").json()["count"] == 4
    assert api.get(f"{PATH}/failed").json()["count"] == 1
    queue = api.get("/api/queue-status").json()["queues"]["manage-position"]
    assert queue == {"waiting": 4, "active": 1, "completed": 3, "failed": 1, "total": 5}


@pytest.mark.parametrize("path", [PATH, "/strategy/mint-queue"])
def test_a_queue_is_paused_and_resumed(api: Api, path: str):
    assert Api("read").post(f"{path}/pause").status_code == 403
    assert api.post(f"{path}/pause").json()["isPaused"] is True
    assert api.post(f"{path}/pause").json()["isPaused"] is True
    assert api.get(f"{path}/stats").json()["isPaused"] is True
    assert pausing.is_paused(path.rpartition("/")[2])
    assert api.post(f"{path}/resume").json()["isPaused"] is False


def test_a_paused_queue_runs_no_job(api: Api, trade: Trade):
    api.post(f"{PATH}/pause")
    api.post(PATH, {"tradeId": trade.pk})
    assert managing.run_due_jobs() == 0
    assert api.get(f"{PATH}/stats").json()["waiting"] == 1


def test_retrying_has_failed_legs_of_signals_tried_again_and_leaves_exits(api: Api, trade: Trade):
    given_up, done = Leg.objects.filter(trade=trade).order_by("pk")
    given_up.note(status="failed", attempts=6, rejections=8)
    done.note(status="done")
    exit_ = a_trade(an_instrument(), purpose="exit")
    Leg.objects.filter(trade=exit_).update(status="failed")
    for one in (trade, exit_):
        PositionJob.objects.create(trade=one, status="failed", closed_at=timezone.now(), runs=9)
    raise_alert("leg_given_up", f"leg {given_up.pk} of trade {trade.pk}", "refused")
    assert api.post(f"{PATH}/retry-failed", **{KEY: "r"}).json() == {"retried": 2}
    assert api.post(f"{PATH}/retry-failed", **{KEY: "r"}).json() == {"retried": 2}
    assert api.post(f"{PATH}/retry-failed").json() == {"retried": 0}
    given_up.refresh_from_db()
    assert (given_up.status, given_up.attempts, given_up.rejections) == ("working", 0, 0)
    assert given_up.next_attempt_at <= timezone.now()
    done.refresh_from_db()
    assert (done.status, Leg.objects.get(trade=exit_).status) == ("done", "failed")
    job = PositionJob.objects.get(trade=trade)
    assert (job.status, job.runs, job.closed_at) == ("waiting", 0, None)
    assert Alert.objects.get().resolved_at is not None


@pytest.mark.parametrize("role", ["hedge", "unwind"])
def test_retrying_leaves_a_trade_that_was_hedged_or_undone(api: Api, trade: Trade, role: str):
    """The remedy is for the other leg: the failed one alone would be naked."""
    failed, other = Leg.objects.filter(trade=trade).order_by("pk")
    failed.note(status="failed")
    other.note(status="done")
    Leg.objects.create(
        trade=trade,
        role=role,
        of=other,
        instrument=other.instrument,
        side="buy",
        quantity=10,
        status="done",
    )
    PositionJob.objects.create(trade=trade, status="failed", closed_at=timezone.now())
    api.post(f"{PATH}/retry-failed")
    failed.refresh_from_db()
    assert failed.status == "failed"


def test_a_failed_job_by_hand_is_left_where_another_one_is_open(db: None, trade: Trade):
    old = PositionJob.objects.create(trade=trade, is_by_hand=True, status="failed")
    PositionJob.objects.create(trade=trade, is_by_hand=True)
    assert jobs.retry_failed() == 0
    old.refresh_from_db()
    assert old.status == "failed"
