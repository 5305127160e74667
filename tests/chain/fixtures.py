"""The fixtures of a real chain; a package that wants them imports them in its conftest.py.

One anvil for each pytest process, taken back to its opening state after each test.
"""

from collections.abc import Iterator

import pytest

from tests.chain.node import Node, running_node


@pytest.fixture(scope="session")
def chain_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The chain of this pytest process."""
    with running_node(tmp_path_factory.mktemp("anvil")) as node:
        yield node


@pytest.fixture
def chain(chain_process: Node) -> Iterator[Node]:
    """A real chain in its opening state."""
    with chain_process.untouched():
        yield chain_process
