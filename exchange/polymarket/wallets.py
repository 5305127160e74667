"""Which wallet trades for a key, and how its orders must be signed."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from eth_hash.auto import keccak

from exchange.errors import Rejected
from exchange.polymarket.settings import Account
from exchange.types import RejectionCode

WalletKind = Literal["eoa", "proxy", "safe", "deposit_wallet"]
_SIGNATURE_TYPES: dict[WalletKind, int] = {"eoa": 0, "proxy": 1, "safe": 2, "deposit_wallet": 3}


@dataclass(frozen=True, slots=True)
class Wallet:
    """An address that holds the tokens, and the owner who signs for it."""

    owner: str
    address: str
    kind: WalletKind

    @property
    def signature_type(self) -> int:
        """The venue's number of this kind of wallet."""
        return _SIGNATURE_TYPES[self.kind]

    @property
    def signing_address(self) -> str:
        """The order's `signer`: a deposit wallet names itself, all others their owner."""
        return self.address if self.kind == "deposit_wallet" else self.owner


def address_of(private_key: str) -> str:
    """Return the checksummed address of a private key.

    Raises `Rejected('not_allowed')` for a malformed key, without repeating it.
    """
    from coincurve import PrivateKey

    digits = private_key.removeprefix("0x")
    key = None
    if len(digits) == 64:
        with suppress(ValueError):
            key = PrivateKey.from_hex(digits)
    if key is None:  # raised outside any handler: a cause could carry the key
        raise Rejected(RejectionCode.NOT_ALLOWED, "expected a private key of 64 hexadecimal digits")
    return checksummed(keccak(key.public_key.format(compressed=False)[1:])[12:].hex())


def deposit_wallet_of(owner: str) -> str:
    """Return the deposit wallet that the venue makes for an owner today.

    Wallets of the first weeks (May 2026) have another address; whoever owns one
    must name it.
    """
    from exchange.polymarket import internals

    return internals.deposit_wallet_of(owner)


def wallet_of(account: Account) -> Wallet:
    """Return the wallet that trades for an account.

    Raises `Rejected('not_allowed')` for a wallet that is not derived from the key:
    session keys, which see neither the owner's orders nor the owner theirs, are refused.
    """
    from exchange.polymarket import internals

    owner = address_of(account.private_key)
    if not account.wallet:
        return Wallet(owner, internals.deposit_wallet_of(owner), "deposit_wallet")
    try:
        address = checksummed(account.wallet)
    except ValueError:
        raise Rejected(
            RejectionCode.NOT_ALLOWED,
            f"expected a wallet address of 40 hexadecimal digits, found {account.wallet!r}",
        ) from None
    kind = internals.kind_of_wallet(owner, address)
    if kind is None:
        raise Rejected(
            RejectionCode.NOT_ALLOWED,
            f"wallet {address} does not belong to the key of {owner}: expected its own address, "
            "its deposit wallet, Safe or proxy (session keys are not supported)",
        )
    return Wallet(owner, address, kind)


def checksummed(address: str) -> str:
    """Return an address in EIP-55 spelling; raises `ValueError` for anything else."""
    digits = address.strip().removeprefix("0x").lower()
    if len(bytes.fromhex(digits)) != 20:
        raise ValueError(f"expected 20 bytes, found {address!r}")
    mask = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(bit, 16) >= 8 else digit
        for digit, bit in zip(digits, mask, strict=False)
    )
