"""Questions to a Polygon node, which may answer nothing, nonsense, or for another chain."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from exchange.errors import Rejected, Unavailable
from exchange.polymarket.addresses import COLLATERAL_ADAPTER, NEG_RISK_COLLATERAL_ADAPTER
from exchange.polymarket.chain import OnChain
from exchange.polymarket.connections import Connection
from exchange.polymarket.rpc import Rpc
from exchange.polymarket.settings import Contracts
from exchange.types import Approval, Conversion
from tests.exchange.conftest import CONDITION, NO, OWNER, QUICK, YES
from tests.exchange.rpc import Node, batch_log, receipt
from tests.exchange.stub import Answer, Reset, Silence, Stub

SPLIT = Conversion("split", CONDITION, False, (YES, NO), Decimal(5))
MERGE = Conversion("merge", CONDITION, True, (YES, NO), Decimal(5))
ALLOWANCE = "allowance(address,address)"
APPROVED = "isApprovedForAll(address,address)"


@pytest.fixture
def node(venue: Stub) -> Node:
    return Node(venue)


@pytest.fixture
def chain(venue: Stub) -> OnChain:
    return OnChain(Rpc(Connection(f"{venue.url}/rpc", QUICK)), OWNER, Contracts())


@pytest.mark.parametrize(
    "reply",
    [
        Silence,
        Answer(b"<html>", 200, "text/html"),
        Answer(b"", 502),
        Answer({"error": "no such key"}, 401),
        Answer({"error": "slow down"}, 429),
        Answer(7),
        Answer([]),
        Answer({"jsonrpc": "2.0", "id": 999_999, "result": "0x89"}),
        Answer({"jsonrpc": "2.0", "id": 1}),
        Answer({"jsonrpc": "2.0", "id": 1, "result": None}),
        Answer({"jsonrpc": "2.0", "id": 1, "result": {"timestamp": "soon"}}),
        Answer({"jsonrpc": "2.0", "id": 1, "result": {"timestamp": "0x" + "f" * 40}}),
        Answer({"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "lost"}}),
        Answer({"jsonrpc": "2.0", "id": 1, "error": "lost"}),
    ],
)
def test_what_is_no_answer_names_the_setting(venue: Stub, chain: OnChain, reply):
    venue.on("POST", "/rpc", reply)
    with pytest.raises(Unavailable, match="POLYGON_RPC_URL"):
        chain.now()


def test_the_key_in_a_nodes_address_is_in_no_message(venue: Stub):
    secret = "0123456789abcdef-key"
    rpc = Rpc(Connection(f"{venue.url}/v2/{secret}", QUICK))
    venue.on("POST", f"/v2/{secret}", {"error": f"the key {secret} has expired"}, 403)
    with pytest.raises(Unavailable, match="has expired") as raised:
        rpc.ask("eth_chainId")
    assert secret not in str(raised.value)


@pytest.mark.parametrize(
    ("address", "secrets"),
    [
        ("someuser:averylongpassword123@{host}/rpc", ["someuser", "averylongpassword123"]),
        ("user:p%40ss-w0rd@{host}", ["p%40ss-w0rd", "p@ss-w0rd"]),
        ("{host}/v2/k3y9", ["k3y9"]),
        ("{host}/rpc?apikey=abcd&dkey=ABCD1234", ["abcd", "ABCD1234", "abcd1234"]),
        ("{host}/sk.live.9x8y/polygon", ["sk.live.9x8y", "live", "9x8y"]),
    ],
)
@pytest.mark.parametrize("echoes", [True, False])
def test_no_part_of_a_nodes_address_is_in_messages_or_logs(
    venue: Stub, caplog, address, secrets, echoes
):
    url = "http://" + address.format(host=venue.url.removeprefix("http://"))
    words = f"{url} ({' '.join(secrets)}) is not allowed"
    path = "/" + url.removeprefix("http://").partition("/")[2].partition("?")[0]
    venue.on("POST", path, Answer({"error": words}, 403) if echoes else Reset)
    rpc = Rpc(Connection(url, QUICK))
    with caplog.at_level("INFO"), pytest.raises(Unavailable) as raised:
        rpc.ask("eth_chainId")
    assert venue.of("POST", path)
    shown = f"{raised.value} {caplog.text}"
    assert ("is not allowed" in shown) is echoes
    assert [secret for secret in secrets if secret in shown] == []


@pytest.mark.parametrize(
    ("url", "text", "shown"),
    [
        ("https://a1b2c3.polygon.example.org/", "cannot reach a1b2c3.polygon.example.org", "a1b2"),
        ("https://KEY-9.example.org", "certificate is not for key-9.example.org", "key-9"),
        ("https://node.example.org/v1/a%20bcd", "no such key: a bcd", "a bcd"),
    ],
)
def test_a_key_in_the_host_or_written_otherwise_is_not_shown(url, text, shown):
    assert shown not in Rpc(Connection(url, QUICK)).shown(Exception(text))


def test_an_address_without_secrets_hides_no_words():
    rpc = Rpc(Connection("http://127.0.0.1:8545/rpc", QUICK))
    words = "execution reverted: 127 of 8545 tokens at /rpc"
    assert rpc.shown(Exception(words)) == words


def test_a_node_that_takes_no_batches_is_asked_singly(venue: Stub, node: Node, chain: OnChain):
    answer = node._answer
    refusal = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no batches"}}
    venue.on(
        "POST", "/rpc", lambda asked: refusal if isinstance(asked.json, list) else answer(asked)
    )
    node.on_call("balanceOf(address)", 1_500_000)
    node.on_call("balanceOfBatch(address[],uint256[])", 32, 1, 250_000)
    assert chain.held(["collateral", YES]) == {"collateral": Decimal("1.5"), YES: Decimal("0.25")}


def test_the_answers_of_a_batch_are_told_apart_by_their_ids(venue: Stub, node: Node, chain):
    answer = node._answer
    venue.on("POST", "/rpc", lambda asked: answer(asked)[::-1])
    node.on_call("balanceOf(address)", 1_500_000)
    node.on_call("balanceOfBatch(address[],uint256[])", 32, 1, 250_000)
    assert chain.held([YES, "collateral"]) == {YES: Decimal("0.25"), "collateral": Decimal("1.5")}


def test_no_request_asks_more_than_a_free_node_takes(venue: Stub, node: Node, chain: OnChain):
    chain.check()
    assert max(len(asked.json) for asked in venue.of("POST", "/rpc")) == 3


def test_another_chain_is_named_with_both_ids(node: Node, chain: OnChain):
    node.on("eth_chainId", "0x1")
    with pytest.raises(Rejected, match=r"POLYGON_RPC_URL.*chain 1, .*137") as raised:
        chain.check()
    assert raised.value.code == "wrong_chain"


@pytest.mark.parametrize(
    ("address", "setting"),
    [
        (COLLATERAL_ADAPTER, "POLY_COLLATERAL_ADAPTER"),
        (NEG_RISK_COLLATERAL_ADAPTER, "POLY_NEG_RISK_ADAPTER"),
        (Contracts().collateral, "pUSD"),
        (Contracts().conditional_tokens, "ConditionalTokens"),
    ],
)
def test_an_address_without_code_is_named_with_its_setting(node: Node, chain, address, setting):
    node.on("eth_getCode", lambda asked, _: "0x" if asked == address else "0x60")
    with pytest.raises(Rejected, match=rf"{address} \({setting}\)") as raised:
        chain.check()
    assert raised.value.code == "no_code"


def test_what_was_right_is_asked_once_and_what_was_wrong_again(venue: Stub, node: Node, chain):
    node.on("eth_chainId", "0x1")
    for _ in range(2):
        with pytest.raises(Rejected):
            chain.check()
    node.on("eth_chainId", "0x89")
    chain.check()
    asked = len(venue.asked)
    chain.check()
    assert len(venue.asked) == asked


@pytest.mark.parametrize(
    ("allowed", "missing"),
    [
        (0, Approval(COLLATERAL_ADAPTER, Decimal(5))),
        (4_999_999, Approval(COLLATERAL_ADAPTER, Decimal(5), allowed=Decimal("4.999999"))),
        (5_000_000, None),
    ],
)
def test_a_split_misses_an_allowance_below_its_amount(node: Node, chain, allowed, missing):
    node.on_call(ALLOWANCE, allowed)
    assert chain.missing_approval(SPLIT) == missing


def test_a_merge_misses_the_approval_of_the_tokens(node: Node, chain: OnChain):
    node.on_call(APPROVED, 0)
    assert chain.missing_approval(MERGE) == Approval(NEG_RISK_COLLATERAL_ADAPTER, None)
    node.on_call(APPROVED, 1)
    assert chain.missing_approval(MERGE) is None


def test_an_address_without_code_does_not_hold_nothing(node: Node, chain: OnChain):
    node.on("eth_call", "0x")
    with pytest.raises(Unavailable):
        chain.held(["collateral", YES])
    with pytest.raises(Unavailable, match="no contract"):
        chain.missing_approval(SPLIT)


def test_a_condition_pays_nothing_known_before_it_is_resolved(node: Node, chain: OnChain):
    node.on_call("payoutDenominator(bytes32)", 0)
    assert chain.payouts(CONDITION) is None
    node.on_call("payoutDenominator(bytes32)", 2)
    node.on_call("payoutNumerators(bytes32,uint256)", 1)
    assert chain.payouts(CONDITION) == (Decimal("0.5"), Decimal("0.5"))


def test_the_time_is_the_chains(node: Node, chain: OnChain):
    node.on("eth_getBlockByNumber", {"number": "0x1", "timestamp": "0x69217a00"})
    assert chain.now() == datetime.fromtimestamp(0x69217A00, UTC)


def logged(block: int, transaction_hash: str, yes: int, no: int) -> dict[str, object]:
    """A log of what the adapter gave to the wallet."""
    log = batch_log(COLLATERAL_ADAPTER, OWNER, {YES: yes, NO: no})
    place = {"blockNumber": hex(block), "logIndex": "0x1", "transactionHash": transaction_hash}
    return log | place


@pytest.fixture
def scanned(node: Node) -> Node:
    """A chain at block 2000 that has all its blocks, and no logs."""
    node.on("eth_blockNumber", hex(2000))
    node.on("eth_getLogs", [])
    node.on("eth_getBlockByNumber", lambda number, _: {"number": number})
    node.on(
        "eth_getTransactionReceipt",
        lambda asked: (
            receipt([logged(1995, asked, 5_000_000, 5_000_000)]) | {"transactionHash": asked}
        ),
    )
    return node


def test_the_logs_are_read_in_pieces_that_free_nodes_take(venue: Stub, scanned, chain: OnChain):
    assert chain.effects(SPLIT, 900) == []
    asked = [row["params"][0] for one in venue.of("POST", "/rpc") for row in batch(one.json)]
    pieces = [(int(one["fromBlock"], 16), int(one["toBlock"], 16)) for one in asked]
    assert pieces == [(900, 1399), (1400, 1899), (1900, 2000)]


def batch(body: Any) -> list[dict[str, Any]]:
    """The questions for logs in a request."""
    rows = body if isinstance(body, list) else [body]
    return [row for row in rows if row["method"] == "eth_getLogs"]


def test_only_what_moved_exactly_as_much_did_the_same(scanned: Node, chain: OnChain):
    rows = [
        logged(1995, "0x4", 5_000_000, 5_000_000),
        logged(1990, "0x1", 5_000_001, 5_000_001),
        logged(1991, "0x2", 5_000_000, 4_999_999),
        logged(1992, "0x3", 5_000_000, 5_000_000),
        logged(1993, "0x5", 5_000_000, 5_000_000) | {"removed": True},
    ]
    scanned.on("eth_getLogs", rows)
    found = chain.effects(SPLIT, 1900)
    assert [one.transaction_hash for one in found] == ["0x3", "0x4"], "oldest first"
    assert {one.status for one in found} == {"confirmed"}
    assert found[0].moved == {YES: Decimal(5), NO: Decimal(5)}


def test_two_transfers_of_one_transaction_count_together(scanned: Node, chain: OnChain):
    rows = [logged(1990, "0x1", 5_000_000, 0), logged(1990, "0x1", 0, 5_000_000)]
    scanned.on("eth_getLogs", rows)
    assert [one.transaction_hash for one in chain.effects(SPLIT, 1900)] == ["0x1"]
    scanned.on("eth_getLogs", [logged(1990, "0x1", 5_000_000, 5_000_000)] * 2)
    assert chain.effects(SPLIT, 1900) == []


def test_an_effect_with_too_few_blocks_above_it_is_not_absent(scanned: Node, chain: OnChain):
    scanned.on("eth_getLogs", [logged(1996, "0x1", 5_000_000, 5_000_000)])
    with pytest.raises(Unavailable, match="4 of 5 blocks above it"):
        chain.effects(SPLIT, 1900)


@pytest.mark.parametrize(
    ("since", "words"),
    [(0, "since which block"), (2001, "at block 2000, expected 2001"), (-5, "since which block")],
)
def test_effects_are_not_told_from_blocks_that_are_not_there(scanned, chain, since, words):
    with pytest.raises(Unavailable, match=words):
        chain.effects(SPLIT, since)


def test_too_long_a_range_is_not_read(scanned: Node, chain: OnChain):
    scanned.on("eth_blockNumber", hex(50_102))
    with pytest.raises(Unavailable, match="50001 blocks are too many"):
        chain.effects(SPLIT, 101)


def test_a_node_without_the_last_block_does_not_say_that_there_are_no_logs(scanned, chain):
    scanned.on("eth_getBlockByNumber", None)
    with pytest.raises(Unavailable, match="does not have the logs to block 2000"):
        chain.effects(SPLIT, 1900)


@pytest.mark.parametrize("answer", [None, "0x", [7], [{"blockNumber": "0x1"}]])
def test_logs_that_are_none_are_not_an_absence(scanned: Node, chain: OnChain, answer):
    scanned.on("eth_getLogs", answer)
    with pytest.raises(Unavailable):
        chain.effects(SPLIT, 1900)


def test_logs_without_their_receipt_are_asked_for_again(scanned: Node, chain: OnChain):
    scanned.on("eth_getLogs", [logged(1990, "0x1", 5_000_000, 5_000_000)])
    scanned.on("eth_getTransactionReceipt", None)
    with pytest.raises(Unavailable, match="receipt"):
        chain.effects(SPLIT, 1900)
