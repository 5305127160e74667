"""Doing what a wallet's calls ask for: ledger postings, approvals, and the events they emit.

Splits, merges and redemptions go as the collateral adapters have them: collateral is made and destroyed,
tokens pass through the adapter, which needs the wallet's approval to take anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paper import ledger as accounts
from paper.actions import Action, Approval, Conversion, Redemption
from paper.addresses import CONDITIONAL_TOKENS, PUSD, ZERO_ADDRESS, adapter_for
from paper.agenda import now_ms
from paper.approvals import UNLIMITED, allowance, approve, spend
from paper.ledger import COLLATERAL, Leg, move
from paper.logs import Log, approved, collateral_moved, token_moved, tokens_moved
from paper.markets import Market
from paper.state import Paper


class Reverted(Exception):
    """The call fails on the chain; the text says why."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(f"execution reverted: {reason}" if reason else "execution reverted")
        self.reason = reason


def execute(paper: Paper, wallet: str, reference: str, actions: Sequence[Action]) -> list[Log]:
    """Do all of a transaction's calls or none, and give their events; raises Reverted.

    Call it inside a transaction that is rolled back then.
    """
    logs: list[Log] = []
    for action in actions:
        if isinstance(action, Approval):
            approve(paper.store, wallet, action.token, action.spender, action.amount)
            logs.append(approved(action.token, wallet, action.spender, action.amount))
        elif isinstance(action, Redemption):
            logs += _redeem(paper, wallet, reference, action)
        elif action.kind == "split":
            logs += _split(paper, wallet, reference, action)
        else:
            logs += _merge(paper, wallet, reference, action)
    return logs


def _split(paper: Paper, wallet: str, reference: str, action: Conversion) -> list[Log]:
    market, adapter, amount = _market(paper, action), action.adapter, _amount(action)
    if paper.ledger.balance(wallet, COLLATERAL) < amount:
        raise Reverted("transfer amount exceeds balance")
    if allowance(paper.store, wallet, PUSD, adapter) < amount:
        raise Reverted("insufficient allowance")
    spend(paper.store, wallet, PUSD, adapter, amount)
    legs = move(wallet, accounts.ADAPTER, COLLATERAL, amount)
    for token in market.tokens:
        legs += move(accounts.ADAPTER, wallet, token, amount)
    _book(paper, wallet, reference, ("split", action.condition_id, amount), legs)
    amounts = dict.fromkeys(market.tokens, amount)
    return [
        collateral_moved(wallet, adapter, amount),
        tokens_moved(adapter, ZERO_ADDRESS, adapter, amounts),
        tokens_moved(adapter, adapter, wallet, amounts),
    ]


def _merge(paper: Paper, wallet: str, reference: str, action: Conversion) -> list[Log]:
    market, adapter, amount = _market(paper, action), action.adapter, _amount(action)
    amounts = dict.fromkeys(market.tokens, amount)
    _check_tokens(paper, wallet, adapter, amounts)
    legs = move(accounts.ADAPTER, wallet, COLLATERAL, amount)
    for token in market.tokens:
        legs += move(wallet, accounts.ADAPTER, token, amount)
    _book(paper, wallet, reference, ("merge", action.condition_id, amount), legs)
    return [
        tokens_moved(adapter, wallet, adapter, amounts),
        tokens_moved(adapter, adapter, ZERO_ADDRESS, amounts),
        collateral_moved(ZERO_ADDRESS, wallet, amount),
    ]


def _redeem(paper: Paper, wallet: str, reference: str, action: Redemption) -> list[Log]:
    """Take everything the wallet has of both outcomes, and pay what they are worth."""
    market, adapter = _market(paper, action), action.adapter
    if market.payouts is None:
        raise Reverted("result for condition not received yet")
    amounts = {token: paper.ledger.balance(wallet, token) for token in market.tokens}
    _check_tokens(paper, wallet, adapter, amounts)
    paid = _worth(list(amounts.values()), market.payouts)
    legs = move(accounts.ADAPTER, wallet, COLLATERAL, paid)
    for token, amount in amounts.items():
        legs += move(wallet, accounts.ADAPTER, token, amount)
    _book(paper, wallet, reference, ("redeem", action.condition_id, paid), legs)
    burned = [
        token_moved(adapter, adapter, ZERO_ADDRESS, token, amount)
        for token, amount in amounts.items()
        if amount
    ]
    given = [collateral_moved(ZERO_ADDRESS, wallet, paid)] if paid else []
    return [tokens_moved(adapter, wallet, adapter, amounts), *burned, *given]


def _worth(amounts: Sequence[int], payouts: Sequence[int]) -> int:
    """Give what outcomes pay, each rounded down as the contract does."""
    whole = sum(payouts)
    return sum(amount * part // whole for amount, part in zip(amounts, payouts, strict=True))


def _market(paper: Paper, action: Conversion | Redemption) -> Market:
    market = paper.markets.get(action.condition_id)
    if market is None or adapter_for(market.neg_risk) != action.adapter:
        raise Reverted("condition not prepared")
    return market


def _amount(action: Conversion) -> int:
    if not 0 < action.amount < 1 << 60:
        raise Reverted("invalid amount")
    return action.amount


def _check_tokens(paper: Paper, wallet: str, adapter: str, amounts: Mapping[str, int]) -> None:
    if allowance(paper.store, wallet, CONDITIONAL_TOKENS, adapter) != UNLIMITED:
        raise Reverted("ERC1155: need operator approval for 3rd party transfers.")
    for token, amount in amounts.items():
        if paper.ledger.balance(wallet, token) < amount:
            raise Reverted("transfer amount exceeds balance")


def _book(
    paper: Paper, wallet: str, reference: str, what: tuple[str, str, int], legs: list[Leg]
) -> None:
    kind, condition_id, amount = what
    paper.ledger.post(kind, reference, now_ms(), legs)
    paper.store.write(
        "INSERT INTO conversions VALUES (NULL, ?, ?, ?, ?, ?)",
        kind, wallet, reference, condition_id, amount,
    )  # fmt: skip
