"""A transaction's receipt: what it moved for a wallet, read from the logs of the right contracts.

A call to an address without code succeeds too, and logs nothing: `moved` says what happened.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from exchange.polymarket.rpc import number
from exchange.polymarket.settings import Contracts
from exchange.polymarket.words import array_at, topic, words_of
from exchange.quantising import whole_units

COLLATERAL_ASSET = "collateral"
WEI = Decimal(10) ** 18

_TRANSFER = topic("Transfer(address,address,uint256)")
TRANSFER_SINGLE = topic("TransferSingle(address,address,address,uint256,uint256)")
TRANSFER_BATCH = topic("TransferBatch(address,address,address,uint256[],uint256[])")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction; `moved` is what `TransactionReport.moved` will say."""

    transaction_hash: str
    succeeded: bool
    block: int
    block_hash: str
    moved: Mapping[str, Decimal] = field(default_factory=dict)
    cost: Decimal = Decimal(0)
    """Gas used at the price paid, in POL, whoever paid it."""


def read_receipt(row: Mapping[str, Any], wallet: str, contracts: Contracts) -> Receipt:
    """Read eth_getTransactionReceipt's answer; raises `ValueError`, `KeyError` or `TypeError`."""
    price = row.get("effectiveGasPrice") or "0x0"
    return Receipt(
        transaction_hash=str(row["transactionHash"]),
        succeeded=number(row["status"]) == 1,
        block=number(row["blockNumber"]),
        block_hash=str(row["blockHash"]),
        moved=_moved(row["logs"], wallet, contracts),
        cost=number(row["gasUsed"]) * number(price) / WEI,
    )


def _moved(logs: list[Mapping[str, Any]], wallet: str, contracts: Contracts) -> dict[str, Decimal]:
    total: Counter[str] = Counter()
    for log in logs:
        if not log.get("removed"):
            for asset, units in _transfer(log, int(wallet, 16), contracts):
                total[asset] += units
    return {asset: whole_units(units) for asset, units in total.items() if units}


def _transfer(log: Mapping[str, Any], wallet: int, contracts: Contracts) -> list[tuple[str, int]]:
    contract, topics = str(log["address"]).lower(), [str(one).lower() for one in log["topics"]]
    if contract == contracts.collateral.lower() and topics[0] == _TRANSFER:
        sign = _sign(topics[1], topics[2], wallet)
        return [(COLLATERAL_ASSET, sign * words_of(log["data"])[0])]
    if contract != contracts.conditional_tokens.lower() or len(topics) < 4:
        return []
    sign = _sign(topics[2], topics[3], wallet)
    return [(token, sign * units) for token, units in token_units(log)]


def token_units(log: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return the tokens that a log of ConditionalTokens says were moved, and how many base units."""
    event, words = str(log["topics"][0]).lower(), words_of(log["data"])
    if event == TRANSFER_SINGLE:
        return [(str(words[0]), words[1])]
    if event == TRANSFER_BATCH:
        pairs = zip(array_at(words, 0), array_at(words, 1), strict=True)
        return [(str(token), units) for token, units in pairs]
    return []


def _sign(giver: str, taker: str, wallet: int) -> int:
    return (int(taker, 16) == wallet) - (int(giver, 16) == wallet)
