"""A stub venue and an exchange that trades there."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from exchange.polymarket.settings import Account, Credentials, Endpoints, Timeouts
from exchange.polymarket.trading import PolymarketExchange
from exchange.polymarket.wallets import address_of
from exchange.types import OrderRequest
from tests.exchange.stub import Stub, serving

KEY = "0x" + "11" * 32
OWNER = address_of(KEY)
YES = "107505882767731489358349912513945399560393482969656700824895970500493757150417"
NO = "7305630249804085635496399869905769372294302716159034447326228509068694952392"
CONDITION = "0x747dc809fb79e1b05be09c42d6179459a58de2ef3e40f02484a4e1260f741f75"
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I="
CREDENTIALS = Credentials(
    key="9180014b-33c8-9240-a14b-bdca11c0a465", secret=SECRET, passphrase="pp"
)
SELL = OrderRequest(
    symbol=YES,
    side="sell",
    quantity=Decimal(10),
    price=Decimal("0.5"),
    tick_size=Decimal("0.01"),
)
MARKET = {
    "t": [{"t": YES, "o": "Yes"}, {"t": NO, "o": "No"}],
    "mts": 0.01,
    "mos": 5,
    "fd": {"r": 0.04, "e": 1, "to": True},
}
QUICK = Timeouts(connect=2, read=0.3, write=2, pool=2)


@pytest.fixture
def venue() -> Iterator[Stub]:
    with serving() as stub:
        stub.on("GET", f"/clob-markets/{CONDITION}", MARKET)
        stub.on("GET", f"/markets-by-token/{YES}", {"condition_id": CONDITION})
        stub.on("GET", "/markets/keyset", {"markets": [{"question": "Rain?", "version": "v1"}]})
        yield stub


@pytest.fixture
def account() -> Account:
    return Account(KEY, wallet=OWNER, credentials=CREDENTIALS)


@pytest.fixture
def exchange(venue: Stub, account: Account) -> PolymarketExchange:
    return PolymarketExchange(Endpoints.paper(venue.url), account, QUICK)
