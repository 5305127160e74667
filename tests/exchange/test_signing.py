"""Signatures and ids against recorded vectors and against the official client's own code."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from polymarket._internal.actions.orders.post import build_post_order_request
from polymarket._internal.actions.orders.typed_data import (
    build_order_signature,
    build_order_typed_data,
)
from polymarket._internal.actions.orders.types import UnsignedOrder
from polymarket.clients.secure import SecureClient
from polymarket.environments import PRODUCTION, _create_environment

from exchange.errors import Rejected
from exchange.polymarket.addresses import exchange_for
from exchange.polymarket.settings import Account, Endpoints
from exchange.polymarket.signing import OrderSigner
from exchange.polymarket.trading import PolymarketExchange
from exchange.polymarket.wallets import Wallet, deposit_wallet_of, wallet_of
from tests.exchange.conftest import CONDITION, CREDENTIALS, KEY, NO, OWNER, SELL, YES
from tests.exchange.stub import Stub

KINDS = ["eoa", "proxy", "safe", "deposit_wallet"]


def test_the_recorded_vector_has_our_digest_and_signature():
    order_id, order = OrderSigner(KEY, Wallet(OWNER, OWNER, "eoa")).sign_amounts(
        token_id=123,
        side=0,
        maker_amount=5200000,
        taker_amount=10000000,
        neg_risk=False,
        salt=479249096354,
        timestamp=1763765000000,
    )
    assert order_id == "0xea43d24b56cb1c0ebbacfb1bc17d5094cba15e6a181640166186d291308964ef"
    assert order["signature"] == (
        "0x00dba5b764dd0f3ab40207c007fdf4125c049f180c9b9eec3bad170ec6236253"
        "59a0d47bd6b68fa6a68bc26ad3b5ab7cee6890d728a4b63ab5a3bdf232b3f18a1c"
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("neg_risk", [False, True])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_the_clients_generic_encoder_agrees(kind, neg_risk, side):
    from eth_account import Account as EthAccount
    from eth_account.messages import _hash_eip191_message, encode_typed_data

    address = OWNER if kind == "eoa" else deposit_wallet_of(OWNER)
    signer = OrderSigner(KEY, Wallet(OWNER, address, kind))
    order_id, signed = signer.sign(replace(SELL, side=side, neg_risk=neg_risk))
    order: Any = signed
    build: Any = UnsignedOrder
    unsigned = build(
        chain_id=137,
        builder=order["builder"],
        exchange_address=exchange_for(neg_risk),
        expiration=0,
        maker=order["maker"],
        maker_amount=int(order["makerAmount"]),
        metadata=order["metadata"],
        order_type="FAK",
        salt=order["salt"],
        side=order["side"],
        signature_type=order["signatureType"],
        signer=order["signer"],
        taker_amount=int(order["takerAmount"]),
        timestamp=int(order["timestamp"]),
        token_id=order["tokenId"],
    )
    typed = build_order_typed_data(unsigned)
    raw = EthAccount.from_key(KEY).sign_typed_data(full_message=typed).signature.hex()
    assert order["signature"] == build_order_signature(unsigned, "0x" + raw)
    plain = {**typed, "primaryType": "Order"}
    plain["types"] = {key: typed["types"][key] for key in ("EIP712Domain", "Order")}
    plain["message"] = typed["message"].get("contents", typed["message"])
    assert order_id == "0x" + _hash_eip191_message(encode_typed_data(full_message=plain)).hex()


@pytest.mark.parametrize("wallet", [OWNER, ""])
def test_the_body_is_byte_for_byte_the_clients(venue: Stub, monkeypatch, wallet):
    """The client's own market order, made of the same salt and time, posts the same bytes."""
    account = Account(KEY, wallet=wallet, credentials=CREDENTIALS)
    config = replace(PRODUCTION._config, clob_url=venue.url, gamma_url=venue.url)
    venue.on("GET", "/auth/api-keys", {"apiKeys": [CREDENTIALS.key]})
    from polymarket.models.clob import ApiKeyCreds

    client = SecureClient._create(
        private_key=KEY,
        wallet=wallet_of(account).address,
        environment=_create_environment(name="stub", config=config),
        credentials=ApiKeyCreds(key=CREDENTIALS.key, secret=CREDENTIALS.secret, passphrase="pp"),
    )
    theirs = client.create_market_order(
        token_id=YES, side="SELL", shares="10", min_price="0.5", order_type="FAK"
    )
    client.close()
    path, body = build_post_order_request(theirs, owner_api_key=CREDENTIALS.key)
    monkeypatch.setattr("exchange.polymarket.signing.secrets.randbits", lambda bits: theirs.salt)
    monkeypatch.setattr(
        "exchange.polymarket.signing.time.time_ns", lambda: theirs.timestamp * 1_000_000
    )

    exchange = PolymarketExchange(Endpoints.paper(venue.url), account)
    signed = exchange.sign(SELL)
    answer = {"success": True, "errorMsg": "", "orderID": signed.order_id, "status": "live"}
    venue.on("POST", path, answer)
    exchange.post(signed)

    assert venue.of("POST", "/order")[0].body == json.dumps(body, separators=(",", ":")).encode()


def test_signing_makes_no_request(venue: Stub, exchange: PolymarketExchange):
    exchange.sign(SELL)
    assert venue.asked == []


def test_two_orders_of_the_same_numbers_have_two_ids(exchange: PolymarketExchange):
    assert exchange.sign(SELL).order_id != exchange.sign(SELL).order_id


def test_a_protocol_v2_position_is_not_signed(exchange: PolymarketExchange):
    with pytest.raises(Rejected, match="Protocol V2"):
        exchange.sign(replace(SELL, symbol=str(1 << 248)))


def test_a_process_without_a_key_says_so(venue: Stub):
    with pytest.raises(Rejected, match="only read"):
        PolymarketExchange(Endpoints.paper(venue.url)).sign(SELL)


def test_an_off_grid_price_is_not_signed(exchange: PolymarketExchange):
    with pytest.raises(Rejected):
        exchange.sign(replace(SELL, price=Decimal("0.505")))


def test_position_ids_are_those_of_the_venue():
    from exchange.polymarket.positions import position_id

    assert [position_id(CONDITION, index, neg_risk=False) for index in (0, 1)] == [YES, NO]
    assert position_id(CONDITION, 0, neg_risk=True) != YES
