"""Raw transactions of an EOA: signed by eth_account, taken, replaced and mined as a node does it."""

from __future__ import annotations

from contextlib import suppress

import httpx
import pytest
from eth_account import Account
from polymarket._internal.actions.relayer import calls

from tests.paper.conftest import FAST, OWNER, OWNER_KEY, client_on
from tests.paper.on_chain import (
    ADAPTER,
    CTF,
    GWEI,
    NOWHERE,
    PLENTY,
    PUSD,
    TRANSFER,
    TRANSFER_BATCH,
    answered,
    as_request,
    nonce_of,
    party,
    pol_of,
    receipt_of,
    refused,
    rpc,
    send,
    signed,
    split,
)
from tests.paper_process import running_paper, start_paper, wait_until

OTHER_KEY = "0x" + "b8" * 32
OTHER = Account.from_key(OTHER_KEY).address
DEARER = {"maxFeePerGas": 220 * GWEI, "maxPriorityFeePerGas": 33 * GWEI}


@pytest.fixture(scope="module")
def shared_eoa(tmp_path_factory):
    """A paper exchange whose wallet is the key's own address."""
    folder = tmp_path_factory.mktemp("eoa")
    with running_paper(folder, OWNER, **FAST, PAPER_WALLET=OWNER) as process:
        yield process


@pytest.fixture
def paper(shared_eoa):
    """The same in its opening state; nonces go on."""
    shared_eoa.call("POST", "/paper/reset")
    return shared_eoa


@pytest.fixture
def market(paper):
    return paper.markets()[0]


@pytest.fixture
def nonce(paper) -> int:
    return nonce_of(paper, OWNER)


def held(paper, asset: str = "collateral") -> str:
    return paper.ledger()["balances"][OWNER][asset]


@pytest.mark.parametrize("fees", [PLENTY, {"gasPrice": 70 * GWEI}])
def test_a_split_is_mined_once_and_its_gas_is_paid(paper, market, nonce, fees):
    before = pol_of(paper, OWNER)
    sent = send(paper, signed(split(market, 5_000_000), nonce, **fees))
    assert rpc(paper, "eth_getTransactionReceipt", sent) is None
    assert rpc(paper, "eth_getTransactionByHash", sent)["blockNumber"] is None
    assert (nonce_of(paper, OWNER), nonce_of(paper, OWNER, "pending")) == (nonce, nonce + 1)
    receipt = receipt_of(paper, sent)
    assert (receipt["status"], receipt["from"], receipt["to"]) == ("0x1", OWNER, ADAPTER)
    cost = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert before - pol_of(paper, OWNER) == cost
    assert int(receipt["effectiveGasPrice"], 16) == fees.get("gasPrice", 60 * GWEI)
    assert paper.ledger()["splits"] == [{"conditionId": market["conditionId"], "amount": "5"}]
    assert held(paper) == "99995"
    shown = rpc(paper, "eth_getTransactionByHash", sent)
    assert (shown["blockHash"], shown["nonce"]) == (receipt["blockHash"], hex(nonce))


def test_a_split_logs_what_moved(paper, market, nonce):
    receipt = receipt_of(paper, send(paper, signed(split(market, 5_000_000), nonce)))
    paid, made, arrived = receipt["logs"]
    assert (paid["address"], paid["topics"][0]) == (PUSD, TRANSFER)
    assert [party(topic) for topic in paid["topics"][1:]] == [OWNER.lower(), ADAPTER.lower()]
    assert int(paid["data"], 16) == 5_000_000
    assert party(made["topics"][2]) == "0x" + "00" * 20
    assert (arrived["address"], arrived["topics"][0]) == (CTF, TRANSFER_BATCH)
    parties = [party(topic) for topic in arrived["topics"][1:]]
    assert parties == [ADAPTER.lower(), ADAPTER.lower(), OWNER.lower()]
    words = [int(arrived["data"][2:][at : at + 64], 16) for at in range(0, 8 * 64, 64)]
    assert words == [64, 160, 2, *map(int, market["tokenIds"]), 2, 5_000_000, 5_000_000]
    wanted = {"address": CTF, "topics": [TRANSFER_BATCH], "fromBlock": receipt["blockNumber"]}
    assert rpc(paper, "eth_getLogs", wanted) == [made, arrived]
    to_owner = wanted | {"topics": [None, None, None, [arrived["topics"][3]]]}
    assert rpc(paper, "eth_getLogs", to_owner) == [arrived]
    assert rpc(paper, "eth_getLogs", wanted | {"address": ADAPTER}) == []


