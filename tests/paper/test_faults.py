"""Arranged misbehaviour, seen through the real client."""

from __future__ import annotations

import pytest
from polymarket.errors import (
    RateLimitError,
    RequestRejectedError,
    TransactionFailedError,
    TransportError,
    UnexpectedResponseError,
)
from polymarket.models.clob.order_response import RejectedOrder

from tests.paper.raw import post_raw, wire
from tests.paper.user_socket import listening
from tests.paper_process import wait_until


@pytest.fixture
def token(paper) -> str:
    first = paper.markets()[0]["tokenIds"][0]
    paper.put_book(first, [("0.48", 100)], [("0.50", 80)])
    return first


@pytest.fixture
def signed(client, token):
    return client.create_market_order(
        asset_id=token, side="SELL", shares="10", min_price="0.45", order_type="FAK"
    )


def test_an_accepted_order_whose_answer_is_lost_is_there(paper, client, signed):
    paper.fault("POST /order", "timeout_after_accept")
    with pytest.raises(TransportError):
        client.post_order(signed)
    (order,) = paper.ledger()["orders"]
    assert client.get_order(order_id=order["id"]).size_matched == 10
    with pytest.raises(RequestRejectedError, match="Duplicated"):
        client.post_order(signed)
    assert paper.ledger()["orders"][0]["posts"] == 2


def test_an_order_lost_on_the_way_can_be_posted_again(paper, client, signed):
    paper.fault("POST /order", "timeout_before_accept")
    with pytest.raises(TransportError):
        client.post_order(signed)
    assert paper.ledger()["orders"] == []
    assert client.post_order(signed).status == "matched"
    assert paper.ledger()["orders"][0]["posts"] == 2


@pytest.mark.parametrize(("kind", "orders"), [("http_500", 0), ("http_500_after_accept", 1)])
def test_a_server_error_says_nothing_about_the_order(paper, client, signed, kind, orders):
    paper.fault("POST /order", kind)
    with pytest.raises(RequestRejectedError) as refused:
        client.post_order(signed)
    assert refused.value.status == 500
    assert len(paper.ledger()["orders"]) == orders


def test_a_restarting_engine_and_a_rate_limit(paper, client, signed):
    paper.fault("POST /order", "http_425")
    with pytest.raises(RequestRejectedError) as refused:
        client.post_order(signed)
    assert refused.value.restriction == "restarting"
    paper.fault("POST /order", "http_429")
    with pytest.raises(RateLimitError):
        client.post_order(signed)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("not_enough_balance", "not enough balance / allowance"),
        ("min_size", "lower than the minimum"),
        ("tick_size", "breaks minimum tick size rule"),
        ("fak_not_filled", "no orders found to match with FAK order"),
        ("market_not_ready", "not yet ready"),
        ("banned", "address banned"),
        ("something else", "something else"),
    ],
)
def test_refusals_on_demand(paper, client, signed, code, words):
    paper.fault("POST /order", f"reject:{code}", 2)
    for _ in range(2):
        with pytest.raises(RequestRejectedError, match=words):
            client.post_order(signed)
    assert client.post_order(signed).status == "matched"


def test_a_retried_settlement_ends_well(paper, client, signed):
    paper.fault("POST /order", "settlement_retries")
    assert steps_of(paper, client, signed) == ["MATCHED", "RETRYING", "MINED", "CONFIRMED"]
    (balances,) = paper.ledger()["balances"].values()
    assert balances["collateral"] == "100004.8"


def test_a_settlement_that_was_mined_may_still_fail(paper, client, signed):
    paper.fault("POST /order", "settlement_fails")
    assert steps_of(paper, client, signed) == ["MATCHED", "MINED", "RETRYING", "FAILED"]


def steps_of(paper, client, signed) -> list[str]:
    """Post an order and list the statuses its trade went through, as the user channel told them."""
    with listening(paper.url, client) as user:
        (trade_id,) = client.post_order(signed).trade_ids
        user.until(lambda events: events and events[-1]["status"] in ("CONFIRMED", "FAILED"))
    return [event["status"] for event in user.events if event["id"] == trade_id]


