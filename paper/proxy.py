"""A proxy wallet's transactions as the relayer takes them: who signed one, and which calls it makes.

Layouts: the Gas Station Network's RelayHub, polymarket-client 0.14.0 `relayer/signing/proxy.py` and
`calls.py`. The hub counts the nonce before it calls, so that a failed call has used it, in a
transaction that itself succeeds.
"""

from __future__ import annotations

from dataclasses import dataclass

from eth_hash.auto import keccak

from paper.actions import Blocked
from paper.encoding import (
    WORD,
    address_at,
    bytes_at,
    checksum,
    from_hex,
    number_at,
    selector,
    word,
)
from paper.signatures import Call, personal_digest, recover

RELAY = checksum(keccak(b"polytrader paper relay")[12:])
"""The relayer's own address, the only one the hub takes these signatures from."""
PROXY = selector("proxy((uint8,address,uint256,bytes)[])")
_CALL = 1


@dataclass(frozen=True, slots=True)
class RelayedCall:
    """The signed part of a proxy's transaction; the call goes to the proxy factory."""

    owner: str
    to: str
    data: bytes
    fee: int
    gas_price: int
    gas_limit: int
    nonce: int
    hub: str
    relay: str

    def signer(self, signature: bytes) -> str | None:
        """Name who signed it, as a message."""
        numbers = (self.fee, self.gas_price, self.gas_limit, self.nonce)
        packed = (
            b"rlx:" + from_hex(self.owner) + from_hex(self.to) + self.data
            + b"".join(word(number) for number in numbers)
            + from_hex(self.hub) + from_hex(self.relay)
        )  # fmt: skip
        return recover(personal_digest(keccak(packed)), signature)


def read_calls(data: bytes) -> tuple[Call, ...]:
    """List the calls that the factory's `proxy` makes; raises Blocked for anything else."""
    arguments = data[4:]
    if data[:4] != PROXY:
        raise Blocked
    try:
        start = number_at(arguments, 0)
        count, first = number_at(arguments, start), start + WORD
        if count > 100:
            raise Blocked
        rows = [first + number_at(arguments, first + n * WORD) for n in range(count)]
        return tuple(_read_call(arguments, row) for row in rows)
    except ValueError:
        raise Blocked from None


def _read_call(data: bytes, at: int) -> Call:
    if number_at(data, at) != _CALL:
        raise ValueError("expected plain calls")
    target, value = address_at(data, at + WORD), number_at(data, at + 2 * WORD)
    return Call(target, value, bytes_at(data, at + number_at(data, at + 3 * WORD)))