def test_confirmations_can_be_counted(paper, market, nonce):
    receipt = receipt_of(paper, send(paper, signed(split(market, 1_000_000), nonce)))
    block = int(receipt["blockNumber"], 16)
    wait_until(lambda: int(rpc(paper, "eth_blockNumber"), 16) >= block + 3)
    mined_in = rpc(paper, "eth_getBlockByNumber", receipt["blockNumber"], False)
    after = rpc(paper, "eth_getBlockByNumber", hex(block + 1), False)
    assert mined_in["hash"] == receipt["blockHash"] == after["parentHash"]
    assert mined_in["transactions"] == [receipt["transactionHash"]]
    assert rpc(paper, "eth_getBlockByNumber", hex(block + 100_000), False) is None
    final = rpc(paper, "eth_getBlockByNumber", "finalized", False)
    assert int(final["number"], 16) < int(rpc(paper, "eth_blockNumber"), 16)


def test_the_official_client_splits_and_merges_for_an_eoa(paper, market):
    with client_on(paper.url, OWNER_KEY, OWNER) as client:
        client.split_position(condition_id=market["conditionId"], amount=5_000_000).wait()
        client.merge_positions(condition_id=market["conditionId"], amount=2_000_000).wait()
    ledger = paper.ledger()
    assert (ledger["splits"][0]["amount"], ledger["merges"][0]["amount"]) == ("5", "2")
    assert held(paper) == "99997"


def test_the_fees_that_the_node_names_suffice(paper, market, nonce):
    tip = int(rpc(paper, "eth_maxPriorityFeePerGas"), 16)
    base = int(rpc(paper, "eth_getBlockByNumber", "pending", False)["baseFeePerGas"], 16)
    history = rpc(paper, "eth_feeHistory", "0x4", "latest", [50])
    assert history["baseFeePerGas"] == [hex(base)] * 5
    assert history["reward"] == [[hex(tip)]] * 4
    assert int(rpc(paper, "eth_gasPrice"), 16) == base + tip
    gas = int(rpc(paper, "eth_estimateGas", as_request(split(market, 1_000_000), OWNER)), 16)
    fees = {"maxFeePerGas": base + tip, "maxPriorityFeePerGas": tip}
    receipt = receipt_of(
        paper, send(paper, signed(split(market, 1_000_000), nonce, gas=gas, **fees))
    )
    assert (receipt["status"], receipt["gasUsed"]) == ("0x1", hex(gas))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"gas": 21_000}, "intrinsic gas too low: gas 21000, minimum needed"),
        ({"gas": 500_000_000}, "exceeds block gas limit"),
        ({"chainId": 1}, "invalid chain id for signer: have 1 want 137"),
        ({"chainId": 1, "gasPrice": 70 * GWEI}, "invalid chain id for signer"),
        ({"maxPriorityFeePerGas": GWEI}, "transaction underpriced: gas tip cap"),
        ({"maxFeePerGas": 29 * GWEI}, "max priority fee per gas higher than max fee per gas"),
        ({"maxFeePerGas": 300_000 * GWEI}, "insufficient funds for gas * price + value: balance"),
        ({"value": 100 * 10**18}, "insufficient funds for gas * price + value"),
    ],
)
def test_what_a_node_refuses_is_refused_in_its_words(paper, market, nonce, fields, words):
    raw = signed(split(market, 1_000_000), nonce, **fields)
    code, said = refused(paper, "eth_sendRawTransaction", raw)
    assert code == -32000
    assert words in said
    assert nonce_of(paper, OWNER, "pending") == nonce


@pytest.mark.parametrize(
    "raw", ["0x", "0x02", "0xc0", "0x01c0", "0x02c3010203", "0xf8", "0xbf" * 9]
)
def test_what_is_no_transaction_is_refused(paper, raw):
    assert answered(paper, "eth_sendRawTransaction", raw)["error"]["code"] in (-32000, -32602)


