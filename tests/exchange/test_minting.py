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


HEAD = 200
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
"""The chain's time, whatever ours is."""


@pytest.fixture(autouse=True)
def node(venue: Stub) -> Node:
    """A chain at block 200, in which the wallet's next nonce is 7."""
    node = Node(venue)
    node.on("eth_getTransactionReceipt", None)
    node.on_call("nonce()", 7)
    node.on_call("getNonce(address)", 4)
    be_at(node, NOW)
    return node


def be_at(node: Node, moment: datetime) -> None:
    """Give the chain's latest block this time."""
    block = {"number": hex(HEAD), "timestamp": hex(int(moment.timestamp()))}
    node.on("eth_getBlockByNumber", block)


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
    assert [asked.json["method"] for asked in venue.asked] == ["eth_getBlockByNumber"]
    envelope = json.loads(signed.payload)
    batch = envelope["depositWalletParams"]
    (call,) = batch["calls"]
    assert call == {"target": COLLATERAL_ADAPTER, "value": "0", "data": RECORDED_SPLIT}
    assert (envelope["type"], envelope["from"], envelope["nonce"]) == ("WALLET", OWNER, "7")
    assert signed.wallet == batch["depositWallet"] == deposit_wallet_of(OWNER)
    assert signed.deadline.timestamp() == int(batch["deadline"])
    assert signed.deadline == NOW + timedelta(seconds=600), "by the chain's clock, not by ours"
    assert signed.since_block == HEAD
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
        (400, {"error": "deadline has passed"}, Rejected, "expiration"),
        (400, {"error": "deadline too far in the future"}, Rejected, "expiration"),
        (400, {"error": "invalid nonce, deadline or signature"}, Rejected, "nonce"),
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


def says(venue: Stub, state: str, transaction_hash: str = "0xdd", message: str = "") -> None:
    """Have the relayer say this of tx-1, and list nothing."""
    row = {"transaction_hash": transaction_hash, "state": state, "error_msg": message}
    venue.on("GET", TRANSACTION, row)
    venue.on("GET", "/transactions", [])


def listed(signed, transaction_id: str, state: str, transaction_hash: str = "") -> dict[str, str]:
    """A row of the relayer's list."""
    signature = json.loads(signed.payload)["signature"]
    return {
        "transactionID": transaction_id, "state": state, "signature": signature,
        "transactionHash": transaction_hash,
    }  # fmt: skip


def nonces(node: Node, latest: int, deep: int | None = None) -> None:
    """The wallet's next nonce in the latest block, and in one under enough blocks."""
    shown = {hex(HEAD): latest, "latest": latest}
    deeper = latest if deep is None else deep
    node.on("eth_call", lambda _, block: f"0x{shown.get(block, deeper):064x}")


SUCCESS = [batch_log(COLLATERAL_ADAPTER, deposit_wallet_of(OWNER), {YES: 5_000_000, NO: 5_000_000})]


@pytest.mark.parametrize("state", ["STATE_NEW", "STATE_EXECUTED", "STATE_MINED"])
def test_a_transaction_on_its_way_is_pending(venue: Stub, minter, state):
    says(venue, state)
    report = minter.find([minter.sign(SPLIT, 7)], "tx-1")
    found = (report.transaction_id, report.status, report.transaction_hash, report.is_mined)
    assert found == ("tx-1", "pending", "0xdd", False)


def test_a_confirmed_transaction_moved_what_its_receipt_shows(venue: Stub, node: Node, minter):
    says(venue, "STATE_CONFIRMED")
    logs = [
        *SUCCESS,
        batch_log(COLLATERAL_ADAPTER, OWNER, {YES: 7}),
        batch_log(COLLATERAL_ADAPTER, minter.wallet, {YES: 9}, contract="0x" + "55" * 20),
    ]
    node.on("eth_getTransactionReceipt", receipt(logs))
    report = minter.find([minter.sign(SPLIT, 7)], "tx-1")
    assert (report.status, report.transaction_hash) == ("confirmed", "0xdd")
    assert report.moved == {YES: Decimal(5), NO: Decimal(5)}
    assert report.cost == 0


