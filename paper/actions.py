"""What a call to one of the venue's contracts asks for: an approval, a split, a merge, a redemption.

Only the calls that the relayer lets through are known: docs.polymarket.com/trading/gasless, and the
adapters' source (they ignore collateral, parent and partition).
"""

from __future__ import annotations

from dataclasses import dataclass

from paper.addresses import (
    COLLATERAL_ADAPTER,
    CONDITIONAL_TOKENS,
    NEG_RISK_COLLATERAL_ADAPTER,
    POSITION_MANAGER,
    PUSD,
)
from paper.approvals import UNLIMITED
from paper.encoding import array_at, checksum, selector, to_hex, words_of
from paper.signatures import Call

_APPROVE = selector("approve(address,uint256)")
_APPROVE_ALL = selector("setApprovalForAll(address,bool)")
_SPLIT = selector("splitPosition(address,bytes32,bytes32,uint256[],uint256)")
_MERGE = selector("mergePositions(address,bytes32,bytes32,uint256[],uint256)")
_REDEEM = selector("redeemPositions(address,bytes32,bytes32,uint256[])")
_ADAPTERS = (COLLATERAL_ADAPTER, NEG_RISK_COLLATERAL_ADAPTER)
_CONVERSIONS = {_SPLIT: "split", _MERGE: "merge"}


class Blocked(Exception):
    """The call's target or function is not one the relayer lets through."""


@dataclass(frozen=True, slots=True)
class Approval:
    """Let a spender move a token, up to an amount."""

    token: str
    spender: str
    amount: int


@dataclass(frozen=True, slots=True)
class Conversion:
    """Turn collateral into a full set of outcomes (split) or back (merge); amount in base units."""

    kind: str
    adapter: str
    condition_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Redemption:
    """Turn all of a wallet's outcomes of a resolved condition into what they pay."""

    adapter: str
    condition_id: str


Action = Approval | Conversion | Redemption


def read_call(call: Call) -> Action:
    """Read what a call does; raises Blocked when it is none of the known ones."""
    target, function = checksum(call.target), call.data[:4]
    try:
        words = words_of(call.data[4:])
        if call.value:
            raise Blocked
        if target == PUSD and function == _APPROVE:
            return Approval(target, _address(words[0]), words[1])
        if target in (CONDITIONAL_TOKENS, POSITION_MANAGER) and function == _APPROVE_ALL:
            return Approval(target, _address(words[0]), UNLIMITED if words[1] else 0)
        if target in _ADAPTERS:
            return _of_adapter(target, function, words)
    except (ValueError, IndexError, OverflowError):
        raise Blocked from None
    raise Blocked


def _of_adapter(adapter: str, function: bytes, words: list[int]) -> Conversion | Redemption:
    if array_at(words, 3) != [1, 2]:
        raise Blocked
    condition_id = to_hex(words[2].to_bytes(32, "big"))
    if function == _REDEEM:
        return Redemption(adapter, condition_id)
    if function in _CONVERSIONS:
        return Conversion(_CONVERSIONS[function], adapter, condition_id, words[4])
    raise Blocked


def _address(value: int) -> str:
    return checksum(value.to_bytes(20, "big"))
