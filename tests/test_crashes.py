"""A process is killed at every point between two effects; the next one finds everything in rows.

Several deaths share a run here, one process after the other on the same rows, since what takes
time is the end of a run. `make crash-test` has the many runs, and docs/crashes.md its results.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from minting import booking, following, requesting
from minting import sending as mint_sending
from orders import ledger, posting, reconciling, signing, venues
from tests.crashes.ground import configuration_for, quick_paper
from tests.crashes.laboratory import Laboratory, Life
from tests.crashes.points import ANY_COMMIT, ANY_REQUEST, Kill, named_points
from tests.crashes.scenario import OF_AN_EOA, Scenario, everything, scenario_of
from tests.paper_process import PaperProcess

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    with quick_paper(tmp_path_factory.mktemp("paper")) as process:
        yield process


@pytest.fixture
def laboratory(quick: PaperProcess, settings: Any, tmp_path: Path) -> Iterator[Laboratory]:
    yield from a_laboratory(quick, "deposit_wallet", settings, tmp_path)


@pytest.fixture
def eoa_laboratory(settings: Any, tmp_path: Path) -> Iterator[Laboratory]:
    with quick_paper(tmp_path / "paper", "eoa") as process:
        yield from a_laboratory(process, "eoa", settings, tmp_path)


def a_laboratory(paper: PaperProcess, wallet: str, settings: Any, home: Path) -> Iterator[Any]:
    settings.CONFIGURATION = configuration_for(paper, django_settings.CONFIGURATION, wallet)
    venues.forget()
    yield Laboratory(paper, home)
    venues.forget()


def plain(seed: int) -> Scenario:
    """One stop, its mint, nothing else, and a venue that behaves."""
    return dataclasses.replace(
        everything(seed),
        stops=scenario_of(seed).stops[:1],
        deals=(),
        rest="",
        faults=(),
        asked=(),
        is_hedged=False,
        merges_surplus=False,
        resolves=False,
    )


def test_a_process_that_dies_at_any_point_loses_nothing_and_does_nothing_twice(
    laboratory: Laboratory,
):
    left = [name for name in named_points() if name not in OF_AN_EOA]
    for seed in range(9):
        scenario = everything(seed) if seed < 5 else scenario_of(seed, left[0])
        outcome = laboratory.run(scenario, *map(Kill, left))
        assert outcome.verdict.is_good, outcome
        dead = {kill.point for kill in outcome.died}
        left = [name for name in left if name not in dead]
        if not left:
            break
    assert not left, "nobody died there; give NEEDS or `everything` what passes it"


def test_a_process_that_sends_transactions_of_its_own_may_die_at_any_point_too(
    eoa_laboratory: Laboratory,
):
    left = list(OF_AN_EOA)
    for seed in range(6):
        outcome = eoa_laboratory.run(scenario_of(seed, left[-1]), *map(Kill, left))
        assert outcome.verdict.is_good, outcome
        dead = {kill.point for kill in outcome.died}
        left = [name for name in left if name not in dead]
        if not left:
            break
    assert not left, "nobody died there; give NEEDS what passes it"


@pytest.mark.parametrize("seed", range(2))
def test_a_process_that_dies_after_any_commit_or_answer_does_so_too(
    laboratory: Laboratory, seed: int
):
    kills = [Kill(ANY_COMMIT, 7 + 23 * seed), Kill(ANY_REQUEST, 1 + seed), Kill(ANY_COMMIT, 40)]
    scenario = dataclasses.replace(scenario_of(seed), wallet="deposit_wallet")
    outcome = laboratory.run(scenario, *kills)
    assert outcome.deaths >= 2
    assert outcome.verdict.is_good, outcome


def test_the_laboratory_notices_an_order_that_is_sent_before_it_is_committed(
    laboratory: Laboratory,
):
    def spoil() -> None:
        make = signing._made

        def make_and_send(order: Any) -> Any:
            signed = make(order)
            venues.venue_of(order.instrument).post(signed)
            return signed

        signing._made = make_and_send

    outcome = laboratory.run(plain(0), Kill("exits_planned"), life=Life(spoil), within=4)
    assert any("is not ours" in said for said in outcome.verdict.twice)
    assert outcome.verdict.ledger


def test_the_laboratory_notices_an_order_that_is_never_sent_again(laboratory: Laboratory):
    def spoil() -> None:
        posting.may_post_again = lambda order: False
        reconciling.post_due = lambda: 0

    outcome = laboratory.run(plain(1), Kill("exits_committed"), life=Life(spoil), within=2)
    assert outcome.verdict.stuck
    assert outcome.verdict.lost


def test_the_laboratory_notices_a_split_that_is_submitted_before_it_is_committed(
    laboratory: Laboratory,
):
    def spoil() -> None:
        commit = mint_sending._commit

        def submit_and_commit(plan: Any, signed: Any, *told: Any) -> Any:
            venues.minter().submit(signed)
            return commit(plan, signed, *told)

        mint_sending._commit = submit_and_commit

    outcome = laboratory.run(plain(4), Kill("conversion_made"), life=Life(spoil), within=4)
    assert outcome.verdict.twice


def test_the_laboratory_notices_a_split_that_is_signed_anew_without_a_look_up(
    laboratory: Laboratory,
):
    def spoil() -> None:
        def sign_anew(row: Any, who: Any) -> None:
            booking.fail(row, "nobody asked what became of it", then="requested")

        following._judge = sign_anew

    outcome = laboratory.run(plain(5), Kill("conversion_submitted"), life=Life(spoil), within=4)
    assert outcome.verdict.twice


def test_the_laboratory_notices_a_mint_that_is_forgotten(laboratory: Laboratory):
    def spoil() -> None:
        requesting._wanting = lambda: requesting.Fill.objects.none()

    life = Life(spoil, leaves=frozenset({"sales without a mint"}))
    outcome = laboratory.run(plain(2), Kill("settlement_committed"), life=life)
    assert any("has the mint None" in said for said in outcome.verdict.lost)


def test_the_laboratory_notices_a_settlement_that_is_not_booked(laboratory: Laboratory):
    def spoil() -> None:
        ledger.post_settlement = lambda fill: None

    outcome = laboratory.run(plain(3), life=Life(spoil))
    assert outcome.verdict.ledger