def test_a_confirmation_without_logs_moved_nothing(venue: Stub, node: Node, minter):
    says(venue, "STATE_CONFIRMED")
    node.on("eth_getTransactionReceipt", receipt([]))
    report = minter.find([minter.sign(SPLIT, 7)], "tx-1")
    assert (report.status, report.moved) == ("confirmed", {})


@pytest.mark.parametrize("nonce", [7, 8])
def test_a_confirmation_waits_for_its_receipt(venue: Stub, node: Node, minter, nonce):
    says(venue, "STATE_CONFIRMED")
    nonces(node, nonce)
    report = minter.find([minter.sign(SPLIT, 7)], "tx-1")
    assert report.status == "pending"
    assert "receipt" in report.message


@pytest.mark.parametrize("state", ["STATE_EXECUTED", "STATE_ODD", "STATE_FAILED"])
def test_a_receipt_decides_under_enough_blocks_whatever_the_relayer_says(
    venue: Stub, node: Node, minter, state
):
    says(venue, state)
    node.on("eth_getTransactionReceipt", receipt(SUCCESS, block=HEAD - 4))
    signed = [minter.sign(SPLIT, 7)]
    nonces(node, 8)
    report = minter.find(signed, "tx-1")
    assert (report.status, report.is_mined) == ("pending", True)
    assert "4 of 5 blocks" in report.message
    node.on("eth_getTransactionReceipt", receipt(SUCCESS, block=HEAD - 5))
    report = minter.find(signed, "tx-1")
    assert (report.status, report.is_mined) == ("confirmed", False)
    assert report.moved == {YES: Decimal(5), NO: Decimal(5)}


@pytest.mark.parametrize("state", ["STATE_CONFIRMED", "STATE_EXECUTED", "STATE_FAILED"])
def test_a_failed_receipt_is_final_when_its_nonce_is_used_and_deep(
    venue: Stub, node: Node, minter, state
):
    says(venue, state)
    signed = [minter.sign(SPLIT, 7)]
    node.on("eth_getTransactionReceipt", receipt([], status="0x0", block=HEAD - 5))
    assert minter.find(signed, "tx-1").status == "open"
    nonces(node, 8)
    assert minter.find(signed, "tx-1").status == "reverted"
    node.on("eth_getTransactionReceipt", receipt([], status="0x0", block=HEAD - 4))
    report = minter.find(signed, "tx-1")
    assert (report.status, report.is_mined) == ("pending", True)


def test_a_safes_failure_did_not_use_the_nonce_that_is_used_now(venue: Stub, node: Node):
    minter = minter_for(venue, SAFE)
    says(venue, "STATE_FAILED")
    node.on("eth_getTransactionReceipt", receipt([], status="0x0", block=HEAD - 5))
    signed = [minter.sign(SPLIT, 7)]
    assert minter.find(signed, "tx-1").status == "open"
    nonces(node, 8)
    assert minter.find(signed, "tx-1").status == "unaccounted"


def test_a_proxys_failed_call_has_used_its_nonce_to_no_effect(venue: Stub, node: Node):
    venue.on("GET", "/relay-payload", {"address": RELAY, "nonce": "4"})
    node.on("eth_estimateGas", hex(400_000))
    minter = minter_for(venue, PROXY)
    signed = [minter.sign(SPLIT, 4)]
    says(venue, "STATE_MINED")
    node.on_call("getNonce(address)", 5)
    node.on("eth_getTransactionReceipt", receipt([], block=HEAD - 4))
    report = minter.find(signed, "tx-1")
    assert (report.status, report.is_mined) == ("pending", True)
    node.on("eth_getTransactionReceipt", receipt([], block=HEAD - 5))
    assert minter.find(signed, "tx-1").status == "reverted"
    node.on_call("getNonce(address)", 4)
    assert minter.find(signed, "tx-1").status == "open"


@pytest.mark.parametrize("state", ["STATE_FAILED", "STATE_INVALID"])
@pytest.mark.parametrize("transaction_hash", ["", "0xdd"])
def test_what_the_relayer_gives_up_is_open_until_its_nonce_is_used(
    venue: Stub, node: Node, minter, state, transaction_hash
):
    says(venue, state, transaction_hash, "out of luck")
    signed = [minter.sign(SPLIT, 7)]
    report = minter.find(signed, "tx-1")
    assert report.status == "open"
    assert "out of luck" in report.message
    assert "nonce 7 is not used" in report.message
    nonces(node, 8, deep=7)
    assert minter.find(signed, "tx-1").status == "pending"
    nonces(node, 8)
    report = minter.find(signed, "tx-1")
    assert report.status == "unaccounted"
    assert "nonce is 8 in block 200" in report.message


