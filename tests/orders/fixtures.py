"""Fixtures of several packages: tokens of two markets, and less patience."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from orders import balances, instruments
from orders.models import Instrument
from strategy.rules import Limits
from tests.orders.trades import BOOK
from tests.paper_process import PaperProcess


@pytest.fixture
def tokens(paper: PaperProcess, paper_token: Instrument) -> list[Instrument]:
    """A token of each of two markets, both 0.50 / 0.52, with both outcomes' balances opened."""
    symbol = paper.markets()[1]["tokenIds"][0]
    paper.put_book(symbol, **BOOK)
    second = instruments.known(symbol)
    for asset in (second.base_asset, second.complement):
        balances.opened(asset, second.venue)
    return [paper_token, second]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set limits of the position manager for a test."""

    def change(**limits: Any) -> None:
        monkeypatch.setattr("strategy.seeing.Limits", partial(Limits, **limits))

    return change
