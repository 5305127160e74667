"""`DirectMinter`: conversions of an EOA, which sends its own transactions and pays for their gas.

One nonce is one transaction, whatever is bid for it. What a receipt says holds once enough
blocks stand above it: Polygon's chain has been reorganised before.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from exchange.errors import Rejected, Unavailable
from exchange.polymarket import calls
from exchange.polymarket.broadcast import broadcast
from exchange.polymarket.chain import OnChain
from exchange.polymarket.fees import GWEI, market
from exchange.polymarket.receipts import WEI, Receipt
from exchange.polymarket.rpc import SOON, Rpc, number, reading
from exchange.polymarket.settings import Account, Contracts, Sending
from exchange.polymarket.transactions import Calling, bid_of, raw_of, sign
from exchange.polymarket.trial import gas_needed
from exchange.polymarket.wallets import Wallet
from exchange.types import (
    Approval,
    Conversion,
    RejectionCode,
    SignedTransaction,
    TransactionReport,
)

if TYPE_CHECKING:
    from exchange.polymarket.internals_minting import Call


class DirectMinter(OnChain):
    """The minter of an EOA. Satisfies `exchange.port.Minter`."""

    approves_apart = True

    def __init__(
        self,
        rpc: Rpc,
        account: Account,
        wallet: Wallet,
        contracts: Contracts,
        sending: Sending | None = None,
    ) -> None:
        sending = sending or Sending()
        super().__init__(rpc, wallet.address, contracts, sending.confirmations)
        self._key = account.private_key
        self._cap = sending.max_fee_gwei * GWEI

    def next_nonce(self) -> int:
        """Return the wallet's transaction count; `Unavailable` while one of them is on its way."""
        pending, mined = self._rpc.ask_many([self._count("pending"), self._count("latest")])
        with reading("the wallet's transaction count"):
            waiting, nonce = number(pending) - number(mined), number(mined)
        if waiting > 0:
            raise Unavailable(
                f"{waiting} other transaction(s) of {self.wallet} from nonce {nonce} on are not "
                "mined yet: wait for them, or replace them in the wallet that sent them",
                retry_after=SOON,
            )
        return nonce

    def sign(
        self, conversion: Conversion, nonce: int, approval: Approval | None = None
    ) -> SignedTransaction:
        """Sign a conversion after a trial run, which needs its approval to be on the chain."""
        return self._sign(calls.conversion_call(conversion, self._contracts), nonce)

    def sign_approval(self, approval: Approval, nonce: int) -> SignedTransaction:
        """Sign an approval, a transaction of its own."""
        return self._sign(calls.approval_call(approval, self._contracts), nonce)

    def sign_replacement(self, signed: SignedTransaction) -> SignedTransaction | None:
        """Sign the same call with the same nonce for at least an eighth more."""
        calling, bid = bid_of(signed)
        fees = market(self._rpc).outbid(bid, self._cap)
        if fees is None or self._gas_money() < calling.most(fees):
            return None
        return sign(self._key, self.wallet, calling, signed.nonce, fees, signed.since_block)

    def submit(self, signed: SignedTransaction) -> str:
        """Hand the signed bytes to the node; returns their hash, known before."""
        broadcast(self._rpc, raw_of(signed), signed.transaction_hash)
        return signed.transaction_hash

    def find(
        self, signed: Sequence[SignedTransaction], transaction_id: str
    ) -> TransactionReport | None:
        """Look it up by all its hashes, then by its nonce; `transaction_id` is one of the hashes.

        The count is read before the receipts: who has used the nonce by then has a receipt.
        """
        hashes = [one.transaction_hash for one in signed]
        answers = self._rpc.ask_many(
            [("eth_blockNumber", ()), self._count("latest"), *map(_receipt_of, hashes)]
        )
        with reading("the chain's height"):
            head, used = (number(answer) for answer in answers[:2])
        receipt = self._first(answers[2:])
        if receipt is not None:
            return self._judge(receipt, head)
        known = self._rpc.ask_many([("eth_getTransactionByHash", (one,)) for one in hashes])
        for transaction_hash, row in zip(hashes, known, strict=True):
            if row is not None:
                return _pending(transaction_hash, "it waits to be mined")
        if used <= signed[-1].nonce:
            return None
        return self._of_used_nonce(hashes, signed[-1].nonce, head)

    def _judge(self, receipt: Receipt, head: int) -> TransactionReport:
        """Report a receipt, as pending while the chain may still take it back."""
        above, wanted = head - receipt.block, self._confirmations
        if above < wanted:
            words = f"mined in block {receipt.block}, {max(above, 0)} of {wanted} blocks above it"
            return replace(_pending(receipt.transaction_hash, words), is_mined=True)
        block = self._rpc.ask("eth_getBlockByNumber", hex(receipt.block), False)
        with reading(f"block {receipt.block}"):
            if block is None or block["hash"] != receipt.block_hash:
                return _pending(receipt.transaction_hash, "the chain was reorganised under it")
        return TransactionReport(
            transaction_id=receipt.transaction_hash,
            status="confirmed" if receipt.succeeded else "reverted",
            transaction_hash=receipt.transaction_hash,
            message="" if receipt.succeeded else "it reverted when it was mined",
            moved=receipt.moved,
            cost=receipt.cost,
        )

    def _of_used_nonce(self, hashes: Sequence[str], nonce: int, head: int) -> TransactionReport:
        """Report who lost its nonce to another transaction, once that is deep enough.

        Behind one address stand several nodes. Who says that there is no receipt must have
        the deep block, in which the nonce is used: so each batch asks for that block, too.
        """
        depth = hex(max(head - self._confirmations, 0))
        deep_block = ("eth_getBlockByNumber", (depth, False))
        count, *rows = self._rpc.ask_many(
            [("eth_getTransactionCount", (self.wallet, depth)), deep_block]
        )
        receipts = []
        for transaction_hash in hashes:
            block, row = self._rpc.ask_many([deep_block, _receipt_of(transaction_hash)])
            rows.append(block)
            receipts.append(row)
        receipt = self._first(receipts)
        if receipt is not None:
            return self._judge(receipt, head)
        with reading("the wallet's transaction count"):
            is_final = number(count) > nonce and all(row is not None for row in rows)
        words = f"another transaction of {self.wallet} used nonce {nonce}"
        if not is_final:
            words = f"{words}, with too few blocks above it or on a node that lags behind"
            return replace(_pending("", words), is_mined=True)
        return TransactionReport(transaction_id="", status="replaced", message=words)

    def _first(self, rows: Sequence[Any]) -> Receipt | None:
        receipts = (self._read_receipt(row) for row in rows)
        return next((receipt for receipt in receipts if receipt is not None), None)

    def _sign(self, call: "Call", nonce: int) -> SignedTransaction:
        gas = gas_needed(self._rpc, self.wallet, call.to, call.data)
        calling = Calling(call.to, call.data, gas)
        fees = market(self._rpc).bid(self._cap)
        found, needed = self._gas_money(), calling.most(fees)
        if found < needed:
            raise Rejected(
                RejectionCode.NO_GAS,
                f"{self.wallet} holds {_pol(found)} POL, expected {_pol(needed)} for the gas: "
                "send it some POL on Polygon",
            )
        return sign(self._key, self.wallet, calling, nonce, fees, self._height())

    def _gas_money(self) -> int:
        balance = self._rpc.ask("eth_getBalance", self.wallet, "latest")
        with reading("the wallet's POL"):
            return number(balance)

    def _count(self, block: str) -> tuple[str, tuple[str, str]]:
        return "eth_getTransactionCount", (self.wallet, block)


def _receipt_of(transaction_hash: str) -> tuple[str, tuple[str]]:
    return "eth_getTransactionReceipt", (transaction_hash,)


def _pending(transaction_hash: str, message: str) -> TransactionReport:
    return TransactionReport(
        transaction_id=transaction_hash,
        status="pending",
        transaction_hash=transaction_hash,
        message=message,
    )


def _pol(wei: int) -> str:
    return f"{Decimal(wei) / WEI:.6f}"