def test_what_failed_may_be_signed_again_with_its_nonce_and_either_is_found(
    venue: Stub, node: Node, minter
):
    """The relayer gave up the first version; it is mined after the second was submitted."""
    first = minter.sign(SPLIT, 7)
    be_at(node, NOW + timedelta(seconds=30))
    versions = [first, minter.sign(SPLIT, 7)]
    assert versions[0].payload != versions[1].payload
    rows = [listed(versions[1], "tx-1", "STATE_EXECUTED"), listed(first, "tx-0", "STATE_FAILED")]
    says(venue, "STATE_EXECUTED", "")
    venue.on("GET", "/transactions", rows)
    assert minter.find(versions, "tx-1").status == "pending"
    rows[1]["transactionHash"] = "0xdd"
    nonces(node, 8)
    node.on("eth_getTransactionReceipt", receipt(SUCCESS, block=HEAD - 5))
    report = minter.find(versions, "tx-1")
    assert (report.transaction_id, report.status) == ("tx-0", "confirmed")
    assert report.moved == {YES: Decimal(5), NO: Decimal(5)}


def test_of_two_versions_a_failed_receipt_does_not_say_who_used_the_nonce(
    venue: Stub, node: Node, minter
):
    versions = [minter.sign(SPLIT, 7)] * 2
    says(venue, "STATE_FAILED")
    nonces(node, 8)
    node.on("eth_getTransactionReceipt", receipt([], status="0x0"))
    assert minter.find(versions, "tx-1").status == "unaccounted"


@pytest.mark.parametrize("state", ["STATE_FAILED", "STATE_NEW", "", "absent"])
def test_past_its_deadline_by_the_chains_clock_it_can_execute_no_more(
    venue: Stub, node: Node, minter, state
):
    signed = [minter.sign(SPLIT, 7)]
    says(venue, state or "STATE_ODD", "")
    known = "" if state == "absent" else "tx-1"
    be_at(node, NOW + timedelta(seconds=660))
    report = minter.find(signed, known)
    assert report is None or report.status in ("open", "pending")
    be_at(node, NOW + timedelta(seconds=661))
    report = minter.find(signed, known)
    assert report.status == "replaced"
    assert "deadline" in report.message
    nonces(node, 8)
    assert minter.find(signed, known).status == "unaccounted"


def test_a_later_version_keeps_the_earlier_deadline_from_ending_it(venue: Stub, node: Node, minter):
    first = minter.sign(SPLIT, 7)
    be_at(node, NOW + timedelta(seconds=300))
    versions = [first, minter.sign(SPLIT, 7)]
    says(venue, "STATE_FAILED", "")
    be_at(node, NOW + timedelta(seconds=661))
    assert minter.find(versions, "tx-1").status == "open"


def test_a_safe_knows_no_deadline(venue: Stub, node: Node):
    minter = minter_for(venue, SAFE)
    signed = [minter.sign(SPLIT, 7)]
    says(venue, "STATE_FAILED", "")
    be_at(node, NOW + timedelta(days=9))
    assert minter.find(signed, "tx-1").status == "open"


def test_a_node_without_the_latest_block_says_nothing_of_the_nonce(venue, node: Node, minter):
    """Of two nodes behind one address, the one asked for the nonce is behind."""
    signed = [minter.sign(SPLIT, 7)]
    behind = {"error": {"code": -32000, "message": "header not found"}}
    node.on("eth_call", lambda _, block: behind if block == hex(HEAD) else f"0x{7:064x}")
    says(venue, "STATE_FAILED", "")
    be_at(node, NOW + timedelta(days=1))
    with pytest.raises(Unavailable, match="header not found"):
        minter.find(signed, "tx-1")


def test_a_transaction_the_relayer_does_not_know_is_absent(venue: Stub, minter):
    venue.on("GET", "/transactions", [])
    assert minter.find([minter.sign(SPLIT, 7)], "tx-9") is None


