"""Questions to a Polygon node, which may answer nothing, nonsense, or for another chain."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from exchange.errors import Rejected, Unavailable
from exchange.polymarket.addresses import COLLATERAL_ADAPTER, NEG_RISK_COLLATERAL_ADAPTER
from exchange.polymarket.chain import OnChain
from exchange.polymarket.connections import Connection
from exchange.polymarket.rpc import Rpc
from exchange.polymarket.settings import Contracts
from exchange.types import Approval, Conversion
from tests.exchange.conftest import CONDITION, NO, OWNER, QUICK, YES
from tests.exchange.rpc import Node
from tests.exchange.stub import Answer, Silence, Stub

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
