"""What a wallet's calls do on our chain: approvals, splits and merges.

Only the calls the relayer lets through are known: docs.polymarket.com/trading/gasless, and the
adapters' source (splitPosition ignores collateral, parent and partition).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paper import ledger as accounts
from paper.addresses import (
    COLLATERAL_ADAPTER,
    CONDITIONAL_TOKENS,
    NEG_RISK_COLLATERAL_ADAPTER,
    POSITION_MANAGER,
    PUSD,
    adapter_for,
)
from paper.agenda import now_ms
from paper.approvals import UNLIMITED, allowance, approve, spend
from paper.encoding import array_at, checksum, selector, to_hex, words_of
from paper.ledger import COLLATERAL, Leg, move
from paper.signatures import Call
from paper.state import Paper

_APPROVE = selector("approve(address,uint256)")
_APPROVE_ALL = selector("setApprovalForAll(address,bool)")
_SPLIT = selector("splitPosition(address,bytes32,bytes32,uint256[],uint256)")
_MERGE = selector("mergePositions(address,bytes32,bytes32,uint256[],uint256)")
_ADAPTERS = (COLLATERAL_ADAPTER, NEG_RISK_COLLATERAL_ADAPTER)
_CONVERSIONS = {_SPLIT: "split", _MERGE: "merge"}


class Blocked(Exception):
    """The call's target or function is not one the relayer lets through."""


class Reverted(Exception):
    """The call fails on the chain; the text says why."""


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


Action = Approval | Conversion


def read_call(call: Call) -> Action:
    """Read what a call does; raises Blocked when it is none of the known ones."""
    target, function = checksum(call.target), call.data[:4]
    try:
        words = words_of(call.data[4:])
        if call.value:
            raise Blocked
        if target == PUSD and function == _APPROVE:
            return Approval(target, checksum(words[0].to_bytes(20, "big")), words[1])
        if target in (CONDITIONAL_TOKENS, POSITION_MANAGER) and function == _APPROVE_ALL:
            amount = UNLIMITED if words[1] else 0
            return Approval(target, checksum(words[0].to_bytes(20, "big")), amount)
        if target in _ADAPTERS and function in _CONVERSIONS:
            if array_at(words, 3) != [1, 2]:
                raise Blocked
            condition_id = to_hex(words[2].to_bytes(32, "big"))
            return Conversion(_CONVERSIONS[function], target, condition_id, words[4])
    except (ValueError, IndexError, OverflowError):
        raise Blocked from None
    raise Blocked


def execute(paper: Paper, wallet: str, reference: str, actions: Sequence[Action]) -> None:
    """Do all of a transaction's calls or none; raises Reverted when one cannot be done.

    Call it inside a transaction that is rolled back then.
    """
    for action in actions:
        if isinstance(action, Approval):
            approve(paper.store, wallet, action.token, action.spender, action.amount)
        else:
            _convert(paper, wallet, reference, action)


def _convert(paper: Paper, wallet: str, reference: str, action: Conversion) -> None:
    market = paper.markets.get(action.condition_id)
    if market is None or adapter_for(market.neg_risk) != action.adapter:
        raise Reverted("execution reverted: condition not prepared")
    if not 0 < action.amount < 1 << 60:
        raise Reverted("execution reverted: invalid amount")
    split = action.kind == "split"
    given = (COLLATERAL,) if split else market.tokens
    for asset in given:
        if paper.ledger.balance(wallet, asset) < action.amount:
            raise Reverted("execution reverted: transfer amount exceeds balance")
    token = PUSD if split else CONDITIONAL_TOKENS
    if allowance(paper.store, wallet, token, action.adapter) < action.amount:
        raise Reverted("execution reverted: insufficient allowance")
    if split:
        spend(paper.store, wallet, token, action.adapter, action.amount)
    source, target = (wallet, accounts.ADAPTER) if split else (accounts.ADAPTER, wallet)
    legs: list[Leg] = move(source, target, COLLATERAL, action.amount)
    for asset in market.tokens:
        legs += move(target, source, asset, action.amount)
    paper.ledger.post(action.kind, reference, now_ms(), legs)
    paper.store.write(
        "INSERT INTO conversions VALUES (NULL, ?, ?, ?, ?, ?)",
        action.kind, wallet, reference, action.condition_id, action.amount,
    )  # fmt: skip
