"""Signatures and ids against vectors made by the real clients."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from polymarket import PRODUCTION
from polymarket._internal.wallet import (
    derive_beacon_deposit_wallet_address,
    derive_uups_deposit_wallet_address,
)

from paper.addresses import EXCHANGE, EXCHANGE_V3, NEG_RISK_EXCHANGE
from paper.keys import l2_signature
from paper.positions import token_ids
from paper.signatures import SignedOrder, login_signer, order_signer
from paper.wallets import beacon_wallet, legacy_wallet

RECORDED = Path(__file__).parent / "recorded_calls.json"
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I="
SIGNER = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
ZERO = "0x" + "00" * 32
ORDER_SIGNATURE = bytes.fromhex(
    "00dba5b764dd0f3ab40207c007fdf4125c049f180c9b9eec3bad170ec623625359a0d47bd6b68fa6a68bc26ad3b5ab7c"
    "ee6890d728a4b63ab5a3bdf232b3f18a1c"
)


def order(**changes: object) -> SignedOrder:
    """Give the vector's order."""
    fields = {
        "salt": 479249096354, "maker": SIGNER, "signer": SIGNER, "token_id": 123,
        "maker_amount": 5_200_000, "taker_amount": 10_000_000, "side": "BUY", "signature_type": 0,
        "timestamp": 1763765000000, "metadata": ZERO, "builder": ZERO,
        "signature": ORDER_SIGNATURE,
    }  # fmt: skip
    return SignedOrder(**(fields | changes))


def test_the_order_id_is_the_digest():
    wanted = "ea43d24b56cb1c0ebbacfb1bc17d5094cba15e6a181640166186d291308964ef"
    assert order().digest(EXCHANGE).hex() == wanted
    wanted = "245926eb34d144e071626ce59b0a2962bdb98d629955edbb543db499fae1c3be"
    assert order().digest(EXCHANGE_V3, "3").hex() == wanted


def test_the_order_signature_names_its_signer():
    assert order_signer(order(), EXCHANGE) == SIGNER


@pytest.mark.parametrize(
    ("exchange", "changes"),
    [
        (NEG_RISK_EXCHANGE, {}),
        (EXCHANGE, {"maker_amount": 5_200_001}),
        (EXCHANGE, {"side": "SELL"}),
        (EXCHANGE, {"maker": "0x" + "11" * 20}),
        (EXCHANGE, {"signature": ORDER_SIGNATURE[:64]}),
        (EXCHANGE, {"signature": bytes(65)}),
        (EXCHANGE, {"signature_type": 3}),
    ],
)
def test_a_changed_order_has_another_signer_or_none(exchange: str, changes: dict):
    assert order_signer(order(**changes), exchange) != SIGNER


def test_the_login_signature_names_its_signer():
    signature = bytes.fromhex(
        "d62e64e6a1942ba377126a21d1a75de38309624c5d5f0a2eab031ce131e9d2d84466ceec219cf8174eca1dc194222a65"
        "cbdb2bdfd32013cb57e95b542cae06001b"
    )
    assert login_signer(SIGNER, "1763765000", 0, signature) == SIGNER
    assert login_signer(SIGNER, "1763765000", 1, signature) != SIGNER


@pytest.mark.parametrize(
    ("method", "path", "body", "wanted"),
    [
        ("POST", "/order", b'{"a":1}', "Wm-RKUMZpxjUpElEhXrQ-HrYhOSmw6DqwhCCa4IVHz8="),
        ("GET", "/data/orders", b"", "EqfjPX9cOllUdzdEP-ADIW4hKVWonoEPh-4ktVVGHEE="),
    ],
)
def test_the_call_signature(method: str, path: str, body: bytes, wanted: str):
    assert l2_signature(SECRET, "1763765000", method, path, body) == wanted


def test_every_recorded_call_verifies():
    """The calls were recorded from the real clients with a secret made for the recording."""
    calls = json.loads(RECORDED.read_text())
    assert len(calls) >= 25
    for call in calls:
        signature = l2_signature(
            SECRET, call["timestamp"], call["method"], call["path"], call["body"].encode()
        )
        assert signature == call["signature"], (call["method"], call["path"])


def test_token_ids_are_those_of_a_real_market():
    assert token_ids(
        "0x747dc809fb79e1b05be09c42d6179459a58de2ef3e40f02484a4e1260f741f75", neg_risk=False
    ) == (
        "107505882767731489358349912513945399560393482969656700824895970500493757150417",
        "7305630249804085635496399869905769372294302716159034447326228509068694952392",
    )


def test_wallets_are_where_the_client_looks_for_them():
    config = PRODUCTION._config.wallet_derivation
    assert beacon_wallet(SIGNER) == derive_beacon_deposit_wallet_address(SIGNER, config)
    assert legacy_wallet(SIGNER) == derive_uups_deposit_wallet_address(SIGNER, config)
