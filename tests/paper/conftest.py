"""A running paper exchange and the real client on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eth_account import Account
from polymarket import SecureClient
from polymarket.auth import RelayerApiKey

from tests.paper_process import PaperProcess, environment_for, running_paper

OWNER_KEY = "0x" + "a7" * 32
OWNER = Account.from_key(OWNER_KEY).address
FAST = {
    "PAPER_SETTLE_SECONDS": "0.2", "PAPER_TIMEOUT_SECONDS": "0.3", "PAPER_DELAY_SECONDS": "0.3",
    "PAPER_GENERATOR": "0",
}  # fmt: skip


def client_on(url: str, key: str = OWNER_KEY, wallet: str | None = None) -> SecureClient:
    """Make the real client against a paper exchange."""
    owner = Account.from_key(key).address
    return SecureClient.create(
        private_key=key,
        wallet=wallet,
        environment=environment_for(url),
        api_key=RelayerApiKey(key="any", address=owner),
    )


@pytest.fixture(scope="module")
def shared_paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperProcess]:
    """One process per module; use `paper`, which starts from the opening state."""
    with running_paper(tmp_path_factory.mktemp("paper"), OWNER, **FAST) as process:
        yield process


@pytest.fixture
def paper(shared_paper: PaperProcess) -> PaperProcess:
    """A paper exchange in its opening state, quick to settle and without a generator."""
    shared_paper.call("POST", "/paper/reset")
    return shared_paper


@pytest.fixture(scope="module")
def shared_client(shared_paper: PaperProcess) -> Iterator[SecureClient]:
    """One real client per module, since making one takes half a second."""
    with client_on(shared_paper.url) as real:
        yield real


@pytest.fixture
def client(paper: PaperProcess, shared_client: SecureClient) -> SecureClient:
    """The real client with the installation's deposit wallet, on the opening state."""
    return shared_client


@pytest.fixture
def connect() -> Iterator[Callable[..., SecureClient]]:
    """Make more clients, closed at the end."""
    made: list[SecureClient] = []

    def make(url: str, key: str = OWNER_KEY, wallet: str | None = None) -> SecureClient:
        made.append(client_on(url, key, wallet))
        return made[-1]

    yield make
    for real in made:
        real.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of its own for a process that is killed and started again."""
    return tmp_path
