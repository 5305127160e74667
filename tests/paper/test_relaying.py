"""Safes and proxies through the relayer: envelopes of the official client, proved and executed once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from polymarket import PRODUCTION, SecureClient
from polymarket._internal.actions.relayer import calls, gasless
from polymarket._internal.wallet import derive_proxy_wallet_address, derive_safe_wallet_address
from polymarket.errors import RequestRejectedError, TransactionFailedError

from paper.wallets import proxy_wallet, safe_wallet
from tests.paper.conftest import FAST, OWNER, OWNER_KEY, client_on
from tests.paper.on_chain import (
    ADAPTER,
    NOWHERE,
    PUSD,
    merge,
    party,
    receipt_of,
    rpc,
    split,
)
from tests.paper_process import PaperProcess, running_paper, wait_until

DERIVATION = PRODUCTION._config.wallet_derivation
RELAY_HUB = "0xD216153c06E857cD7f72665E0aF1d7D82172F494"
STRANGER = "0x" + "c5" * 32


@dataclass
class Wallet:
    """A paper exchange whose wallet is of one kind, and the official client with it."""

    kind: str
    address: str
    paper: PaperProcess
    client: SecureClient

    def envelope(self, *made: calls.TransactionCall) -> dict[str, Any]:
        """Let the official client fetch a nonce, sign, and build what it would submit."""
        return dict(
            gasless.build_signed_payload_for_wallet_type_sync(
                self.client._ctx, calls=list(made), metadata="test"
            )
        )

    def submit(self, envelope: dict[str, Any], status: int = 200) -> dict[str, Any]:
        """Submit an envelope and give the answer."""
        answer = self.paper.http.post("/submit", json=envelope, headers={"RELAYER_API_KEY": "any"})
        assert answer.status_code == status, answer.text
        return answer.json()

    def done(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Wait until a submission is final and show it."""
        path = f"/v1/account/transactions/{sent['transactionID']}"

        def final() -> dict[str, Any] | None:
            shown = self.paper.http.get(path).json()
            return shown if shown["state"] in ("STATE_CONFIRMED", "STATE_FAILED") else None

        return wait_until(final)

    def nonce(self) -> int:
        """Give the nonce as the relayer names it."""
        path = "/relay-payload" if self.kind == "PROXY" else "/v1/account/transactions/params"
        answer = self.paper.http.get(path, params={"address": OWNER, "type": self.kind})
        return int(answer.json()["nonce"])


@pytest.fixture(scope="module", params=["SAFE", "PROXY"])
def running(request, tmp_path_factory) -> Iterator[Wallet]:
    kind = request.param
    derive = derive_safe_wallet_address if kind == "SAFE" else derive_proxy_wallet_address
    address = derive(OWNER, DERIVATION)
    folder = tmp_path_factory.mktemp(kind.lower())
    with (
        running_paper(folder, OWNER, **FAST, PAPER_WALLET=address) as paper,
        client_on(paper.url, OWNER_KEY, address) as client,
    ):
        yield Wallet(kind, address, paper, client)


@pytest.fixture
def wallet(running) -> Wallet:
    """The wallet in its opening state; nonces go on."""
    running.paper.call("POST", "/paper/reset")
    return running


@pytest.fixture
def market(wallet):
    return wallet.paper.markets()[0]


def balances(wallet: Wallet) -> dict[str, str]:
    return wallet.paper.ledger()["balances"][wallet.address]


def test_safes_and_proxies_are_where_the_client_looks_for_them():
    assert safe_wallet(OWNER) == derive_safe_wallet_address(OWNER, DERIVATION)
    assert proxy_wallet(OWNER) == derive_proxy_wallet_address(OWNER, DERIVATION)


