"""The trial run of a call: what it would cost, or why it would revert, in words."""

from contextlib import suppress

from exchange.errors import Rejected, Unavailable
from exchange.polymarket.failures import Trouble
from exchange.polymarket.rpc import NODE, NodeError, Rpc, number, reading
from exchange.types import RejectionCode

_REVERTED = 3
"""A node's code of a revert (ethereum/execution-apis); older ones say it in words only."""
_ERROR_STRING = "08c379a0"
_PANIC = "4e487b71"


def gas_needed(rpc: Rpc, sender: str, target: str, data: str) -> int:
    """Return the gas of a call with a margin of 30 %.

    Raises `Rejected('would_revert')` with the contract's reason, `Unavailable` without an answer.
    """
    try:
        answer = rpc.attempt("eth_estimateGas", {"from": sender, "to": target, "data": data})
    except Trouble as trouble:
        raise rpc.unavailable(trouble) from None
    except NodeError as error:
        if not is_revert(error):
            raise Unavailable(f"{NODE} answers: {rpc.shown(error)}") from None
        raise Rejected(
            RejectionCode.WOULD_REVERT, f"the trial run at {target} failed: {reason_of(error)}"
        ) from None
    with reading("the gas of a call"):
        return number(answer) * 13 // 10


def reason_of(error: NodeError) -> str:
    """Return why a call reverts: the contract's words, or the code it gives instead."""
    digits = error.data.removeprefix("0x")
    if digits.startswith(_ERROR_STRING):
        with suppress(ValueError):
            text = bytes.fromhex(digits[8:])
            length = int.from_bytes(text[32:64], "big")
            return text[64 : 64 + length].decode(errors="replace")
    if digits.startswith(_PANIC):
        return f"panic {int(digits[8:] or '0', 16):#x}"
    return f"{error} ({error.data[:10]})" if digits else str(error)


def is_revert(error: NodeError) -> bool:
    """Tell whether a node says that a call reverts."""
    lowered = str(error).lower()
    return error.code == _REVERTED or "revert" in lowered or "gas required exceeds" in lowered
