"""Sending: sign, commit the signed order with its id, then post; an outcome is looked up, not guessed."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import structlog
from django.db import close_old_connections

from orders import posting, signing
from orders.models import Order
from polytrader.points import point

log = structlog.get_logger()
T = TypeVar("T")

SENDERS = 4

SIGNED_AT_ONCE = 15 * SENDERS
"""Of a burst: the senders sign the rest while the first are on the wire, and no lock waits for it."""


def send(order_pk: int) -> bool:
    """Send one planned order; `False` when somebody else has claimed it or it cannot be signed."""
    return send_all([order_pk]) == 1


def send_all(order_pks: Sequence[int]) -> int:
    """Send these planned orders, batched where the venue takes batches; how many were sent here.

    The claims, the ids and the signed bytes are committed together before
    anything goes out. From then on reconciling finds out what became of them.
    """
    claimed = signing.claim(order_pks) if order_pks else []
    if not claimed:
        return 0
    point("orders_signed")
    posting.post_all(claimed)
    return len(claimed)


def send_at_once(orders: Sequence[Order]) -> "list[Future[None]]":
    """Send new orders, signed or planned, from this process in the background; sweeps send what is left."""
    return [_executor().submit(_in_thread, _send_new, part) for part in _parts(orders)]


def send_and_wait(order_pks: Sequence[int], seconds: float) -> None:
    """Send these orders in the background, all in one batch, and wait a moment for the answers.

    What is not answered by then stays `sent`: the post goes on without the caller.
    """
    wait([_executor().submit(_in_thread, send_all, list(order_pks))], timeout=seconds)


def _parts(orders: Sequence[Order]) -> list[Sequence[Order]]:
    """Spread a burst over the threads in batches; the first orders are on the wire first."""
    size = min(15, max(1, -(-len(orders) // SENDERS)))
    return [orders[at : at + size] for at in range(0, len(orders), size)]


_pool: ThreadPoolExecutor | None = None


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max_workers=SENDERS, thread_name_prefix="send")
    return _pool


def finish() -> None:
    """Wait for what is being sent, at a warm shutdown; the next sending starts afresh."""
    global _pool
    if _pool is not None:
        _pool.shutdown(wait=True)
        _pool = None


def _send_new(orders: Sequence[Order]) -> None:
    posting.post_all([order for order in orders if order.status == "sent"])
    send_all([order.pk for order in orders if order.status == "planned"])


def _in_thread(send: Callable[[T], object], orders: T) -> None:
    close_old_connections()
    try:
        send(orders)
    except Exception:
        log.exception("send_failed", orders=str(orders))
    finally:
        close_old_connections()