def test_the_official_client_splits_merges_and_redeems(wallet, market):
    kinds = {"SAFE": "GNOSIS_SAFE", "PROXY": "POLY_PROXY"}
    assert wallet.client.wallet_type == kinds[wallet.kind]
    condition = market["conditionId"]
    wallet.client.split_position(condition_id=condition, amount=5_000_000).wait()
    wallet.client.merge_positions(condition_id=condition, amount=2_000_000).wait()
    assert balances(wallet)["collateral"] == "99997"
    body = {"conditionId": condition, "state": "resolved", "payouts": [1, 0]}
    wallet.paper.call("POST", "/paper/market-state", body)
    wallet.client.redeem_positions(condition_id=condition).wait()
    assert balances(wallet)["collateral"] == "110000"
    ledger = wallet.paper.ledger()
    assert [len(ledger[name]) for name in ("splits", "merges", "redemptions")] == [1, 1, 1]


def test_several_calls_go_as_one_and_log_for_the_wallet(wallet, market):
    approve = calls.erc20_approval_call(token_address=PUSD, spender=ADAPTER, amount=7_000_000)
    made = (approve, split(market, 7_000_000), merge(market, 3_000_000))
    shown = wallet.done(wallet.submit(wallet.envelope(*made)))
    assert (shown["state"], shown["type"]) == ("STATE_CONFIRMED", wallet.kind)
    receipt = receipt_of(wallet.paper, shown["transaction_hash"])
    assert receipt["status"] == "0x1"
    assert receipt["to"] == (wallet.address if wallet.kind == "SAFE" else RELAY_HUB)
    approved, paid, _, arrived, *_ = receipt["logs"]
    assert party(approved["topics"][1]) == party(paid["topics"][1]) == wallet.address.lower()
    assert party(arrived["topics"][3]) == wallet.address.lower()
    assert balances(wallet)["collateral"] == "99996"
    question = calls.erc20_allowance_call(token_address=PUSD, owner=wallet.address, spender=ADAPTER)
    request = {"to": PUSD, "data": question.data}
    assert int(rpc(wallet.paper, "eth_call", request, "latest"), 16) == 0


def test_all_or_none_of_several_calls_take_effect(wallet, market):
    nonce = wallet.nonce()
    made = (split(market, 1_000_000), split(market, 900_000_000_000))
    shown = wallet.done(wallet.submit(wallet.envelope(*made)))
    assert shown["state"] == "STATE_FAILED"
    assert "exceeds balance" in shown["error_msg"]
    assert wallet.paper.ledger()["splits"] == []
    receipt = receipt_of(wallet.paper, shown["transaction_hash"])
    assert receipt["logs"] == []
    used = wallet.kind == "PROXY"
    assert wallet.nonce() == nonce + used
    assert receipt["status"] == hex(used)


def test_the_same_bytes_execute_once(wallet, market):
    envelope = wallet.envelope(split(market, 1_000_000))
    sent = wallet.submit(envelope)
    assert "in-flight action" in wallet.submit(envelope, 400)["error"]
    assert wallet.done(sent)["state"] == "STATE_CONFIRMED"
    assert "does not match on-chain nonce" in wallet.submit(envelope, 400)["error"]
    listed = wallet.paper.http.get(
        "/v1/account/transactions", params={"address": OWNER}, headers={"RELAYER_API_KEY": "any"}
    ).json()["data"]
    assert [row["signature"] for row in listed] == [envelope["signature"]]
    assert len(wallet.paper.ledger()["splits"]) == 1


