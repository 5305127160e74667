"""Several orders in one request: answers read row by row, and cancels by their lists."""

from collections.abc import Sequence

import pytest

from exchange.errors import ExchangeError, OtherOrderId, OutcomeUnknown, Rejected, Unavailable
from exchange.polymarket.settings import Account, Endpoints
from exchange.polymarket.trading import PolymarketExchange
from exchange.types import Acknowledgement, SignedOrder
from tests.exchange.conftest import CREDENTIALS, KEY, OWNER, QUICK, SELL
from tests.exchange.stub import Answer, Asked, Reset, Silence, Stub
from tests.exchange.test_posting import FAK, accepted

POST_ONLY_MODE = "post-only mode: only post-only orders and cancels are allowed"
UNKNOWN, REFUSED, LATER = OutcomeUnknown, Rejected, Unavailable


def refused(text: str, *, success: bool = False) -> dict[str, object]:
    return accepted("", success=success, errorMsg=text, status="", tradeIDs=[])


@pytest.fixture
def three(exchange) -> list[SignedOrder]:
    return [exchange.sign(SELL) for _ in range(3)]


def ids(orders: Sequence[SignedOrder]) -> list[str]:
    return [order.order_id for order in orders]


def kinds(results: Sequence[object]) -> list[type]:
    return [type(result) for result in results]


def test_a_batch_is_one_request_of_the_very_bodies_and_answered_in_order(
    venue: Stub, exchange, three
):
    venue.on("POST", "/orders", [accepted(order_id, status="live") for order_id in ids(three)])
    assert exchange.post_many(three) == [
        Acknowledgement(order_id, "open", ("t1",)) for order_id in ids(three)
    ]
    (asked,) = venue.asked
    venue.on("POST", "/order", lambda one: accepted("", success=False))
    for order, body in zip(three, asked.json, strict=True):
        with pytest.raises(ExchangeError):
            exchange.post(order)
        assert venue.asked[-1].json == body
    assert {body["owner"] for body in asked.json} == {CREDENTIALS.key}


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (lambda order_id: accepted(order_id), Acknowledgement),
        (lambda order_id: accepted(order_id, status="delayed"), Acknowledgement),
        (lambda order_id: accepted(order_id.upper().replace("0X", "0x")), Acknowledgement),
        (lambda order_id: refused(FAK), REFUSED),
        (lambda order_id: refused("not enough balance / allowance"), REFUSED),
        (lambda order_id: refused("something new"), REFUSED),
        (lambda order_id: refused(FAK, success=True), REFUSED),
        (lambda order_id: refused(POST_ONLY_MODE, success=True), LATER),
        (lambda order_id: refused(POST_ONLY_MODE), LATER),
        (lambda order_id: refused("something new", success=True), UNKNOWN),
        (lambda order_id: refused("", success=True), UNKNOWN),
        (lambda order_id: refused("could not run the execution"), UNKNOWN),
        (lambda order_id: refused("order match delayed due to market conditions"), UNKNOWN),
        (lambda order_id: accepted(order_id, errorMsg="something new"), UNKNOWN),
        (lambda order_id: accepted(order_id, status="unmatched"), UNKNOWN),
        (lambda order_id: accepted("", status="live"), UNKNOWN),
        (lambda order_id: accepted("0x" + "ab" * 32), OtherOrderId),
        (lambda order_id: None, UNKNOWN),
        (lambda order_id: [], UNKNOWN),
        (lambda order_id: {}, UNKNOWN),
        (lambda order_id: "no", UNKNOWN),
    ],
)
def test_each_row_speaks_for_its_order_alone(venue: Stub, exchange, three, row, kind):
    rows = [accepted(order_id) for order_id in ids(three)]
    rows[1] = row(three[1].order_id)
    venue.on("POST", "/orders", Answer(rows))
    results = exchange.post_many(three)
    assert kinds(results) == [Acknowledgement, kind, Acknowledgement]
    assert results[2].order_id == three[2].order_id


