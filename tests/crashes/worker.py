"""One process of the long run: a paper exchange and a database of its own, one run after another."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.crashes.points import ANY_COMMIT, ANY_MOMENT, EVERYWHERE, Kill, named_points
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

    from orders import venues
    from tests.crashes.ground import configuration_for, quick_paper
    from tests.crashes.laboratory import Laboratory

    setup_test_environment()
    connection.settings_dict["TEST"]["NAME"] = f"crashes_{number}"
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    usual, made = settings.CONFIGURATION, {}
    with ExitStack() as papers:

        def laboratory(kind: str) -> Laboratory:
            """Make one for each kind of wallet when a run first needs it."""
            if kind not in made:
                home = Path(papers.enter_context(tempfile.TemporaryDirectory()))
                paper = papers.enter_context(quick_paper(home, kind))
                settings.CONFIGURATION = configuration_for(paper, usual, kind)
                venues.forget()
                made[kind] = Laboratory(paper, home)
            return made[kind]

        deaths = 0
        for count in range(told.kills * RUNS_PER_KILL):
            if deaths >= told.kills:
                break
            seed = told.seed + count * told.processes + number
            outcome = _run(laboratory, seed, told)
            deaths += outcome.deaths
            _tell(outcome, Path(told.logs))


def _run(laboratory: Callable[[str], Laboratory], seed: int, told: Arguments) -> Outcome:
    """One run; everything follows from its seed and, where they are given, the point or package."""
    places = places_of(told.package)
    point = told.point or places[seed % len(places)]
    scenario = scenario_of(seed, point)
    return laboratory(scenario.wallet).run(scenario, *kills_of(seed, point, places))


def places_of(package: str) -> list[str]:
    """Where processes die: at every point, or at those of one package's files."""
    named = [name for name, path in named_points().items() if path.startswith(package)]
    return [*named, *EVERYWHERE * WEIGHT]


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
