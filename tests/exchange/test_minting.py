"""Relayed conversions: signed first, sent second, looked up before anything is signed anew."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_defunct, encode_typed_data
from polymarket._internal.actions.relayer.calls import TransactionCall
from polymarket._internal.actions.relayer.signing.deposit_wallet import (
    build_deposit_wallet_typed_data,
)
from polymarket._internal.actions.relayer.signing.proxy import build_proxy_transaction_hash
from polymarket._internal.actions.relayer.signing.safe import build_safe_typed_data
from polymarket._internal.environment import PRODUCTION_CONFIG
from polymarket._internal.wallet import derive_proxy_wallet_address, derive_safe_wallet_address

from exchange.errors import OutcomeUnknown, Rejected, Unavailable
from exchange.polymarket.addresses import (
    COLLATERAL,
    COLLATERAL_ADAPTER,
    CONDITIONAL_TOKENS,
    NEG_RISK_COLLATERAL_ADAPTER,
)
from exchange.polymarket.minting import minter_of
from exchange.polymarket.positions import position_id
from exchange.polymarket.relayed import RelayedMinter
from exchange.polymarket.settings import Account, Endpoints
from exchange.polymarket.wallets import deposit_wallet_of
from exchange.types import Approval, Conversion
from tests.exchange.conftest import CONDITION, CREDENTIALS, KEY, NO, OWNER, QUICK, YES
from tests.exchange.rpc import Node, batch_log, receipt
from tests.exchange.stub import Answer, Reset, Silence, Stub

DERIVATION = PRODUCTION_CONFIG.wallet_derivation
SAFE = derive_safe_wallet_address(OWNER, DERIVATION)
PROXY = derive_proxy_wallet_address(OWNER, DERIVATION)
RELAY = "0x" + "77" * 20
PARAMS = "/v1/account/transactions/params"
TRANSACTION = "/v1/account/transactions/tx-1"
SPLIT = Conversion("split", CONDITION, False, (YES, NO), Decimal(5))
NEG_RISK = (position_id(CONDITION, 0, True), position_id(CONDITION, 1, True))
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
def node(venue: Stub) -> Node:
    return Node(venue)


@pytest.fixture
def minter(venue: Stub) -> RelayedMinter:
    return minter_for(venue, "")


def minter_for(venue: Stub, wallet: str) -> RelayedMinter:
    account = Account(KEY, wallet=wallet, credentials=CREDENTIALS, relayer_key="relayer-x")
    minter = minter_of(Endpoints.paper(venue.url), account, QUICK)
    assert isinstance(minter, RelayedMinter)
    return minter


def calls_in(signed) -> list[dict[str, str]]:
    return json.loads(signed.payload)["depositWalletParams"]["calls"]


def test_a_split_is_the_recorded_call_signed_by_the_owner(venue: Stub, minter):
    signed = minter.sign(SPLIT, 7)
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
    conversion = replace(SPLIT, neg_risk=True, tokens=NEG_RISK)
    approval = Approval(NEG_RISK_COLLATERAL_ADAPTER, Decimal(5))
    approve, split = calls_in(minter.sign(conversion, 7, approval))
    assert split["target"] == NEG_RISK_COLLATERAL_ADAPTER
    assert approve["target"] == COLLATERAL
    assert approve["data"].startswith("0x095ea7b3")
    assert int(approve["data"][-64:], 16) == 5_000_000


def test_an_infinite_approval_is_the_largest_number(minter):
    approve, _ = calls_in(minter.sign(SPLIT, 7, Approval(COLLATERAL_ADAPTER, Decimal("Infinity"))))
    assert int(approve["data"][-64:], 16) == 2**256 - 1


def test_an_approval_of_all_tokens_ends_with_the_batch_that_needs_it(minter):
    merge = replace(SPLIT, kind="merge")
    approve, call, revoke = calls_in(minter.sign(merge, 7, Approval(COLLATERAL_ADAPTER, None)))
    assert call["data"].startswith("0x9e7212ad")
    assert approve["target"] == revoke["target"] == CONDITIONAL_TOKENS
    assert approve["data"].startswith("0xa22cb465")
    assert int(approve["data"][-64:], 16) == 1
    assert revoke["data"] == approve["data"][:-1] + "0"


def test_a_redemption_names_no_amount(minter):
    redeem = replace(SPLIT, kind="redeem", quantity=Decimal(0))
    (call,) = calls_in(minter.sign(redeem, 7))
    assert call["data"].startswith("0x01b7037c")
    assert CONDITION.removeprefix("0x") in call["data"]


@pytest.mark.parametrize(
    ("conversion", "code"),
    [
        (replace(SPLIT, neg_risk=True), "wrong_tokens"),
        (replace(SPLIT, tokens=(NO, YES)), "wrong_tokens"),
        (replace(SPLIT, condition_id="0x12"), "wrong_tokens"),
        (replace(SPLIT, quantity=Decimal(0)), "min_size"),
        (replace(SPLIT, kind="merge", quantity=Decimal(-1)), "min_size"),
        (replace(SPLIT, quantity=Decimal("0.0000001")), "precision"),
    ],
)
def test_what_could_not_work_is_not_signed(minter, conversion, code):
    with pytest.raises(Rejected) as raised:
        minter.sign(conversion, 7)
    assert raised.value.code == code


def test_a_safe_signs_one_call_as_it_is_and_several_as_a_multisend(venue: Stub):
    minter = minter_for(venue, SAFE)
    single = minter.sign(SPLIT, 3)
    envelope = json.loads(single.payload)
    assert (single.deadline, envelope["type"]) == (None, "SAFE")
    assert (envelope["to"], envelope["data"]) == (COLLATERAL_ADAPTER, RECORDED_SPLIT)
    assert envelope["signatureParams"]["operation"] == "0"
    assert recovered_from_safe(envelope) == OWNER
    several = json.loads(minter.sign(SPLIT, 3, Approval(COLLATERAL_ADAPTER, Decimal(5))).payload)
    assert several["to"] == PRODUCTION_CONFIG.safe_multisend
    assert several["signatureParams"]["operation"] == "1"
    assert several["data"].startswith("0x8d80ff0a")  # multiSend(bytes)
    assert RECORDED_SPLIT.removeprefix("0x") in several["data"]
    assert recovered_from_safe(several) == OWNER


def recovered_from_safe(envelope) -> str:
    typed = build_safe_typed_data(
        safe_address=SAFE,
        to=envelope["to"],
        data=envelope["data"],
        value=0,
        operation=int(envelope["signatureParams"]["operation"]),
        nonce=envelope["nonce"],
        chain_id=137,
    )
    signature = bytes.fromhex(envelope["signature"][2:])
    hashed = encode_typed_data(full_message=typed)
    from eth_utils.crypto import keccak

    digest = keccak(b"\x19" + hashed.version + hashed.header + hashed.body)
    plain = signature[:64] + bytes([signature[64] - 4])  # a Safe's mark of eth_sign
    return EthAccount.recover_message(encode_defunct(primitive=digest), signature=plain)


def test_a_proxy_signs_for_the_relay_that_will_send_it(venue: Stub, node: Node):
    venue.on("GET", "/relay-payload", {"address": RELAY, "nonce": "4"})
    node.on("eth_estimateGas", hex(400_000))
    minter = minter_for(venue, PROXY)
    assert minter.next_nonce() == 4
    signed = minter.sign(SPLIT, 4, Approval(COLLATERAL_ADAPTER, Decimal(5)))
    envelope = json.loads(signed.payload)
    told = envelope["signatureParams"]
    assert (envelope["type"], envelope["to"]) == ("PROXY", DERIVATION.proxy_factory)
    assert (signed.wallet, signed.deadline) == (PROXY, None)
    assert (told["relay"], told["gasLimit"]) == (RELAY, "520000")
    digest = build_proxy_transaction_hash(
        from_address=OWNER, to=DERIVATION.proxy_factory, data=envelope["data"], relayer_fee="0",
        gas_price="0", gas_limit="520000", nonce="4", relay_hub=PRODUCTION_CONFIG.relay_hub,
        relay=RELAY,
    )  # fmt: skip
    signable = encode_defunct(hexstr=digest)
    assert EthAccount.recover_message(signable, signature=envelope["signature"]) == OWNER
    assert venue.of("GET", "/relay-payload")[0].query == {"address": OWNER, "type": "PROXY"}


def test_a_proxy_signs_nothing_for_a_nonce_that_has_passed(venue: Stub, node: Node):
    venue.on("GET", "/relay-payload", {"address": RELAY, "nonce": "5"})
    node.on("eth_estimateGas", hex(400_000))
    with pytest.raises(Unavailable, match="nonce is 5 now"):
        minter_for(venue, PROXY).sign(SPLIT, 4)


def test_a_proxys_trial_run_says_why_it_would_revert(venue: Stub, node: Node):
    words = "0x08c379a0" + f"{32:064x}{10:064x}" + b"not enough".hex().ljust(64, "0")
    error = {"code": 3, "message": "execution reverted", "data": words}
    node.on("eth_estimateGas", {"error": error})
    with pytest.raises(Rejected, match="not enough") as raised:
        minter_for(venue, PROXY).sign(SPLIT, 4)
    assert raised.value.code == "would_revert"


def test_the_same_bytes_may_be_submitted_again(venue: Stub, minter):
    signed = minter.sign(SPLIT, 7)
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
        (400, {"error": "invalid nonce"}, Rejected, "nonce"),
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
        minter.submit(minter.sign(SPLIT, 7))
    assert getattr(raised.value, "code", None) == code


def test_a_refused_key_is_named_by_its_setting_and_not_shown(venue: Stub, minter):
    venue.on("POST", "/submit", {"error": "invalid authorization"}, 401)
    with pytest.raises(Rejected, match="POLY_RELAYER_KEY") as raised:
        minter.submit(minter.sign(SPLIT, 7))
    assert "relayer-x" not in str(raised.value)


@pytest.mark.parametrize("state", ["STATE_NEW", "STATE_EXECUTED", "STATE_MINED"])
def test_a_transaction_on_its_way_is_pending_without_asking_the_chain(venue: Stub, minter, state):
    venue.on("GET", TRANSACTION, {"transaction_hash": "0xdd", "state": state})
    report = minter.find([minter.sign(SPLIT, 7)], "tx-1")
    found = (report.transaction_id, report.status, report.transaction_hash)
    assert found == ("tx-1", "pending", "0xdd")
    assert venue.of("POST", "/rpc") == []


def test_a_confirmed_transaction_moved_what_its_receipt_shows(venue: Stub, node: Node, minter):
    venue.on("GET", TRANSACTION, {"transaction_hash": "0xdd", "state": "STATE_CONFIRMED"})
    logs = [
        batch_log(COLLATERAL_ADAPTER, minter.wallet, {YES: 5_000_000, NO: 5_000_000}),
        batch_log(COLLATERAL_ADAPTER, OWNER, {YES: 7}),
        batch_log(COLLATERAL_ADAPTER, minter.wallet, {YES: 9}, contract="0x" + "55" * 20),
    ]
    node.on("eth_getTransactionReceipt", receipt(logs))
    report = minter.find([minter.sign(SPLIT, 7)], "tx-1")
    assert (report.status, report.transaction_hash) == ("confirmed", "0xdd")
    assert report.moved == {YES: Decimal(5), NO: Decimal(5)}
    assert report.cost == 0


def test_a_confirmation_without_logs_moved_nothing(venue: Stub, node: Node, minter):
    venue.on("GET", TRANSACTION, {"transaction_hash": "0xdd", "state": "STATE_CONFIRMED"})
    node.on("eth_getTransactionReceipt", receipt([]))
    report = minter.find([minter.sign(SPLIT, 7)], "tx-1")
    assert (report.status, report.moved) == ("confirmed", {})


def test_a_confirmation_waits_for_its_receipt(venue: Stub, node: Node, minter):
    venue.on("GET", TRANSACTION, {"transaction_hash": "0xdd", "state": "STATE_CONFIRMED"})
    node.on("eth_getTransactionReceipt", None)
    report = minter.find([minter.sign(SPLIT, 7)], "tx-1")
    assert report.status == "pending"
    assert "receipt" in report.message


def test_a_confirmation_that_reverted_on_the_chain_is_none(venue: Stub, node: Node, minter):
    venue.on("GET", TRANSACTION, {"transaction_hash": "0xdd", "state": "STATE_CONFIRMED"})
    node.on("eth_getTransactionReceipt", receipt([], status="0x0"))
    assert minter.find([minter.sign(SPLIT, 7)], "tx-1").status == "reverted"


@pytest.mark.parametrize("state", ["STATE_FAILED", "STATE_INVALID"])
def test_a_failed_transaction_says_why(venue: Stub, minter, state):
    row = {"transaction_hash": "", "state": state, "error_msg": "out of luck"}
    venue.on("GET", TRANSACTION, row)
    report = minter.find([minter.sign(SPLIT, 7)], "tx-1")
    assert (report.status, report.message) == ("reverted", "out of luck")


def test_a_failure_that_moved_tokens_on_the_chain_is_a_success(venue: Stub, node: Node, minter):
    venue.on("GET", TRANSACTION, {"transaction_hash": "0xdd", "state": "STATE_FAILED"})
    log = batch_log(COLLATERAL_ADAPTER, minter.wallet, {YES: 5_000_000, NO: 5_000_000})
    node.on("eth_getTransactionReceipt", receipt([log]))
    assert minter.find([minter.sign(SPLIT, 7)], "tx-1").status == "confirmed"


def test_a_transaction_the_relayer_does_not_know_is_absent(venue: Stub, minter):
    venue.on("GET", PARAMS, {"address": OWNER, "nonce": "7"})
    venue.on("GET", "/transactions", [])
    assert minter.find([minter.sign(SPLIT, 7)], "tx-9") is None


def test_an_unknown_state_is_not_an_outcome(venue: Stub, minter):
    venue.on("GET", TRANSACTION, {"state": "STATE_ODD"})
    with pytest.raises(Unavailable):
        minter.find([minter.sign(SPLIT, 7)], "tx-1")


def test_a_lost_answer_is_found_by_the_signature(venue: Stub, node: Node, minter):
    signed = minter.sign(SPLIT, 7)
    signature = json.loads(signed.payload)["signature"]
    other = {"transactionID": "x", "state": "STATE_CONFIRMED", "signature": "0x11"}
    ours = {"transactionID": "tx-1", "state": "STATE_FAILED", "signature": signature}
    again = ours | {"transactionID": "tx-2", "state": "STATE_CONFIRMED", "transactionHash": "0xdd"}
    venue.on("GET", PARAMS, {"address": OWNER, "nonce": "8"})
    venue.on("GET", "/transactions", [other, ours, again])
    node.on("eth_getTransactionReceipt", receipt([]))
    report = minter.find([signed], "")
    found = (report.transaction_id, report.status, report.transaction_hash)
    assert found == ("tx-2", "confirmed", "0xdd")


def test_an_unlisted_transaction_is_absent_until_its_nonce_is_used(venue: Stub, minter):
    signed = minter.sign(SPLIT, 7)
    venue.on("GET", "/transactions", [])
    venue.on("GET", PARAMS, {"address": OWNER, "nonce": "7"})
    assert minter.find([signed], "") is None
    venue.on("GET", PARAMS, {"address": OWNER, "nonce": "8"})
    report = minter.find([signed], "")
    assert (report.status, report.transaction_id) == ("unaccounted", "")
    assert "nonce 7 was used" in report.message
    assert venue.of("GET", PARAMS)[0].query == {"address": OWNER, "type": "WALLET"}


def test_a_list_that_says_nothing_is_not_an_absence(venue: Stub, minter):
    signed = minter.sign(SPLIT, 7)
    venue.on("GET", PARAMS, {"address": OWNER, "nonce": "7"})
    for reply in (Silence, Answer({"error": "gone"}, 404), Answer(["x"]), Answer(b"<html>")):
        venue.on("GET", "/transactions", reply)
        with pytest.raises(Unavailable):
            minter.find([signed], "")


@pytest.mark.parametrize(("wallet", "kind"), [("", "WALLET"), (SAFE, "SAFE")])
def test_the_next_nonce_is_the_relayers(venue: Stub, wallet, kind):
    minter = minter_for(venue, wallet)
    venue.on("GET", PARAMS, {"address": OWNER, "nonce": "12"})
    assert minter.next_nonce() == 12
    assert venue.of("GET", PARAMS)[0].query == {"address": OWNER, "type": kind}
    venue.on("GET", PARAMS, {"address": OWNER})
    with pytest.raises(Unavailable):
        minter.next_nonce()


def test_nothing_is_replaced_where_the_relayer_pays(minter):
    assert minter.sign_replacement(minter.sign(SPLIT, 7)) is None
    assert minter.approves_apart is False


def test_a_wallet_of_another_key_is_refused(venue: Stub):
    stranger = replace(Account(KEY), wallet="0x" + "22" * 20)
    with pytest.raises(Rejected, match="does not belong"):
        minter_of(Endpoints.paper(venue.url), stranger, QUICK)
