"""One installation serves all modules that one process of pytest runs."""

from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from tests.system.installation import Installation


@pytest.fixture(scope="package")
def _installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("system"))
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture
def system(_installation: Installation) -> Iterator[Installation]:
    """The installation, running, with no faults left by another test."""
    assert _installation.process is not None
    if _installation.process.poll() is not None:
        _installation.start()
    yield _installation
    with suppress(httpx.HTTPError, AssertionError, OSError):
        _tidy(_installation)


def _tidy(system: Installation) -> None:
    """What a failed test left must not fail the next one."""
    for state in ("active", "pending_activation"):
        for stop in system.get("/api/trailing-stops", status=state)["results"]:
            system.web.post(f"/api/trailing-stops/{stop['stateKey']}/cancel")
    system.no_faults()
