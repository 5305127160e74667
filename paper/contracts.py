"""What a call to an address does when anybody makes it: reads, and what a transaction would do.

Only the venue's contracts have code here. A call to an address without code succeeds and does nothing,
as on the real chain.
"""

from __future__ import annotations

from collections.abc import Callable

from paper import addresses, gas, pol, proxy
from paper.actions import Blocked, read_call
from paper.addresses import CONDITIONAL_TOKENS, NEG_RISK_ADAPTER, PROXY_FACTORY, PUSD, RELAY_HUB
from paper.approvals import UNLIMITED, allowance
from paper.encoding import array_at, checksum, encode_array, selector, to_hex, word, words_of
from paper.execution import Reverted, execute
from paper.ledger import COLLATERAL
from paper.logs import Log
from paper.nonces import nonce_of
from paper.relayer import is_deployed
from paper.signatures import Call
from paper.state import Paper
from paper.wallets import proxy_wallet

_Read = Callable[[Paper, str, list[int]], bytes]


def has_code(paper: Paper, address: str) -> bool:
    """Say whether an address is a contract."""
    return address.lower() in addresses.WITH_CODE or is_deployed(paper, address)


def read(paper: Paper, target: str, data: bytes) -> bytes | None:
    """Answer a function that only reads; None when it is none of those we know."""
    found = _READS.get((target.lower(), data[:4]))
    if found is None and is_deployed(paper, target):
        found = _READS.get(("wallet", data[:4]))
    if found is None:
        return None
    try:
        return found(paper, target, words_of(data[4:]))
    except (ValueError, IndexError, OverflowError):
        raise Reverted from None


def transact(
    paper: Paper, sender: str, target: str | None, value: int, data: bytes, reference: str
) -> list[Log]:
    """Do what a transaction asks for, and give its events; raises Reverted.

    Call it inside a transaction that is rolled back then.
    """
    if target is None:
        raise Reverted("contracts cannot be created here")
    if not has_code(paper, target):
        return _send(paper, sender, target, value)
    if read(paper, target, data) is not None:
        return []
    try:
        wallet, calls = _calls(sender, Call(target, value, data))
        actions = [read_call(call) for call in calls]
    except Blocked:
        raise Reverted from None
    return execute(paper, wallet, reference, actions)


def gas_needed(paper: Paper, sender: str, target: str | None, data: bytes) -> int:
    """Give what such a transaction uses when it goes well."""
    least = gas.intrinsic(data)
    if target is None or not has_code(paper, target):
        return least
    try:
        _, calls = _calls(sender, Call(target, 0, data))
        return least + sum(gas.work_of(read_call(call)) for call in calls)
    except Blocked:
        return least + gas.UNKNOWN


def _calls(sender: str, call: Call) -> tuple[str, tuple[Call, ...]]:
    """Say for which wallet which calls are made: a sender's own, or its proxy's."""
    if call.target == PROXY_FACTORY:
        return proxy_wallet(sender), proxy.read_calls(call.data)
    return sender, (call,)


def _send(paper: Paper, sender: str, target: str, value: int) -> list[Log]:
    if value:
        pol.pay(paper.store, sender, value)
        pol.receive(paper.store, target, value)
    return []


def _address(value: int) -> str:
    return checksum(value.to_bytes(20, "big"))


def _collateral_of(paper: Paper, _target: str, words: list[int]) -> bytes:
    return word(paper.ledger.balance(_address(words[0]), COLLATERAL))


def _allowance(paper: Paper, target: str, words: list[int]) -> bytes:
    return word(allowance(paper.store, _address(words[0]), target, _address(words[1])))


def _approved_for_all(paper: Paper, target: str, words: list[int]) -> bytes:
    amount = allowance(paper.store, _address(words[0]), target, _address(words[1]))
    return word(int(amount == UNLIMITED))


def _tokens_of(paper: Paper, _target: str, words: list[int]) -> bytes:
    return word(_token_balance(paper, words[0], words[1]))


def _tokens_of_many(paper: Paper, _target: str, words: list[int]) -> bytes:
    owners, tokens = array_at(words, 0), array_at(words, 1)
    balances = [_token_balance(paper, o, t) for o, t in zip(owners, tokens, strict=True)]
    return word(32) + encode_array(balances)


def _token_balance(paper: Paper, owner: int, token: int) -> int:
    return paper.ledger.balance(_address(owner), str(token))


def _payouts(paper: Paper, condition: int) -> tuple[int, ...]:
    market = paper.markets.get(to_hex(word(condition)))
    return market.payouts or () if market is not None else ()


def _denominator(paper: Paper, _target: str, words: list[int]) -> bytes:
    return word(sum(_payouts(paper, words[0])))


def _numerator(paper: Paper, _target: str, words: list[int]) -> bytes:
    payouts = _payouts(paper, words[0]) or (0, 0)
    return word(payouts[words[1]])


def _slots(paper: Paper, _target: str, words: list[int]) -> bytes:
    return word(2 if to_hex(word(words[0])) in paper.markets else 0)


def _hub_nonce(paper: Paper, _target: str, words: list[int]) -> bytes:
    return word(nonce_of(paper.store, proxy_wallet(_address(words[0]))))


def _number(value: int | str) -> _Read:
    return lambda _paper, _target, _words: word(value)


_READS: dict[tuple[str, bytes], _Read] = {
    (addresses.WALLET_FACTORY.lower(), bytes.fromhex("49493a4d")): _number(addresses.WALLET_BEACON),
    (PUSD.lower(), selector("balanceOf(address)")): _collateral_of,
    (PUSD.lower(), selector("allowance(address,address)")): _allowance,
    (PUSD.lower(), selector("decimals()")): _number(6),
    (CONDITIONAL_TOKENS.lower(), selector("payoutDenominator(bytes32)")): _denominator,
    (CONDITIONAL_TOKENS.lower(), selector("payoutNumerators(bytes32,uint256)")): _numerator,
    (CONDITIONAL_TOKENS.lower(), selector("getOutcomeSlotCount(bytes32)")): _slots,
    (RELAY_HUB.lower(), selector("getNonce(address)")): _hub_nonce,
    ("wallet", selector("nonce()")): lambda paper, target, _: word(nonce_of(paper.store, target)),
}
for _token in (CONDITIONAL_TOKENS, NEG_RISK_ADAPTER, addresses.POSITION_MANAGER):
    _READS |= {
        (_token.lower(), selector("balanceOf(address,uint256)")): _tokens_of,
        (_token.lower(), selector("balanceOfBatch(address[],uint256[])")): _tokens_of_many,
        (_token.lower(), selector("isApprovedForAll(address,address)")): _approved_for_all,
    }
