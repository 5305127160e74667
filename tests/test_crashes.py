"""A process is killed at every point between two effects; the next one finds everything in rows."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from tests.crashes.laboratory import Laboratory
from tests.crashes.points import Kill, named_points
from tests.crashes.scenario import scenario_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def _quick_paper(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.crashes.ground import quick_paper

    with quick_paper(tmp_path_factory.mktemp("paper")) as process:
        yield process


@pytest.fixture
def laboratory(_quick_paper: Any, settings: Any, tmp_path: Path) -> Any:
    from orders import venues
    from tests.crashes.ground import configuration_for

    settings.CONFIGURATION = configuration_for(_quick_paper, django_settings.CONFIGURATION)
    venues.forget()
    yield Laboratory(_quick_paper, tmp_path)
    venues.forget()


@pytest.mark.parametrize("point", named_points())
def test_a_process_that_dies_loses_nothing_and_does_nothing_twice(
    laboratory: Laboratory, point: str
):
    outcome = laboratory.run(scenario_of(1, point), Kill(point))
    assert outcome.deaths == 1, outcome
    assert outcome.verdict.is_good, outcome
