"""Where the runs take place: a paper exchange that settles at once, and our configuration for it."""

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from exchange.polymarket.wallets import address_of
from paper.wallets import beacon_wallet, proxy_wallet, safe_wallet
from polytrader.configuration import Configuration
from tests.paper_process import PaperProcess, running_paper

OWNER_KEY = "0x" + "43" * 32
_WALLETS: Mapping[str, Callable[[str], str]] = {
    "deposit_wallet": beacon_wallet,
    "safe": safe_wallet,
    "proxy": proxy_wallet,
    "eoa": lambda owner: owner,
}


def quick_paper(home: Path, kind: str = "deposit_wallet") -> AbstractContextManager[PaperProcess]:
    """A paper exchange whose trades settle in a tenth of a second, for a wallet of some kind."""
    return running_paper(
        home,
        address_of(OWNER_KEY),
        PAPER_WALLET=wallet_of(kind),
        PAPER_SETTLE_SECONDS="0.1",
        PAPER_TIMEOUT_SECONDS="0.1",
        PAPER_DELAY_SECONDS="0.2",
        PAPER_GENERATOR="0",
    )


def configuration_for(
    paper: PaperProcess, usual: Configuration, kind: str = "deposit_wallet"
) -> Configuration:
    """Give our configuration to trade on it."""
    return dataclasses.replace(
        usual,
        exchange="paper",
        paper_port=int(paper.url.rsplit(":", 1)[1]),
        private_key=OWNER_KEY,
        wallet=wallet_of(kind),
        relayer_key="paper",
        binance_api_key="paper-key",
        binance_api_secret="paper-secret",
    )


def wallet_of(kind: str) -> str:
    """The owner's wallet of a kind."""
    return _WALLETS[kind](address_of(OWNER_KEY))
