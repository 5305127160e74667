"""Who signed this: the login, an order, a batch of a deposit wallet's calls, a message.

Struct and domain layouts: docs.polymarket.com/v2-migration and polymarket-client 0.14.0
`_internal/l1_auth.py`, `_internal/actions/orders/typed_data.py`, `relayer/signing/deposit_wallet.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from coincurve import PublicKey
from eth_hash.auto import keccak

from paper.addresses import CHAIN_ID
from paper.encoding import checksum, hash_struct, typed_digest, word

ORDER_TYPE = (
    "Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,"
    "uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,"
    "bytes32 builder)"
)
_ORDER_HASH = keccak(ORDER_TYPE.encode())
_TYPED_DATA_SIGN_HASH = keccak(
    (
        "TypedDataSign(Order contents,string name,string version,uint256 chainId,"
        "address verifyingContract,bytes32 salt)" + ORDER_TYPE
    ).encode()
)
_DOMAIN_HASH = keccak(
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_LOGIN_DOMAIN = hash_struct(
    keccak(b"EIP712Domain(string name,string version,uint256 chainId)"),
    keccak(b"ClobAuthDomain"),
    keccak(b"1"),
    CHAIN_ID,
)
_LOGIN_HASH = keccak(b"ClobAuth(address address,string timestamp,uint256 nonce,string message)")
_LOGIN_MESSAGE = keccak(b"This message attests that I control the given wallet")
_CALL_TYPE = "Call(address target,uint256 value,bytes data)"
_CALL_HASH = keccak(_CALL_TYPE.encode())
_BATCH_HASH = keccak(
    ("Batch(address wallet,uint256 nonce,uint256 deadline,Call[] calls)" + _CALL_TYPE).encode()
)


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """The signed part of an order; amounts in base units of 6 decimals, timestamp in milliseconds."""

    salt: int
    maker: str
    signer: str
    token_id: int
    maker_amount: int
    taker_amount: int
    side: str
    signature_type: int
    timestamp: int
    metadata: str
    builder: str
    signature: bytes

    @property
    def struct_hash(self) -> bytes:
        """Hash the order's members; its `contents hash` inside a wallet's signature."""
        return hash_struct(
            _ORDER_HASH,
            self.salt,
            self.maker,
            self.signer,
            self.token_id,
            self.maker_amount,
            self.taker_amount,
            0 if self.side == "BUY" else 1,
            self.signature_type,
            self.timestamp,
            self.metadata,
            self.builder,
        )

    def digest(self, exchange: str, version: str = "2") -> bytes:
        """Give the EIP-712 digest, which is the order's id whatever the wallet."""
        return typed_digest(order_domain(exchange, version), self.struct_hash)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a deposit wallet's batch."""

    target: str
    value: int
    data: bytes


@cache
def order_domain(exchange: str, version: str = "2") -> bytes:
    """Give the domain separator of an exchange contract."""
    return hash_struct(
        _DOMAIN_HASH,
        keccak(b"Polymarket CTF Exchange"),
        keccak(version.encode()),
        CHAIN_ID,
        exchange,
    )


def recover(digest: bytes, signature: bytes) -> str | None:
    """Name the address that signed a digest with 65 bytes r, s, v; None when nobody can have."""
    if len(signature) != 65 or signature[64] not in (0, 1, 27, 28):
        return None
    try:
        key = PublicKey.from_signature_and_message(
            signature[:64] + bytes([signature[64] % 27]), digest, hasher=None
        )
    except ValueError:
        return None
    return checksum(keccak(key.format(compressed=False)[1:])[12:])


def personal_digest(message: bytes) -> bytes:
    """Give what is signed of a message, EIP-191's `personal_sign`."""
    return keccak(b"\x19Ethereum Signed Message:\n%d" % len(message) + message)


def login_signer(address: str, timestamp: str, nonce: int, signature: bytes) -> str | None:
    """Name who signed an API key request (L1)."""
    struct = hash_struct(_LOGIN_HASH, address, keccak(timestamp.encode()), nonce, _LOGIN_MESSAGE)
    return recover(typed_digest(_LOGIN_DOMAIN, struct), signature)


def order_signer(order: SignedOrder, exchange: str) -> str | None:
    """Name the address whose key signed an order, by its signature type; None when wrong.

    Types 0 (own address), 1 (proxy) and 2 (Safe) carry the owner's plain signature. Type 3, a deposit
    wallet's, is the owner's over ERC-7739's TypedDataSign, followed by the exchange's domain
    separator, the contents hash, the contents type and its length.
    """
    if order.signature_type in (0, 1, 2):
        return recover(order.digest(exchange), order.signature)
    if order.signature_type != 3:
        return None
    contents = order.struct_hash
    trailer = (
        order_domain(exchange) + contents + ORDER_TYPE.encode() + len(ORDER_TYPE).to_bytes(2, "big")
    )
    if order.signature[65:] != trailer:
        return None
    struct = hash_struct(
        _TYPED_DATA_SIGN_HASH,
        contents,
        keccak(b"DepositWallet"),
        keccak(b"1"),
        CHAIN_ID,
        order.signer,
        bytes(32),
    )
    return recover(typed_digest(order_domain(exchange), struct), order.signature[:65])


def batch_signer(
    wallet: str, nonce: int, deadline: int, calls: Sequence[Call], signature: bytes
) -> str | None:
    """Name who signed a deposit wallet's batch of calls; `deadline` in epoch seconds."""
    hashes = [
        keccak(_CALL_HASH + word(call.target) + word(call.value) + keccak(call.data))
        for call in calls
    ]
    struct = hash_struct(_BATCH_HASH, wallet, nonce, deadline, keccak(b"".join(hashes)))
    domain = hash_struct(_DOMAIN_HASH, keccak(b"DepositWallet"), keccak(b"1"), CHAIN_ID, wallet)
    return recover(typed_digest(domain, struct), signature)
