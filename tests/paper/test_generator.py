"""The generator moves what nobody pinned, within bounds, and leaves alone what was pinned."""

from __future__ import annotations

import pytest

from paper.book import BUY, SELL
from paper.generator import HIGH, LOW, Generator
from paper.settings import read_settings
from paper.state import Paper
from tests.paper.conftest import OWNER


@pytest.fixture
def state(tmp_path):
    paper = Paper(read_settings({"PAPER_OWNER": OWNER, "POLYTRADER_HOME": str(tmp_path)}))
    yield paper
    paper.store.close()


def test_books_move_within_bounds_and_pins_hold(state):
    generator = Generator(state)
    generator.seed()
    pinned, *others = [state.book_of(market) for market in list(state.markets.values())[:6]]
    pinned.replace({310_000: 7}, {})
    pinned.pinned = True
    state.spot_pinned.add("BTCUSDT")
    bitcoin, seen = state.spot_prices["BTCUSDT"], set()
    for _ in range(2_000):
        generator.step()
        for book in others:
            bids, asks = book.others[BUY], book.others[SELL]
            assert max(bids) < min(asks)
            assert min(bids) >= LOW
            assert max(asks) <= HIGH
            seen.add(max(bids))
    assert len(seen) > 20
    assert pinned.others[BUY] == {310_000: 7}
    assert state.spot_prices["BTCUSDT"] == bitcoin
    assert state.spot_prices["ETHUSDT"] > 0
