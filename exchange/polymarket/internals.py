"""What is used of the official client's private parts; the calls that mint are in `internals_minting.py`.

Nothing else uses them. `polymarket-client` 0.14.0 offers no public way to another base address, to sign without
asking the network, or to sign and submit a conversion apart. `tests/exchange/test_internals.py`
fails when another version is installed or one of these changes. Importing this file loads
the client (1 s, 70 MB): import it where it is used.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from eth_account import Account as EthAccount
from eth_account.signers.local import LocalAccount
from polymarket._internal.actions.auth import create_or_derive_api_key_sync
from polymarket._internal.actions.relayer.auth import make_relayer_header_resolver_sync
from polymarket._internal.environment import PRODUCTION_CONFIG
from polymarket._internal.l1_auth import sign_api_key_auth
from polymarket._internal.wallet import (
    derive_beacon_deposit_wallet_address,
    try_classify_wallet_type,
)
from polymarket.auth import RelayerApiKey
from polymarket.clients._transport import SyncTransport
from polymarket.clients.secure import _make_l2_header_resolver_sync
from polymarket.errors import (
    PolymarketError,
    RateLimitError,
    RequestRejectedError,
    TransportError,
    UnexpectedResponseError,
)
from polymarket.models.clob import ApiKeyCreds

from exchange.polymarket.connections import (
    Connection,
    last_answer_was_empty,
    last_answer_was_json,
    unanswered,
)
from exchange.polymarket.failures import Trouble
from exchange.polymarket.settings import Credentials
from exchange.polymarket.wallets import WalletKind

PINNED_VERSION = "0.14.0"
WALLET_DERIVATION = PRODUCTION_CONFIG.wallet_derivation

_KINDS: dict[str, WalletKind] = {
    "EOA": "eoa",
    "POLY_PROXY": "proxy",
    "GNOSIS_SAFE": "safe",
    "DEPOSIT_WALLET": "deposit_wallet",
}


class Transport:
    """One of the client's transports over our connection, with its errors made `Trouble`."""

    def __init__(self, transport: SyncTransport) -> None:
        self._transport = transport

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """Return the JSON answer of an authenticated GET; raises `Trouble`."""
        return _ask(lambda: self._transport.get_json(path, params=params))

    def post(self, path: str, body: object) -> Any:
        """Return the JSON answer of an authenticated POST; raises `Trouble`."""
        return _ask(lambda: self._transport.post_json(path, json=body))

    def delete(self, path: str, body: object) -> Any:
        """Return the JSON answer of an authenticated DELETE; raises `Trouble`."""
        return _ask(lambda: self._transport.delete_json(path, json=body))


def clob_transport(connection: Connection, private_key: str, credentials: Credentials) -> Transport:
    """Return a transport that signs each request with the API key (L2 headers)."""
    resolver = _make_l2_header_resolver_sync(
        _signer(private_key),
        ApiKeyCreds.model_validate(
            {
                "apiKey": credentials.key,
                "secret": credentials.secret,
                "passphrase": credentials.passphrase,
            }
        ),
    )
    return Transport(
        SyncTransport(
            base_url=connection.base_url, client=connection.client(), header_resolver=resolver
        )
    )


def relayer_transport(connection: Connection, key: str, address: str) -> Transport:
    """Return a transport to the relayer, authenticated where there is a key."""
    resolver = (
        make_relayer_header_resolver_sync(RelayerApiKey(key=key, address=address)) if key else None
    )
    return Transport(
        SyncTransport(
            base_url=connection.base_url, client=connection.client(), header_resolver=resolver
        )
    )


def derive_credentials(connection: Connection, private_key: str, timestamp: int) -> Credentials:
    """Create the key's API credentials, or derive those it has (two requests at most)."""
    signature = sign_api_key_auth(
        _signer(private_key), chain_id=PRODUCTION_CONFIG.chain_id, timestamp=timestamp
    )
    transport = SyncTransport(base_url=connection.base_url, client=connection.client())
    made = cast(ApiKeyCreds, _ask(lambda: create_or_derive_api_key_sync(transport, signature)))
    return Credentials(key=made.key, secret=made.secret, passphrase=made.passphrase)


def deposit_wallet_of(owner: str) -> str:
    """Return the address at which the venue makes an owner's deposit wallet."""
    return derive_beacon_deposit_wallet_address(owner, WALLET_DERIVATION)


def kind_of_wallet(owner: str, wallet: str) -> WalletKind | None:
    """Return what the wallet is to the owner, `None` where it is not derived from the owner."""
    kind = try_classify_wallet_type(signer=owner, wallet=wallet, config=WALLET_DERIVATION)
    return None if kind is None else _KINDS[kind]


def _signer(private_key: str) -> LocalAccount:
    return cast(LocalAccount, EthAccount.from_key(private_key))


def _ask(request: Callable[[], object]) -> object:
    try:
        return request()
    except TransportError as error:
        raise unanswered(error.__cause__) from None
    except RateLimitError as error:
        raise Trouble(str(error), status=429, is_json=True, retry_after=error.retry_after) from None
    except RequestRejectedError as error:
        raise Trouble(
            str(error),
            status=error.status,
            is_json=last_answer_was_json(),
            retry_after=error.retry_after,
        ) from None
    except UnexpectedResponseError as error:
        raise Trouble(str(error), status=200, is_empty=last_answer_was_empty()) from None
    except PolymarketError as error:  # refused by the client itself, before sending
        raise Trouble(f"{type(error).__name__}: {error}", sent=False) from None
