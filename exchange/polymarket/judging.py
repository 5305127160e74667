"""What became of a relayed transaction: the relayer says where to look, the chain decides. Pure.

A contract wallet's nonce lets one transaction through. While it is not used, whatever was
signed with it may still execute, whoever has given it up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from exchange.polymarket.receipts import Receipt
from exchange.polymarket.relayer import Relayed
from exchange.polymarket.rpc import NODE
from exchange.polymarket.wallets import WalletKind
from exchange.types import Status, TransactionReport

AFTER_DEADLINE = timedelta(seconds=60)
"""Some thirty blocks, which no reorganisation of Polygon takes back."""

Found = tuple[Relayed, Receipt | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """A contract wallet in the chain's latest block: its next nonce there, and in a deep block."""

    head: int
    time: datetime
    nonce: int
    deep_nonce: int


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known of a nonce: what was signed with it, what the chain and the relayer say.

    `deadline` is that of the last version, `None` where one of them knows none.
    """

    nonce: int
    versions: int
    deadline: datetime | None
    kind: WalletKind
    confirmations: int
    standing: Standing
    found: Sequence[Found]

    @property
    def is_used(self) -> bool:
        """Whether the nonce is used in the latest block."""
        return self.standing.nonce > self.nonce

    @property
    def is_used_for_good(self) -> bool:
        """Whether it is used under enough blocks."""
        return self.is_used and self.standing.deep_nonce > self.nonce

    @property
    def is_expired(self) -> bool:
        """Whether no version can execute any more, by the chain's clock."""
        return self.deadline is not None and self.standing.time > self.deadline + AFTER_DEADLINE

    def above(self, receipt: Receipt) -> int:
        """How many blocks stand above a receipt's."""
        return max(self.standing.head - receipt.block, 0)

    def is_deep(self, receipt: Receipt) -> bool:
        """Whether they are enough."""
        return self.above(receipt) >= self.confirmations


def judge(case: Case) -> TransactionReport | None:
    """Report what became of it; `None` when nobody knows it and its nonce is not used."""
    for relayed, receipt in sorted(case.found, key=lambda one: one[0].state != "confirmed"):
        if receipt is not None and receipt.succeeded:
            return _of_success(case, relayed, receipt)
    for relayed, receipt in case.found:
        if relayed.state == "confirmed" and relayed.transaction_hash and receipt is None:
            return _report(relayed, "pending", f"{NODE} does not have its receipt yet")
    for relayed, receipt in case.found:
        if receipt is not None and case.is_used:
            return _of_failure(case, relayed, receipt)
    return _of_nonce(case)


def _of_success(case: Case, relayed: Relayed, receipt: Receipt) -> TransactionReport:
    """Report a receipt that succeeded; without the relayer's word it must be deep and have moved."""
    if relayed.state != "confirmed":
        if not case.is_deep(receipt):
            return _mined(case, relayed, receipt)
        if not receipt.moved:
            return _of_nothing_moved(case, relayed)
    return replace(_report(relayed, "confirmed"), moved=receipt.moved)


def _of_nothing_moved(case: Case, relayed: Relayed) -> TransactionReport:
    """Report a call that failed within a transaction that succeeded, as a proxy's hub has it."""
    if case.is_used_for_good:
        return _report(relayed, "reverted", "it was mined and moved nothing")
    return _used(case, relayed) if case.is_used else _unused(case, relayed)


def _of_failure(case: Case, relayed: Relayed, receipt: Receipt) -> TransactionReport:
    """Report a receipt that failed, its nonce being used: by it, or by something else.

    A Safe's failure uses no nonce; of several versions another one may have used it.
    """
    if not case.is_deep(receipt):
        return _mined(case, relayed, receipt)
    if case.kind == "deposit_wallet" and case.versions == 1 and case.is_used_for_good:
        return _report(relayed, "reverted", "it reverted on the chain")
    return _used(case, relayed)


def _of_nonce(case: Case) -> TransactionReport | None:
    """Report by the nonce alone, and by what the relayer still intends."""
    waiting = [one for one, receipt in case.found if one.state != "failed" and receipt is None]
    known = waiting or [one for one, _ in case.found]
    latest = known[-1] if known else None
    if case.is_used:
        return _used(case, latest)
    if waiting and not case.is_expired:
        return _report(waiting[-1], "pending")
    return _unused(case, latest) if latest is not None or case.is_expired else None


def _used(case: Case, relayed: Relayed | None) -> TransactionReport:
    words = (
        f"the wallet's nonce is {case.standing.nonce} in block {case.standing.head}: nonce "
        f"{case.nonce} was used, by which transaction the relayer does not say"
    )
    if case.is_used_for_good:
        return _report(relayed, "unaccounted", words)
    return replace(
        _report(relayed, "pending", f"{words}, in one of the last blocks"), is_mined=True
    )


def _unused(case: Case, relayed: Relayed | None) -> TransactionReport:
    words = f"nonce {case.nonce} is not used in block {case.standing.head}"
    if case.is_expired:
        return _report(relayed, "replaced", f"{words}, and its deadline has passed")
    return _report(relayed, "open", f"{words}, it may still execute")


def _mined(case: Case, relayed: Relayed, receipt: Receipt) -> TransactionReport:
    words = (
        f"mined in block {receipt.block}, "
        f"{case.above(receipt)} of {case.confirmations} blocks above it"
    )
    return replace(_report(relayed, "pending", words), is_mined=True)


def _report(relayed: Relayed | None, status: Status, message: str = "") -> TransactionReport:
    if relayed is None:
        return TransactionReport("", status, message=message)
    return TransactionReport(
        transaction_id=relayed.transaction_id,
        status=status,
        transaction_hash=relayed.transaction_hash,
        message="; ".join(filter(None, (relayed.message, message))),
    )
