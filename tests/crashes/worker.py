"""One process of the long run: a paper exchange and a database of its own, one run after another."""

from __future__ import annotations

import json
import os
import random
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.crashes.__main__ import Arguments
    from tests.crashes.laboratory import Laboratory, Outcome
    from tests.crashes.points import Kill

RUNS_PER_KILL = 3
"""Points that are not passed so often as hoped cost runs; more than so many is a fault."""


def work(number: int, told: Arguments) -> None:
    """Run until enough processes have died, and tell of each run on a line of its own."""
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection

    from tests.crashes.ground import configuration_for, quick_paper
    from tests.crashes.laboratory import Laboratory

    connection.settings_dict["TEST"]["NAME"] = f"crashes_{number}"
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    with tempfile.TemporaryDirectory() as home, quick_paper(Path(home)) as paper:
        settings.CONFIGURATION = configuration_for(paper, settings.CONFIGURATION)
        laboratory = Laboratory(paper, Path(home))
        _runs(laboratory, number, told)


def _runs(laboratory: Laboratory, number: int, told: Arguments) -> None:
    usual = dict.fromkeys(laboratory.points, 1)
    deaths = 0
    for count in range(told.kills * RUNS_PER_KILL):
        if deaths >= told.kills:
            return
        at = count * told.processes + number
        outcome = _run(laboratory, told, at, usual)
        deaths += outcome.deaths
        for name, passed in outcome.passings.items():
            usual[name] = max(usual[name] - 1, min(passed, 30), 1)
        _tell(outcome, Path(told.logs))


def _run(laboratory: Laboratory, told: Arguments, at: int, usual: dict[str, int]) -> Outcome:
    from tests.crashes.scenario import scenario_of

    seed = told.seed + at
    point = told.point or laboratory.points[at % len(laboratory.points)]
    return laboratory.run(scenario_of(seed, point), *kills_of(seed, point, usual))


def kills_of(seed: int, point: str, usual: dict[str, int]) -> list[Kill]:
    """Die at the first passing or at a later one; in every third run the recovery dies too."""
    from tests.crashes.points import Kill

    rng = random.Random(seed)
    kills = [Kill(point, rng.choice((1, rng.randint(1, usual[point]))))]
    if rng.random() < 0.33:
        other = rng.choice((point, rng.choice(list(usual))))
        kills.append(Kill(other, 1))
    return kills


def _tell(outcome: Outcome, logs: Path) -> None:
    verdict = outcome.verdict
    told = {
        "seed": outcome.scenario.seed,
        "kills": [[kill.point, kill.passing] for kill in outcome.kills],
        "died": [kill.point for kill in outcome.died],
        "recovered_in": round(outcome.recovered_in, 3),
        "verdict": {name: said for name, said in asdict(verdict).items() if said},
    }
    print(json.dumps(told), flush=True)
    with (logs / "runs").open("a") as file:
        file.write(json.dumps(told | {"took": outcome.took}) + "\n")
    if not verdict.is_good:
        path = logs / f"seed-{outcome.scenario.seed}-{os.getpid()}"
        path.write_text(str(outcome))
