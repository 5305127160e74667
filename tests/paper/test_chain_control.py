"""What the control API sets of the chain and its relayer, and that a reset takes it back."""

from __future__ import annotations

import pytest
from eth_account import Account
from polymarket._internal.actions.relayer import calls
from polymarket.errors import RequestRejectedError

from paper.wallets import proxy_wallet
from tests.paper.conftest import FAST, OWNER, OWNER_KEY
from tests.paper.on_chain import (
    ADAPTER,
    CTF,
    NOWHERE,
    PUSD,
    as_request,
    nonce_of,
    pol_of,
    receipt_of,
    rpc,
    send,
    signed,
    split,
)
from tests.paper_process import running_paper, start_paper

PROXY_FACTORY = "0xaB45c5A4B0c941a2F231C04C3f49182e1A254052"
HEADERS = {"RELAYER_API_KEY": "right", "RELAYER_API_KEY_ADDRESS": OWNER}


def gamma(paper, condition: str) -> dict:
    return paper.http.get("/markets", params={"condition_ids": condition}).json()[0]


def test_every_address_begins_with_a_hundred_pol(paper):
    assert pol_of(paper, NOWHERE) == 100 * 10**18
    body = {"wallet": NOWHERE, "asset": "POL", "amount": "0.000000000000000001"}
    paper.call("POST", "/paper/balances", body)
    assert pol_of(paper, NOWHERE) == 1
    assert "POL" not in next(iter(paper.ledger()["balances"].values()))
    paper.call("POST", "/paper/reset")
    assert pol_of(paper, NOWHERE) == 100 * 10**18


def test_the_base_fee_is_shown_and_reset(paper):
    assert paper.call("POST", "/paper/gas", {"baseFeeGwei": "500"}) == {"baseFeeGwei": "500"}
    block = rpc(paper, "eth_getBlockByNumber", "latest", False)
    assert block["baseFeePerGas"] == hex(500 * 10**9)
    assert rpc(paper, "eth_gasPrice") == hex(530 * 10**9)
    paper.call("POST", "/paper/reset")
    assert rpc(paper, "eth_gasPrice") == hex(60 * 10**9)


def test_an_approval_can_be_set_and_is_read_back(paper, client):
    body = {"token": PUSD, "spender": ADAPTER, "amount": "2.5"}
    paper.call("POST", "/paper/approvals", body)
    question = calls.erc20_allowance_call(token_address=PUSD, owner=client.wallet, spender=ADAPTER)
    assert int(rpc(paper, "eth_call", as_request(question, NOWHERE), "latest"), 16) == 2_500_000
    paper.call("POST", "/paper/approvals", {"token": CTF, "spender": ADAPTER, "amount": 0})
    question = calls.erc1155_is_approved_for_all_call(
        token_address=CTF, owner=client.wallet, operator=ADAPTER
    )
    assert int(rpc(paper, "eth_call", as_request(question, NOWHERE), "latest"), 16) == 0
    paper.call(
        "POST", "/paper/approvals", {"token": CTF, "spender": ADAPTER, "amount": "unlimited"}
    )
    assert int(rpc(paper, "eth_call", as_request(question, NOWHERE), "latest"), 16) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("gas", {}), ("gas", {"baseFeeGwei": -1}), ("gas", {"baseFeeGwei": "1e3"}),
        ("gas", {"baseFeeGwei": 10**8}), ("gas", {"baseFee": 1}),
        ("approvals", {"spender": "x", "amount": 1}), ("approvals", {"amount": 1}),
        ("approvals", {"spender": ADAPTER, "amount": "some"}),
        ("approvals", {"spender": ADAPTER, "token": CTF, "amount": 5}),
        ("relayer-key", {}), ("relayer-key", {"key": 5}),
        ("relayer-limit", {"perMinute": -1}), ("relayer-limit", {"perMinute": True}),
        ("market-fields", {"conditionId": "0x00"}), ("balances", {"asset": ["POL"], "amount": 1}),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(paper, path, body):
    paper.call("POST", f"/paper/{path}", body, 400)


def test_a_wrong_relayer_key_is_refused(paper, client):
    paper.call("POST", "/paper/relayer-key", {"key": "right"})
    answer = paper.http.post("/submit", json={}, headers=HEADERS | {"RELAYER_API_KEY": "wrong"})
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid authorization"})
    assert paper.http.post("/submit", json={}, headers=HEADERS).status_code == 400
    with pytest.raises(RequestRejectedError, match="invalid authorization"):
        client.split_position(condition_id=paper.markets()[0]["conditionId"], amount=1)
    paper.call("POST", "/paper/relayer-key", {"key": ""})
    assert paper.http.post("/submit", json={}, headers=HEADERS).status_code == 400
    assert paper.http.post("/submit", json={}).status_code == 401


