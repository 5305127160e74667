"""A Safe's transactions as the relayer takes them: who signed one, and which calls it makes.

Layouts: Safe 1.3 `SafeTx`, polymarket-client 0.14.0 `relayer/signing/safe.py` and `calls.py`. Such a
transaction is one call, or several through the multisend contract. One that fails reverts as a whole
(GS013), and its nonce is not used: the same signed bytes may still execute.
"""

from __future__ import annotations

from dataclasses import dataclass

from eth_hash.auto import keccak

from paper.actions import Blocked
from paper.addresses import CHAIN_ID, SAFE_MULTISEND
from paper.encoding import (
    address_at,
    bytes_at,
    hash_struct,
    number_at,
    selector,
    typed_digest,
)
from paper.signatures import Call, personal_digest, recover

_DOMAIN_HASH = keccak(b"EIP712Domain(uint256 chainId,address verifyingContract)")
_TRANSACTION_HASH = keccak(
    b"SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,"
    b"uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"
)
_MULTISEND = selector("multiSend(bytes)")
_CALL, _DELEGATE = 0, 1
_SIGNED_AS_MESSAGE = 4
"""Added to `v` when the owner signed the digest as a message."""


@dataclass(frozen=True, slots=True)
class SafeTransaction:
    """The signed part of a Safe's transaction."""

    to: str
    value: int
    data: bytes
    operation: int
    safe_tx_gas: int
    base_gas: int
    gas_price: int
    gas_token: str
    refund_receiver: str
    nonce: int

    def digest(self, safe: str) -> bytes:
        """Give the EIP-712 digest for one Safe."""
        struct = hash_struct(
            _TRANSACTION_HASH, self.to, self.value, keccak(self.data), self.operation,
            self.safe_tx_gas, self.base_gas, self.gas_price, self.gas_token, self.refund_receiver,
            self.nonce,
        )  # fmt: skip
        return typed_digest(hash_struct(_DOMAIN_HASH, CHAIN_ID, safe), struct)

    def signer(self, safe: str, signature: bytes) -> str | None:
        """Name the owner who signed, over the digest itself or over it as a message."""
        digest = self.digest(safe)
        if len(signature) == 65 and signature[64] > 30:
            plain = signature[:64] + bytes([signature[64] - _SIGNED_AS_MESSAGE])
            return recover(personal_digest(digest), plain)
        return recover(digest, signature)

    def calls(self) -> tuple[Call, ...]:
        """List the calls; raises Blocked for what the relayer does not let through."""
        if self.operation == _CALL:
            return (Call(self.to, self.value, self.data),)
        if (self.operation, self.to, self.data[:4]) != (_DELEGATE, SAFE_MULTISEND, _MULTISEND):
            raise Blocked
        arguments = self.data[4:]
        try:
            return _unpack(bytes_at(arguments, number_at(arguments, 0)))
        except ValueError:
            raise Blocked from None


def _unpack(packed: bytes) -> tuple[Call, ...]:
    """Read multisend's tightly packed rows: operation, target, value, length, data."""
    calls = []
    at = 0
    while at < len(packed):
        if packed[at] != _CALL:
            raise ValueError("expected plain calls")
        target = address_at(bytes(12) + packed[at + 1 : at + 21], 0)
        data = bytes_at(packed, at + 53)
        calls.append(Call(target, number_at(packed, at + 21), data))
        at += 85 + len(data)
    return tuple(calls)
