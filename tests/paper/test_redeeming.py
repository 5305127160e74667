"""Merges and redemptions: what they take, what they pay, what they log, and when they revert."""

from __future__ import annotations

import pytest
from polymarket.errors import RequestRejectedError, TransactionFailedError, UserInputError

from tests.paper.conftest import FAST, OWNER, client_on
from tests.paper.on_chain import (
    ADAPTER,
    CTF,
    NEG_RISK_ADAPTER,
    PUSD,
    TRANSFER,
    TRANSFER_BATCH,
    as_request,
    merge,
    party,
    receipt_of,
    redeem,
    refused,
    rpc,
    split,
)
from tests.paper_process import running_paper, start_paper

NOBODY = "0x" + "00" * 20


@pytest.fixture(params=[0, 3], ids=["standard", "neg risk"])
def market(paper, request):
    return paper.markets()[request.param]


def resolve(paper, market, *payouts: object) -> None:
    body = {"conditionId": market["conditionId"], "state": "resolved", "payouts": list(payouts)}
    paper.call("POST", "/paper/market-state", body)


def held(paper) -> dict[str, str]:
    (balances,) = paper.ledger()["balances"].values()
    return balances


def set_balance(paper, asset: str, amount: str) -> None:
    paper.call("POST", "/paper/balances", {"asset": asset, "amount": amount})


def approval(paper, market, amount: object) -> None:
    spender = NEG_RISK_ADAPTER if market["negRisk"] else ADAPTER
    paper.call("POST", "/paper/approvals", {"token": CTF, "spender": spender, "amount": amount})


def test_a_merge_takes_pairs_and_pays_collateral(paper, client, market):
    outcome = client.merge_positions(condition_id=market["conditionId"], amount=4_500_000).wait()
    assert held(paper)["collateral"] == "100004.5"
    assert [held(paper)[token] for token in market["tokenIds"]] == ["9995.5"] * 2
    merged = [{"conditionId": market["conditionId"], "amount": "4.5"}]
    assert paper.ledger()["merges"] == merged
    taken, burned, paid = receipt_of(paper, outcome.transaction_hash)["logs"]
    assert (taken["address"], taken["topics"][0]) == (CTF, TRANSFER_BATCH)
    assert party(taken["topics"][2]) == client.wallet.lower()
    assert party(burned["topics"][3]) == NOBODY
    assert (paid["address"], paid["topics"][0]) == (PUSD, TRANSFER)
    assert party(paid["topics"][2]) == client.wallet.lower()
    assert int(paid["data"], 16) == 4_500_000


def test_a_merge_needs_the_tokens_and_their_approval(paper, client, market):
    wallet = client.wallet
    said = refused(paper, "eth_call", as_request(merge(market, 10_000_000_001), wallet), "latest")
    assert said == (3, "execution reverted: transfer amount exceeds balance")
    approval(paper, market, 0)
    said = refused(paper, "eth_call", as_request(merge(market, 1), wallet), "latest")
    assert "need operator approval" in said[1]
    with pytest.raises(TransactionFailedError, match="need operator approval"):
        client.merge_positions(condition_id=market["conditionId"], amount=1_000_000).wait()
    approval(paper, market, "unlimited")
    client.merge_positions(condition_id=market["conditionId"], amount=1_000_000).wait()
    assert len(paper.ledger()["merges"]) == 1


@pytest.mark.parametrize(
    ("payouts", "paid", "numerators", "prices"),
    [
        ((1, 0), "110000", [1, 0], '["1","0"]'),
        (("0", "1"), "105000", [0, 1], '["0","1"]'),
        ((0.5, 0.5), "107500", [1, 1], '["0.5","0.5"]'),
    ],
)
def test_a_redemption_pays_what_the_outcomes_are_worth(
    paper, client, market, payouts, paid, numerators, prices
):
    yes, no = market["tokenIds"]
    set_balance(paper, no, "5000")
    resolve(paper, market, *payouts)
    outcome = client.redeem_positions(condition_id=market["conditionId"]).wait()
    assert held(paper)["collateral"] == paid
    assert (held(paper)[yes], held(paper)[no]) == ("0", "0")
    amount = str(int(paid) - 100_000)
    redeemed = [{"conditionId": market["conditionId"], "amount": amount}]
    assert paper.ledger()["redemptions"] == redeemed
    taken, *burned, transfer = receipt_of(paper, outcome.transaction_hash)["logs"]
    assert party(taken["topics"][2]) == client.wallet.lower()
    assert len(burned) == 2
    assert int(transfer["data"], 16) == int(amount) * 1_000_000
    assert [numerator(paper, market, index) for index in (0, 1)] == numerators
    assert denominator(paper, market) == sum(numerators)
    shown = gamma(paper, market)
    assert (shown["closed"], shown["umaResolutionStatus"]) == (True, "resolved")
    assert shown["outcomePrices"] == prices
    rows = paper.http.get(f"/markets/{market['conditionId']}").json()["tokens"]
    assert [row["winner"] for row in rows] == [payout in (1, "1") for payout in payouts]


