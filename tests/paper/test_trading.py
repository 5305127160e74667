"""The real client trades on the paper exchange."""

from __future__ import annotations

from decimal import Decimal

import pytest
from eth_account import Account
from polymarket.errors import RequestRejectedError, TransactionFailedError
from polymarket.models.clob.order_response import RejectedOrder

from tests.paper.conftest import FAST, OWNER, OWNER_KEY, client_on
from tests.paper_process import running_paper, wait_until

STRANGER_KEY = "0x" + "b8" * 32


@pytest.fixture
def market(paper) -> dict:
    return paper.markets()[0]


@pytest.fixture
def token(paper, market) -> str:
    first = market["tokenIds"][0]
    paper.put_book(first, [("0.48", 100), ("0.47", 50)], [("0.50", 80)])
    return first


def sell(client, token: str, shares: str = "10", price: str = "0.45", order_type: str = "FAK"):
    return client.create_market_order(
        asset_id=token, side="SELL", shares=shares, min_price=price, order_type=order_type
    )


def collateral(paper) -> Decimal:
    (balances,) = paper.ledger()["balances"].values()
    return Decimal(balances["collateral"])


def test_the_client_finds_the_installations_wallet(paper, client):
    assert client.wallet_type == "DEPOSIT_WALLET"
    assert list(paper.ledger()["balances"]) == [client.wallet]
    assert client.get_balance_allowance(asset_type="COLLATERAL").balance == 100_000_000_000


def test_the_same_nonce_has_the_same_key(paper, client, connect):
    assert connect(paper.url).credentials.key == client.credentials.key
    assert client.fetch_api_keys() == (client.credentials.key,)


def test_a_sale_walks_the_book_and_settles(paper, client, token):
    accepted = client.post_order(sell(client, token, "120"))
    assert (accepted.status, accepted.making_amount) == ("matched", Decimal(120))
    assert accepted.taking_amount == Decimal("57.4")
    order = client.get_order(order_id=accepted.order_id)
    assert (order.status, order.size_matched, order.original_size) == ("MATCHED", 120, 120)
    assert set(order.associate_trades) == set(accepted.trade_ids)
    hashes = client.wait_for_order_fill_settlement(accepted)
    assert len(hashes) == 2
    trades = client.list_account_trades(asset_id=token).first_page().items
    assert [(t.status, t.price, t.size) for t in trades] == [
        ("CONFIRMED", Decimal("0.47"), 20),
        ("CONFIRMED", Decimal("0.48"), 100),
    ]
    assert collateral(paper) == Decimal("100057.4")


def test_balances_move_only_when_confirmed(client, paper, token):
    paper.fault("POST /order", "settlement_slow")
    client.post_order(sell(client, token))
    assert collateral(paper) == 100_000
    (trade,) = paper.ledger()["trades"]
    assert trade["status"] == "MATCHED"


def test_matched_tokens_are_reserved(client, paper, token):
    paper.put_book(token, [("0.48", 20_000)])
    paper.fault("POST /order", "settlement_slow")
    client.post_order(sell(client, token, "9995"))
    with pytest.raises(RequestRejectedError, match="balance is not enough"):
        client.post_order(sell(client, token, "6"))
    assert client.post_order(sell(client, token, "5")).status == "matched"


def test_a_partial_fill_is_killed_and_says_so(client, token):
    accepted = client.post_order(sell(client, token, "200"))
    order = client.get_order(order_id=accepted.order_id)
    assert (order.size_matched, order.original_size, order.status) == (150, 200, "MATCHED")


def test_eaten_depth_stays_eaten(client, paper, token):
    client.post_order(sell(client, token, "100"))
    book = client.get_order_book(asset_id=token)
    assert [(level.price, level.size) for level in book.bids] == [(Decimal("0.47"), 50)]
    mirrored = client.get_order_book(asset_id=paper.markets()[0]["tokenIds"][1])
    assert [(level.price, level.size) for level in mirrored.asks] == [(Decimal("0.53"), 50)]


def test_a_sale_without_a_match_is_refused_in_the_venues_words(client, token):
    with pytest.raises(RequestRejectedError, match="no orders found to match with FAK order"):
        client.post_order(sell(client, token, "10", "0.49"))
    with pytest.raises(RequestRejectedError, match="fully filled or killed"):
        client.post_order(sell(client, token, "200", "0.45", "FOK"))


