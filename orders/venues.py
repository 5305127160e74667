"""Which adapter trades what: one per venue and process, made from the configuration when first used."""

import os
import re
import threading
from collections.abc import Callable

import structlog
from django.conf import settings

from exchange.errors import Rejected
from exchange.polymarket.settings import Account, Contracts, Credentials, Endpoints, Sending
from exchange.port import Exchange, MarketStream, Minter, UserStream
from exchange.types import RejectionCode
from orders.models import Instrument
from polytrader.configuration import Configuration

TOKEN_ID = re.compile(r"[0-9]{10,78}\Z")
SPOT_SYMBOL = re.compile(r"[A-Z0-9]{5,20}\Z")

log = structlog.get_logger()

_lock = threading.RLock()
_made: dict[tuple[int, str], object] = {}


def venue_name(symbol: str) -> str:
    """`polymarket` for a decimal token id, `binance` for a spot symbol, else refuse."""
    if TOKEN_ID.match(symbol):
        return "polymarket"
    if SPOT_SYMBOL.match(symbol) and not symbol.isdigit():
        return "binance"
    raise Rejected(
        RejectionCode.UNKNOWN_INSTRUMENT,
        "expected a Polymarket token id or a spot symbol such as BTCUSDT",
    )


def venue(name: str) -> Exchange:
    """The adapter of a venue by its name."""
    return _once(name, lambda: _guarded(name))  # type: ignore[return-value]


def venue_of(instrument: Instrument) -> Exchange:
    """The adapter that trades this instrument."""
    return venue(instrument.venue)


def is_loaded(name: str) -> bool:
    """Whether this process has the adapter of a venue already: making one takes its time."""
    return (os.getpid(), name) in _made


def minter() -> Minter:
    """Whoever mints for the installation's wallet."""
    return _once("minter", _minter)  # type: ignore[return-value]


def user_stream() -> UserStream:
    """The stream of news about the wallet's orders and trades."""
    from exchange.polymarket.user_stream import UserStream as PolymarketUserStream

    account = _account()
    if account is None:
        raise Rejected(RejectionCode.NOT_ALLOWED, "this process has no key; it cannot listen")
    return PolymarketUserStream(_endpoints(), account)


def market_stream() -> MarketStream:
    """A new connection to the venue that tells of its books; needs no key."""
    from exchange.polymarket.market_stream import MarketStream as PolymarketMarketStream

    return PolymarketMarketStream(_endpoints())


def _guarded(name: str) -> Exchange:
    from exchange.guarded import guarded

    told: Configuration = settings.CONFIGURATION
    return guarded(
        name,
        {"polymarket": _polymarket, "binance": _binance}[name](),
        settings.REDIS_URL,
        guards(),
        orders_per_second=told.orders_per_second,
        orders_burst=told.orders_burst,
    )


def guards() -> str:
    """The name under which the venues' limits and breakers are shared."""
    from exchange.guarded import namespace

    return namespace(settings.CONFIGURATION.exchange, settings.CONFIGURATION.paper_port)


def _once(name: str, make: Callable[[], object]) -> object:
    """One object per process, made after any fork."""
    key = (os.getpid(), name)
    with _lock:
        if key not in _made:
            _made[key] = make()
        return _made[key]


def warm_up() -> None:
    """Load the client and log in before the first order; a venue that is away is met later."""
    exchange = venue("polymarket")
    try:
        exchange.log_in()
    except Exception as error:
        log.info("not_warm_yet", error=str(error))


def forget() -> None:
    """Drop all adapters, so that the next use reads the configuration again (tests)."""
    with _lock:
        _made.clear()


def _polymarket() -> Exchange:
    from exchange.polymarket.trading import PolymarketExchange

    return PolymarketExchange(_endpoints(), _account())


def _minter() -> Minter:
    from exchange.guarded_minting import guarded_minter
    from exchange.polymarket.minting import minter_of

    account = _account()
    if account is None:
        raise Rejected(RejectionCode.NOT_ALLOWED, "this process has no signing key; it cannot mint")
    rules = settings.CONFIGURATION.minting
    minter = minter_of(
        _endpoints(),
        account,
        contracts=Contracts.with_adapters(rules.adapter, rules.neg_risk_adapter),
        sending=Sending(rules.confirmations, rules.max_fee_gwei),
    )
    return guarded_minter(minter, settings.REDIS_URL, guards())


def _binance() -> Exchange:
    from exchange.binance.client import DEFAULT_BASE_URL
    from exchange.binance.trading import BinanceExchange

    told: Configuration = settings.CONFIGURATION
    base = paper_url() if told.exchange == "paper" else DEFAULT_BASE_URL
    known = Instrument.objects.filter(venue="binance").values_list("symbol", flat=True)
    return BinanceExchange(
        base, told.binance_api_key or "", told.binance_api_secret or "", symbols=list(known)
    )


def paper_url() -> str:
    """The local paper exchange."""
    return f"http://127.0.0.1:{settings.CONFIGURATION.paper_port}"


def _endpoints() -> Endpoints:
    told: Configuration = settings.CONFIGURATION
    if told.exchange == "paper":
        return Endpoints.paper(paper_url())
    return Endpoints(rpc=told.rpc_url) if told.rpc_url else Endpoints()


def _account() -> Account | None:
    """Who trades; `None` in a process that is handed no key."""
    told: Configuration = settings.CONFIGURATION
    if not told.private_key:
        return None
    credentials = None
    if told.api_key and told.api_secret and told.api_passphrase:
        credentials = Credentials(told.api_key, told.api_secret, told.api_passphrase)
    return Account(
        private_key=told.private_key,
        wallet=told.wallet or "",
        credentials=credentials,
        relayer_key=told.relayer_key or "",
        relayer_address=told.relayer_address or "",
    )