def numerator(paper, market, index: int) -> int:
    data = "0x0504c814" + market["conditionId"][2:] + f"{index:064x}"
    return int(rpc(paper, "eth_call", {"to": CTF, "data": data}, "latest"), 16)


def denominator(paper, market) -> int:
    data = "0xdd34de67" + market["conditionId"][2:]
    return int(rpc(paper, "eth_call", {"to": CTF, "data": data}, "latest"), 16)


def gamma(paper, market) -> dict:
    query = {"condition_ids": market["conditionId"], "closed": "true"}
    return paper.http.get("/markets", params=query).json()[0]


def test_an_unresolved_condition_pays_nothing(paper, client, market):
    assert denominator(paper, market) == 0
    said = refused(paper, "eth_estimateGas", as_request(redeem(market), client.wallet))
    assert said == (3, "execution reverted: result for condition not received yet")
    with pytest.raises(UserInputError, match="No market found"):
        client.redeem_positions(condition_id=market["conditionId"])


def test_a_redemption_of_nothing_succeeds_and_pays_nothing(paper, client, market):
    for token in market["tokenIds"]:
        set_balance(paper, token, "0")
    resolve(paper, market, 1, 0)
    outcome = client.redeem_positions(condition_id=market["conditionId"]).wait()
    (taken,) = receipt_of(paper, outcome.transaction_hash)["logs"]
    assert taken["topics"][0] == TRANSFER_BATCH
    assert held(paper)["collateral"] == "100000"


def test_a_resolved_market_takes_no_orders_but_still_splits(paper, client, market):
    token = market["tokenIds"][0]
    paper.put_book(token, [("0.48", 100)])
    signed = client.create_market_order(
        asset_id=token, side="SELL", shares="10", min_price="0.45", order_type="FAK"
    )
    resolve(paper, market, 1, 0)
    with pytest.raises(RequestRejectedError, match="the market is closed"):
        client.post_order(signed)
    request = as_request(split(market, 1_000_000), client.wallet)
    assert rpc(paper, "eth_call", request, "latest") == "0x"


def test_a_resolution_can_be_taken_back(paper, client, market):
    resolve(paper, market, 1, 0)
    body = {"conditionId": market["conditionId"], "state": "open"}
    paper.call("POST", "/paper/market-state", body)
    assert denominator(paper, market) == 0
    client.split_position(condition_id=market["conditionId"], amount=1_000_000).wait()


@pytest.mark.parametrize(
    "body",
    [
        {"state": "resolved"},
        {"state": "resolved", "payouts": [1]},
        {"state": "resolved", "payouts": [1, 1]},
        {"state": "resolved", "payouts": ["a", "b"]},
        {"state": "resolved", "payouts": "1,0"},
        {"state": "settled"},
        {"state": ["open"]},
    ],
)
def test_a_wrong_state_is_refused_and_changes_nothing(paper, body):
    condition = paper.markets()[0]["conditionId"]
    paper.call("POST", "/paper/market-state", {"conditionId": condition} | body, 400)
    assert paper.http.get(f"/markets/{condition}").json()["closed"] is False


def test_a_resolution_and_the_receipts_survive_a_kill(home):
    first = start_paper(home, OWNER, **FAST)
    market = first.markets()[0]
    resolve(first, market, 0, 1)
    with client_on(first.url) as client:
        outcome = client.redeem_positions(condition_id=market["conditionId"]).wait()
    receipt = receipt_of(first, outcome.transaction_hash)
    first.kill()
    with running_paper(home, OWNER, **FAST) as second:
        assert denominator(second, market) == 1
        assert receipt_of(second, outcome.transaction_hash) == receipt
        assert second.ledger()["redemptions"][0]["amount"] == "10000"
        winner = second.http.get(f"/markets/{market['conditionId']}").json()["tokens"]
        assert [row["winner"] for row in winner] == [False, True]