def test_the_same_order_is_taken_once(client, paper, token):
    signed = sell(client, token)
    accepted = client.post_order(signed)
    with pytest.raises(RequestRejectedError, match="Duplicated") as refused:
        client.post_order(signed)
    assert accepted.order_id in str(refused.value)
    ledger = paper.ledger()
    assert [(o["id"], o["posts"]) for o in ledger["orders"]] == [(accepted.order_id, 2)]
    assert len(ledger["trades"]) == 1


def test_a_purchase_spends_its_amount(client, paper, token):
    signed = client.create_market_order(
        asset_id=token, side="BUY", amount="10", max_price="0.6", order_type="FAK"
    )
    accepted = client.post_order(signed)
    assert (accepted.making_amount, accepted.taking_amount) == (Decimal(10), Decimal(20))


def test_the_taker_pays_the_fee(client, paper):
    paying = paper.markets()[5]["tokenIds"][0]
    paper.put_book(paying, [("0.50", 500)], [("0.52", 500)])
    accepted = client.post_order(sell(client, paying, "100"))
    client.wait_for_order_fill_settlement(accepted)
    assert collateral(paper) == Decimal("100049")


def test_limit_orders_rest_match_and_are_cancelled(client, paper, token):
    placed = client.place_limit_order(asset_id=token, side="SELL", price="0.49", size="10")
    assert placed.status == "live"
    assert client.get_order(order_id=placed.order_id).status == "LIVE"
    assert [o.id for o in client.list_open_orders().first_page().items] == [placed.order_id]
    bought = client.post_order(
        client.create_market_order(
            asset_id=token, side="BUY", amount="2.45", max_price="0.49", order_type="FAK"
        )
    )
    assert client.get_order(order_id=placed.order_id).size_matched == 5
    assert client.get_order(order_id=placed.order_id).associate_trades == bought.trade_ids
    assert client.cancel_order(order_id=placed.order_id).canceled == (placed.order_id,)
    again = client.cancel_order(order_id=placed.order_id)
    assert list(again.not_canceled) == [placed.order_id]
    assert client.get_order(order_id=placed.order_id).status == "CANCELED"


def test_a_resting_order_is_filled_when_the_market_comes_to_it(client, paper, token):
    placed = client.place_limit_order(asset_id=token, side="SELL", price="0.55", size="10")
    paper.put_book(token, [("0.56", 4)], [("0.60", 4)])
    order = client.get_order(order_id=placed.order_id)
    assert (order.size_matched, order.status) == (4, "LIVE")
    (trade,) = client.list_account_trades(id=order.associate_trades[0]).first_page().items
    assert (trade.trader_side, trade.maker_orders[0].order_id) == ("MAKER", placed.order_id)
    assert trade.maker_orders[0].price == Decimal("0.55")


def test_a_batch_answers_row_by_row(client, token):
    good, bad = sell(client, token), sell(client, token, "10", "0.49")
    first, second = client.post_orders([good, bad])
    assert first.ok
    assert isinstance(second, RejectedOrder)
    assert second.code == "fak_not_filled"


def test_neg_risk_and_fine_ticks_trade_too(client, paper):
    for number, price in ((3, "0.38"), (4, "0.271")):
        other = paper.markets()[number]["tokenIds"][0]
        paper.put_book(other, [(price, 50)])
        assert client.post_order(sell(client, other, "10", price)).status == "matched"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"maker": "0x" + "11" * 20}, "invalid signature"),
        ({"maker_amount": 11_000_000}, "invalid signature"),
        ({"signature_type": 7}, "maker address not allowed"),
        ({"signature_type": 2}, "signer address has to be the address of the API KEY"),
        ({"signature_type": 0}, "signer address has to be the address of the API KEY"),
        ({"signer": "0x" + "11" * 20}, "signer address has to be the address of the API KEY"),
        ({"signature": "0x" + "11" * 65}, "invalid signature"),
        ({"token_id": "12345"}, "does not exist"),
    ],
)
def test_a_forged_order_is_refused(client, token, paper, changes, words):
    import dataclasses

    signed = sell(client, token)
    forged = (
        dataclasses.replace(signed, **changes)
        if dataclasses.is_dataclass(signed)
        else signed.model_copy(update=changes)
    )
    with pytest.raises(RequestRejectedError, match=words):
        client.post_order(forged)
    assert paper.ledger()["trades"] == []


