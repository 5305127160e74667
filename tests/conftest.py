"""What every test may use: real Postgres and Redis (see `launch/testing.py`), a paper exchange."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.rows import Api

hypothesis_settings.register_profile(
    "suite", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("suite")

OWNER_KEY = "0x" + "42" * 32


@pytest.fixture
def api(db: None) -> Api:
    """An HTTP client of this process with an admin token."""
    return Api("admin")


@pytest.fixture(scope="session")
def _paper_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from exchange.polymarket.wallets import address_of
    from tests.paper_process import start_paper

    home = tmp_path_factory.mktemp("paper")
    with start_paper(
        Path(home),
        address_of(OWNER_KEY),
        PAPER_SETTLE_SECONDS="0.3",
        PAPER_TIMEOUT_SECONDS="0.5",
        PAPER_GENERATOR="0",
    ) as process:
        yield process


@pytest.fixture
def paper(_paper_process: Any, settings: Any) -> Iterator[Any]:
    """A paper exchange in its opening state; our adapters in this process trade on it."""
    from orders import venues

    _paper_process.reset()
    settings.CONFIGURATION = dataclasses.replace(
        django_settings.CONFIGURATION,
        exchange="paper",
        paper_port=_paper_process.port,
        private_key=OWNER_KEY,
        relayer_key="paper",
        binance_api_key="paper-key",
        binance_api_secret="paper-secret",
    )
    venues.forget()
    yield _paper_process
    venues.forget()
