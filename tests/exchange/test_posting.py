"""Every answer to a posted order, from a real socket, and what it is called here."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from exchange.errors import OtherOrderId, OutcomeUnknown, Rejected, Unavailable
from exchange.polymarket.settings import Account, Credentials, Endpoints
from exchange.polymarket.trading import PolymarketExchange
from exchange.types import Acknowledgement
from tests.exchange.conftest import CREDENTIALS, KEY, OWNER, QUICK, SECRET, SELL
from tests.exchange.stub import Answer, Reset, Silence, Stub

FAK = (
    "no orders found to match with FAK order. FAK orders are partially filled or killed "
    "if no match is found."
)
HTML = "text/html"


def accepted(order_id: str, **changes: object) -> dict[str, object]:
    return {
        "success": True,
        "errorMsg": "",
        "orderID": order_id,
        "status": "matched",
        "makingAmount": "10",
        "takingAmount": "5",
        "transactionsHashes": [],
        "tradeIDs": ["t1"],
    } | changes


@pytest.mark.parametrize(
    ("status", "ours"), [("live", "open"), ("matched", "matched"), ("delayed", "delayed")]
)
def test_an_accepted_order_is_acknowledged(venue: Stub, exchange, status, ours):
    signed = exchange.sign(SELL)
    venue.on("POST", "/order", accepted(signed.order_id, status=status))
    assert exchange.post(signed) == Acknowledgement(signed.order_id, ours, ("t1",))


ERRORS = [
    (400, {"error": FAK}, Rejected, "unmatched"),
    (400, {"error": "order 0xab is invalid. Duplicated."}, Rejected, "duplicated"),
    (400, {"error": "not enough balance / allowance: the balance"}, Rejected, "not_enough_balance"),
    (400, {"error": "maker address not allowed, please use"}, Rejected, "not_allowed"),
    (400, {"error": "address in closed only mode"}, Rejected, "not_allowed"),
    (400, {"error": "invalid signature"}, Rejected, "invalid_signature"),
    (400, {"error": "Price (0.505) breaks minimum tick size rule: 0.01"}, Rejected, "tick_size"),
    (400, {"error": "Size (1) lower than the minimum: 5"}, Rejected, "min_size"),
    (400, {"error": "invalid amounts, max accuracy of 2 decimals"}, Rejected, "precision"),
    (400, {"error": "invalid post-only order: order crosses book"}, Rejected, "post_only"),
    (400, {"error": "order 0xab crosses the book"}, Rejected, "post_only"),
    (400, {"error": "invalid expiration"}, Rejected, "expiration"),
    (400, {"error": "invalid nonce"}, Rejected, "nonce"),
    (
        400,
        {"error": "order couldn't be fully filled. FOK orders are fully filled or killed."},
        Rejected,
        "unmatched",
    ),
    (400, {"error": "order canceled in the CTF exchange contract"}, Rejected, "other"),
    (400, {"error": "Invalid order payload"}, Rejected, "other"),
    (400, {"error": "'0xab' address banned"}, Rejected, "not_allowed"),
    (400, {"error": "the order signer address has to be the address of"}, Rejected, "not_allowed"),
    (400, {"error": "the order owner has to be the owner of the"}, Rejected, "not_allowed"),
    (400, {"error": "order_version_mismatch"}, Rejected, "other"),
    (400, {"error": "Too many orders in payload: 16, max allowed: 15"}, Unavailable, None),
    (400, {"error": "the market is not yet ready to process new orders"}, Unavailable, None),
    (400, {"error": "order match delayed due to market conditions"}, OutcomeUnknown, None),
    (404, {"error": "No orderbook exists for the requested token id"}, Rejected, "market_closed"),
    (401, {"error": "Unauthorized/Invalid api key"}, Rejected, "not_allowed"),
    (403, {"error": "Trading restricted in your region"}, Rejected, "not_allowed"),
    (403, Answer(b"<html>Attention Required", 403, HTML), Unavailable, None),
    (403, Answer(b"error code: 1020", 403, "text/plain"), Unavailable, None),
    (425, {"error": "service not ready"}, Unavailable, None),
    (425, Answer(b"", 425, HTML), Unavailable, None),
    (429, {"error": "rate limited"}, Unavailable, None),
    (500, {"error": "could not run the execution"}, OutcomeUnknown, None),
    (500, {"error": "order 0xab is invalid. Duplicated."}, OutcomeUnknown, None),
    (502, Answer(b"<html>", 502, HTML), OutcomeUnknown, None),
    (503, {"error": "Trading is currently disabled"}, Unavailable, None),
    (503, {"error": "cancel-only mode"}, Unavailable, None),
    (503, Answer(b"<html>", 503, HTML), OutcomeUnknown, None),
    (413, Answer(b"<html>", 413, HTML), OutcomeUnknown, None),
    (200, Answer(b"{garbage", 200), OutcomeUnknown, None),
    (200, Answer(b"<html>", 200, HTML), OutcomeUnknown, None),
    (200, [], OutcomeUnknown, None),
    (200, {}, OutcomeUnknown, None),
    (200, None, OutcomeUnknown, None),
]


@pytest.mark.parametrize(("status", "body", "error", "code"), ERRORS)
def test_an_answer_is_named_by_what_to_do_next(venue: Stub, exchange, status, body, error, code):
    venue.on("POST", "/order", body, status)
    with pytest.raises(error) as raised:
        exchange.post(exchange.sign(SELL))
    assert type(raised.value) is error
    if error is Rejected:
        assert raised.value.code == code


@pytest.mark.parametrize(
    ("changes", "error", "code"),
    [
        ({"errorMsg": FAK, "tradeIDs": []}, Rejected, "unmatched"),
        ({"errorMsg": FAK, "tradeIDs": None, "orderID": ""}, Rejected, "unmatched"),
        ({"errorMsg": FAK, "orderID": ""}, OutcomeUnknown, None),  # and yet it names a trade
        (
            {"success": False, "errorMsg": "something new", "orderID": "", "tradeIDs": []},
            Rejected,
            "other",
        ),
        ({"errorMsg": "something new"}, OutcomeUnknown, None),
        (
            {"errorMsg": "post-only mode: only post-only", "orderID": "", "tradeIDs": []},
            Unavailable,
            None,
        ),
        ({"orderID": ""}, OutcomeUnknown, None),
        ({"status": "unmatched"}, OutcomeUnknown, None),
        ({"success": False}, OutcomeUnknown, None),
        ({"orderID": "0x" + "ab" * 32}, OtherOrderId, None),
    ],
)
def test_a_200_is_a_yes_only_by_the_clients_rule(venue: Stub, exchange, changes, error, code):
    signed = exchange.sign(SELL)
    venue.on("POST", "/order", accepted(signed.order_id, **changes))
    with pytest.raises(error) as raised:
        exchange.post(signed)
    assert type(raised.value) is error
    assert getattr(raised.value, "code", None) == code


def test_the_venue_may_say_when_to_come_back(venue: Stub, exchange):
    body: dict[str, object] = {
        "error": "post-only mode: only post-only orders and cancels are allowed"
    }
    body |= {"code": "post_only_mode", "retry_after_seconds": 79}
    venue.on("POST", "/order", body, 503)
    with pytest.raises(Unavailable) as raised:
        exchange.post(exchange.sign(SELL))
    assert raised.value.retry_after == 79


@pytest.mark.parametrize("reply", [Silence, Reset])
def test_no_answer_after_sending_leaves_the_outcome_unknown(venue: Stub, exchange, reply):
    venue.on("POST", "/order", reply)
    with pytest.raises(OutcomeUnknown):
        exchange.post(exchange.sign(SELL))
    assert len(venue.of("POST", "/order")) == 1


def test_a_refused_connection_proves_that_nothing_happened(account: Account):
    exchange = PolymarketExchange(Endpoints.paper("http://127.0.0.1:1"), account, QUICK)
    with pytest.raises(Unavailable):
        exchange.post(exchange.sign(SELL))


POST_ELSEWHERE = """
import json, sys
from exchange.polymarket.settings import Account, Credentials, Endpoints
from exchange.polymarket.trading import PolymarketExchange
from exchange.types import SignedOrder
url, key, wallet, credentials, order_id, payload = json.loads(sys.stdin.read())
account = Account(key, wallet, Credentials(*credentials))
PolymarketExchange(Endpoints.paper(url), account).post(SignedOrder(order_id, payload))
"""


def test_another_process_posts_the_very_same_bytes(venue: Stub, exchange):
    signed = exchange.sign(SELL)
    venue.on("POST", "/order", accepted(signed.order_id))
    exchange.post(signed)
    credentials = [CREDENTIALS.key, CREDENTIALS.secret, CREDENTIALS.passphrase]
    given = [venue.url, KEY, OWNER, credentials, signed.order_id, signed.payload]
    subprocess.run(
        [sys.executable, "-c", POST_ELSEWHERE], input=json.dumps(given), text=True, check=True
    )
    first, second = venue.of("POST", "/order")
    assert first.body == second.body


def derived(key: str) -> dict[str, str]:
    return {"apiKey": key, "secret": SECRET, "passphrase": "pp"}


def test_credentials_are_derived_once_and_again_when_the_venue_forgot_them(venue: Stub):
    exchange = PolymarketExchange(Endpoints.paper(venue.url), Account(KEY, OWNER), QUICK)
    signed = exchange.sign(SELL)
    venue.on("POST", "/auth/api-key", {"error": "exists"}, 400)
    venue.on("GET", "/auth/derive-api-key", derived("old"))
    venue.on("POST", "/order", accepted(signed.order_id))
    exchange.post(signed)
    exchange.post(signed)
    assert len(venue.of("GET", "/auth/derive-api-key")) == 1

    venue.on("GET", "/auth/derive-api-key", derived("new"))
    venue.on(
        "POST",
        "/order",
        lambda asked: (
            accepted(signed.order_id)
            if asked.json["owner"] == "new"
            else Answer({"error": "Unauthorized/Invalid api key"}, 401)
        ),
    )
    exchange.post(signed)
    assert venue.of("POST", "/order")[-1].json["owner"] == "new"


def test_a_warm_process_posts_with_one_request(venue: Stub):
    exchange = PolymarketExchange(Endpoints.paper(venue.url), Account(KEY, OWNER), QUICK)
    venue.on("POST", "/auth/api-key", derived("new"))
    exchange.log_in()
    signed = exchange.sign(SELL)
    venue.on("POST", "/order", accepted(signed.order_id))
    before = len(venue.asked)
    exchange.post(signed)
    assert [asked.path for asked in venue.asked[before:]] == ["/order"]


def test_a_failed_login_is_no_answer_to_the_order(venue: Stub):
    exchange = PolymarketExchange(Endpoints.paper(venue.url), Account(KEY, OWNER), QUICK)
    venue.on("POST", "/auth/api-key", {"error": "try later"}, 500)
    with pytest.raises(Unavailable):
        exchange.post(exchange.sign(SELL))
    assert venue.of("POST", "/order") == []


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (lambda one: {"canceled": [one], "not_canceled": {}}, True),
        (lambda one: {"canceled": [], "not_canceled": {one: "order already matched"}}, False),
    ],
)
def test_a_cancel_says_whether_it_did_it(venue: Stub, exchange, body, result):
    venue.on("DELETE", "/order", body("0xab"))
    assert exchange.cancel("0xab") is result
    assert venue.of("DELETE", "/order")[0].json == {"orderID": "0xab"}


def test_a_cancel_without_an_outcome_is_unknown(venue: Stub, exchange):
    venue.on("DELETE", "/order", {"canceled": []})
    with pytest.raises(OutcomeUnknown):
        exchange.cancel("0xab")


def test_no_secret_is_in_a_repr_or_an_error(venue: Stub, account: Account):
    secrets = [KEY, KEY[2:], SECRET, "passphrase-x", "relayer-x"]
    account = replace(
        account,
        credentials=Credentials(key="k", secret=SECRET, passphrase="passphrase-x"),
        relayer_key="relayer-x",
    )
    exchange = PolymarketExchange(Endpoints.paper(venue.url), account, QUICK)
    signed = exchange.sign(SELL)
    said = [repr(account), str(account), repr(exchange), repr(signed), repr(account.credentials)]
    for reply in (Silence, Reset, Answer({"error": "Unauthorized/Invalid api key"}, 401)):
        venue.on("POST", "/order", reply)
        with pytest.raises((OutcomeUnknown, Rejected)) as raised:
            exchange.post(signed)
        said += [str(raised.value), repr(raised.value)]
    with pytest.raises(Rejected) as raised:
        PolymarketExchange(Endpoints(), replace(account, private_key=KEY[:-2] + "zz")).sign(SELL)
    said += [repr(raised.value), repr(raised.value.__cause__), repr(raised.value.__context__)]
    assert not [secret for secret in secrets if secret in " ".join(said)]
