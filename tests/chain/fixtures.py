"""The fixtures of a real chain; a package that wants them imports them in its conftest.py.

One anvil for each pytest process, taken back to its opening state after each test.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from exchange.polymarket.wallets import address_of
from tests.chain.node import Node, running_node

KEY = "0x" + "5a" * 32
WALLET = address_of(KEY)
"""An EOA: it sends its own transactions."""


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


@pytest.fixture
def minting_on_chain(
    chain: Node, paper: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Node:
    """The chain that this installation mints on by `WALLET`, while it trades on the paper exchange.

    No setting can say that, lest somebody who plays sends real transactions.
    """
    from orders import venues

    endpoints = dataclasses.replace(venues._endpoints(), rpc=chain.url)
    monkeypatch.setattr(venues, "_endpoints", lambda: endpoints)
    settings.CONFIGURATION = dataclasses.replace(
        settings.CONFIGURATION, private_key=KEY, wallet=WALLET
    )
    venues.forget()
    chain.fund(WALLET)
    return chain
