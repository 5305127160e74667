"""Orders sent to the venue and taken back; every answer named by what to do next."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from exchange.errors import ExchangeError, OtherOrderId, OutcomeUnknown
from exchange.polymarket import wire
from exchange.polymarket.failures import Trouble
from exchange.polymarket.session import Session
from exchange.types import Acknowledgement, SignedOrder

log = structlog.get_logger(__name__)

LARGEST_BATCH = 15
"""docs.polymarket.com/api-reference/trade/post-multiple-orders"""
CANCELS_PER_REQUEST = 100
"""The pages name 1,000 and 3,000; a hundred is below both."""


def post(session: Session, signed: SignedOrder) -> Acknowledgement:
    """Send one signed order; raises the error of its answer."""
    body = json.loads(signed.payload)
    answer = _send(lambda: session.post("/order", lambda owner: _owned(body, owner)))
    try:
        return wire.acknowledgement(answer, signed.order_id)
    except wire.Unreadable as error:
        raise OutcomeUnknown(f"Polymarket's answer is unreadable: {error}") from None
    except OtherOrderId as error:
        _alarm(error)
        raise


def post_many(
    session: Session, signed: Sequence[SignedOrder]
) -> list[Acknowledgement | ExchangeError]:
    """Send signed orders in one request; return each one's answer or error, in their order."""
    bodies = [json.loads(order.payload) for order in signed]
    try:
        answer = session.post("/orders", lambda owner: [_owned(body, owner) for body in bodies])
    except Trouble as trouble:
        return [trouble.of_writing_many() for _ in signed]
    except ExchangeError as error:  # no credentials: nothing was sent
        return [error for _ in signed]
    results = wire.acknowledgements(answer, [order.order_id for order in signed])
    for result in results:
        if isinstance(result, OtherOrderId):
            _alarm(result)
    return results


def cancel(session: Session, order_id: str) -> bool:
    """Cancel one order; `False` where the venue says that it no longer rests."""
    answer = _send(lambda: session.delete("/order", {"orderID": order_id}))
    said = _read_cancel(answer, [order_id])
    if order_id not in said:
        raise OutcomeUnknown(f"Polymarket's answer to a cancel does not name {order_id}")
    return said[order_id]


def cancel_many(session: Session, order_ids: Sequence[str]) -> dict[str, bool]:
    """Cancel orders, a request per hundred; those without a clear answer are left out.

    Only where nothing was answered at all is the error raised.
    """
    wanted = list(dict.fromkeys(order_ids))
    said: dict[str, bool] = {}
    for start in range(0, len(wanted), CANCELS_PER_REQUEST):
        batch = wanted[start : start + CANCELS_PER_REQUEST]
        try:
            said |= _read_cancel(_send(lambda b=batch: session.delete("/orders", b)), batch)  # type: ignore[misc]
        except ExchangeError as error:
            if not said:
                raise
            log.warning("polymarket_cancels_unclear", orders=len(wanted) - start, error=str(error))
            break
    return said


def _send(request: Callable[[], Any]) -> Any:
    try:
        return request()
    except Trouble as trouble:
        raise trouble.of_writing() from None


def _read_cancel(answer: object, order_ids: Sequence[str]) -> dict[str, bool]:
    try:
        return wire.cancellations(answer, order_ids)
    except wire.Unreadable as error:
        raise OutcomeUnknown(f"Polymarket's answer is unreadable: {error}") from None


def _owned(body: Mapping[str, Any], owner: str) -> dict[str, Any]:
    # in the official client's order of keys, so that both post the same bytes
    return dict(sorted({**body, "owner": owner}.items()))


def _alarm(error: OtherOrderId) -> None:
    log.error("polymarket_other_order_id", expected=error.expected, found=error.found)