def test_a_changed_transaction_is_somebody_elses(paper, market, nonce):
    raw = signed(split(market, 1_000_000), nonce)
    forged = raw.replace(f"{1_000_000:064x}", f"{2_000_000:064x}")
    assert rpc(paper, "eth_getTransactionByHash", send(paper, forged))["from"] != OWNER
    assert nonce_of(paper, OWNER, "pending") == nonce


def test_the_same_bytes_are_taken_once(paper, market, nonce):
    raw = signed(split(market, 1_000_000), nonce)
    sent = send(paper, raw)
    assert refused(paper, "eth_sendRawTransaction", raw) == (-32000, "already known")
    receipt_of(paper, sent)
    _, said = refused(paper, "eth_sendRawTransaction", raw)
    assert said == f"nonce too low: next nonce {nonce + 1}, tx nonce {nonce}"
    assert len(paper.ledger()["splits"]) == 1


def test_a_replacement_needs_a_tenth_more_of_both_fees(paper, market, nonce):
    first = send(paper, signed(split(market, 1_000_000), nonce))
    for fees in (
        {"maxFeePerGas": 219 * GWEI, "maxPriorityFeePerGas": 33 * GWEI},
        {"maxFeePerGas": 220 * GWEI, "maxPriorityFeePerGas": 32 * GWEI},
    ):
        raw = signed(split(market, 2_000_000), nonce, **fees)
        said = refused(paper, "eth_sendRawTransaction", raw)
        assert said == (-32000, "replacement transaction underpriced")
    second = send(paper, signed(split(market, 2_000_000), nonce, **DEARER))
    assert rpc(paper, "eth_getTransactionByHash", first) is None
    receipt_of(paper, second)
    assert rpc(paper, "eth_getTransactionReceipt", first) is None
    assert [row["amount"] for row in paper.ledger()["splits"]] == ["2"]


def test_a_transaction_below_the_base_fee_waits_until_it_is_outbid(paper, market, nonce):
    paper.call("POST", "/paper/gas", {"baseFeeGwei": 500})
    stuck = send(paper, signed(split(market, 1_000_000), nonce))
    dearer = {"maxFeePerGas": 600 * GWEI, "maxPriorityFeePerGas": 40 * GWEI}
    later = send(paper, signed(split(market, 3_000_000), nonce + 1, **dearer))
    block = int(rpc(paper, "eth_blockNumber"), 16)
    wait_until(lambda: int(rpc(paper, "eth_blockNumber"), 16) > block + 2)
    assert rpc(paper, "eth_getTransactionReceipt", stuck) is None
    assert rpc(paper, "eth_getTransactionReceipt", later) is None
    receipt = receipt_of(paper, send(paper, signed(split(market, 2_000_000), nonce, **dearer)))
    assert receipt["effectiveGasPrice"] == hex(540 * GWEI)
    receipt_of(paper, later)
    assert [row["amount"] for row in paper.ledger()["splits"]] == ["2", "3"]


def test_a_fallen_base_fee_frees_what_waited(paper, market, nonce):
    paper.call("POST", "/paper/gas", {"baseFeeGwei": "500.5"})
    sent = send(paper, signed(split(market, 1_000_000), nonce))
    block = int(rpc(paper, "eth_blockNumber"), 16)
    wait_until(lambda: int(rpc(paper, "eth_blockNumber"), 16) > block + 2)
    assert rpc(paper, "eth_getTransactionReceipt", sent) is None
    paper.call("POST", "/paper/gas", {"baseFeeGwei": 40})
    assert receipt_of(paper, sent)["effectiveGasPrice"] == hex(70 * GWEI)


def test_a_later_nonce_waits_for_the_gap_to_close(paper, market, nonce):
    later = send(paper, signed(split(market, 2_000_000), nonce + 1))
    assert nonce_of(paper, OWNER, "pending") == nonce
    block = int(rpc(paper, "eth_blockNumber"), 16)
    wait_until(lambda: int(rpc(paper, "eth_blockNumber"), 16) > block + 2)
    assert rpc(paper, "eth_getTransactionReceipt", later) is None
    send(paper, signed(split(market, 1_000_000), nonce))
    assert nonce_of(paper, OWNER, "pending") == nonce + 2
    receipt_of(paper, later)
    assert [row["amount"] for row in paper.ledger()["splits"]] == ["1", "2"]


