"""A signed transaction as eth_sendRawTransaction takes it: legacy (EIP-155) or with two fees (EIP-1559)."""

from __future__ import annotations

from dataclasses import dataclass

from eth_hash.auto import keccak

from paper import rlp
from paper.addresses import CHAIN_ID
from paper.encoding import checksum, to_hex
from paper.signatures import recover

LEGACY, TWO_FEES = 0, 2


@dataclass(frozen=True, slots=True)
class RawTransaction:
    """What was signed and by whom; fees in wei per gas, `target` None for a contract's creation."""

    hash: str
    sender: str
    type: int
    nonce: int
    max_fee: int
    max_tip: int
    gas: int
    target: str | None
    value: int
    data: bytes
    signature: tuple[int, int, int]

    @property
    def most_cost(self) -> int:
        """Give what it may cost at most, in wei."""
        return self.gas * self.max_fee + self.value

    def price_at(self, base_fee: int) -> int:
        """Give the price per gas it pays at a base fee."""
        return min(self.max_fee, base_fee + self.max_tip)


def decode(raw: bytes) -> RawTransaction:
    """Read a signed transaction and its sender; raises ValueError in geth's words."""
    if not raw:
        raise ValueError("typed transaction too short")
    if raw[0] >= 0xC0:
        return _legacy(raw)
    if raw[0] == TWO_FEES:
        return _with_two_fees(raw)
    raise ValueError("transaction type not supported")


def _legacy(raw: bytes) -> RawTransaction:
    fields = _fields(rlp.decode(raw), 9)
    v, r, s = (_number(field) for field in fields[6:])
    if v in (27, 28):
        raise ValueError("only replay-protected (EIP-155) transactions allowed over RPC")
    _check_chain((v - 35) // 2)
    digest = keccak(rlp.encode([*fields[:6], CHAIN_ID, 0, 0]))
    nonce, price, gas, target, value, data = fields[:6]
    return RawTransaction(
        to_hex(keccak(raw)), _sender(digest, (v - 35) % 2, r, s), LEGACY, _number(nonce, 64),
        _number(price), _number(price), _number(gas, 64), _target(target), _number(value), data,
        (v, r, s),
    )  # fmt: skip


def _with_two_fees(raw: bytes) -> RawTransaction:
    items = rlp.decode(raw[1:])
    if not isinstance(items, list) or len(items) != 12 or items[8] != []:
        raise ValueError("rlp: expected 12 fields and an empty access list")
    fields = _fields([*items[:8], *items[9:]], 11)
    _check_chain(_number(fields[0]))
    v, r, s = (_number(field) for field in fields[8:])
    unsigned = b"".join(rlp.encode(field) for field in fields[:8]) + rlp.encode([])
    digest = keccak(bytes([TWO_FEES]) + rlp.wrap(unsigned))
    _, nonce, tip, fee, gas, target, value, data = fields[:8]
    return RawTransaction(
        to_hex(keccak(raw)), _sender(digest, v, r, s), TWO_FEES, _number(nonce, 64), _number(fee),
        _number(tip), _number(gas, 64), _target(target), _number(value), data, (v, r, s),
    )  # fmt: skip


def _fields(items: rlp.Item, count: int) -> list[bytes]:
    if not isinstance(items, list) or len(items) != count:
        raise ValueError(f"rlp: expected a list of {count} fields")
    fields = [item for item in items if isinstance(item, bytes)]
    if len(fields) != count:
        raise ValueError("rlp: expected input string or byte")
    return fields


def _number(field: bytes, bits: int = 256) -> int:
    value = int.from_bytes(field, "big")
    if field[:1] == b"\0" or value >= 1 << bits:
        raise ValueError("rlp: non-canonical integer")
    return value


def _target(field: bytes) -> str | None:
    return checksum(field) if field else None


def _check_chain(given: int) -> None:
    if given != CHAIN_ID:
        raise ValueError(f"invalid chain id for signer: have {given} want {CHAIN_ID}")


def _sender(digest: bytes, parity: int, r: int, s: int) -> str:
    if parity > 1:
        raise ValueError("invalid transaction v, r, s values")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity])
    sender = recover(digest, signature)
    if sender is None:
        raise ValueError("invalid sender")
    return sender
