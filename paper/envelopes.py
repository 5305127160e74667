"""What is submitted to the relayer, read and proved: a wallet's signed calls, of three kinds of wallet.

Shapes: polymarket-client 0.14.0 `_internal/actions/relayer/gasless.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from paper import proxy
from paper.actions import Blocked
from paper.addresses import PROXY_FACTORY, RELAY_HUB
from paper.encoding import checksum, from_hex
from paper.errors import Refused
from paper.safe import SafeTransaction
from paper.signatures import Call, batch_signer
from paper.wallets import deposit_wallets, proxy_wallet, safe_wallet

LONGEST_METADATA = 500
MOST_CALLS = 100
_BLOCKED = Refused(400, "call blocked: the target is not allowed")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A wallet's signed calls as submitted; `deadline` in epoch seconds, None where there is none."""

    kind: str
    owner: str
    wallet: str
    nonce: int
    calls: tuple[Call, ...]
    signature: str
    metadata: str
    signer: str | None
    deadline: int | None = None

    @property
    def is_genuine(self) -> bool:
        """Say whether the owner signed it and the wallet is the owner's."""
        return self.signer == self.owner and self.wallet in wallets_of(self.kind, self.owner)


def wallets_of(kind: str, owner: str) -> tuple[str, ...]:
    """List the wallets of a relayer's type that may be an owner's."""
    if kind == "SAFE":
        return (safe_wallet(owner),)
    return (proxy_wallet(owner),) if kind == "PROXY" else deposit_wallets(owner)


def read_envelope(body: Mapping[str, object]) -> Envelope:
    """Read a submission of type WALLET, SAFE or PROXY; raises Refused 400 in the relayer's words."""
    reader = _READERS.get(str(body.get("type")))
    if reader is None:
        raise Refused(400, f"unsupported transaction type {body.get('type')!r}")
    try:
        envelope = reader(body)
    except Blocked:
        raise _BLOCKED from None
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Refused(400, "invalid transaction request") from None
    if (
        not 0 <= envelope.nonce < 1 << 62
        or len(envelope.metadata) > LONGEST_METADATA
        or not 1 <= len(envelope.calls) <= MOST_CALLS
    ):
        raise Refused(400, "invalid transaction request")
    return envelope


def _deposit_wallet(body: Mapping[str, object]) -> Envelope:
    parameters = _object(body["depositWalletParams"])
    rows = parameters["calls"]
    if not isinstance(rows, list):
        raise TypeError("expected a list of calls")
    calls = tuple(
        Call(_address(row["target"]), _number(row["value"]), from_hex(str(row["data"])))
        for row in map(_object, rows)
    )
    wallet, nonce = _address(parameters["depositWallet"]), _number(body["nonce"])
    deadline = _number(parameters["deadline"])
    signer = batch_signer(wallet, nonce, deadline, calls, _signature(body))
    return _envelope(body, "WALLET", wallet, calls, signer, deadline)


def _safe(body: Mapping[str, object]) -> Envelope:
    parameters = _object(body["signatureParams"])
    transaction = SafeTransaction(
        _address(body["to"]), _number(body.get("value") or 0), from_hex(str(body["data"])),
        _number(parameters["operation"]), _number(parameters["safeTxnGas"]),
        _number(parameters["baseGas"]), _number(parameters["gasPrice"]),
        _address(parameters["gasToken"]), _address(parameters["refundReceiver"]),
        _number(body["nonce"]),
    )  # fmt: skip
    wallet = _address(body["proxyWallet"])
    signer = transaction.signer(wallet, _signature(body))
    return _envelope(body, "SAFE", wallet, transaction.calls(), signer)


def _proxy(body: Mapping[str, object]) -> Envelope:
    parameters = _object(body["signatureParams"])
    call = proxy.RelayedCall(
        _address(body["from"]), _address(body["to"]), from_hex(str(body["data"])),
        _number(parameters["relayerFee"]), _number(parameters["gasPrice"]),
        _number(parameters["gasLimit"]), _number(body["nonce"]),
        _address(parameters["relayHub"]), _address(parameters["relay"]),
    )  # fmt: skip
    known = (call.to, call.hub, call.relay) == (PROXY_FACTORY, RELAY_HUB, proxy.RELAY)
    signer = call.signer(_signature(body)) if known else None
    wallet = _address(body["proxyWallet"])
    return _envelope(body, "PROXY", wallet, proxy.read_calls(call.data), signer)


_READERS: dict[str, Callable[[Mapping[str, object]], Envelope]] = {
    "WALLET": _deposit_wallet, "SAFE": _safe, "PROXY": _proxy,
}  # fmt: skip


def _envelope(
    body: Mapping[str, object],
    kind: str,
    wallet: str,
    calls: tuple[Call, ...],
    signer: str | None,
    deadline: int | None = None,
) -> Envelope:
    return Envelope(
        kind, _address(body["from"]), wallet, _number(body["nonce"]), calls,
        str(body["signature"]).lower(), str(body.get("metadata") or ""), signer, deadline,
    )  # fmt: skip


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("expected an object")
    return value


def _number(value: object) -> int:
    return int(str(value))


def _address(value: object) -> str:
    return checksum(str(value))


def _signature(body: Mapping[str, object]) -> bytes:
    return from_hex(str(body["signature"]))
