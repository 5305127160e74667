"""Splits: signed first, sent second, looked up before anything is signed anew."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from polymarket._internal.actions.relayer.calls import TransactionCall
from polymarket._internal.actions.relayer.signing.deposit_wallet import (
    build_deposit_wallet_typed_data,
)

from exchange.errors import OutcomeUnknown, Rejected, Unavailable
from exchange.polymarket.addresses import COLLATERAL_ADAPTER, NEG_RISK_COLLATERAL_ADAPTER
from exchange.polymarket.minting import PolymarketMinter
from exchange.polymarket.settings import Account, Endpoints
from exchange.polymarket.wallets import deposit_wallet_of
from tests.exchange.conftest import CONDITION, CREDENTIALS, KEY, OWNER, QUICK
from tests.exchange.stub import Answer, Reset, Silence, Stub

PARAMS = "/v1/account/transactions/params"
RECORDED_SPLIT = (
    "0x72ce4275000000000000000000000000c011a7e12a19f7b1f670d46f03b03f3342e82dfb"
    "0000000000000000000000000000000000000000000000000000000000000000"
    "747dc809fb79e1b05be09c42d6179459a58de2ef3e40f02484a4e1260f741f75"
    "00000000000000000000000000000000000000000000000000000000000000a0"
    "00000000000000000000000000000000000000000000000000000000004c4b40"
    "0000000000000000000000000000000000000000000000000000000000000002"
    "0000000000000000000000000000000000000000000000000000000000000001"
    "0000000000000000000000000000000000000000000000000000000000000002"
)


@pytest.fixture
def minter(venue: Stub) -> PolymarketMinter:
    account = Account(KEY, credentials=CREDENTIALS, relayer_key="relayer-x")
    return PolymarketMinter(Endpoints.paper(venue.url), account, QUICK)


def test_a_split_is_the_recorded_call_signed_by_the_owner(venue: Stub, minter):
    signed = minter.sign_split(CONDITION, False, Decimal(5), 7)
    assert venue.asked == []
    envelope = json.loads(signed.payload)
    batch = envelope["depositWalletParams"]
    (call,) = batch["calls"]
    assert call == {"target": COLLATERAL_ADAPTER, "value": "0", "data": RECORDED_SPLIT}
    assert (envelope["type"], envelope["from"], envelope["nonce"]) == ("WALLET", OWNER, "7")
    assert signed.wallet == batch["depositWallet"] == deposit_wallet_of(OWNER)
    assert signed.deadline.timestamp() == int(batch["deadline"])
    left = signed.deadline - datetime.now(UTC)
    assert timedelta(seconds=590) < left <= timedelta(seconds=600)
    typed = build_deposit_wallet_typed_data(
        wallet=signed.wallet,
        calls=[TransactionCall(to=call["target"], data=call["data"])],
        nonce="7",
        deadline=batch["deadline"],
        chain_id=137,
    )
    signable = encode_typed_data(full_message=typed)
    assert EthAccount.recover_message(signable, signature=envelope["signature"]) == OWNER


def test_a_neg_risk_split_goes_to_its_own_adapter_and_may_approve_exactly(minter):
    signed = minter.sign_split(CONDITION, True, Decimal(5), 7, approve=True)
    approve, split = json.loads(signed.payload)["depositWalletParams"]["calls"]
    assert split["target"] == NEG_RISK_COLLATERAL_ADAPTER
    assert approve["data"].startswith("0x095ea7b3")
    assert int(approve["data"][-64:], 16) == 5_000_000


def test_the_same_bytes_may_be_submitted_again(venue: Stub, minter):
    signed = minter.sign_split(CONDITION, False, Decimal(5), 7)
    venue.on("POST", "/submit", {"transactionID": "tx-1", "state": "STATE_NEW"})
    assert minter.submit(signed) == minter.submit(signed) == "tx-1"
    first, second = venue.of("POST", "/submit")
    assert first.body == second.body == signed.payload.encode()
    assert first.headers["RELAYER_API_KEY"] == "relayer-x"
    assert first.headers["RELAYER_API_KEY_ADDRESS"] == OWNER


@pytest.mark.parametrize(
    ("status", "body", "error", "code"),
    [
        (400, {"error": "batch nonce 7 does not match on-chain nonce 8"}, Rejected, "nonce"),
        (400, {"error": "batch nonce 7 does not match on-chain nonce 6"}, Unavailable, None),
        (400, {"error": "wallet busy: 1 active action"}, Unavailable, None),
        (400, {"error": "wallet has in-flight action"}, Unavailable, None),
        (400, {"error": "call blocked: target not allowed"}, Rejected, "blocked"),
        (400, {"error": "deadline has passed"}, Rejected, "nonce"),
        (401, {"error": "invalid relayer key"}, Rejected, "not_allowed"),
        (429, {"error": "slow down"}, Unavailable, None),
        (500, {"error": "oops"}, OutcomeUnknown, None),
        (200, {"state": "STATE_NEW"}, OutcomeUnknown, None),
        (200, Answer(b"<html>", 200, "text/html"), OutcomeUnknown, None),
        (200, Silence, OutcomeUnknown, None),
        (200, Reset, OutcomeUnknown, None),
    ],
)
def test_the_relayers_answers(venue: Stub, minter, status, body, error, code):
    venue.on("POST", "/submit", body, status)
    with pytest.raises(error) as raised:
        minter.submit(minter.sign_split(CONDITION, False, Decimal(5), 7))
    assert getattr(raised.value, "code", None) == code


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("STATE_NEW", "pending"),
        ("STATE_EXECUTED", "pending"),
        ("STATE_MINED", "pending"),
        ("STATE_CONFIRMED", "confirmed"),
        ("STATE_FAILED", "failed"),
        ("STATE_INVALID", "failed"),
    ],
)
def test_a_split_is_found_by_its_transaction(venue: Stub, minter, state, status):
    signed = minter.sign_split(CONDITION, False, Decimal(5), 7)
    row = {"transaction_id": "tx-1", "transaction_hash": "0xdd", "state": state}
    venue.on("GET", "/v1/account/transactions/tx-1", row)
    report = minter.find_split(signed, "tx-1")
    assert (report.transaction_id, report.status, report.transaction_hash) == (
        "tx-1",
        status,
        "0xdd",
    )


def test_a_transaction_the_relayer_does_not_know_is_absent(minter):
    assert minter.find_split(minter.sign_split(CONDITION, False, Decimal(5), 7), "tx-9") is None


def test_an_unknown_state_is_not_an_outcome(venue: Stub, minter):
    venue.on("GET", "/v1/account/transactions/tx-1", {"state": "STATE_ODD"})
    with pytest.raises(Unavailable):
        minter.find_split(minter.sign_split(CONDITION, False, Decimal(5), 7), "tx-1")


def test_a_lost_answer_is_found_by_the_signature(venue: Stub, minter):
    signed = minter.sign_split(CONDITION, False, Decimal(5), 7)
    signature = json.loads(signed.payload)["signature"]
    other = {"transactionID": "x", "state": "STATE_CONFIRMED", "signature": "0x11"}
    ours = {"transactionID": "tx-1", "state": "STATE_FAILED", "signature": signature}
    again = ours | {"transactionID": "tx-2", "state": "STATE_CONFIRMED", "transactionHash": "0xdd"}
    venue.on("GET", "/transactions", [other, ours, again])
    report = minter.find_split(signed, "")
    assert (report.transaction_id, report.status, report.transaction_hash) == (
        "tx-2",
        "confirmed",
        "0xdd",
    )


def test_an_unlisted_split_is_absent_until_its_nonce_is_used(venue: Stub, minter):
    signed = minter.sign_split(CONDITION, False, Decimal(5), 7)
    venue.on("GET", "/transactions", [])
    venue.on("GET", PARAMS, {"address": OWNER, "nonce": "7"})
    assert minter.find_split(signed, "") is None
    venue.on("GET", PARAMS, {"address": OWNER, "nonce": "8"})
    report = minter.find_split(signed, "")
    assert (report.status, report.transaction_id) == ("pending", "")
    assert "nonce 7 was used" in report.message
    assert venue.of("GET", PARAMS)[0].query == {"address": OWNER, "type": "WALLET"}


def test_a_list_that_says_nothing_is_not_an_absence(venue: Stub, minter):
    signed = minter.sign_split(CONDITION, False, Decimal(5), 7)
    for reply in (Silence, Answer({"error": "gone"}, 404), Answer(["x"]), Answer(b"<html>")):
        venue.on("GET", "/transactions", reply)
        with pytest.raises(Unavailable):
            minter.find_split(signed, "")


def test_the_next_nonce_is_the_relayers(venue: Stub, minter):
    venue.on("GET", PARAMS, {"address": OWNER, "nonce": "12"})
    assert minter.next_nonce() == 12
    venue.on("GET", PARAMS, {"address": OWNER})
    with pytest.raises(Unavailable):
        minter.next_nonce()


def test_the_time_is_the_chains(venue: Stub, minter):
    venue.on("POST", "/rpc", {"jsonrpc": "2.0", "id": 1, "result": {"timestamp": "0x69217a00"}})
    assert minter.now() == datetime.fromtimestamp(0x69217A00, UTC)
    venue.on("POST", "/rpc", {"jsonrpc": "2.0", "id": 1, "result": None})
    with pytest.raises(Unavailable):
        minter.now()


def test_an_eoa_is_told_that_it_cannot_mint_yet(venue: Stub):
    minter = PolymarketMinter(Endpoints.paper(venue.url), Account(KEY, wallet=OWNER), QUICK)
    with pytest.raises(Rejected, match="needs a deposit wallet"):
        minter.sign_split(CONDITION, False, Decimal(5), 7)


def test_a_wallet_of_another_key_is_refused(venue: Stub):
    stranger = replace(Account(KEY), wallet="0x" + "22" * 20)
    with pytest.raises(Rejected, match="does not belong"):
        PolymarketMinter(Endpoints.paper(venue.url), stranger, QUICK).next_nonce()
