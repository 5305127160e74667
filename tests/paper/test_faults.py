"""Arranged misbehaviour, seen through the real client."""

from __future__ import annotations

import pytest
from polymarket.errors import (
    RateLimitError,
    RequestRejectedError,
    TransactionFailedError,
    TransportError,
)

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