def test_more_submissions_than_the_limit_are_too_many(paper):
    for _ in range(30):
        assert paper.http.post("/submit", json={}, headers=HEADERS).status_code == 400
    paper.call("POST", "/paper/relayer-limit", {"perMinute": 25})
    statuses = [paper.http.post("/submit", json={}, headers=HEADERS).status_code for _ in range(26)]
    assert statuses == [400] * 25 + [429]
    refusal = paper.http.post("/submit", json={}, headers=HEADERS)
    assert 1 <= int(refusal.headers["Retry-After"]) <= 61
    paper.call("POST", "/paper/relayer-limit", {"perMinute": 0})
    assert paper.http.post("/submit", json={}, headers=HEADERS).status_code == 400


def test_the_protocol_version_of_a_market_can_be_another(paper, client):
    condition = paper.markets()[0]["conditionId"]
    assert gamma(paper, condition)["version"] == "v1"
    paper.call("POST", "/paper/market-fields", {"conditionId": condition, "version": "v2"})
    (market,) = client.list_markets(condition_ids=[condition], page_size=1).first_page().items
    assert market.version == "v2"
    assert int(market.outcomes.no.position_id) == int(market.outcomes.yes.position_id) + 1
    paper.call("POST", "/paper/reset")
    assert gamma(paper, condition)["version"] == "v1"


def test_a_neg_risk_market_names_its_group_unless_it_is_hidden(paper):
    standard, neg_risk = (paper.markets()[n]["conditionId"] for n in (0, 3))
    shown = gamma(paper, neg_risk)
    group = shown["negRiskMarketID"]
    assert (group[:-2], group[-2:]) == (shown["questionID"][:-2], "00")
    assert "negRiskMarketID" not in gamma(paper, standard)
    assert paper.http.get(f"/markets/{neg_risk}").json()["neg_risk_market_id"] == group
    assert paper.http.get(f"/markets/{standard}").json()["neg_risk_market_id"] == ""
    hidden = {"conditionId": neg_risk, "negRiskMarketId": ""}
    paper.call("POST", "/paper/market-fields", hidden)
    assert gamma(paper, neg_risk)["negRiskMarketID"] == ""
    assert paper.http.get(f"/markets/{neg_risk}").json()["neg_risk_market_id"] == ""
    paper.call("POST", "/paper/market-fields", hidden | {"negRiskMarketId": None})
    assert gamma(paper, neg_risk)["negRiskMarketID"] == group


def test_what_was_set_survives_a_kill(home):
    first = start_paper(home, OWNER, **FAST)
    condition = first.markets()[3]["conditionId"]
    first.call("POST", "/paper/gas", {"baseFeeGwei": 77})
    first.call("POST", "/paper/relayer-key", {"key": "right"})
    fields = {"conditionId": condition, "version": "v2", "negRiskMarketId": ""}
    first.call("POST", "/paper/market-fields", fields)
    first.kill()
    with running_paper(home, OWNER, **FAST) as second:
        assert rpc(second, "eth_gasPrice") == hex(107 * 10**9)
        assert (
            second.http.post("/submit", json={}, headers={"RELAYER_API_KEY": "x"}).status_code
            == 401
        )
        shown = gamma(second, condition)
        assert (shown["version"], shown["negRiskMarketID"]) == ("v2", "")


def test_an_owner_can_work_a_proxy_without_the_relayer(home):
    """The proxy factory lets the owner call; the proxy's tokens move, the owner's POL pays."""
    proxy = proxy_wallet(OWNER)
    with running_paper(home, OWNER, **FAST, PAPER_WALLET=proxy) as paper:
        market = paper.markets()[0]
        made = [split(market, 2_000_000), split(market, 1_000_000)]
        call = calls.TransactionCall(to=PROXY_FACTORY, data=calls.encode_proxy_call(made))
        receipt = receipt_of(paper, send(paper, signed(call, nonce_of(paper, OWNER), gas=900_000)))
        assert receipt["status"] == "0x1"
        assert [row["amount"] for row in paper.ledger()["splits"]] == ["2", "1"]
        assert pol_of(paper, OWNER) < 100 * 10**18
    assert Account.from_key(OWNER_KEY).address == OWNER