def test_an_answer_may_name_another_order(paper, client, signed):
    paper.fault("POST /order", "lie:other_id")
    accepted = client.post_order(signed)
    (order,) = paper.ledger()["orders"]
    assert accepted.order_id != order["id"]
    assert client.get_order(order_id=order["id"]).size_matched == 10
    with pytest.raises(RequestRejectedError, match="Order not found"):
        client.get_order(order_id=accepted.order_id)


def test_an_answer_may_say_success_of_an_order_that_is_not_there(paper, client, signed):
    paper.fault("POST /order", "lie:success_with_error")
    answer = post_raw(paper, client, "/order", wire(client, signed))
    assert answer.status_code == 200
    assert (answer.json()["success"], answer.json()["orderID"]) == (True, "")
    assert answer.json()["errorMsg"] == "could not insert order"
    assert paper.ledger()["orders"] == []
    assert client.post_order(signed).status == "matched"


def test_an_answer_may_leave_out_the_order_id(paper, client, signed):
    paper.fault("POST /order", "lie:empty_id")
    refused = client.post_order(signed)
    assert isinstance(refused, RejectedOrder)
    assert len(paper.ledger()["orders"]) == 1


@pytest.mark.parametrize("in_batch", [False, True])
def test_an_answer_may_be_no_json(paper, client, signed, in_batch):
    paper.fault("POST /order", "lie:garbage")
    with pytest.raises(UnexpectedResponseError):
        client.post_orders([signed]) if in_batch else client.post_order(signed)
    assert len(paper.ledger()["orders"]) == 1


@pytest.fixture
def batch(client, token) -> list:
    return [
        client.create_market_order(
            asset_id=token, side="SELL", shares="10", min_price="0.45", order_type="FAK"
        )
        for _ in range(3)
    ]


def test_lies_hit_a_batch_row_by_row(paper, client, batch):
    for kind in ("lie:other_id", "lie:empty_id", "lie:success_with_error"):
        paper.fault("POST /order", kind)
    body = [wire(client, signed) for signed in batch]
    rows = post_raw(paper, client, "/orders", body).json()
    placed = [order["id"] for order in paper.ledger()["orders"]]
    assert len(placed) == 2
    assert rows[0]["orderID"]
    assert rows[0]["orderID"] not in placed
    assert [(row["success"], row["orderID"]) for row in rows[1:]] == [(True, ""), (True, "")]


@pytest.mark.parametrize(
    ("kind", "placed"),
    [
        ("timeout_after_accept", 3), ("timeout_before_accept", 0), ("http_500_after_accept", 3),
        ("http_500", 0), ("http_425", 0), ("http_429", 0),
    ],
)  # fmt: skip
def test_a_whole_batch_goes_wrong_at_once(paper, client, batch, kind, placed):
    paper.fault("POST /order", kind)
    with pytest.raises((TransportError, RequestRejectedError, RateLimitError)):
        client.post_orders(batch)
    ledger = paper.ledger()
    assert [order["posts"] for order in ledger["orders"]] == [1] * placed
    assert paper.call("GET", "/paper/faults") == {"faults": []}
    answers = client.post_orders(batch)
    assert [row.ok for row in answers] == [not placed] * 3
    assert [order["posts"] for order in paper.ledger()["orders"]] == [2] * 3


def test_settlements_go_wrong_row_by_row(paper, client, batch):
    paper.fault("POST /order", "settlement_fails", 2)
    client.post_orders(batch)
    ended = wait_until(
        lambda: (
            (statuses := [trade["status"] for trade in paper.ledger()["trades"]])
            and set(statuses) <= {"FAILED", "CONFIRMED"}
            and statuses
        )
    )
    assert ended == ["FAILED", "FAILED", "CONFIRMED"]


