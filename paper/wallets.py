"""Where a key's wallets live: CREATE2 addresses of the factories' contracts.

Deposit wallets are Solady's ERC-1967 (beacon) proxies with immutable arguments (factory, owner); a key
may have a Safe and a proxy of earlier years too. Layouts: polymarket-client 0.14.0 `_internal/wallet.py`.
"""

from __future__ import annotations

from functools import lru_cache

from eth_hash.auto import keccak

from paper.addresses import (
    PROXY_FACTORY,
    PROXY_IMPLEMENTATION,
    SAFE_FACTORY,
    WALLET_BEACON,
    WALLET_FACTORY,
    WALLET_IMPLEMENTATION,
)
from paper.encoding import checksum, from_hex, word

_BEACON_CODE = bytes.fromhex(
    "60195155f3363d3d373d3d363d602036600436635c60da"
    "1b60e01b36527fa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6c"
    "b3582b35133d50545afa5036515af43d6000803e604d573d6000fd5b3d6000f3"
)
_PLAIN_CODE = bytes.fromhex(
    "6009"
    "5155f3363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076"
    "cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3"
)
_SAFE_INIT_CODE_HASH = "0x2bce2127ff07fb632d16c8347c4ebf501f4841168bed00d9e6ef715ddb6fcecf"
_PROXY_CODE = (
    bytes.fromhex("3d3d606380380380913d393d73") + from_hex(PROXY_FACTORY)
    + bytes.fromhex("5af4602a57600080fd5b602d8060366000396000f3363d3d373d3d3d363d73")
    + from_hex(PROXY_IMPLEMENTATION)
    + bytes.fromhex("5af43d82803e903d91602b57fd5bf352e831dd") + word(32) + bytes(32)
)  # fmt: skip
_BEACON_PREFIX = 0x6100523D8160233D3973
_PLAIN_PREFIX = 0x61003D3D8160233D3973


@lru_cache(maxsize=1024)
def beacon_wallet(owner: str) -> str:
    """Derive the deposit wallet that the factory makes for an owner today."""
    return _derive(owner, _BEACON_PREFIX, WALLET_BEACON, _BEACON_CODE)


@lru_cache(maxsize=1024)
def legacy_wallet(owner: str) -> str:
    """Derive the deposit wallet that the factory made before it had a beacon."""
    return _derive(owner, _PLAIN_PREFIX, WALLET_IMPLEMENTATION, _PLAIN_CODE)


@lru_cache(maxsize=1024)
def safe_wallet(owner: str) -> str:
    """Derive the Safe that the venue made for an owner who came with a browser wallet."""
    return _create2(SAFE_FACTORY, keccak(word(owner)), from_hex(_SAFE_INIT_CODE_HASH))


@lru_cache(maxsize=1024)
def proxy_wallet(owner: str) -> str:
    """Derive the proxy that the venue made for an owner who came with an e-mail address."""
    return _create2(PROXY_FACTORY, keccak(from_hex(owner)), keccak(_PROXY_CODE))


def deposit_wallets(owner: str) -> tuple[str, str]:
    """List an owner's two possible deposit wallets, today's first."""
    return beacon_wallet(owner), legacy_wallet(owner)


def _derive(owner: str, prefix: int, logic: str, code: bytes) -> str:
    arguments = word(WALLET_FACTORY) + word(owner)
    init_code = (
        (prefix + (len(arguments) << 56)).to_bytes(10, "big") + from_hex(logic) + code + arguments
    )
    return _create2(WALLET_FACTORY, keccak(arguments), keccak(init_code))


def _create2(factory: str, salt: bytes, code_hash: bytes) -> str:
    return checksum(keccak(b"\xff" + from_hex(factory) + salt + code_hash)[12:])
