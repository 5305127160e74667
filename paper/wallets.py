"""Where a key's deposit wallet lives: CREATE2 addresses of the wallet factory's proxies.

Layouts: Solady's ERC-1967 (beacon) proxies with immutable arguments (factory, owner), as in
polymarket-client 0.14.0 `_internal/wallet.py`.
"""

from __future__ import annotations

from functools import lru_cache

from eth_hash.auto import keccak

from paper.addresses import WALLET_BEACON, WALLET_FACTORY, WALLET_IMPLEMENTATION
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


def wallets_of(owner: str) -> tuple[str, str, str]:
    """List the addresses an owner may trade with: its own, and its two possible deposit wallets."""
    return owner, beacon_wallet(owner), legacy_wallet(owner)


def _derive(owner: str, prefix: int, logic: str, code: bytes) -> str:
    arguments = word(WALLET_FACTORY) + word(owner)
    init_code = (
        (prefix + (len(arguments) << 56)).to_bytes(10, "big") + from_hex(logic) + code + arguments
    )
    raw = b"\xff" + from_hex(WALLET_FACTORY) + keccak(arguments) + keccak(init_code)
    return checksum(keccak(raw)[12:])
