"""An EOA's own transactions: signed here, with all that is needed to sign a higher bid later."""

import json
from dataclasses import dataclass
from decimal import Decimal

from exchange.polymarket.addresses import CHAIN_ID
from exchange.polymarket.fees import Fees
from exchange.polymarket.receipts import WEI
from exchange.types import SignedTransaction


@dataclass(frozen=True, slots=True)
class Calling:
    """A call of a contract with the gas it may use."""

    to: str
    data: str
    gas: int

    def most(self, fees: Fees) -> int:
        """Return the most it may cost, in wei."""
        return self.gas * fees.most


def sign(
    private_key: str,
    wallet: str,
    calling: Calling,
    nonce: int,
    fees: Fees,
    since_block: int = 0,
) -> SignedTransaction:
    """Sign a type-2 transaction for Polygon; its hash is known from now on."""
    from eth_account import Account

    made = Account.sign_transaction(
        {
            "type": 2,
            "chainId": CHAIN_ID,
            "nonce": nonce,
            "to": calling.to,
            "value": 0,
            "data": calling.data,
            "gas": calling.gas,
            "maxFeePerGas": fees.most,
            "maxPriorityFeePerGas": fees.tip,
        },
        private_key,
    )
    told = {
        "raw": "0x" + made.raw_transaction.hex(),
        "call": [calling.to, calling.data, calling.gas],
        "fees": [fees.most, fees.tip],
    }
    return SignedTransaction(
        wallet=wallet,
        nonce=nonce,
        payload=json.dumps(told, separators=(",", ":")),
        transaction_hash="0x" + made.hash.hex(),
        max_fee=Decimal(calling.most(fees)) / WEI,
        since_block=since_block,
    )


def raw_of(transaction: SignedTransaction) -> str:
    """Return the bytes to be sent."""
    return str(json.loads(transaction.payload)["raw"])


def bid_of(transaction: SignedTransaction) -> tuple[Calling, Fees]:
    """Return what was signed."""
    told = json.loads(transaction.payload)
    return Calling(*told["call"]), Fees(*told["fees"])
