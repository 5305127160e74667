"""Sending: sign, commit the signed order with its id, then post; an outcome is looked up, not guessed."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import cast

import structlog
from django.db import close_old_connections, transaction
from django.db.models import F, Q
from django.utils import timezone

from exchange.errors import (
    ExchangeError,
    OtherOrderId,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from exchange.port import Exchange
from exchange.types import OrderRequest, RejectionCode, Side, SignedOrder
from orders import balances, instruments, planning
from orders.models import Halt, Leg, Order
from orders.venues import venue_of

log = structlog.get_logger()

LOOK_AGAIN = timedelta(seconds=2)
"""How often an order in flight is looked at."""

UNDER_WAY_FOR = timedelta(seconds=15)
"""How long a post whose process may have died can still arrive: connecting 5 s, answering 10 s."""

DOUBT_FOR = timedelta(seconds=15)
"""How long a post without a clear answer may still be carried out (Binance's recvWindow is 5 s)."""

FINAL_REFUSALS = (RejectionCode.MARKET_CLOSED,)
"""Refusals that no repetition can change: they need a person."""

PATIENT_REFUSALS = (
    RejectionCode.NOT_ENOUGH_BALANCE,
    RejectionCode.TICK_SIZE,
    RejectionCode.NOT_ALLOWED,
)
"""Refusals that often pass: a balance, a tick or a clock that is behind."""


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
        if order is None or Halt.is_on():
            return None
        try:
            signed = venue_of(order.instrument).sign(_request(order))
        except Rejected as refusal:
            _give_up_unsigned(order, refusal)
            return None
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


def _give_up_unsigned(order: Order, refusal: Rejected) -> None:
    """An order that can never be signed as it is makes room for one planned anew."""
    leg = Leg.objects.select_for_update().get(pk=order.leg_id)
    order.move("cancelled", reason=f"cannot be signed: {refusal}", closed_at=timezone.now())
    log.error("order_not_signed", order=order.pk, error=str(refusal))
    _after_refusal(leg, str(refusal.code), f"cannot be signed: {refusal}")


def post(order: Order) -> None:
    """Post the committed bytes of a `sent` order, the first time or again, and note the answer.

    Nothing happens while another post of it may be under way, or once the venue
    has said that it has it.
    """
    assert order.order_id is not None
    if Halt.is_on() or not _take_turn(order):
        return
    exchange = venue_of(order.instrument)
    try:
        exchange.post(SignedOrder(order.order_id, order.payload))
    except OtherOrderId as trouble:
        _halt(order, trouble)
    except Rejected as refusal:
        order.note(answered_at=timezone.now())
        _refused(order, refusal, exchange)
    except Unavailable as trouble:
        _no_answer(order, trouble, doubtful_until=order.doubtful_until)
    except OutcomeUnknown as trouble:
        _no_answer(order, trouble, doubtful_until=timezone.now() + DOUBT_FOR)
    else:
        _acknowledged(order)


def _take_turn(order: Order) -> bool:
    """Count this post, unless somebody else has posted since `order` was read."""
    now = timezone.now()
    over = Q(answered_at__isnull=False) | Q(posts=0) | Q(sent_at__lt=now - UNDER_WAY_FOR)
    turn = Order.objects.filter(
        over, pk=order.pk, status="sent", posts=order.posts, acknowledged_at=None
    )
    ours = turn.update(posts=F("posts") + 1, sent_at=now, answered_at=None, updated_at=now)
    order.refresh_from_db(fields=["status", "posts", "sent_at", "answered_at", "doubtful_until"])
    return bool(ours)


def may_post_again(order: Order) -> bool:
    """Whether the same bytes may go out again to an order the venue does not know.

    Never once it was acknowledged, and not while a post may still be under way: a
    refusal of the second says nothing about the first. Binance moreover takes the
    id of an ended order again, so there every doubt is waited out.
    """
    now = timezone.now()
    if order.status != "sent" or order.acknowledged_at is not None:
        return False
    if order.instrument.venue != "polymarket" and _is_doubtful(order):
        return False
    return order.posts == 0 or order.answered_at is not None or _is_over(order, now)


def _is_over(order: Order, now: datetime) -> bool:
    return order.sent_at is None or order.sent_at < now - UNDER_WAY_FOR


def _is_doubtful(order: Order) -> bool:
    return order.doubtful_until is not None and order.doubtful_until > timezone.now()


def _acknowledged(order: Order) -> None:
    now = timezone.now()
    log.info("order_posted", order=order.pk, id=order.order_id)
    order.note(answered_at=now, acknowledged_at=now, next_look_at=now, reason="")
    late = Order.objects.filter(pk=order.pk, status__in=["cancelled", "rejected"])
    if late.update(is_late=True):
        log.critical("order_taken_after_it_was_closed", order=order.pk, id=order.order_id)


def _no_answer(order: Order, trouble: ExchangeError, *, doubtful_until: datetime | None) -> None:
    log.warning("order_outcome_unknown", order=order.pk, id=order.order_id, error=str(trouble))
    order.note(
        answered_at=timezone.now(),
        doubtful_until=doubtful_until,
        reason=f"no clear answer yet: {trouble}",
        next_look_at=_soon(),
    )


def _halt(order: Order, trouble: OtherOrderId) -> None:
    """The venue calls our order by another id: nothing we look up by id can be believed."""
    Halt.objects.create(reason=f"order {order.pk}: {trouble}")
    log.critical("sending_halted", order=order.pk, error=str(trouble))
    now = timezone.now()
    order.note(answered_at=now, acknowledged_at=now, reason=str(trouble), next_look_at=_soon())


def _refused(order: Order, refusal: Rejected, exchange: Exchange) -> None:
    """Believe a refusal only when no earlier post of the same bytes can have succeeded."""
    look_first = (RejectionCode.DUPLICATED, RejectionCode.OTHER)
    if refusal.code in look_first or order.posts > 1:
        try:
            known = exchange.find_order(cast(str, order.order_id)) is not None
        except ExchangeError as error:
            order.note(reason=f"refused, look-up failed: {error}", next_look_at=_soon())
            return
        if known or refusal.code == RejectionCode.DUPLICATED:
            _acknowledged(order)
            return
        if _is_doubtful(order):
            order.note(reason=f"refused, but an earlier post may still count: {refusal}")
            return
    refuse(order, refusal.code, str(refusal))


def refuse(order: Order, code: str, message: str) -> None:
    """Close an order that the venue definitely refused, and say what its leg does next."""
    with transaction.atomic():
        leg = Leg.objects.select_for_update().get(pk=order.leg_id)
        unmatched = code == RejectionCode.UNMATCHED
        won = order.move(
            "cancelled" if unmatched else "rejected", reason=message, closed_at=timezone.now()
        )
        if not won:
            return
        log.info("order_refused", order=order.pk, id=order.order_id, code=code)
        if unmatched:
            planning.retry_later(leg, "nothing to match at that price; trying again")
        else:
            _after_refusal(leg, code, message)
    _learn_from(order, code)


def _after_refusal(leg: Leg, code: str, message: str) -> None:
    """Try again within the budget of that refusal, end the leg beyond it."""
    leg.note(rejections=leg.rejections + 1)
    budget = planning.MAX_REJECTIONS * (8 if code in PATIENT_REFUSALS else 1)
    if code == RejectionCode.MIN_SIZE and leg.matched_quantity() > 0:
        remaining = leg.quantity - leg.matched_quantity()
        planning.end_with_remainder(leg, remaining, planning.BELOW_MINIMUM)
    elif code in FINAL_REFUSALS or leg.rejections >= budget:
        leg.move("failed", reason=f"refused: {message}")
    elif code in PATIENT_REFUSALS:
        wait = planning.WAIT_FOR_SHARES
        leg.note(next_attempt_at=timezone.now() + wait, reason=f"refused, trying again: {message}")
    else:
        planning.retry_later(leg, f"refused, trying again: {message}")


def _learn_from(order: Order, code: str) -> None:
    """Ask the venue about what a refusal says we have wrong, before the next order is planned."""
    instrument = order.instrument
    asset = instrument.base_asset if order.side == "sell" else instrument.quote_asset
    with suppress(ExchangeError):
        if code == RejectionCode.NOT_ENOUGH_BALANCE:
            balances.compare(asset, instrument.venue)
        elif code == RejectionCode.TICK_SIZE:
            instruments.reread(instrument)


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