def test_an_order_for_the_other_exchange_is_refused(client, paper, token):
    """The client is told the wrong neg-risk flag, so it signs for the wrong contract."""
    from polymarket._internal.actions.orders import market_data

    info = market_data.fetch_market_info_sync(
        client._ctx, condition_id=paper.markets()[0]["conditionId"]
    )
    assert info.neg_risk is False
    real = paper.markets()[3]["tokenIds"][0]
    paper.put_book(real, [("0.38", 50)])
    signed = sell(client, real, "10", "0.38")
    import dataclasses

    if dataclasses.is_dataclass(signed):
        swapped = dataclasses.replace(signed, token_id=token)
    else:
        swapped = signed.model_copy(update={"token_id": token})
    with pytest.raises(RequestRejectedError, match="invalid signature"):
        client.post_order(swapped)


def test_what_is_too_small_is_refused(client, token):
    with pytest.raises(RequestRejectedError, match=r"Size \(4\) lower than the minimum: 5"):
        client.post_order(sell(client, token, "4"))


def test_a_stranger_has_nothing(paper, connect, token):
    stranger = connect(paper.url, STRANGER_KEY)
    with pytest.raises(RequestRejectedError, match="not enough balance"):
        stranger.post_order(sell(stranger, token))
    paper.call(
        "POST", "/paper/balances", {"wallet": stranger.wallet, "asset": token, "amount": "10"}
    )
    assert stranger.post_order(sell(stranger, token)).status == "matched"
    assert paper.ledger()["orders"] == []


def test_one_cannot_see_anothers_order(paper, client, connect, token):
    accepted = client.post_order(sell(client, token))
    stranger = connect(paper.url, STRANGER_KEY)
    with pytest.raises(RequestRejectedError) as refused:
        stranger.get_order(order_id=accepted.order_id)
    assert (refused.value.status, str(refused.value)) == (404, "Order not found")


def test_wrong_credentials_are_refused(paper, client):
    unsigned = paper.http.get("/data/orders")
    assert (unsigned.status_code, unsigned.json()) == (
        401, {"error": "Unauthorized/Invalid api key"},
    )  # fmt: skip
    from paper.keys import l2_signature

    creds = client.credentials
    headers = {
        "POLY_ADDRESS": OWNER, "POLY_API_KEY": creds.key, "POLY_PASSPHRASE": creds.passphrase,
        "POLY_TIMESTAMP": "1763765000",
        "POLY_SIGNATURE": l2_signature(creds.secret, "1763765000", "GET", "/data/orders", b""),
    }  # fmt: skip
    assert paper.http.get("/data/orders", headers=headers).status_code == 401


def test_a_forged_login_is_refused(paper):
    headers = {
        "POLY_ADDRESS": OWNER, "POLY_NONCE": "0", "POLY_TIMESTAMP": "1763765000",
        "POLY_SIGNATURE": "0x" + "11" * 65,
    }  # fmt: skip
    answer = paper.http.post("/auth/api-key", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "Invalid L1 Request headers")


def test_split_and_merge_through_the_relayer(paper, client, market):
    before = collateral(paper)
    client.split_position(condition_id=market["conditionId"], amount=5_000_000).wait()
    client.merge_positions(condition_id=market["conditionId"], amount=2_000_000).wait()
    ledger = paper.ledger()
    assert ledger["splits"] == [{"conditionId": market["conditionId"], "amount": "5"}]
    assert ledger["merges"] == [{"conditionId": market["conditionId"], "amount": "2"}]
    assert before - collateral(paper) == 3
    for token in market["tokenIds"]:
        assert (
            client.get_balance_allowance(asset_type="CONDITIONAL", token_id=token).balance
            == 10_003_000_000
        )


def test_a_split_beyond_the_balance_fails_and_moves_nothing(paper, client, market):
    handle = client.split_position(condition_id=market["conditionId"], amount=200_000_000_000)
    with pytest.raises(TransactionFailedError, match="exceeds balance"):
        handle.wait()
    assert collateral(paper) == 100_000
    assert paper.ledger()["splits"] == []
    client.split_position(condition_id=market["conditionId"], amount=1_000_000).wait()


