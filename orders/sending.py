"""Sending: sign, commit the signed order with its id, then post; an outcome is looked up, not guessed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import cast

import structlog
from django.db import close_old_connections, transaction
from django.db.models import F
from django.utils import timezone

from exchange.errors import ExchangeError, OutcomeUnknown, Rejected, Unavailable
from exchange.port import Exchange
from exchange.types import OrderRequest, RejectionCode, Side, SignedOrder
from orders import planning
from orders.models import Leg, Order
from orders.venues import venue_of

log = structlog.get_logger()

LOOK_AGAIN = timedelta(seconds=2)
"""How often an order in flight is looked at."""

UNDER_WAY_FOR = timedelta(seconds=15)
"""How long a post without an answer may still arrive: connecting, reading, Binance's recvWindow."""

FINAL_REFUSALS = (RejectionCode.MARKET_CLOSED, RejectionCode.NOT_ALLOWED)
"""Refusals that no repetition can change: they need a person."""


def send(order_pk: int) -> bool:
    """Send one planned order; `False` when somebody else has claimed it or it cannot be signed.

    The claim, the id and the signed bytes are committed together before
    anything goes out. From then on reconciling finds out what became of it.
    """
    order = _claim(order_pk)
    if order is None:
        return False
    post(order)
    return True


def send_at_once(order_pks: list[int]) -> None:
    """Send these orders from this process in the background; sweeps send what is left."""
    for pk in order_pks:
        _executor().submit(_send_in_thread, pk)


def _claim(order_pk: int) -> Order | None:
    with transaction.atomic():
        order = (
            Order.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("instrument", "leg")
            .filter(pk=order_pk, status="planned")
            .first()
        )
        if order is None:
            return None
        try:
            signed = venue_of(order.instrument).sign(_request(order))
        except ExchangeError as error:
            order.note(reason=f"cannot be signed: {error}", next_look_at=_soon())
            log.error("order_not_signed", order=order.pk, error=str(error))
            return None
        order.move(
            "sent",
            order_id=signed.order_id,
            payload=signed.payload,
            sent_at=timezone.now(),
            next_look_at=_soon(),
        )
    return order


def post(order: Order) -> None:
    """Post the committed bytes of a `sent` order, the first time or again, and note the answer."""
    exchange = venue_of(order.instrument)
    assert order.order_id is not None
    if not _take_turn(order):
        return
    try:
        exchange.post(SignedOrder(order.order_id, order.payload))
    except Rejected as refusal:
        _refused(order, refusal, exchange)
    except (Unavailable, OutcomeUnknown) as trouble:
        log.warning("order_outcome_unknown", order=order.pk, id=order.order_id, error=str(trouble))
        order.note(reason=f"no clear answer yet: {trouble}", next_look_at=_soon())
        if isinstance(trouble, Unavailable) or order.instrument.venue == "polymarket":
            order.note(answered_at=timezone.now())  # Binance would execute a second one
    else:
        log.info("order_posted", order=order.pk, id=order.order_id)
        order.note(answered_at=timezone.now(), next_look_at=timezone.now(), reason="")


def _take_turn(order: Order) -> bool:
    """Count this post, unless somebody else has posted since `order` was read."""
    now = timezone.now()
    ours = Order.objects.filter(pk=order.pk, status="sent", posts=order.posts).update(
        posts=F("posts") + 1, sent_at=now, answered_at=None, updated_at=now
    )
    order.refresh_from_db(fields=["posts", "sent_at", "answered_at"])
    return bool(ours)


def is_under_way(order: Order) -> bool:
    """Whether a post may still arrive at the venue, so that another would race it.

    A refusal of the second says nothing about the first: a new order would then
    be a second sale. And Binance takes the id of an ended order again.
    """
    if order.answered_at is not None or order.sent_at is None:
        return False
    return timezone.now() < order.sent_at + UNDER_WAY_FOR


def _refused(order: Order, refusal: Rejected, exchange: Exchange) -> None:
    """Believe a refusal only when no earlier post of the same bytes can have succeeded."""
    if refusal.code == RejectionCode.DUPLICATED or order.posts > 1:
        try:
            known = exchange.find_order(cast(str, order.order_id)) is not None
        except ExchangeError as error:
            order.note(reason=f"refused, look-up failed: {error}", next_look_at=_soon())
            return
        if known or refusal.code == RejectionCode.DUPLICATED:
            order.note(reason="the venue has it", next_look_at=timezone.now())
            return
    refuse(order, refusal.code, str(refusal))


def refuse(order: Order, code: str, message: str) -> None:
    """Close an order that the venue definitely refused, and say what its leg does next."""
    with transaction.atomic():
        leg = Leg.objects.select_for_update().get(pk=order.leg_id)
        unmatched = code == RejectionCode.UNMATCHED
        won = order.move(
            "cancelled" if unmatched else "rejected",
            reason=message,
            closed_at=timezone.now(),
            answered_at=timezone.now(),
        )
        if not won:
            return
        log.info("order_refused", order=order.pk, id=order.order_id, code=code)
        if unmatched:
            planning.retry_later(leg, "nothing to match at that price; trying again")
            return
        leg.note(rejections=leg.rejections + 1)
        if code in FINAL_REFUSALS or leg.rejections >= planning.MAX_REJECTIONS:
            leg.move("failed", reason=f"refused: {message}")
        else:
            planning.retry_later(leg, f"refused, trying again: {message}")


def _request(order: Order) -> OrderRequest:
    instrument = order.instrument
    return OrderRequest(
        symbol=instrument.symbol,
        side=cast(Side, order.side),
        quantity=order.quantity,
        price=order.price,
        tick_size=instrument.tick_size,
        neg_risk=instrument.neg_risk,
    )


def _soon() -> datetime:
    return timezone.now() + LOOK_AGAIN


_pool: ThreadPoolExecutor | None = None


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="send")
    return _pool


def finish() -> None:
    """Wait for what is being sent, at a warm shutdown; the next sending starts afresh."""
    global _pool
    if _pool is not None:
        _pool.shutdown(wait=True)
        _pool = None


def _send_in_thread(order_pk: int) -> None:
    close_old_connections()
    try:
        send(order_pk)
    except Exception:
        log.exception("send_failed", order=order_pk)
    finally:
        close_old_connections()
