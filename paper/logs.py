"""The events that contracts write into a receipt: transfers and approvals of collateral and tokens.

Layouts: ERC-20 and ERC-1155, as pUSD and ConditionalTokens emit them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eth_hash.auto import keccak

from paper.addresses import CONDITIONAL_TOKENS, PUSD
from paper.approvals import UNLIMITED
from paper.encoding import encode_array, to_hex, word


def _topic(signature: str) -> str:
    return to_hex(keccak(signature.encode()))


TRANSFER = _topic("Transfer(address,address,uint256)")
APPROVAL = _topic("Approval(address,address,uint256)")
APPROVAL_FOR_ALL = _topic("ApprovalForAll(address,address,bool)")
TRANSFER_SINGLE = _topic("TransferSingle(address,address,address,uint256,uint256)")
TRANSFER_BATCH = _topic("TransferBatch(address,address,address,uint256[],uint256[])")


@dataclass(frozen=True, slots=True)
class Log:
    """One event: who emitted it, its topics and its data as hex."""

    address: str
    topics: tuple[str, ...]
    data: str


def collateral_moved(source: str, target: str, amount: int) -> Log:
    """Write pUSD's Transfer; the zero address stands for made and destroyed."""
    return Log(PUSD, (TRANSFER, *_indexed(source, target)), to_hex(word(amount)))


def tokens_moved(operator: str, source: str, target: str, amounts: Mapping[str, int]) -> Log:
    """Write the TransferBatch of several tokens."""
    ids = encode_array([int(token) for token in amounts])
    values = encode_array(list(amounts.values()))
    data = word(64) + word(64 + len(ids)) + ids + values
    topics = (TRANSFER_BATCH, *_indexed(operator, source, target))
    return Log(CONDITIONAL_TOKENS, topics, to_hex(data))


def token_moved(operator: str, source: str, target: str, token: str, amount: int) -> Log:
    """Write the TransferSingle of one token."""
    topics = (TRANSFER_SINGLE, *_indexed(operator, source, target))
    return Log(CONDITIONAL_TOKENS, topics, to_hex(word(int(token)) + word(amount)))


def approved(token: str, owner: str, spender: str, amount: int) -> Log:
    """Write the Approval of pUSD, or a token contract's ApprovalForAll."""
    if token == PUSD:
        return Log(token, (APPROVAL, *_indexed(owner, spender)), to_hex(word(amount)))
    everything = int(amount == UNLIMITED)
    return Log(token, (APPROVAL_FOR_ALL, *_indexed(owner, spender)), to_hex(word(everything)))


def _indexed(*addresses: str) -> tuple[str, ...]:
    return tuple(to_hex(word(address)) for address in addresses)
