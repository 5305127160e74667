"""A wallet on a real chain, and its minter."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from exchange.polymarket.direct import DirectMinter
from exchange.polymarket.minting import minter_of
from exchange.polymarket.settings import Account, Endpoints, Sending, Timeouts
from exchange.polymarket.wallets import address_of
from tests.chain.fixtures import KEY, WALLET, chain, chain_process, minting_on_chain
from tests.chain.node import Node

__all__ = ["chain", "chain_process", "minting_on_chain"]

CONFIRMATIONS = 5


@dataclass(frozen=True)
class Making:
    """Makes minters of the wallet."""

    node: Node

    def __call__(self, url: str = "", max_fee_gwei: int = 500, key: str = KEY) -> DirectMinter:
        """A minter that asks the chain, or whoever stands before it at `url`."""
        minter = minter_of(
            Endpoints(rpc=url or self.node.url),
            Account(key, wallet=address_of(key)),
            Timeouts(read=2),
            sending=Sending(CONFIRMATIONS, max_fee_gwei),
        )
        assert isinstance(minter, DirectMinter)
        return minter


@pytest.fixture
def make(chain: Node) -> Callable[..., DirectMinter]:
    """Make minters of the wallet, which holds 100 POL and 1000 pUSD."""
    chain.fund(WALLET)
    return Making(chain)


@pytest.fixture
def minter(make: Callable[..., DirectMinter]) -> DirectMinter:
    """The wallet's minter."""
    return make()
