"""The minter that an installation makes from its configuration, on a real chain."""

import dataclasses

import pytest

from exchange.errors import Rejected
from exchange.guarded_minting import GuardedMinter
from orders import venues
from tests.chain.fixtures import WALLET
from tests.chain.node import Node


def test_an_installation_with_an_eoa_splits_by_its_rules(minting_on_chain: Node, settings):
    told = settings.CONFIGURATION
    rules = dataclasses.replace(told.minting, confirmations=2, max_fee_gwei=33)
    settings.CONFIGURATION = dataclasses.replace(told, minting=rules)
    minter, condition = venues.minter(), minting_on_chain.condition(neg_risk=True)
    assert isinstance(minter, GuardedMinter)
    assert (minter.wallet, minter.approves_apart) == (WALLET, True)
    minter.check()
    split = condition.conversion("split", "10")
    signed = minter.sign_approval(minter.missing_approval(split), minter.next_nonce())
    assert minter.submit(signed) == signed.transaction_hash
    minting_on_chain.mine(2)
    assert minter.find([signed], "").status == "pending"
    minting_on_chain.mine()
    assert minter.find([signed], "").status == "confirmed"
    assert minter.sign_replacement(signed) is None, "its bid would exceed 33 gwei"
    signed = minter.sign(split, minter.next_nonce())
    minter.submit(signed)
    minting_on_chain.mine(3)
    assert minter.find([signed], "").moved["collateral"] == -10


def test_an_adapter_of_the_configuration_must_have_code(minting_on_chain: Node, settings):
    told, nowhere = settings.CONFIGURATION, "0x" + "44" * 20
    rules = dataclasses.replace(told.minting, neg_risk_adapter=nowhere)
    settings.CONFIGURATION = dataclasses.replace(told, minting=rules)
    with pytest.raises(Rejected, match=rf"{nowhere} \(POLY_NEG_RISK_ADAPTER\)"):
        venues.minter().check()
