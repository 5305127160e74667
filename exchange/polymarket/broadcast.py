"""Handing a signed transaction to a node, and what its refusals mean.

There is no standard for the words; these are those of go-ethereum (core/txpool), Bor, Erigon,
Nethermind and anvil. Whatever is not known for a refusal may have been taken.
"""

from exchange.errors import ExchangeError, OutcomeUnknown, Rejected, Unavailable
from exchange.polymarket.failures import Trouble
from exchange.polymarket.rpc import NODE, SOON, NodeError, Rpc
from exchange.types import RejectionCode

_TAKEN_BEFORE = (
    *("already known", "alreadyknown", "already imported", "already_exists"),
    *("already in mempool", "known transaction"),
)
_NONCE_USED = ("nonce too low", "oldnonce", "nonce is too low", "invalid transaction nonce")
_NO_GAS = ("insufficient funds", "insufficient balance", "insufficientfunds")
_NOT_NOW = (
    *("underpriced", "txpool is full", "nonce too high", "gapped", "future transaction"),
    *("less than block base fee", "fee too low", "rate limit", "too many requests"),
    *("limit exceeded", "status 429"),
)
_UNCLEAR = ("timeout", "timed out", "no response", "internal", "upstream", "unavailable")
_REFUSING_CODES = frozenset({-32000, -32003, -32602})
"""EIP-1474: invalid input, transaction rejected, invalid params."""


def broadcast(rpc: Rpc, raw: str, transaction_hash: str) -> None:
    """Send the bytes; returns when the node has them, now or since before.

    Raises `Rejected` (`nonce`: these bytes can execute no more, or have), `Unavailable` when
    they were not taken, `OutcomeUnknown` when nobody can say.
    """
    try:
        answer = rpc.attempt("eth_sendRawTransaction", raw)
    except NodeError as error:
        _judge(rpc.shown(error), error.code)
    except Trouble as trouble:
        _judge_trouble(rpc, trouble)
    else:
        if str(answer).lower() != transaction_hash.lower():
            raise OutcomeUnknown(f"{NODE} names another hash than {transaction_hash}")


def _judge(words: str, code: int) -> None:
    """Return if the words say that the node has the transaction, raise what they mean otherwise."""
    if _has(words, _TAKEN_BEFORE):
        return
    error = _meaning(words)
    if error is None and code in _REFUSING_CODES and not _has(words, _UNCLEAR):
        error = Rejected(RejectionCode.OTHER, f"{NODE} refuses: {words}")
    raise error or OutcomeUnknown(f"{NODE} answers: {words}")


def _judge_trouble(rpc: Rpc, trouble: Trouble) -> None:
    unavailable = rpc.unavailable(trouble)
    if not trouble.sent or trouble.status in (401, 403, 429):
        raise unavailable from None
    if trouble.is_json:
        _judge(rpc.shown(trouble), 0)
        return
    raise OutcomeUnknown(str(unavailable)) from None


def _meaning(words: str) -> ExchangeError | None:
    text = f"{NODE} refuses: {words}"
    if _has(words, _NONCE_USED):
        return Rejected(RejectionCode.NONCE, text)
    if _has(words, _NO_GAS):
        return Rejected(RejectionCode.NO_GAS, text)
    if _has(words, _NOT_NOW):
        return Unavailable(text, retry_after=SOON)
    return None


def _has(words: str, needles: tuple[str, ...]) -> bool:
    lowered = words.lower()
    return any(needle in lowered for needle in needles)
