"""One process of the long run: a paper exchange and a database of its own, one run after another."""

from __future__ import annotations

import json
import random
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.crashes.points import ANY_COMMIT, ANY_MOMENT, ANY_REQUEST, Kill
from tests.crashes.scenario import scenario_of

if TYPE_CHECKING:
    from tests.crashes.__main__ import Arguments
    from tests.crashes.laboratory import Laboratory, Outcome

RUNS_PER_KILL = 4
"""A point may not be passed as often as was wished; that costs runs, but not more than these."""

WEIGHT = 2
"""How much more often than at a named point processes die anywhere."""


def work(number: int, told: Arguments) -> None:
    """Run until enough processes have died, and tell of each run on a line of its own."""
    from django.conf import settings
    from django.db import connection
    from django.test.utils import setup_test_environment

    from tests.crashes.ground import configuration_for, quick_paper
    from tests.crashes.laboratory import Laboratory

    setup_test_environment()
    connection.settings_dict["TEST"]["NAME"] = f"crashes_{number}"
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    with tempfile.TemporaryDirectory() as home, quick_paper(Path(home)) as paper:
        settings.CONFIGURATION = configuration_for(paper, settings.CONFIGURATION)
        laboratory = Laboratory(paper, Path(home))
        deaths = 0
        for count in range(told.kills * RUNS_PER_KILL):
            if deaths >= told.kills:
                break
            seed = told.seed + count * told.processes + number
            outcome = _run(laboratory, seed, told.point)
            deaths += outcome.deaths
            _tell(outcome, Path(told.logs))


def _run(laboratory: Laboratory, seed: int, point: str) -> Outcome:
    """One run; everything follows from its seed and, where one is given, the point."""
    places = [*laboratory.points, *(ANY_COMMIT, ANY_REQUEST, ANY_MOMENT) * (WEIGHT - 1)]
    point = point or places[seed % len(places)]
    return laboratory.run(scenario_of(seed, point), *kills_of(seed, point, places))


def kills_of(seed: int, point: str, places: list[str]) -> list[Kill]:
    """Die at the point; in most runs at others too, one process after the other, up to six."""
    rng = random.Random(seed)

    def kill(name: str) -> Kill:
        if name == ANY_MOMENT:
            return Kill(name, rng.randint(50, 1200))
        if name == ANY_COMMIT:
            return Kill(name, rng.randint(1, 80))
        return Kill(name, rng.choice((1, 1, 1, 2, 3)))

    names = [point, *rng.choices(places, k=rng.choice((0, 1, 2, 3, 4)))]
    if rng.random() < 0.3:
        names.append(point)
    return [kill(name) for name in names]


def _tell(outcome: Outcome, logs: Path) -> None:
    told = {
        "seed": outcome.scenario.seed,
        "kills": [[kill.point, kill.passing] for kill in outcome.kills],
        "died": [kill.point for kill in outcome.died],
        "recovered_in": round(outcome.recovered_in, 3),
        "verdict": {name: said for name, said in asdict(outcome.verdict).items() if said},
    }
    print(json.dumps(told), flush=True)
    with (logs / "runs").open("a") as file:
        file.write(json.dumps(told) + "\n")
    if outcome.log:
        (logs / f"seed-{outcome.scenario.seed}").write_text(str(outcome))
