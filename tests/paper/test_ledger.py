"""Whatever is traded, split, merged or deposited: nothing appears, nothing vanishes."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from paper import resting, trades
from paper.actions import Conversion, Redemption
from paper.addresses import adapter_for
from paper.book import BUY, SELL
from paper.entries import Entry, accept, check_funds, fills_of
from paper.errors import Refused
from paper.execution import Reverted, execute
from paper.faults import Fate
from paper.ledger import COLLATERAL, Ledger, move
from paper.money import UNIT
from paper.settings import read_settings
from paper.state import Paper
from paper.store import Store
from paper.trades import Party
from tests.paper.conftest import OWNER


@contextmanager
def exchange() -> Iterator[Paper]:
    """An exchange without its web side."""
    with tempfile.TemporaryDirectory() as home:
        paper = Paper(read_settings({"PAPER_OWNER": OWNER, "POLYTRADER_HOME": home}))
        try:
            yield paper
        finally:
            paper.store.close()


def totals(paper: Paper) -> dict[str, int]:
    """Add up all accounts, per asset, from the entries and from the balances."""
    sums: dict[str, int] = {}
    for table in ("entries", "balances"):
        for row in paper.store.all(f"SELECT asset, SUM(amount) AS n FROM {table} GROUP BY asset"):
            sums[f"{table} {row['asset']}"] = row["n"]
    return sums


def test_a_posting_that_does_not_balance_is_refused(tmp_path: Path):
    ledger = Ledger(Store(tmp_path))
    with pytest.raises(ValueError, match="does not balance"):
        ledger.post("wrong", "x", 0, [("a", COLLATERAL, -5), ("b", COLLATERAL, 4)])
    assert ledger.balances("a") == {}
    ledger.post("right", "x", 0, move("a", "b", COLLATERAL, 5))
    assert (ledger.balance("a", COLLATERAL), ledger.balance("b", COLLATERAL)) == (-5, 5)


actions = st.lists(
    st.tuples(
        st.sampled_from(["SELL", "BUY", "rest", "cross", "split", "merge", "redeem", "deposit", "cancel"]),
        st.integers(0, 1), st.integers(1, 99), st.integers(5, 30_000), st.booleans(),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(actions)
def test_every_sequence_of_trades_conserves_every_asset(steps):
    async def run() -> None:
        with exchange() as paper:
            market = list(paper.markets.values())[5]
            paper.book_of(market).replace({400_000: 500 * UNIT}, {600_000: 500 * UNIT})
            for number, step in enumerate(steps):
                _do(paper, market, number, *step)
            for row in paper.store.all("SELECT id FROM trades"):
                trades.settle(paper, row["id"])
            assert set(totals(paper).values()) <= {0}
            wallet = paper.ledger.balances(paper.settings.wallet)
            assert min(wallet.values()) >= 0
            entries = paper.store.all(
                "SELECT asset, SUM(amount) AS n FROM entries WHERE account = ? GROUP BY asset",
                (paper.settings.wallet,),
            )
            assert {row["asset"]: row["n"] for row in entries} == wallet

    asyncio.run(run())


def _do(paper, market, number, kind, index, cents, size, fails) -> None:
    wallet, price = paper.settings.wallet, cents * 10_000
    if kind in ("split", "merge"):
        conversion = Conversion(kind, adapter_for(False), market.condition_id, size * UNIT)
        with suppress(Reverted), paper.store.transaction():
            execute(paper, wallet, str(number), [conversion])
        return
    if kind == "redeem":
        payouts = (1, 1) if fails else (1, 0)
        paper.change_market(market.condition_id, payouts=payouts)
        with paper.store.transaction():
            redemption = Redemption(adapter_for(False), market.condition_id)
            execute(paper, wallet, str(number), [redemption])
        return
    if kind == "deposit":
        paper.ledger.set_balance(wallet, market.tokens[index], size * UNIT, 0)
    elif kind == "cross":
        paper.book_of(market).replace({price: size * UNIT}, {})
        resting.match_resting(paper, market.condition_id)
    elif kind == "cancel":
        live = paper.store.all("SELECT id FROM orders WHERE status = 'LIVE'")
        resting.cancel(paper, OWNER, [row["id"] for row in live])
    else:
        side = (BUY if fails else SELL) if kind == "rest" else kind
        _place(paper, market, number, side, index, price, size, kind == "rest", fails)


def _place(paper, market, number, side, index, price, size, rests, fails) -> None:
    """Place an order past the signature check, which is tested elsewhere."""
    shares, amount = size * UNIT, size * price
    wallet = paper.settings.wallet
    entry = Entry(
        f"0x{number}", Party(f"0x{number}", wallet, "key", OWNER), market, index, side,
        "GTC" if rests else "FAK", price, shares, shares if side == SELL else amount,
        amount if side == BUY and not rests else None,
        fate=Fate(outcome="fails" if fails else "settles"),
    )  # fmt: skip
    try:
        fills = fills_of(paper, entry)
        check_funds(paper, entry, fills)
    except Refused:
        return
    accept(paper, entry, fills)
