"""One installation serves all modules here; the last of them is the one that breaks things."""

from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from tests.system.installation import Installation


@pytest.fixture(scope="session")
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
    if _installation.process.poll() is None and _installation.pid("paper") is not None:
        with suppress(httpx.HTTPError):
            _installation.no_faults()