def test_a_refusal_carries_its_code(venue: Stub, exchange, three):
    texts = ["order 0xab crosses the book", "invalid expiration", "Size (1) lower than the minimum"]
    venue.on("POST", "/orders", [refused(text) for text in texts])
    codes = [result.code for result in exchange.post_many(three)]
    assert codes == ["post_only", "expiration", "min_size"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda rows: rows[:2],
        lambda rows: [*rows, rows[0]],
        lambda rows: [],
        lambda rows: {"orders": rows},
        lambda rows: None,
        lambda rows: "ok",
        lambda rows: [rows[1], rows[0], rows[2]],
        lambda rows: [rows[1], refused(FAK), rows[2]],
    ],
)
def test_rows_that_do_not_line_up_say_nothing_of_any_order(venue: Stub, exchange, three, answer):
    rows = [accepted(order_id) for order_id in ids(three)]
    venue.on("POST", "/orders", Answer(answer(rows)))
    assert kinds(exchange.post_many(three)) == [OutcomeUnknown] * 3


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Answer({"error": "service not ready"}, 425), Unavailable),
        (Answer({"error": "rate limited"}, 429), Unavailable),
        (Answer({"error": "Too many orders in payload: 3, max allowed: 2"}, 400), Unavailable),
        (Answer({"error": POST_ONLY_MODE}, 503), Unavailable),
        (Answer({"error": "Unauthorized/Invalid api key"}, 401), Rejected),
        (Answer({"error": "maker address not allowed"}, 400), Rejected),
        (Answer({"error": "order 0xab is invalid. Duplicated."}, 400), OutcomeUnknown),
        (Answer({"error": "Invalid order payload"}, 400), OutcomeUnknown),
        (Answer({"error": "could not insert order"}, 500), OutcomeUnknown),
        (Answer(b"<html>", 502, "text/html"), OutcomeUnknown),
        (Answer(b"{garbage"), OutcomeUnknown),
        (Answer(b""), OutcomeUnknown),
        (Silence, OutcomeUnknown),
        (Reset, OutcomeUnknown),
    ],
)
def test_an_error_of_the_whole_call_stands_for_every_order(
    venue: Stub, exchange, three, reply, kind
):
    venue.on("POST", "/orders", reply)
    assert kinds(exchange.post_many(three)) == [kind] * 3
    assert len(venue.of("POST", "/orders")) == 1


def test_a_refused_connection_proves_that_nothing_happened(account: Account, three):
    exchange = PolymarketExchange(Endpoints.paper("http://127.0.0.1:1"), account, QUICK)
    assert kinds(exchange.post_many(three)) == [Unavailable] * 3


def test_a_failed_login_stands_for_every_order(venue: Stub, three):
    exchange = PolymarketExchange(Endpoints.paper(venue.url), Account(KEY, OWNER), QUICK)
    venue.on("POST", "/auth/api-key", {"error": "try later"}, 500)
    assert kinds(exchange.post_many(three)) == [Unavailable] * 3
    assert venue.of("POST", "/orders") == []


def test_sixteen_orders_are_one_too_many_and_none_make_no_request(venue: Stub, exchange, three):
    with pytest.raises(ValueError, match="at most 15"):
        exchange.post_many([three[0]] * 16)
    assert exchange.post_many([]) == []
    assert venue.asked == []


def test_cancels_go_out_by_the_hundred_and_name_what_is_gone(venue: Stub, exchange):
    wanted = [f"0x{number:064x}" for number in range(201)]

    def cancelled(asked: Asked) -> dict[str, object]:
        first, *others = asked.json
        return {"canceled": others, "not_canceled": {first: "order already matched"}}

    venue.on("DELETE", "/orders", cancelled)
    said = exchange.cancel_many(wanted)
    assert [len(asked.json) for asked in venue.of("DELETE", "/orders")] == [100, 100, 1]
    assert list(said) == wanted
    assert [one for one in wanted if not said[one]] == [wanted[0], wanted[100], wanted[200]]


def test_a_cancel_without_a_clear_answer_leaves_the_id_out(venue: Stub, exchange):
    venue.on("DELETE", "/orders", {"canceled": ["0xAB"], "not_canceled": None})
    assert exchange.cancel_many(["0xab", "0xcd"]) == {"0xab": True}


def test_what_was_cancelled_is_told_although_a_later_request_fails(venue: Stub, exchange):
    wanted = [f"0x{number:064x}" for number in range(150)]
    venue.on(
        "DELETE",
        "/orders",
        lambda asked: (
            {"canceled": asked.json} if len(asked.json) == 100 else Answer({"error": "x"}, 500)
        ),
    )
    assert exchange.cancel_many(wanted) == dict.fromkeys(wanted[:100], True)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Answer({"error": "service not ready"}, 425), Unavailable),
        (Answer({"error": "x"}, 500), OutcomeUnknown),
        (Answer([]), OutcomeUnknown),
        (Silence, OutcomeUnknown),
    ],
)
def test_cancels_nobody_answered_raise(venue: Stub, exchange, reply, error):
    venue.on("DELETE", "/orders", reply)
    with pytest.raises(error) as raised:
        exchange.cancel_many(["0xab"])
    assert type(raised.value) is error


def test_nothing_to_cancel_makes_no_request(venue: Stub, exchange):
    assert exchange.cancel_many([]) == {}
    assert venue.asked == []
