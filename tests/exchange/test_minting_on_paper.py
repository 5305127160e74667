"""Every kind of wallet converting on the paper exchange: its relayer, its node, its faults."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import product

import pytest
from polymarket._internal.environment import PRODUCTION_CONFIG
from polymarket._internal.wallet import derive_proxy_wallet_address, derive_safe_wallet_address

from exchange.errors import OutcomeUnknown, Rejected
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


def convert(minter: Minter, wanted: Conversion) -> TransactionReport:
    """Approve what is missing, and convert."""
    missing = minter.missing_approval(wanted)
    if missing is not None and minter.approves_apart:
        approve(minter, missing)
        missing = minter.missing_approval(wanted)
    signed = minter.sign(wanted, minter.next_nonce(), missing)
    return settled(minter, signed, minter.submit(signed))


def approve(minter: Minter, missing: Approval) -> None:
    signed = minter.sign_approval(missing, minter.next_nonce())
    assert settled(minter, signed, minter.submit(signed)).status == "confirmed"


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
        minter.submit(signed)
    assert refused.value.code == "nonce"
    after = minter.held(market["tokenIds"])
    assert [after[token] - before[token] for token in after] == [Decimal(5), Decimal(5)]


def test_a_failure_on_the_chain_is_final_and_the_next_transaction_converts(paper, minter):
    market = next(one for one in paper.markets() if not one["negRisk"])
    split = conversion(market, "split", "5")
    missing = minter.missing_approval(split)
    if minter.approves_apart:
        approve(minter, missing)
        missing = minter.missing_approval(split)
    before, nonce = minter.held(market["tokenIds"]), minter.next_nonce()
    paper.fault("split", "settlement_fails")
    signed = minter.sign(split, nonce, missing)
    report = settled(minter, signed, minter.submit(signed))
    # a proxy's hub logs its failed call in a transaction that succeeds
    failures = {("reverted", False), ("confirmed", False)}
    assert (report.status, bool(report.moved)) in failures
    assert minter.held(market["tokenIds"]) == before
    assert nonce <= minter.next_nonce() <= nonce + 1, "a Safe's nonce is not used by a failure"
    assert convert(minter, split).moved["collateral"] == Decimal(-5)