def test_a_wallet_without_pol_sends_nothing(paper, market, nonce):
    paper.call("POST", "/paper/balances", {"wallet": OWNER, "asset": "POL", "amount": "0.001"})
    assert pol_of(paper, OWNER) == 10**15
    raw = signed(split(market, 1_000_000), nonce)
    assert "insufficient funds" in refused(paper, "eth_sendRawTransaction", raw)[1]
    request = as_request(split(market, 1_000_000), OWNER) | {"maxFeePerGas": hex(200 * GWEI)}
    code, said = refused(paper, "eth_estimateGas", request)
    assert (code, said.startswith("gas required exceeds allowance")) == (-32000, True)
    paper.call("POST", "/paper/balances", {"wallet": OWNER, "asset": "POL", "amount": "1"})
    assert receipt_of(paper, send(paper, raw))["status"] == "0x1"


def test_the_costs_of_what_waits_count_too(paper, market, nonce):
    paper.call("POST", "/paper/balances", {"wallet": OWNER, "asset": "POL", "amount": "0.15"})
    send(paper, signed(split(market, 1_000_000), nonce))
    raw = signed(split(market, 1_000_000), nonce + 1)
    assert "queued cost" in refused(paper, "eth_sendRawTransaction", raw)[1]


def test_an_attempt_says_why_it_would_revert(paper, market):
    call = split(market, 200_000_000_000)
    for method in ("eth_call", "eth_estimateGas"):
        code, said = refused(paper, method, as_request(call, OWNER))
        assert (code, said) == (3, "execution reverted: transfer amount exceeds balance")
    approval = {"wallet": OWNER, "spender": ADAPTER, "amount": "4"}
    paper.call("POST", "/paper/approvals", approval)
    error = answered(paper, "eth_estimateGas", as_request(split(market, 5_000_000), OWNER))["error"]
    assert error["message"] == "execution reverted: insufficient allowance"
    assert bytes.fromhex(error["data"][2:])[:4].hex() == "08c379a0"
    assert b"insufficient allowance".hex() in error["data"]
    assert rpc(paper, "eth_call", as_request(split(market, 4_000_000), OWNER), "latest") == "0x"
    assert refused(paper, "eth_call", as_request(split(market, 4_000_000), OTHER))[0] == 3
    assert paper.ledger()["splits"] == []


def test_an_exact_approval_is_used_up_and_logged(paper, market, nonce):
    approve = calls.erc20_approval_call(token_address=PUSD, spender=ADAPTER, amount=5_000_000)
    receipt = receipt_of(paper, send(paper, signed(approve, nonce)))
    (log,) = receipt["logs"]
    assert (log["address"], int(log["data"], 16)) == (PUSD, 5_000_000)
    assert receipt["to"] == PUSD
    receipt_of(paper, send(paper, signed(split(market, 5_000_000), nonce + 1)))
    allowance = calls.erc20_allowance_call(token_address=PUSD, owner=OWNER, spender=ADAPTER)
    assert int(rpc(paper, "eth_call", as_request(allowance, NOWHERE), "latest"), 16) == 0
    receipt = receipt_of(paper, send(paper, signed(split(market, 1_000_000), nonce + 2)))
    assert (receipt["status"], receipt["logs"]) == ("0x0", [])
    assert len(paper.ledger()["splits"]) == 1


def test_too_little_gas_is_used_up_for_nothing(paper, market, nonce):
    receipt = receipt_of(paper, send(paper, signed(split(market, 1_000_000), nonce, gas=100_000)))
    assert (receipt["status"], receipt["gasUsed"]) == ("0x0", hex(100_000))
    assert nonce_of(paper, OWNER) == nonce + 1
    assert paper.ledger()["splits"] == []


def test_a_call_to_nobody_succeeds_without_a_trace(paper, nonce):
    call = calls.TransactionCall(to=NOWHERE, data="0x72ce4275")
    receipt = receipt_of(paper, send(paper, signed(call, nonce)))
    assert (receipt["status"], receipt["logs"]) == ("0x1", [])
    assert rpc(paper, "eth_getCode", NOWHERE, "latest") == "0x"


