"""A minter behind its limiter and breakers, apart from the venue's: a mint never holds up a trade.

Two services fail apart: the relayer (of a deposit wallet, Safe or proxy) and the Polygon node.
What is already sent must come to its end, so look-ups pass a breaker, and are counted by it.
"""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeVar

from exchange.breaker import Breaker, is_rate_limit, verdict_on
from exchange.errors import ExchangeError, Unavailable
from exchange.guarded import HOLD_AFTER_429, breaker_of, shared_through
from exchange.limits import Limiter, relayer
from exchange.port import Minter
from exchange.types import Approval, Conversion, SignedTransaction, TransactionReport

T = TypeVar("T")

RELAYER: Final = "relayer"
CHAIN: Final = "polygon"
BREAKERS: Final = (RELAYER, CHAIN)
"""Their names, for whoever shows them."""


class GuardedMinter:
    """A minter whose calls ask limiter and breaker first, and report to them what came of it."""

    def __init__(self, minter: Minter, limiter: Limiter, sender: Breaker, chain: Breaker) -> None:
        self._minter = minter
        self._limiter = limiter
        self._sender = sender
        self._chain = chain

    @property
    def wallet(self) -> str:
        """The address whose collateral and tokens are converted."""
        return self._minter.wallet

    @property
    def approves_apart(self) -> bool:
        """Whether an approval is a transaction of its own."""
        return self._minter.approves_apart

    def check(self) -> None:
        """Make sure of the chain and its contracts."""
        self._ask(self._chain, self._minter.check)

    def missing_approval(self, conversion: Conversion) -> Approval | None:
        """What the adapter may not take yet."""
        return self._ask(self._chain, lambda: self._minter.missing_approval(conversion))

    def next_nonce(self) -> int:
        """The nonce of the wallet's next transaction."""
        return self._ask(self._sender, self._minter.next_nonce)

    def sign(
        self, conversion: Conversion, nonce: int, approval: Approval | None = None
    ) -> SignedTransaction:
        """Sign a conversion."""
        return self._signed(lambda: self._minter.sign(conversion, nonce, approval))

    def sign_approval(self, approval: Approval, nonce: int) -> SignedTransaction:
        """Sign an approval alone."""
        return self._signed(lambda: self._minter.sign_approval(approval, nonce))

    def sign_replacement(self, signed: SignedTransaction) -> SignedTransaction | None:
        """Sign the same for higher fees."""
        return self._signed(lambda: self._minter.sign_replacement(signed))

    def submit(self, signed: SignedTransaction) -> str:
        """Send the signed bytes."""
        if not self.approves_apart:
            self._admit_to_relayer()
        try:
            return self._ask(self._sender, lambda: self._minter.submit(signed))
        except Unavailable as error:
            if not self.approves_apart and is_rate_limit(error):
                self._limiter.hold("submit", error.retry_after or HOLD_AFTER_429)
            raise

    def find(
        self, signed: Sequence[SignedTransaction], transaction_id: str
    ) -> TransactionReport | None:
        """Look a transaction up, whatever the breaker says."""
        ask = self._minter.find
        return self._ask(self._sender, lambda: ask(signed, transaction_id), passes=True)

    def effects(self, conversion: Conversion, since_block: int) -> list[TransactionReport]:
        """What has done just this since a block, whatever the breaker says."""
        ask = self._minter.effects
        return self._ask(self._chain, lambda: ask(conversion, since_block), passes=True)

    def held(self, assets: Sequence[str]) -> dict[str, Decimal]:
        """What the wallet holds, whatever the breaker says: it may decide about what was sent."""
        return self._ask(self._chain, lambda: self._minter.held(assets), passes=True)

    def payouts(self, condition_id: str) -> tuple[Decimal, Decimal] | None:
        """What the outcomes pay."""
        return self._ask(self._chain, lambda: self._minter.payouts(condition_id))

    def now(self) -> datetime:
        """The chain's time, whatever the breaker says."""
        return self._ask(self._chain, self._minter.now, passes=True)

    def _signed(self, sign: Callable[[], T]) -> T:
        """Sign; where the relayer sends it is not asked, so nothing is told by it."""
        return self._ask(self._sender, sign) if self.approves_apart else sign()

    def _admit_to_relayer(self) -> None:
        wait = self._limiter.take("submit")
        if wait > 0:
            raise Unavailable(
                f"the relayer's rate limit is used up; next try in {wait:.1f} s",
                retry_after=math.ceil(wait),
            )

    def _ask(self, breaker: Breaker, ask: Callable[[], T], *, passes: bool = False) -> T:
        breaker.check(urgent=passes)
        try:
            answer = ask()
        except ExchangeError as error:
            breaker.note(verdict_on(error))
            raise
        breaker.note("success")
        return answer


def guarded_minter(minter: Minter, redis_url: str, prefix: str) -> GuardedMinter:
    """Put a minter behind its guards; `prefix` is what `exchange.guarded.namespace` says."""
    limiter = Limiter(shared_through(redis_url), f"{prefix}{RELAYER}:", relayer())
    chain = breaker_of(CHAIN, redis_url, prefix)
    sender = chain if minter.approves_apart else breaker_of(RELAYER, redis_url, prefix)
    return GuardedMinter(minter, limiter, sender, chain)
