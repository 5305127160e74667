"""What a failed request means: the venue's statuses and texts, translated once, here.

Sources: docs.polymarket.com error-codes and matching-engine pages (September 2026) and the
official client's `models/clob/order_response.py`. Texts change: substrings are matched.
"""

from math import ceil

from exchange.errors import ExchangeError, OutcomeUnknown, Rejected, Unavailable
from exchange.types import RejectionCode

_REFUSALS: tuple[tuple[str, RejectionCode], ...] = (
    ("not enough balance", RejectionCode.NOT_ENOUGH_BALANCE),
    ("duplicated", RejectionCode.DUPLICATED),
    ("no orders found to match", RejectionCode.UNMATCHED),
    ("fully filled or killed", RejectionCode.UNMATCHED),
    ("maker address not allowed", RejectionCode.NOT_ALLOWED),
    ("order signer address has to be", RejectionCode.NOT_ALLOWED),
    ("order owner has to be", RejectionCode.NOT_ALLOWED),
    ("address banned", RejectionCode.NOT_ALLOWED),
    ("closed only mode", RejectionCode.NOT_ALLOWED),
    ("minimum tick size", RejectionCode.TICK_SIZE),
    ("lower than the minimum", RejectionCode.MIN_SIZE),
    ("max accuracy", RejectionCode.PRECISION),
    ("invalid amounts", RejectionCode.PRECISION),
    ("invalid signature", RejectionCode.INVALID_SIGNATURE),
    ("invalid post-only order", RejectionCode.POST_ONLY),
    ("crosses the book", RejectionCode.POST_ONLY),
    ("crosses book", RejectionCode.POST_ONLY),
    ("invalid expiration", RejectionCode.EXPIRATION),
    ("invalid nonce", RejectionCode.NONCE),
    # no code of ours helps with these: whoever gets them looks the order up and then gives up
    ("order_version_mismatch", RejectionCode.OTHER),
    ("invalid order version", RejectionCode.OTHER),
    ("invalid order payload", RejectionCode.OTHER),
    ("canceled in the ctf exchange contract", RejectionCode.OTHER),
    ("no orderbook exists", RejectionCode.MARKET_CLOSED),
    ("market is closed", RejectionCode.MARKET_CLOSED),
    ("market closed", RejectionCode.MARKET_CLOSED),
    ("not accepting orders", RejectionCode.MARKET_CLOSED),
    ("market is resolved", RejectionCode.MARKET_CLOSED),
    ("market not found", RejectionCode.UNKNOWN_INSTRUMENT),
)
_NOT_NOW = (
    "not yet ready to process",
    "post-only mode",
    "cancel-only",
    "trading is currently disabled",
    "service not ready",
    "too many orders in payload",
    "too many requests",
    "rate limit",
)
_UNCLEAR = (
    "order match delayed",
    # said with a 500 for a single order, and then in the row of a batch
    "could not insert order",
    "could not run the execution",
    "there are no matching orders",
    "contains rounding issues",
)


class Trouble(Exception):
    """A request that did not succeed, before anybody has said what that means.

    `status` is `None` where no complete answer came; `sent` is then false only if the
    request provably never left. `is_json` tells the venue's own answers from those of
    whatever stands before it (Cloudflare's pages); `is_empty` is an answer without a body.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        is_json: bool = False,
        is_empty: bool = False,
        sent: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.is_json = is_json
        self.is_empty = is_empty
        self.sent = sent
        self.retry_after = None if retry_after is None else ceil(retry_after)

    def of_reading(self) -> ExchangeError:
        """Return the error of a request that changes nothing."""
        if self.status in (401, 403) and self.is_json:
            return Rejected(RejectionCode.NOT_ALLOWED, self._described())
        if self.status == 404 and self.is_json:
            return Rejected(RejectionCode.UNKNOWN_INSTRUMENT, self._described())
        if self.status == 400 and self.is_json:
            return refusal(str(self)) or Rejected(RejectionCode.OTHER, self._described())
        return Unavailable(self._described(), retry_after=self.retry_after)

    def of_asking_aside(self) -> ExchangeError:
        """Return the error of a question on the way to something else.

        Its refusal is no final answer to the order or split behind it, unless the
        account itself is not allowed.
        """
        error = self.of_reading()
        if isinstance(error, Rejected) and error.code != RejectionCode.NOT_ALLOWED:
            return Unavailable(str(error), retry_after=self.retry_after)
        return error

    def of_writing(self) -> ExchangeError:
        """Return the error of a request that may have changed something."""
        if self.status is None:
            if self.sent:
                return OutcomeUnknown(self._described())
            return Unavailable(self._described(), retry_after=self.retry_after)
        if self.status in (425, 429) or (self.status == 403 and not self.is_json):
            return Unavailable(self._described(), retry_after=self.retry_after)
        if self.status == 503 and self.is_json and _has(str(self), _NOT_NOW):
            return Unavailable(self._described(), retry_after=self.retry_after)
        if not self.is_json or self.status >= 500 or self.status < 400:
            return OutcomeUnknown(self._described())
        if self.status in (401, 403):
            return Rejected(RejectionCode.NOT_ALLOWED, self._described())
        return refusal(str(self)) or Rejected(RejectionCode.OTHER, self._described())

    def of_writing_many(self) -> ExchangeError:
        """Return the error of a request about several orders, as it stands for each of them.

        A refusal of the whole may be the fault of one; only where the account is not
        allowed, or nothing was taken for now, does it hold for all.
        """
        error = self.of_writing()
        if isinstance(error, Rejected) and error.code != RejectionCode.NOT_ALLOWED:
            return OutcomeUnknown(str(error))
        return error

    def _described(self) -> str:
        status = "no answer" if self.status is None else f"status {self.status}"
        return f"Polymarket: {status}: {self}"


def refusal(text: str) -> ExchangeError | None:
    """Return what the venue's own words for a refusal mean, `None` for unknown words."""
    if _has(text, _NOT_NOW):
        return Unavailable(f"Polymarket: {text}")
    if _has(text, _UNCLEAR):
        return OutcomeUnknown(f"Polymarket: {text}")
    lowered = text.lower()
    for words, code in _REFUSALS:
        if words in lowered:
            return Rejected(code, f"Polymarket: {text}")
    return None


def _has(text: str, needles: tuple[str, ...]) -> bool:
    lowered = text.lower()
    return any(needle in lowered for needle in needles)