def test_an_unknown_state_is_pending_and_named(venue: Stub, minter):
    says(venue, "STATE_ODD", "")
    report = minter.find([minter.sign(SPLIT, 7)], "tx-1")
    assert (report.status, report.message) == ("pending", "the relayer says STATE_ODD")


def test_a_lost_answer_is_found_by_the_signature(venue: Stub, node: Node, minter):
    signed = minter.sign(SPLIT, 7)
    other = listed(signed, "x", "STATE_CONFIRMED", "0xee") | {"signature": "0x11"}
    ours = listed(signed, "tx-1", "STATE_FAILED")
    again = listed(signed, "tx-2", "STATE_CONFIRMED", "0xdd")
    nonces(node, 8)
    venue.on("GET", "/transactions", [other, ours, again])
    node.on("eth_getTransactionReceipt", receipt([]))
    report = minter.find([signed], "")
    found = (report.transaction_id, report.status, report.transaction_hash)
    assert found == ("tx-2", "confirmed", "0xdd")


def test_an_unlisted_transaction_is_absent_until_its_nonce_is_used(venue: Stub, node: Node, minter):
    signed = minter.sign(SPLIT, 7)
    venue.on("GET", "/transactions", [])
    assert minter.find([signed], "") is None
    nonces(node, 8, deep=7)
    assert minter.find([signed], "").status == "pending"
    nonces(node, 8)
    report = minter.find([signed], "")
    assert (report.status, report.transaction_id) == ("unaccounted", "")
    assert "nonce 7 was used" in report.message
    assert venue.of("GET", PARAMS) == [], "the chain is asked, the relayer's word is not believed"


def test_a_list_that_says_nothing_is_not_an_absence(venue: Stub, minter):
    signed = minter.sign(SPLIT, 7)
    for reply in (Silence, Answer({"error": "gone"}, 404), Answer(["x"]), Answer(b"<html>")):
        venue.on("GET", "/transactions", reply)
        with pytest.raises(Unavailable):
            minter.find([signed], "")


@pytest.mark.parametrize(("wallet", "kind"), [("", "WALLET"), (SAFE, "SAFE")])
def test_the_next_nonce_is_what_relayer_and_chain_agree_on(venue: Stub, node: Node, wallet, kind):
    minter = minter_for(venue, wallet)
    venue.on("GET", PARAMS, {"address": OWNER, "nonce": "12"})
    with pytest.raises(Unavailable, match="is 12, the chain says 7"):
        minter.next_nonce()
    nonces(node, 12)
    assert minter.next_nonce() == 12
    assert venue.of("GET", PARAMS)[0].query == {"address": OWNER, "type": kind}
    venue.on("GET", PARAMS, {"address": OWNER})
    with pytest.raises(Unavailable):
        minter.next_nonce()


def test_a_wallet_that_is_not_deployed_has_used_no_nonce(venue: Stub, node: Node):
    node.on("eth_call", "0x")
    venue.on("GET", PARAMS, {"address": OWNER, "nonce": "0"})
    assert minter_for(venue, SAFE).next_nonce() == 0
    venue.on("GET", "/relay-payload", {"address": RELAY, "nonce": "0"})
    with pytest.raises(Unavailable, match="nonce"):
        minter_for(venue, PROXY).next_nonce()


def test_a_deposit_wallet_that_tells_no_nonce_is_believed_through_the_relayer(
    venue: Stub, node: Node
):
    """Nobody documents that its contract tells one; a Safe's does, and must."""
    node.on("eth_call", {"error": {"code": 3, "message": "execution reverted"}})
    venue.on("GET", PARAMS, {"address": OWNER, "nonce": "12"})
    assert minter_for(venue, "").next_nonce() == 12
    with pytest.raises(Unavailable, match="reverted"):
        minter_for(venue, SAFE).next_nonce()


def test_nothing_is_replaced_where_the_relayer_pays(minter):
    assert minter.sign_replacement(minter.sign(SPLIT, 7)) is None
    assert minter.approves_apart is False


def test_a_wallet_of_another_key_is_refused(venue: Stub):
    stranger = replace(Account(KEY), wallet="0x" + "22" * 20)
    with pytest.raises(Rejected, match="does not belong"):
        minter_of(Endpoints.paper(venue.url), stranger, QUICK)
