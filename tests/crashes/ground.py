"""Where the runs take place: a paper exchange that settles at once, and our configuration for it."""

import dataclasses
from contextlib import AbstractContextManager
from pathlib import Path

from exchange.polymarket.wallets import address_of
from polytrader.configuration import Configuration
from tests.paper_process import PaperProcess, running_paper

OWNER_KEY = "0x" + "43" * 32


def quick_paper(home: Path) -> AbstractContextManager[PaperProcess]:
    """A paper exchange whose trades settle in a tenth of a second."""
    return running_paper(
        home,
        address_of(OWNER_KEY),
        PAPER_SETTLE_SECONDS="0.1",
        PAPER_TIMEOUT_SECONDS="0.1",
        PAPER_DELAY_SECONDS="0.2",
        PAPER_GENERATOR="0",
    )


def configuration_for(paper: PaperProcess, usual: Configuration) -> Configuration:
    """Give our configuration to trade on it."""
    return dataclasses.replace(
        usual,
        exchange="paper",
        paper_port=int(paper.url.rsplit(":", 1)[1]),
        private_key=OWNER_KEY,
        relayer_key="paper",
        binance_api_key="paper-key",
        binance_api_secret="paper-secret",
    )