def test_the_same_batch_executes_once(paper, client, market):
    from polymarket._internal.actions.relayer import calls, gasless, submit

    call = calls.ctf_split_position_call(
        target="0xAdA100Db00Ca00073811820692005400218FcE1f",
        collateral="0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB",
        condition_id=market["conditionId"], amount=1_000_000,
    )  # fmt: skip
    payload = gasless.build_signed_deposit_wallet_payload_sync(
        client._ctx, calls=[call], metadata=""
    )
    sent = submit.submit_gasless_sync(client._ctx.relayer, payload=payload)
    with pytest.raises(RequestRejectedError, match="in-flight action"):
        submit.submit_gasless_sync(client._ctx.relayer, payload=payload)
    look_up = "/v1/account/transactions"
    headers = {"RELAYER_API_KEY": "any"}
    wait_until(
        lambda: (
            paper.http.get(f"{look_up}/{sent.transaction_id}").json()["state"] == "STATE_CONFIRMED"
        )
    )
    with pytest.raises(
        RequestRejectedError, match=r"batch nonce \d+ does not match on-chain nonce"
    ):
        submit.submit_gasless_sync(client._ctx.relayer, payload=payload)
    found = paper.http.get(
        look_up, headers=headers, params={"wallet": client.wallet, "nonce": payload["nonce"]}
    ).json()["data"]
    assert [row["transaction_id"] for row in found] == [sent.transaction_id]
    assert len(paper.ledger()["splits"]) == 1


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("nonce",), "999", "invalid signature"),
        (("from",), "0x" + "11" * 20, "invalid signature"),
        (("depositWalletParams", "deadline"), "1", "invalid signature"),
        (("depositWalletParams", "calls", 0, "target"), "0x" + "11" * 20, "invalid signature"),
        (("signature",), "0x00", "invalid signature"),
        (("signature",), "zz", "invalid transaction request"),
    ],
)
def test_a_forged_batch_is_refused(paper, client, market, path, value, words):
    from polymarket._internal.actions.relayer import calls, gasless

    call = calls.ctf_split_position_call(
        target="0xAdA100Db00Ca00073811820692005400218FcE1f",
        collateral="0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB",
        condition_id=market["conditionId"], amount=1_000_000,
    )  # fmt: skip
    payload = gasless.build_signed_deposit_wallet_payload_sync(
        client._ctx, calls=[call], metadata=""
    )
    inner = payload
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    answer = paper.http.post("/submit", json=payload, headers={"RELAYER_API_KEY": "any"})
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_an_unknown_target_is_blocked(paper, client):
    from polymarket._internal.actions.relayer import calls

    call = calls.erc20_transfer_call(
        token_address="0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB", recipient=OWNER, amount=1
    )
    with pytest.raises(RequestRejectedError, match="call blocked"):
        client.execute_transaction(calls=[call])


def test_the_chain_shows_the_split(paper, client, market):
    outcome = client.split_position(condition_id=market["conditionId"], amount=1_000_000).wait()
    receipt = client._ctx.rpc.eth_get_transaction_receipt(outcome.transaction_hash)
    assert receipt is not None
    assert receipt["status"] == "0x1"
    arrived = receipt["logs"][-1]
    assert arrived["address"] == "0x4D97DCd97eC945f40cF65F87097ACe5EA0476045"
    assert arrived["topics"][3].endswith(client.wallet[2:].lower())


def test_an_eoa_trades_when_it_is_the_installations_wallet(home, connect):
    with running_paper(home, OWNER, PAPER_WALLET=OWNER, **FAST) as eoa_paper:
        client = client_on(eoa_paper.url, OWNER_KEY, OWNER)
        assert client.wallet_type == "EOA"
        token = eoa_paper.markets()[0]["tokenIds"][0]
        eoa_paper.put_book(token, [("0.48", 100)])
        accepted = client.post_order(sell(client, token))
        assert accepted.status == "matched"
        assert eoa_paper.ledger()["trades"][0]["orderId"] == accepted.order_id
        client.close()
    assert Account.from_key(OWNER_KEY).address == OWNER
