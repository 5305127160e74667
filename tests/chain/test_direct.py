"""An EOA's conversions on a real chain: approve, split, merge, redeem, and what can go wrong between."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import httpx
import pytest
from eth_account import Account as EthAccount

from exchange.errors import ExchangeError, OutcomeUnknown, Rejected, Unavailable
from exchange.polymarket import addresses
from exchange.polymarket.direct import DirectMinter
from exchange.polymarket.fees import GWEI
from exchange.polymarket.transactions import bid_of
from exchange.types import Approval, SignedTransaction
from tests.chain.conftest import CONFIRMATIONS
from tests.chain.fixtures import KEY, WALLET
from tests.chain.node import Condition, Node
from tests.exchange.stub import Answer, Asked, Silence, Stub, serving

SPLITTER = addresses.COLLATERAL_ADAPTER


@pytest.fixture
def condition(chain: Node) -> Condition:
    return chain.condition()


@pytest.fixture
def approved(chain: Node, minter: DirectMinter) -> DirectMinter:
    """The minter, with 500 pUSD approved."""
    settle(chain, minter, minter.sign_approval(Approval(SPLITTER, Decimal(500)), 0))
    return minter


@pytest.fixture
def between(chain: Node) -> Iterator[Stub]:
    """Something between us and the node that can keep an answer to itself."""
    with serving() as stub:
        stub.on("POST", "/", lambda asked: passed_on(chain, asked))
        yield stub


def passed_on(chain: Node, asked: Asked) -> Answer:
    return Answer(httpx.post(chain.url, content=asked.body, headers=JSON).json())


JSON = {"Content-Type": "application/json"}


def settle(chain: Node, minter: DirectMinter, signed: SignedTransaction):
    """Submit, mine, bury under blocks, and give the final report."""
    transaction_id = minter.submit(signed)
    chain.mine(1 + CONFIRMATIONS)
    return minter.find([signed], transaction_id)


def foreign(nonce: int, gwei: int = 400) -> str:
    """A transaction of the wallet that we know nothing of."""
    made = EthAccount.sign_transaction(
        {
            "type": 2, "chainId": 137, "nonce": nonce, "to": WALLET, "value": 1, "gas": 21_000,
            "maxFeePerGas": gwei * GWEI, "maxPriorityFeePerGas": gwei * GWEI,
        },
        KEY,
    )  # fmt: skip
    return "0x" + made.raw_transaction.hex()


@pytest.mark.parametrize("neg_risk", [False, True])
def test_our_token_ids_are_the_chains(chain: Node, neg_risk):
    collateral = addresses.WRAPPED_COLLATERAL if neg_risk else addresses.BRIDGED_USDC
    tokens = addresses.CONDITIONAL_TOKENS
    for _ in range(5):
        condition = chain.condition(neg_risk)
        for index, ours in enumerate(condition.tokens):
            collection = chain.read(
                tokens, "getCollectionId(bytes32,bytes32,uint256)", 0, condition.id, 1 << index
            )
            theirs = chain.read(tokens, "getPositionId(address,bytes32)", collateral, collection)
            assert ours == str(theirs)


@pytest.mark.parametrize("neg_risk", [False, True])
def test_a_wallet_approves_splits_merges_and_redeems(chain: Node, minter, neg_risk):
    condition = chain.condition(neg_risk)
    yes, no = condition.tokens
    minter.check()
    split = condition.conversion("split", "100")
    approval = minter.missing_approval(split)
    assert approval == Approval(minter._contracts.adapter_for(neg_risk), Decimal(100))
    report = settle(chain, minter, minter.sign_approval(approval, minter.next_nonce()))
    assert (report.status, report.moved) == ("confirmed", {})
    assert minter.missing_approval(split) is None

    report = settle(chain, minter, minter.sign(split, minter.next_nonce()))
    assert report.status == "confirmed"
    assert report.moved == {"collateral": Decimal(-100), yes: Decimal(100), no: Decimal(100)}
    assert minter.missing_approval(split) == approval, "an exact approval is used up"
    assert chain.holdings(WALLET, condition) == (900, 100, 100)
    held = minter.held([no, "collateral", yes])
    assert held == {no: Decimal(100), "collateral": Decimal(900), yes: Decimal(100)}

    merge = condition.conversion("merge", "40")
    approval = minter.missing_approval(merge)
    assert approval == Approval(minter._contracts.adapter_for(neg_risk), None)
    settle(chain, minter, minter.sign_approval(approval, minter.next_nonce()))
    assert minter.missing_approval(merge) is None
    report = settle(chain, minter, minter.sign(merge, minter.next_nonce()))
    assert report.moved == {"collateral": Decimal(40), yes: Decimal(-40), no: Decimal(-40)}

    assert minter.payouts(condition.id) is None
    chain.resolve(condition, 1, 0)
    assert minter.payouts(condition.id) == (1, 0)
    redeem = condition.conversion("redeem", "0")
    report = settle(chain, minter, minter.sign(redeem, minter.next_nonce()))
    assert report.moved == {"collateral": Decimal(60), yes: Decimal(-60), no: Decimal(-60)}
    assert chain.holdings(WALLET, condition) == (1000, 0, 0)


@pytest.mark.parametrize("neg_risk", [False, True])
def test_the_logs_show_what_did_just_this_whoever_sent_it(chain: Node, make, neg_risk):
    condition, other = chain.condition(neg_risk), chain.condition(neg_risk)
    minter, stranger = make(), make(key="0x" + "6b" * 32)
    chain.fund(stranger.wallet)
    splitter = minter._contracts.adapter_for(neg_risk)
    for one in (minter, stranger):
        settle(chain, one, one.sign_approval(Approval(splitter, Decimal("Infinity")), 0))
        settle(chain, one, one.sign_approval(Approval(splitter, None), 1))
    split = condition.conversion("split", "10")
    since = chain.height()
    assert minter.effects(split, since) == []
    settle(chain, stranger, stranger.sign(split, 2))
    for nonce, wanted in enumerate(
        (condition.conversion("split", "9.999999"), other.conversion("split", "10")), start=2
    ):
        settle(chain, minter, minter.sign(wanted, nonce))
    assert minter.effects(split, since) == []
    signed = minter.sign(split, 4)
    assert signed.since_block == chain.height()
    report = settle(chain, minter, signed)
    (found,) = minter.effects(split, signed.since_block)
    assert (found.status, found.transaction_hash) == ("confirmed", report.transaction_hash)
    assert found.moved == report.moved
    assert minter.effects(split, chain.height()) == []

    merge, redeem = condition.conversion("merge", "4"), condition.conversion("redeem", "0")
    assert minter.effects(merge, since) == minter.effects(redeem, since) == []
    report = settle(chain, minter, minter.sign(merge, 5))
    (found,) = minter.effects(merge, since)
    assert (found.transaction_hash, found.moved) == (report.transaction_hash, report.moved)
    assert minter.effects(condition.conversion("merge", "3"), since) == []
    chain.resolve(condition, 1, 0)
    signed = minter.sign(redeem, 6)
    report = settle(chain, minter, signed)
    (found,) = minter.effects(redeem, signed.since_block)
    assert (found.transaction_hash, found.moved) == (report.transaction_hash, report.moved)
    assert found.moved["collateral"] == Decimal("15.999999")


def test_an_effect_counts_under_enough_blocks_only(chain: Node, approved, condition):
    signed = approved.sign(condition.conversion("split", "10"), 1)
    approved.submit(signed)
    chain.mine(CONFIRMATIONS)
    with pytest.raises(Unavailable, match="4 of 5 blocks"):
        approved.effects(condition.conversion("split", "10"), signed.since_block)
    chain.mine()
    found = approved.effects(condition.conversion("split", "10"), signed.since_block)
    assert [one.transaction_hash for one in found] == [signed.transaction_hash]


def test_what_is_allowed_already_is_told(chain: Node, approved, condition):
    missing = approved.missing_approval(condition.conversion("split", "600"))
    assert (missing.amount, missing.allowed) == (Decimal(600), Decimal(500))


def test_the_cost_is_what_the_wallet_paid(chain: Node, approved, condition):
    before = int(chain.rpc("eth_getBalance", WALLET, "latest"), 16)
    signed = approved.sign(condition.conversion("split", "1"), 1)
    report = settle(chain, approved, signed)
    paid = before - int(chain.rpc("eth_getBalance", WALLET, "latest"), 16)
    assert report.cost == Decimal(paid) / 10**18
    assert 0 < report.cost < signed.max_fee


def test_a_receipt_is_final_under_enough_blocks_only(chain: Node, approved, condition):
    signed = approved.sign(condition.conversion("split", "1"), 1)
    transaction_id = approved.submit(signed)
    assert approved.find([signed], transaction_id).message == "it waits to be mined"
    chain.mine()
    for above in range(CONFIRMATIONS):
        report = approved.find([signed], transaction_id)
        assert (report.status, report.transaction_hash) == ("pending", signed.transaction_hash)
        assert f"{above} of 5 blocks" in report.message
        chain.mine()
    assert approved.find([signed], transaction_id).status == "confirmed"


def test_what_was_never_sent_is_absent(approved, condition):
    assert approved.find([approved.sign(condition.conversion("split", "1"), 1)], "") is None


def test_a_used_nonce_is_refused_and_found_replaced(chain: Node, approved, condition):
    signed = approved.sign(condition.conversion("split", "1"), 0)
    with pytest.raises(Rejected) as refused:
        approved.submit(signed)
    assert refused.value.code == "nonce"
    assert approved.find([signed], "").status == "replaced"
    assert chain.holdings(WALLET, condition) == (1000, 0, 0)


def test_a_higher_bid_takes_the_place_of_the_same_transaction(chain: Node, approved, condition):
    first = approved.sign(condition.conversion("split", "10"), 1)
    approved.submit(first)
    second = approved.sign_replacement(first)
    assert second.nonce == first.nonce
    assert second.max_fee >= first.max_fee * Decimal("1.125")
    assert approved.submit(second) == second.transaction_hash != first.transaction_hash
    with pytest.raises((Unavailable, Rejected)):
        approved.submit(first)
    chain.mine(1 + CONFIRMATIONS)
    report = approved.find([first, second], first.transaction_hash)
    assert (report.status, report.transaction_hash) == ("confirmed", second.transaction_hash)
    assert chain.holdings(WALLET, condition) == (990, 10, 10)


def test_the_first_bid_may_be_mined_after_all(chain: Node, approved, condition):
    first = approved.sign(condition.conversion("split", "10"), 1)
    approved.submit(first)
    second = approved.sign_replacement(first)
    chain.mine()
    with pytest.raises(Rejected) as refused:
        approved.submit(second)
    assert refused.value.code == "nonce"
    chain.mine(CONFIRMATIONS)
    report = approved.find([first, second], first.transaction_hash)
    assert (report.status, report.transaction_hash) == ("confirmed", first.transaction_hash)


def test_a_bid_that_is_raised_too_little_is_not_taken(chain: Node, approved, condition):
    chain.rpc("eth_sendRawTransaction", foreign(1, gwei=100))
    signed = approved.sign(condition.conversion("split", "10"), 1)
    with pytest.raises(Unavailable, match="underpriced"):
        approved.submit(signed)


def test_a_foreign_transaction_with_our_nonce_replaces_ours_when_it_is_deep(
    chain: Node, approved, condition
):
    signed = approved.sign(condition.conversion("split", "10"), 1)
    transaction_id = approved.submit(signed)
    assert approved.find([signed], transaction_id).status == "pending"
    chain.rpc("eth_sendRawTransaction", foreign(1))
    chain.mine()
    assert approved.find([signed], transaction_id).status == "pending"
    chain.mine(CONFIRMATIONS - 1)
    assert approved.find([signed], transaction_id).status == "pending"
    chain.mine()
    report = approved.find([signed], transaction_id)
    assert report.status == "replaced"
    assert "nonce 1" in report.message
    assert chain.holdings(WALLET, condition) == (1000, 0, 0)


def test_no_nonce_is_given_while_a_foreign_transaction_is_on_its_way(chain: Node, minter):
    chain.rpc("eth_sendRawTransaction", foreign(0))
    with pytest.raises(Unavailable, match=f"1 other transaction.*{WALLET}"):
        minter.next_nonce()
    chain.mine()
    assert minter.next_nonce() == 1


def test_a_call_that_would_revert_is_not_signed(chain: Node, minter, condition):
    split = condition.conversion("split", "10")
    with pytest.raises(Rejected, match="allowance too small") as refused:
        minter.sign(split, 0)
    assert refused.value.code == "would_revert"


def test_a_transaction_that_reverts_when_mined_has_used_its_nonce(chain: Node, approved, condition):
    signed = approved.sign(condition.conversion("split", "10"), 1)
    chain.operate(SPLITTER, "pause(bool)", 1)
    report = settle(chain, approved, signed)
    assert (report.status, report.moved) == ("reverted", {})
    assert report.cost > 0
    assert approved.next_nonce() == 2
    with pytest.raises(Rejected, match="paused"):
        approved.sign(condition.conversion("split", "10"), 2)


def test_a_reorganisation_takes_a_receipt_back(chain: Node, approved, condition):
    signed = approved.sign(condition.conversion("split", "10"), 1)
    transaction_id = approved.submit(signed)
    chain.mine(3)
    assert approved.find([signed], transaction_id).status == "pending"
    chain.rpc("anvil_reorg", 3, [])
    assert chain.rpc("eth_getTransactionReceipt", transaction_id) is None
    found = approved.find([signed], transaction_id)
    assert found is None or found.message == "it waits to be mined"
    assert approved.submit(signed) == transaction_id
    chain.mine(1 + CONFIRMATIONS)
    report = approved.find([signed], transaction_id)
    assert (report.status, report.moved["collateral"]) == ("confirmed", -10)
    assert chain.holdings(WALLET, condition) == (990, 10, 10)


def test_a_transaction_that_the_pool_dropped_may_be_sent_again(chain: Node, approved, condition):
    signed = approved.sign(condition.conversion("split", "10"), 1)
    transaction_id = approved.submit(signed)
    chain.rpc("anvil_dropTransaction", transaction_id)
    assert approved.find([signed], transaction_id) is None
    approved.submit(signed)
    assert approved.find([signed], transaction_id).status == "pending"


@pytest.mark.parametrize("is_mined", [True, False])
def test_an_answer_that_never_came_is_looked_up(
    chain: Node, make, approved, condition, between: Stub, is_mined
):
    minter = make(between.url)
    signed = minter.sign(condition.conversion("split", "10"), 1)

    def swallowing(asked: Asked):
        answer = passed_on(chain, asked)
        return Silence if b"eth_sendRawTransaction" in asked.body else answer

    between.on("POST", "/", swallowing)
    with pytest.raises(OutcomeUnknown):
        minter.submit(signed)
    assert minter.find([signed], "").status == "pending"
    between.on("POST", "/", lambda asked: passed_on(chain, asked))
    if is_mined:
        chain.mine()
        with pytest.raises(Rejected) as refused:
            minter.submit(signed)
        assert refused.value.code == "nonce"
    else:
        assert minter.submit(signed) == signed.transaction_hash
    chain.mine(1 + CONFIRMATIONS)
    assert minter.find([signed], "").status == "confirmed"
    assert chain.holdings(WALLET, condition) == (990, 10, 10)


def test_of_two_workers_with_one_nonce_one_converts(chain: Node, make, approved, condition):
    amounts, start = ("10", "20"), threading.Barrier(2)
    workers = [make(), make()]
    signed = [
        worker.sign(condition.conversion("split", amount), worker.next_nonce())
        for worker, amount in zip(workers, amounts, strict=True)
    ]
    assert signed[0].nonce == signed[1].nonce

    def race(index: int) -> str | ExchangeError:
        start.wait()
        try:
            return workers[index].submit(signed[index])
        except ExchangeError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(race, range(2)))
    chain.mine(1 + CONFIRMATIONS)
    reports = [worker.find([one], "") for worker, one in zip(workers, signed, strict=True)]
    assert sorted(report.status for report in reports) == ["confirmed", "replaced"]
    winner = [report.status for report in reports].index("confirmed")
    assert answers[winner] == signed[winner].transaction_hash
    assert isinstance(answers[1 - winner], Rejected | Unavailable)
    quantity = Decimal(amounts[winner])
    assert chain.holdings(WALLET, condition) == (1000 - quantity, quantity, quantity)


def test_a_wallet_without_gas_is_told_what_it_needs(chain: Node, approved, condition):
    signed = approved.sign(condition.conversion("split", "10"), 1)
    chain.fund(WALLET, pol="0.0001")
    with pytest.raises(Rejected, match=rf"{WALLET} holds 0.000100 POL, expected 0\.\d+") as refused:
        approved.sign(condition.conversion("split", "10"), 1)
    assert refused.value.code == "no_gas"
    with pytest.raises(Rejected) as refused:
        approved.submit(signed)
    assert refused.value.code == "no_gas"
    assert approved.find([signed], "") is None
    assert approved.sign_replacement(signed) is None


def test_the_bid_stays_below_its_cap(chain: Node, make, approved, condition):
    frugal = make(max_fee_gwei=33)
    signed = frugal.sign(condition.conversion("split", "10"), 1)
    calling, fees = bid_of(signed)
    assert fees.most <= 33 * GWEI
    assert signed.max_fee == calling.gas * Decimal(fees.most) / 10**18
    assert frugal.sign_replacement(signed) is None
    with pytest.raises(Unavailable, match="MINT_MAX_FEE_GWEI allows 20"):
        make(max_fee_gwei=20).sign(condition.conversion("split", "10"), 1)


def test_another_chain_is_refused(chain: Node, minter):
    chain.rpc("anvil_setChainId", 1)
    try:
        with pytest.raises(Rejected, match="chain 1, expected Polygon's 137"):
            minter.check()
    finally:
        chain.rpc("anvil_setChainId", 137)
    minter.check()


def test_an_adapter_without_code_is_refused_and_moves_nothing(chain: Node, approved, condition):
    chain.rpc("anvil_setCode", SPLITTER, "0x")
    with pytest.raises(Rejected, match=SPLITTER) as refused:
        approved.check()
    assert refused.value.code == "no_code"
    report = settle(chain, approved, approved.sign(condition.conversion("split", "10"), 1))
    assert (report.status, report.moved) == ("confirmed", {})


def test_what_other_wallets_move_is_not_ours(chain: Node, make, approved, condition):
    signed = approved.sign(condition.conversion("split", "10"), 1)
    settle(chain, approved, signed)
    report = make(key="0x" + "6b" * 32).find([signed], "")
    assert (report.status, report.moved) == ("confirmed", {})


def test_the_private_key_is_in_no_words_of_ours(chain: Node, approved, condition):
    signed = approved.sign(condition.conversion("split", "10"), 1)
    shown = f"{signed!r} {signed.payload} {approved!r} {vars(approved)['_rpc']!r}"
    assert KEY.removeprefix("0x") not in shown


def test_the_time_is_the_latest_blocks(chain: Node, minter):
    chain.rpc("evm_setNextBlockTimestamp", 2_000_000_000)
    chain.mine()
    assert minter.now().timestamp() == 2_000_000_000
