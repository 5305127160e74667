"""Every kind of wallet converting on the paper exchange: its relayer, its node, its faults."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import product

import pytest
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
from exchange.polymarket.settings import Account, Endpoints, Sending, Timeouts
from exchange.port import Minter
from exchange.types import Approval, Conversion, SignedTransaction, TransactionReport
from tests.exchange.conftest import KEY, OWNER
from tests.paper_process import PaperProcess, running_paper, wait_until

ADAPTERS = (COLLATERAL_ADAPTER, NEG_RISK_COLLATERAL_ADAPTER)
DERIVATION = PRODUCTION_CONFIG.wallet_derivation
WALLETS = {
    "deposit wallet": "",
    "safe": derive_safe_wallet_address(OWNER, DERIVATION),
    "proxy": derive_proxy_wallet_address(OWNER, DERIVATION),
    "eoa": OWNER,
}
HEIGHT = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
FAST = {"PAPER_SETTLE_SECONDS": "0.2", "PAPER_TIMEOUT_SECONDS": "1", "PAPER_GENERATOR": "0"}


@pytest.fixture(scope="module", params=list(WALLETS.values()), ids=list(WALLETS))
def wallet(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def running(tmp_path_factory, wallet: str) -> Iterator[PaperProcess]:
    told = FAST | ({"PAPER_WALLET": wallet} if wallet else {})
    with running_paper(tmp_path_factory.mktemp("paper"), OWNER, **told) as paper:
        yield paper


@pytest.fixture
def paper(running: PaperProcess) -> PaperProcess:
    running.call("POST", "/paper/reset", {})
    return running


@pytest.fixture
def minter(paper: PaperProcess, wallet: str) -> Minter:
    """The wallet's minter; nothing is approved yet."""
    for token, adapter in product((COLLATERAL, CONDITIONAL_TOKENS), ADAPTERS):
        told = {"token": token, "spender": adapter, "amount": 0}
        paper.call("POST", "/paper/approvals", told)
    return minter_of(
        Endpoints.paper(paper.url),
        Account(KEY, wallet=wallet, relayer_key="any"),
        Timeouts(read=0.6),
        sending=Sending(confirmations=1),
    )


def conversion(market, kind, quantity: str) -> Conversion:
    tokens = tuple(market["tokenIds"])
    return Conversion(kind, market["conditionId"], market["negRisk"], tokens, Decimal(quantity))


def settled(minter: Minter, signed: SignedTransaction, transaction_id: str) -> TransactionReport:
    def final() -> TransactionReport | None:
        report = minter.find([signed], transaction_id)
        return None if report is None or report.status == "pending" else report

    return wait_until(final)


def ended(
    minter: Minter, signed: SignedTransaction, transaction_id: str, status: str
) -> TransactionReport:
    """Its report, once it says this.

    A wallet whose failure uses the nonce is "open" for a look where it fails between the two
    reads, of the chain and of the relayer.
    """

    def ends_so() -> TransactionReport | None:
        report = minter.find([signed], transaction_id)
        return report if report is not None and report.status == status else None

    return wait_until(ends_so)


def taken(minter: Minter, signed: SignedTransaction) -> str:
    """Submit as the queue does: again while the relayer has the wallet's last one in its books."""
    return wait_until(lambda: submitted(minter, signed))


def submitted(minter: Minter, signed: SignedTransaction) -> str:
    """The transaction's id, or nothing while the wallet is busy."""
    try:
        return minter.submit(signed)
    except Unavailable:
        return ""


def convert(minter: Minter, wanted: Conversion) -> TransactionReport:
    """Approve what is missing, and convert."""
    missing = minter.missing_approval(wanted)
    if missing is not None and minter.approves_apart:
        approve(minter, missing)
        missing = minter.missing_approval(wanted)
    signed = minter.sign(wanted, minter.next_nonce(), missing)
    return settled(minter, signed, taken(minter, signed))


def approve(minter: Minter, missing: Approval) -> None:
    signed = minter.sign_approval(missing, minter.next_nonce())
    assert settled(minter, signed, taken(minter, signed)).status == "confirmed"


@pytest.mark.parametrize("neg_risk", [False, True])
def test_every_wallet_splits_and_merges(paper, minter, neg_risk):
    market = next(one for one in paper.markets() if one["negRisk"] is neg_risk)
    assets = ["collateral", *market["tokenIds"]]
    minter.check()
    before = minter.held(assets)
    for kind, quantity, gained in (("split", "5.25", "5.25"), ("merge", "2", "-2")):
        gain = Decimal(gained)
        report = convert(minter, conversion(market, kind, quantity))
        assert (report.status, report.message) == ("confirmed", "")
        assert report.moved == dict(zip(assets, (-gain, gain, gain), strict=True))
        assert report.transaction_hash
        assert (report.cost > 0) is minter.approves_apart
    after = minter.held(assets)
    gains = [after[asset] - before[asset] for asset in assets]
    assert gains == [Decimal("-3.25"), Decimal("3.25"), Decimal("3.25")]


def test_a_merge_leaves_an_approval_behind_only_where_it_is_a_transaction_apart(paper, minter):
    market = next(one for one in paper.markets() if not one["negRisk"])
    convert(minter, conversion(market, "split", "5"))
    merge = conversion(market, "merge", "1")
    assert minter.missing_approval(merge) == Approval(COLLATERAL_ADAPTER, None)
    assert convert(minter, merge).status == "confirmed"
    assert (minter.missing_approval(merge) is None) is minter.approves_apart


