"""What tests of the mint queue share: rules of their own, short waits, more markets."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from minting import following, postponing, submitting
from orders import balances, instruments, venues
from orders.models import Instrument
from tests.paper_process import PaperProcess


@pytest.fixture
def rules(paper: PaperProcess, settings: Any) -> Callable[..., None]:
    """Change settings of the mint queue for one test."""

    def change(**changes: object) -> None:
        told = settings.CONFIGURATION
        minting = dataclasses.replace(told.minting, **changes)
        settings.CONFIGURATION = dataclasses.replace(told, minting=minting)
        venues.forget()

    return change


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again after hundredths of a second, so that nobody has to make rows due."""
    moment = timedelta(milliseconds=30)
    for module, name in (
        (submitting, "LOOK_AGAIN"),
        (following, "LOOK_AGAIN"),
        (postponing, "FIRST_DELAY"),
        (postponing, "LONGEST_DELAY"),
    ):
        monkeypatch.setattr(module, name, moment)


@pytest.fixture
def markets(paper: PaperProcess, transactional_db: None) -> list[Instrument]:
    """One token of each market, its balances opened; the neg-risk ones come last."""
    rows = sorted(paper.markets(), key=lambda row: row["negRisk"])
    known = [instruments.known(row["tokenIds"][0]) for row in rows]
    for row in known:
        for asset in (row.base_asset, row.complement, row.quote_asset):
            balances.opened(asset, row.venue)
    return known
