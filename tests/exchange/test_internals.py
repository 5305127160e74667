"""The client's private parts are pinned: an upgrade fails here first, and loudly."""

import importlib.metadata
import inspect
import re
from pathlib import Path

from polymarket._internal.environment import PRODUCTION_CONFIG
from polymarket.clients._transport import SyncTransport

from exchange.polymarket import addresses, internals, internals_minting

SIGNATURES = {
    "create_or_derive_api_key_sync": ["clob", "signature"],
    "derive_beacon_deposit_wallet_address": ["signer", "config"],
    "make_relayer_header_resolver_sync": ["api_key"],
    "_make_l2_header_resolver_sync": ["signer", "credentials"],
    "sign_api_key_auth": ["signer", "chain_id", "timestamp", "nonce"],
    "try_classify_wallet_type": ["signer", "wallet", "config"],
}
MINTING_SIGNATURES = {
    "ctf_split_position_call": ["target", "collateral", "condition_id", "amount"],
    "ctf_merge_positions_call": ["target", "collateral", "condition_id", "amount"],
    "ctf_redeem_positions_call": ["ctf", "collateral", "condition_id"],
    "erc20_approval_call": ["token_address", "spender", "amount"],
    "erc1155_set_approval_for_all_call": ["token_address", "operator", "approved"],
    "encode_proxy_call": ["calls"],
    "encode_safe_multisend_call": ["calls"],
    "sign_deposit_wallet_batch": ["signer", "wallet", "calls", "nonce", "deadline", "chain_id"],
    "build_deposit_wallet_payload": [
        *("signer_address", "deposit_wallet_factory", "wallet", "calls"),
        *("nonce", "deadline", "signature", "metadata"),
    ],
    "sign_safe_transaction": [
        *("signer", "safe_address", "to", "data", "value", "operation", "nonce", "chain_id")
    ],
    "build_safe_payload": [
        *("signer_address", "wallet", "target", "data", "value", "operation"),
        *("nonce", "signature", "metadata"),
    ],
    "build_proxy_transaction_hash": [
        *("from_address", "to", "data", "relayer_fee", "gas_price", "gas_limit"),
        *("nonce", "relay_hub", "relay"),
    ],
    "sign_proxy_message": ["signer", "message_hash"],
    "build_proxy_payload": [
        *("signer_address", "proxy_factory", "wallet", "data", "nonce", "signature"),
        *("gas_limit", "relay", "relay_hub", "metadata"),
    ],
}


def test_the_installed_client_is_the_pinned_one():
    assert importlib.metadata.version("polymarket-client") == internals.PINNED_VERSION == "0.14.0"


def test_private_functions_take_what_they_took():
    for module, signatures in (
        (internals, SIGNATURES),
        (internals_minting, MINTING_SIGNATURES),
    ):
        for name, parameters in signatures.items():
            assert list(inspect.signature(getattr(module, name)).parameters) == parameters, name


def test_the_transport_takes_our_client_and_headers():
    taken = inspect.signature(SyncTransport.__init__).parameters
    assert {"base_url", "client", "header_resolver"} <= set(taken)


def test_private_names_stay_in_two_files():
    private = re.compile(r"polymarket\._internal|from polymarket\b|import polymarket\b")
    ours = Path(internals.__file__).parents[1]
    users = [path.name for path in ours.rglob("*.py") if private.search(path.read_text())]
    assert sorted(users) == ["internals.py", "internals_minting.py"]


def test_our_addresses_are_the_clients():
    config = PRODUCTION_CONFIG
    assert config.chain_id == addresses.CHAIN_ID
    assert config.standard_exchange == addresses.STANDARD_EXCHANGE
    assert config.neg_risk_exchange == addresses.NEG_RISK_EXCHANGE
    assert config.conditional_tokens == addresses.CONDITIONAL_TOKENS
    assert config.collateral_token == addresses.COLLATERAL
    assert config.collateral_adapter == addresses.COLLATERAL_ADAPTER
    assert config.relay_hub == addresses.RELAY_HUB
    assert config.neg_risk_collateral_adapter == addresses.NEG_RISK_COLLATERAL_ADAPTER


def test_the_endpoints_are_the_clients():
    from exchange.polymarket.settings import Endpoints

    config, ours = PRODUCTION_CONFIG, Endpoints()
    assert (ours.clob, ours.gamma, ours.data) == (
        config.clob_url,
        config.gamma_url,
        config.data_url,
    )
    assert (ours.relayer, ours.rpc) == (config.relayer_url, config.rpc_url)
    assert ours.user_ws == config.clob_user_ws_url


def test_the_clients_own_signatures_use_coincurve():
    from eth_keys.datatypes import PrivateKey

    backend = PrivateKey(bytes([1] * 32)).backend
    assert type(backend).__name__ == "CoinCurveECCBackend"