def test_a_failed_transaction_leaves_a_safes_nonce_for_the_same_bytes(wallet, market):
    envelope = wallet.envelope(split(market, 1_000_000))
    wallet.paper.fault("split", "settlement_fails")
    assert wallet.done(wallet.submit(envelope))["state"] == "STATE_FAILED"
    if wallet.kind == "PROXY":
        assert "does not match on-chain nonce" in wallet.submit(envelope, 400)["error"]
    else:
        assert wallet.done(wallet.submit(envelope))["state"] == "STATE_CONFIRMED"
        assert len(wallet.paper.ledger()["splits"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "999"}, {"from": NOWHERE}, {"to": NOWHERE}, {"proxyWallet": NOWHERE},
        {"signature": "0x" + "11" * 65}, {"signature": "0x"}, {"signatureParams": {}},
        {"data": "0x12345678"}, {"nonce": "x"}, {"signature": None}, {"metadata": "m" * 501},
    ],
)  # fmt: skip
def test_a_forged_envelope_is_refused(wallet, market, change):
    envelope = wallet.envelope(split(market, 1_000_000)) | change
    assert wallet.submit(envelope, 400)["error"].split(":")[0] in (
        "invalid signature", "invalid transaction request", "call blocked",
    )  # fmt: skip
    assert wallet.paper.ledger()["splits"] == []


def test_every_signed_parameter_counts(wallet, market):
    envelope = wallet.envelope(split(market, 1_000_000))
    parameters = envelope["signatureParams"]
    assert len(parameters) == (6 if wallet.kind == "SAFE" else 5)
    for name, value in parameters.items():
        changed = NOWHERE if value.startswith("0x") else str(int(value) + 1)
        forged = envelope | {"signatureParams": parameters | {name: changed}}
        said = wallet.submit(forged, 400)["error"]
        assert said.startswith(("invalid signature", "call blocked")), name


def test_somebody_elses_signature_moves_nothing(wallet, market):
    with client_on(wallet.paper.url, STRANGER) as stranger:
        envelope = dict(
            gasless.build_signed_safe_payload_sync(
                stranger._ctx, calls=[split(market, 1_000_000)], metadata=""
            )
        )
    envelope |= {"proxyWallet": wallet.address}
    assert wallet.submit(envelope, 400)["error"] == "invalid signature"


def test_an_unknown_target_is_blocked(wallet, market):
    transfer = calls.erc20_transfer_call(token_address=PUSD, recipient=OWNER, amount=1)
    for made in ((transfer,), (split(market, 1_000_000), transfer)):
        assert "call blocked" in wallet.submit(wallet.envelope(*made), 400)["error"]


def test_a_failing_split_says_why(wallet, market):
    handle = wallet.client.split_position(
        condition_id=market["conditionId"], amount=200_000_000_000
    )
    with pytest.raises(TransactionFailedError, match="exceeds balance"):
        handle.wait()


def test_a_contract_wallets_orders_are_taken(wallet, market):
    token = market["tokenIds"][0]
    wallet.paper.put_book(token, [("0.48", 100)])
    client = wallet.client
    signed = client.create_market_order(
        asset_id=token, side="SELL", shares="10", min_price="0.45", order_type="FAK"
    )
    assert client.post_order(signed).status == "matched"
    placed = client.place_limit_order(asset_id=token, side="SELL", price="0.55", size="10")
    assert client.get_order(order_id=placed.order_id).status == "LIVE"
    wait_until(lambda: wallet.paper.ledger()["trades"][0]["status"] == "CONFIRMED")
    assert balances(wallet)[token] == "9990"
    allowed = client.get_balance_allowance(asset_type="CONDITIONAL", token_id=token)
    assert allowed.balance == 9_990_000_000
    with pytest.raises(RequestRejectedError, match="invalid signature"):
        client.post_order(dataclasses.replace(signed, maker=NOWHERE))


def test_the_relayer_knows_the_wallet(wallet):
    query = {"address": wallet.address, "type": wallet.kind}
    assert wallet.paper.http.get("/deployed", params=query).json() == {"deployed": True}
    query = {"address": NOWHERE, "type": wallet.kind}
    assert wallet.paper.http.get("/deployed", params=query).json() == {"deployed": False}
    wrong = {"address": OWNER, "type": "OTHER"}
    assert wallet.paper.http.get("/nonce", params=wrong).status_code == 400
    assert rpc(wallet.paper, "eth_getCode", wallet.address, "latest") != "0x"
    assert rpc(wallet.paper, "eth_getCode", OWNER, "latest") == "0x"
