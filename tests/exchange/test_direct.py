"""An EOA's minter and a node that says strange things; what a real chain does is in tests/chain."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from exchange.errors import OutcomeUnknown, Rejected, Unavailable
from exchange.polymarket.direct import DirectMinter
from exchange.polymarket.fees import GWEI, Fees, Market, market
from exchange.polymarket.minting import minter_of
from exchange.polymarket.settings import Account, Endpoints
from exchange.polymarket.transactions import Calling, sign
from exchange.types import Conversion
from tests.exchange.conftest import CONDITION, KEY, NO, OWNER, QUICK, YES
from tests.exchange.rpc import Node, batch_log, receipt, word
from tests.exchange.stub import Answer, Reset, Silence, Stub

SPLIT = Conversion("split", CONDITION, False, (YES, NO), Decimal(5))
HISTORY = {"baseFeePerGas": [hex(90 * GWEI), hex(100 * GWEI)], "reward": [[hex(40 * GWEI)]]}
SIGNED = sign(KEY, OWNER, Calling("0x" + "22" * 20, "0x", 100_000), 7, Fees(230, 40))


@pytest.fixture
def node(venue: Stub) -> Node:
    node = Node(venue)
    node.on("eth_estimateGas", hex(300_000))
    node.on("eth_feeHistory", HISTORY)
    node.on("eth_getBalance", hex(10**18))
    node.on("eth_getTransactionCount", hex(7))
    node.on("eth_blockNumber", hex(200))
    node.on("eth_getTransactionReceipt", None)
    node.on("eth_getTransactionByHash", None)
    return node


@pytest.fixture
def minter(venue: Stub) -> DirectMinter:
    minter = minter_of(Endpoints.paper(venue.url), Account(KEY, wallet=OWNER), QUICK)
    assert isinstance(minter, DirectMinter)
    return minter


def error(code: int, words: str) -> dict[str, object]:
    return {"error": {"code": code, "message": words}}


@pytest.mark.parametrize(
    ("answer", "raised", "code"),
    [
        (error(-32000, "nonce too low: next nonce 8, tx nonce 7"), Rejected, "nonce"),
        (error(-32010, "OldNonce"), Rejected, "nonce"),
        (error(-32000, "insufficient funds for gas * price + value"), Rejected, "no_gas"),
        (error(-32000, "replacement transaction underpriced"), Unavailable, None),
        (error(-32000, "transaction underpriced: gas tip cap 1"), Unavailable, None),
        (error(-32000, "txpool is full"), Unavailable, None),
        (error(-32005, "rate limit"), Unavailable, None),
        (error(-32000, "intrinsic gas too low"), Rejected, "other"),
        (error(-32602, "invalid chain id for signer"), Rejected, "other"),
        (error(-32603, "internal error"), OutcomeUnknown, None),
        (error(-32000, "upstream timed out"), OutcomeUnknown, None),
        (error(31, "something else"), OutcomeUnknown, None),
        ("0x" + "00" * 32, OutcomeUnknown, None),
        (None, OutcomeUnknown, None),
    ],
)
def test_a_nodes_words_for_a_refusal(node: Node, minter, answer, raised, code):
    node.on("eth_sendRawTransaction", answer)
    with pytest.raises(raised) as caught:
        minter.submit(SIGNED)
    assert getattr(caught.value, "code", None) == code


@pytest.mark.parametrize(
    ("reply", "raised"),
    [
        (Silence, OutcomeUnknown),
        (Reset, OutcomeUnknown),
        (Answer(b"<html>", 502, "text/html"), OutcomeUnknown),
        (Answer(b"<html>", 200, "text/html"), OutcomeUnknown),
        (Answer({"error": {"code": 1, "message": "gone"}}, 500), OutcomeUnknown),
        (Answer({"error": "slow down"}, 429), Unavailable),
        (Answer({"error": "no such key"}, 401), Unavailable),
        (Answer({"error": {"code": -32000, "message": "nonce too low"}}, 400), Rejected),
    ],
)
def test_a_submission_without_a_clear_answer(venue: Stub, minter, reply, raised):
    venue.on("POST", "/rpc", reply)
    with pytest.raises(raised):
        minter.submit(SIGNED)


@pytest.mark.parametrize(
    "words", ["already known", "AlreadyKnown", "ALREADY_EXISTS: already known"]
)
def test_what_the_node_has_already_is_sent(node: Node, minter, words):
    node.on("eth_sendRawTransaction", error(-32000, words))
    assert minter.submit(SIGNED) == SIGNED.transaction_hash


def test_a_node_that_is_away_took_nothing():
    endpoints = Endpoints(rpc="http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        minter_of(endpoints, Account(KEY, wallet=OWNER), QUICK).submit(SIGNED)


def test_the_transaction_is_signed_for_polygon_with_the_markets_fees(node: Node, minter):
    from eth_account import Account as EthAccount
    from eth_account.typed_transactions import TypedTransaction
    from hexbytes import HexBytes

    from exchange.polymarket.transactions import raw_of

    signed = minter.sign(SPLIT, 7)
    raw = raw_of(signed)
    assert EthAccount.recover_transaction(raw) == OWNER
    told = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    assert (told["chainId"], told["nonce"], told["gas"]) == (137, 7, 390_000)
    assert (told["maxFeePerGas"], told["maxPriorityFeePerGas"]) == (240 * GWEI, 40 * GWEI)
    assert signed.max_fee == Decimal("0.0936")
    assert signed.deadline is None


def test_a_node_without_fee_history_is_asked_for_the_price(node: Node, minter):
    node.on("eth_feeHistory", error(-32601, "no such method"))
    node.on("eth_gasPrice", hex(130 * GWEI))
    assert market(minter._rpc) == Market(100 * GWEI, 30 * GWEI)
    node.on("eth_feeHistory", {"baseFeePerGas": [], "reward": []})
    assert market(minter._rpc) == Market(100 * GWEI, 30 * GWEI)
    node.on("eth_gasPrice", None)
    with pytest.raises(Unavailable):
        market(minter._rpc)


fees = some.integers(1, 10**13)


@given(fees, fees, fees, fees, fees)
def test_a_replacement_bids_an_eighth_more_within_the_cap(base, tip, most, old_tip, cap):
    bid = Fees(most, min(old_tip, most))
    higher = Market(base, tip).outbid(bid, cap)
    if higher is None:
        assert 9 * bid.most > 8 * cap
        return
    assert 8 * higher.most >= 9 * bid.most
    assert 8 * higher.tip >= 9 * bid.tip
    assert higher.tip <= higher.most <= cap


@given(fees, fees, fees)
def test_a_bid_covers_the_market_within_the_cap(base, tip, cap):
    if base + tip > cap:
        with pytest.raises(Unavailable):
            Market(base, tip).bid(cap)
        return
    bid = Market(base, tip).bid(cap)
    assert base + tip <= bid.most <= cap
    assert bid.tip <= bid.most


def test_a_trial_run_that_fails_without_a_revert_is_no_verdict(node: Node, minter):
    node.on("eth_estimateGas", error(-32005, "too many requests"))
    with pytest.raises(Unavailable):
        minter.sign(SPLIT, 7)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (error(3, "execution reverted: not yours"), "not yours"),
        (error(-32000, "gas required exceeds allowance (30000000)"), "gas required"),
        (
            {
                "error": {
                    "code": 3,
                    "message": "execution reverted",
                    "data": "0x4e487b71" + f"{17:064x}",
                }
            },
            "panic 0x11",
        ),
        (
            {"error": {"code": 3, "message": "execution reverted", "data": "0xdeadbeef"}},
            "0xdeadbeef",
        ),
    ],
)
def test_a_trial_run_says_why_it_would_revert(node: Node, minter, answer, words):
    node.on("eth_estimateGas", answer)
    with pytest.raises(Rejected, match=words) as caught:
        minter.sign(SPLIT, 7)
    assert caught.value.code == "would_revert"


def test_a_receipt_of_a_block_that_is_no_more_is_pending(node: Node, minter):
    log = batch_log("0x" + "00" * 20, OWNER, {YES: 5_000_000, NO: 5_000_000})
    node.on("eth_getTransactionReceipt", receipt([log], block=100))
    node.on("eth_getBlockByNumber", {"hash": word(101)})
    report = minter.find([SIGNED], "")
    assert (report.status, report.moved) == ("pending", {})
    assert "reorganised" in report.message
    node.on("eth_getBlockByNumber", {"hash": word(100)})
    report = minter.find([SIGNED], "")
    assert (report.status, report.moved[YES]) == ("confirmed", 5)
    assert report.cost == Decimal("0.0105")


def test_a_receipt_that_lags_behind_the_count_is_not_replaced(node: Node, minter):
    """The count says used, and only the second look finds the receipt."""
    node.on("eth_getTransactionCount", hex(8))
    node.on("eth_getBlockByNumber", {"number": hex(195)})
    rows = iter([None, receipt([], block=199)])
    node.on("eth_getTransactionReceipt", lambda _: next(rows))
    report = minter.find([SIGNED], "")
    assert (report.status, report.is_mined) == ("pending", True)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_node_without_the_deep_block_does_not_say_that_there_is_no_receipt(
    node: Node, minter, missing
):
    """Behind one address: counts by a node that is up to date, receipts by one ten blocks behind."""
    asked = iter(range(9))

    def block(number: str, _: bool) -> dict[str, str] | None:
        return None if next(asked) == missing else {"number": number}

    node.on("eth_getTransactionCount", hex(8))
    node.on("eth_getBlockByNumber", block)
    report = minter.find([SIGNED, SIGNED], "")
    assert (report.status, report.is_mined) == ("pending", True)
    assert "lags behind" in report.message
    report = minter.find([SIGNED, SIGNED], "")
    assert (report.status, report.is_mined) == ("replaced", False)


def test_only_what_is_in_a_block_is_mined(node: Node, minter):
    node.on("eth_getTransactionByHash", {"hash": SIGNED.transaction_hash})
    assert minter.find([SIGNED], "").is_mined is False
    node.on("eth_getTransactionReceipt", receipt([], block=196))
    report = minter.find([SIGNED], "")
    assert (report.status, report.is_mined) == ("pending", True)


def test_the_height_is_signed_with_it_and_stays_with_its_replacements(node: Node, minter):
    signed = minter.sign(SPLIT, 7)
    assert signed.since_block == 200
    node.on("eth_blockNumber", hex(250))
    assert minter.sign_replacement(signed).since_block == 200


def test_a_lagging_node_gives_the_nonce_of_the_latest_block(node: Node, minter):
    node.on("eth_getTransactionCount", lambda _, block: hex(6 if block == "pending" else 7))
    assert minter.next_nonce() == 7


@pytest.mark.parametrize("answer", [None, "garbage", 7, {"error": {"code": 1, "message": "no"}}])
def test_garbage_is_neither_found_nor_absent(node: Node, minter, answer):
    node.on("eth_getTransactionCount", answer)
    with pytest.raises(Unavailable):
        minter.find([SIGNED], "")
    with pytest.raises(Unavailable):
        minter.next_nonce()
    node.on("eth_getTransactionCount", hex(7))
    node.on("eth_getTransactionReceipt", {"status": "0x1"})
    with pytest.raises(Unavailable):
        minter.find([SIGNED], "")