def test_pol_can_be_sent(paper, nonce):
    before = pol_of(paper, NOWHERE)
    call = calls.TransactionCall(to=NOWHERE, data="0x", value=10**18)
    receipt_of(paper, send(paper, signed(call, nonce)))
    assert pol_of(paper, NOWHERE) - before == 10**18


@pytest.mark.parametrize(
    ("kind", "arrives"),
    [
        ("timeout_after_accept", True), ("timeout_before_accept", False),
        ("http_500_after_accept", True), ("http_500", False), ("http_429", False),
        ("reject:nonce too low", False), ("lie:garbage", True),
    ],
)  # fmt: skip
def test_a_fault_of_splits_hits_a_raw_transaction(paper, market, nonce, kind, arrives):
    paper.fault("split", kind)
    assert nonce_of(paper, OWNER) == nonce
    raw = signed(split(market, 1_000_000), nonce)
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [raw]}
    with suppress(httpx.HTTPError):
        answer = paper.http.post("/rpc", json=body)
        assert "timeout" not in kind
        assert "result" not in answer.text
    assert nonce_of(paper, OWNER, "pending") == nonce + arrives


def test_an_arranged_failure_reverts_and_an_arranged_delay_waits(paper, market, nonce):
    paper.fault("split", "settlement_fails")
    receipt = receipt_of(paper, send(paper, signed(split(market, 1_000_000), nonce)))
    assert (receipt["status"], paper.ledger()["splits"]) == ("0x0", [])
    paper.fault("split", "settlement_slow")
    sent = send(paper, signed(split(market, 1_000_000), nonce + 1))
    block = int(rpc(paper, "eth_blockNumber"), 16)
    wait_until(lambda: int(rpc(paper, "eth_blockNumber"), 16) > block + 2)
    assert rpc(paper, "eth_getTransactionReceipt", sent) is None


def test_a_node_of_another_chain_or_out_of_its_mind(paper, market, nonce):
    paper.fault("POST /rpc", "lie:chain_id")
    assert rpc(paper, "eth_chainId") == hex(80002)
    assert rpc(paper, "eth_chainId") == hex(137)
    paper.fault("POST /rpc", "lie:nonsense")
    assert rpc(paper, "eth_blockNumber") == "0xnonsense"
    paper.fault("POST /rpc", "lie:garbage")
    assert paper.http.post("/rpc", json={"method": "eth_chainId"}).text.startswith("<html>")
    paper.fault("POST /rpc", "reject:header not found")
    assert refused(paper, "eth_blockNumber") == (-32000, "header not found")
    receipt = receipt_of(paper, send(paper, signed(split(market, 1_000_000), nonce)))
    paper.fault("POST /rpc", "lie:no_receipt")
    assert rpc(paper, "eth_getTransactionReceipt", receipt["transactionHash"]) is None
    assert rpc(paper, "eth_getTransactionReceipt", receipt["transactionHash"]) == receipt


def test_the_pool_survives_a_kill_and_is_mined_once(home):
    first = start_paper(home, OWNER, **FAST | {"PAPER_SETTLE_SECONDS": "3"}, PAPER_WALLET=OWNER)
    market = first.markets()[0]
    sent = send(first, signed(split(market, 5_000_000), 0))
    first.call("POST", "/paper/gas", {"baseFeeGwei": 100})
    first.kill()
    with running_paper(home, OWNER, **FAST, PAPER_WALLET=OWNER) as second:
        assert nonce_of(second, OWNER, "pending") == 1
        receipt = receipt_of(second, sent)
        assert receipt["effectiveGasPrice"] == hex(130 * GWEI)
        latest = int(rpc(second, "eth_blockNumber"), 16)
        second.kill()
    with running_paper(home, OWNER, **FAST | {"PAPER_SETTLE_SECONDS": "1"}) as third:
        assert rpc(third, "eth_getTransactionReceipt", sent) == receipt
        assert int(rpc(third, "eth_blockNumber"), 16) >= latest
        assert third.http.get("/ok").status_code == 200
