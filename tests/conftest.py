"""What every test may use: real Postgres and Redis (see `launch/testing.py`), a paper exchange."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.rows import Api

hypothesis_settings.register_profile(
    "suite", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left alone with them."""
    items.sort(key=lambda item: "/system/" not in str(item.path))


OWNER_KEY = "0x" + "42" * 32


@pytest.fixture
def api(db: None) -> Api:
    """An HTTP client of this process with an admin token."""
    return Api("admin")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """End what background threads left connected, which dropping the database would wait for."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture(scope="session")
def _paper_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from exchange.polymarket.wallets import address_of
    from tests.paper_process import running_paper

    with running_paper(
        tmp_path_factory.mktemp("paper"),
        address_of(OWNER_KEY),
        PAPER_SETTLE_SECONDS="0.3",
        PAPER_TIMEOUT_SECONDS="0.5",
        PAPER_GENERATOR="0",
    ) as process:
        yield process


@pytest.fixture
def paper(_paper_process: Any, settings: Any) -> Iterator[Any]:
    """A paper exchange in its opening state; our adapters in this process trade on it."""
    from exchange import guarded
    from orders import sending, venues

    _paper_process.call("POST", "/paper/reset")
    settings.CONFIGURATION = dataclasses.replace(
        django_settings.CONFIGURATION,
        exchange="paper",
        paper_port=int(_paper_process.url.rsplit(":", 1)[1]),
        private_key=OWNER_KEY,
        relayer_key="paper",
        binance_api_key="paper-key",
        binance_api_secret="paper-secret",
    )
    venues.forget()
    guarded.forget(settings.REDIS_URL, venues.guards())
    yield _paper_process
    sending.finish()
    venues.forget()


@pytest.fixture
def paper_token(paper: Any, transactional_db: None) -> Any:
    """An outcome token of the paper exchange with a book of 0.50 / 0.52, its balances opened."""
    from orders import balances, instruments

    symbol = paper.markets()[0]["tokenIds"][0]
    paper.put_book(symbol, bids=[("0.50", 1000)], asks=[("0.52", 1000)])
    instrument = instruments.known(symbol)
    for asset in (instrument.base_asset, instrument.complement, instrument.quote_asset):
        balances.opened(asset, instrument.venue)
    return instrument