def test_a_lost_answer_is_found_and_the_same_bytes_convert_once(paper, minter):
    market = next(one for one in paper.markets() if not one["negRisk"])
    split = conversion(market, "split", "5")
    missing = minter.missing_approval(split)
    if missing is not None and minter.approves_apart:
        approve(minter, missing)
    before = minter.held(market["tokenIds"])
    signed = minter.sign(split, minter.next_nonce(), missing)
    assert minter.find([signed], "") is None
    paper.fault("split", "timeout_after_accept")
    with pytest.raises(OutcomeUnknown):
        minter.submit(signed)
    report = settled(minter, signed, "")
    assert report.status == "confirmed"
    assert report.transaction_id
    with pytest.raises(Rejected) as refused:
        taken(minter, signed)
    assert refused.value.code == "nonce"
    after = minter.held(market["tokenIds"])
    assert [after[token] - before[token] for token in after] == [Decimal(5), Decimal(5)]


def test_a_failure_keeps_the_nonce_of_a_safe_alone_and_the_next_one_converts(paper, minter, wallet):
    market = next(one for one in paper.markets() if not one["negRisk"])
    split = conversion(market, "split", "5")
    missing = minter.missing_approval(split)
    if minter.approves_apart:
        approve(minter, missing)
        missing = minter.missing_approval(split)
    before, nonce = minter.held(market["tokenIds"]), minter.next_nonce()
    paper.fault("split", "settlement_fails")
    signed = minter.sign(split, nonce, missing)
    is_safe = wallet == WALLETS["safe"]
    report = ended(minter, signed, taken(minter, signed), "open" if is_safe else "reverted")
    assert report.moved == {}
    assert minter.held(market["tokenIds"]) == before
    assert minter.next_nonce() == (nonce if is_safe else nonce + 1)
    assert convert(minter, split).moved["collateral"] == Decimal(-5)


def test_of_two_versions_with_one_nonce_one_converts_and_is_found(paper, minter, wallet):
    """What failed on a Safe may execute yet: its nonce is signed again, and no more than one goes."""
    if wallet != WALLETS["safe"]:
        pytest.skip("a failure uses the nonce")
    market = next(one for one in paper.markets() if not one["negRisk"])
    split = conversion(market, "split", "5")
    missing, nonce = minter.missing_approval(split), minter.next_nonce()
    paper.fault("split", "settlement_fails")
    first = minter.sign(split, nonce, missing)
    failed = settled(minter, first, taken(minter, first))
    assert failed.status == "open"
    second = minter.sign(conversion(market, "split", "6"), nonce, minter.missing_approval(split))
    # the relayer is done with the first one; somebody else sends its bytes again
    again = taken(minter, first)
    assert settled(minter, first, again).status == "confirmed"
    with pytest.raises(Rejected) as refused:
        taken(minter, second)
    assert refused.value.code == "nonce"
    report = minter.find([first, second], failed.transaction_id)
    assert (report.status, report.transaction_id) == ("confirmed", again)
    assert report.moved["collateral"] == Decimal(-5)


@pytest.mark.parametrize("neg_risk", [False, True])
def test_the_chain_shows_what_did_just_this_whoever_sent_it(paper, minter, neg_risk):
    market = next(one for one in paper.markets() if one["negRisk"] is neg_risk)
    other = next(one for one in paper.markets() if one["conditionId"] != market["conditionId"])
    since = int(paper.http.post("/rpc", json=HEIGHT).json()["result"], 16)
    wanted = conversion(market, "split", "5")
    assert seen(minter, wanted, since) == []
    for one in (conversion(market, "split", "4.999999"), conversion(other, "split", "5")):
        convert(minter, one)
    assert seen(minter, wanted, since) == []
    reports = [convert(minter, wanted) for _ in range(2)]
    found = seen(minter, wanted, since)
    assert [one.transaction_hash for one in found] == [one.transaction_hash for one in reports]
    assert {one.status for one in found} == {"confirmed"}
    assert [one.moved for one in found] == [one.moved for one in reports]
    with pytest.raises(Unavailable, match="since which block"):
        minter.effects(wanted, 0)


def test_the_chain_shows_merges_and_redemptions(paper, minter):
    market = next(one for one in paper.markets() if not one["negRisk"])
    since = int(paper.http.post("/rpc", json=HEIGHT).json()["result"], 16)
    convert(minter, conversion(market, "split", "5"))
    merge, redeem = conversion(market, "merge", "2"), conversion(market, "redeem", "0")
    assert seen(minter, merge, since) == seen(minter, redeem, since) == []
    done = convert(minter, merge)
    (found,) = seen(minter, merge, since)
    assert (found.transaction_hash, found.moved) == (done.transaction_hash, done.moved)
    assert seen(minter, conversion(market, "merge", "3"), since) == []
    told = {"conditionId": market["conditionId"], "state": "resolved", "payouts": ["1", "0"]}
    paper.call("POST", "/paper/market-state", told)
    after = int(paper.http.post("/rpc", json=HEIGHT).json()["result"], 16) + 1
    wait_until(lambda: int(paper.http.post("/rpc", json=HEIGHT).json()["result"], 16) >= after)
    done = convert(minter, redeem)
    (found,) = seen(minter, redeem, after)
    assert (found.transaction_hash, found.moved) == (done.transaction_hash, done.moved)


def seen(minter: Minter, wanted: Conversion, since: int) -> list[TransactionReport]:
    """The effects, when all of them have enough blocks above them."""

    def final() -> tuple[list[TransactionReport]] | None:
        try:
            return (minter.effects(wanted, since),)
        except Unavailable as error:
            assert "blocks above it" in str(error)  # noqa: PT017 - asked again until it is deep
            return None

    return wait_until(final)[0]