def test_refusals_and_other_faults_take_their_turns_in_a_batch(paper, client, batch):
    """A fault of the whole call that comes next in line waits for the next call."""
    paper.fault("POST /order", "reject:min_size")
    paper.fault("POST /order", "http_500")
    assert [row.ok for row in client.post_orders(batch)] == [False, True, True]
    with pytest.raises(RequestRejectedError) as refused:
        client.post_orders(batch)
    assert refused.value.status == 500


def test_faults_joined_happen_together(paper, client, signed):
    paper.fault("POST /order", "slow:50+timeout_after_accept+delayed+settlement_fails")
    with pytest.raises(TransportError):
        client.post_order(signed)
    (order,) = paper.ledger()["orders"]
    assert client.get_order(order_id=order["id"]).status in ("DELAYED", "MATCHED")
    wait_until(lambda: [t["status"] for t in paper.ledger()["trades"]] == ["FAILED"])


@pytest.mark.parametrize(
    ("on", "kind"),
    [
        ("GET /book", "delayed"), ("DELETE /order", "lie:garbage"), ("split", "settlement_retries"),
        ("POST /order", "lie:nothing"), ("POST /order", "http_500+nothing"), ("POST /order", ""),
    ],
)  # fmt: skip
def test_kinds_that_make_no_sense_somewhere_are_refused(paper, on, kind):
    answer = paper.call("POST", "/paper/faults", {"on": on, "kind": kind}, 400)
    assert "unknown kind" in answer["error"]


def test_a_refusal_hits_as_many_rows_of_a_batch(paper, client, token):
    batch = [
        client.create_market_order(
            asset_id=token, side="SELL", shares="10", min_price="0.45", order_type="FAK"
        )
        for _ in range(3)
    ]
    paper.fault("POST /order", "reject:min_size", 2)
    assert [answer.ok for answer in client.post_orders(batch)] == [False, False, True]


def test_a_fault_can_be_taken_back(paper, client, signed):
    paper.fault("POST /order", "http_500", 5)
    paper.fault("POST /order", "http_500", 0)
    assert client.post_order(signed).status == "matched"


def test_a_failed_settlement_moves_nothing_and_frees_what_it_held(paper, client, token, signed):
    before = paper.ledger()["balances"]
    paper.fault("POST /order", "settlement_fails")
    client.post_order(signed)
    wait_until(lambda: paper.ledger()["trades"][0]["status"] == "FAILED")
    assert paper.ledger()["balances"] == before
    paper.put_book(token, [("0.48", 20_000)])
    assert (
        client.post_order(
            client.create_market_order(
                asset_id=token, side="SELL", shares="10000", min_price="0.45", order_type="FAK"
            )
        ).status
        == "matched"
    )


def test_a_failed_split_uses_its_nonce(paper, client):
    condition = paper.markets()[0]["conditionId"]
    paper.fault("split", "settlement_fails")
    with pytest.raises(TransactionFailedError):
        client.split_position(condition_id=condition, amount=1_000_000).wait()
    assert paper.ledger()["splits"] == []
    client.split_position(condition_id=condition, amount=1_000_000).wait()
    assert len(paper.ledger()["splits"]) == 1


def test_a_lost_answer_to_a_split(paper, client):
    condition = paper.markets()[0]["conditionId"]
    paper.fault("split", "timeout_after_accept")
    with pytest.raises(TransportError):
        client.split_position(condition_id=condition, amount=1_000_000)
    assert wait_until(lambda: paper.ledger()["splits"]) == [
        {"conditionId": condition, "amount": "1"}
    ]


def test_reads_can_fail_and_be_slow(paper, token):
    paper.fault("GET /book", "http_500")
    paper.fault("GET /data/order/{id}", "http_500")
    paper.fault("GET /ok", "slow:150")
    assert paper.http.get("/book", params={"token_id": token}).status_code == 500
    assert paper.http.get("/book", params={"token_id": token}).status_code == 200
    assert paper.http.get("/data/order/0x12").status_code == 500
    assert paper.http.get("/ok").elapsed.total_seconds() >= 0.15
