"""POST /order and one row of POST /orders, with what is arranged to go wrong with the order."""

from __future__ import annotations

from eth_hash.auto import keccak

from paper import orders
from paper.encoding import from_hex, to_hex
from paper.errors import PostOnlyMode, Refused
from paper.faults import Fault, fate_of, refusal
from paper.keys import ApiKey
from paper.state import Paper

GARBAGE = b"<html><body>upstream error</body></html>"
"""What `lie:garbage` answers instead of JSON."""


def post(paper: Paper, key: ApiKey, body: object, fault: Fault | None) -> dict[str, object]:
    """Take one posted order, or refuse it, and answer; raises Refused."""
    lie = None if fault is None else fault.lie
    if fault is not None and fault.code is not None:
        raise refusal(fault.code)
    if lie == "success_with_error":
        return empty_row("could not insert order", success=True)
    answer = orders.place(paper, key, body, fate_of(fault))
    if lie == "empty_id":
        answer["orderID"] = ""
    if lie == "other_id":
        answer["orderID"] = to_hex(keccak(from_hex(str(answer["orderID"]))))
    return answer


def post_row(paper: Paper, key: ApiKey, body: object, fault: Fault | None) -> dict[str, object]:
    """Take one row of a batch; a refusal is a row too."""
    try:
        return post(paper, key, body, fault)
    except PostOnlyMode as refused:
        return empty_row(refused.text, success=True)
    except Refused as refused:
        return empty_row(refused.text, success=False)


def empty_row(text: str, success: bool) -> dict[str, object]:
    """Build the answer of an order that was not taken."""
    return {
        "success": success, "errorMsg": text, "orderID": "", "status": "", "makingAmount": "",
        "takingAmount": "", "transactionsHashes": [], "tradeIDs": [],
    }  # fmt: skip
