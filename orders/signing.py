"""Signing: a planned order becomes `sent` with its id and bytes, committed before anything goes out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import structlog
from django.db import transaction
from django.utils import timezone

from exchange.errors import ExchangeError, Rejected
from exchange.types import OrderRequest, OrderType, Side, SignedOrder
from orders import planning, starting, waits
from orders.models import Instrument, Leg, Order, Trade
from orders.venues import is_loaded, venue_of
from polytrader import prepared
from polytrader.alerts import raise_alert
from polytrader.points import point
from polytrader.prepared import Columns

log = structlog.get_logger()


def sign_new(orders: Sequence[Order]) -> None:
    """Make new orders `sent`, with their ids and bytes, before they are saved for the first time.

    Whatever cannot be signed at once and without a question stays `planned`: sending it
    says why, and tries again.
    """
    ready = {venue for venue in {o.instrument.venue for o in orders} if _is_ready(venue)}
    if not ready or prepared.run((_HALTS, {}))[0]:
        return
    now = timezone.now()
    for order in orders:
        if order.instrument.venue not in ready:
            continue
        try:
            signed = _made(order)
        except Exception as error:
            log.warning("exit_not_signed", order=order.pk, error=type(error).__name__)
            continue
        _become_sent(order, signed, now)


def _is_ready(venue: str) -> bool:
    """Whether this process may send there, and has its adapter loaded."""
    return is_loaded(venue) and starting.may_send(venue)


_HALTS = "SELECT 1 FROM orders_halt WHERE lifted_at IS NULL LIMIT 1"

_ORDERS, _INSTRUMENTS = Columns(Order, "o"), Columns(Instrument, "i")

_LEGS, _TRADES = Columns(Leg, "l"), Columns(Trade, "t")

_PLANNED = f"""
SELECT (SELECT count(*) FROM orders_halt WHERE lifted_at IS NULL),
       {_ORDERS.sql}, {_INSTRUMENTS.sql}, {_LEGS.sql}, {_TRADES.sql}
  FROM orders_order o
  JOIN orders_instrument i ON i.id = o.instrument_id
  JOIN orders_leg l ON l.id = o.leg_id
  JOIN orders_trade t ON t.id = l.trade_id
 WHERE o.id = ANY(%(ids)s::bigint[]) AND o.status = 'planned'
 ORDER BY o.id FOR UPDATE OF o SKIP LOCKED
"""  # noqa: S608 - names of columns

_SIGNED = """
UPDATE orders_order AS o
   SET status = 'sent', order_id = v.order_id, payload = v.payload,
       sent_at = %(now)s, next_look_at = %(soon)s, updated_at = %(now)s
  FROM unnest(%(ids)s::bigint[], %(order_ids)s::text[], %(payloads)s::text[])
       AS v (id, order_id, payload)
 WHERE o.id = v.id AND o.status = 'planned'
RETURNING o.id
"""


def claim(order_pks: Sequence[int]) -> list[Order]:
    """Sign planned orders and commit them as `sent`, in the given order."""
    with transaction.atomic():
        (rows,) = prepared.run((_PLANNED, {"ids": prepared.array(order_pks)}))
        if not rows or rows[0][0]:  # halted
            return []
        place = {pk: at for at, pk in enumerate(order_pks)}
        orders = sorted(map(_read, rows), key=lambda order: place[order.pk])
        ready = {name: starting.may_send(name) for name in {o.instrument.venue for o in orders}}
        signed = _mark_sent(
            [
                (order, made)
                for order in orders
                if ready[order.instrument.venue] and (made := _sign(order)) is not None
            ]
        )
        point("orders_claimed")
    return signed


def _read(row: Sequence[Any]) -> Order:
    """An order with its instrument, leg and trade, of a row of `_PLANNED`."""
    values = iter(row[1:])
    order = _ORDERS.read(values)
    order.instrument = _INSTRUMENTS.read(values)
    order.leg = _LEGS.read(values)
    order.leg.trade = _TRADES.read(values)
    return order


def _mark_sent(signed: Sequence[tuple[Order, SignedOrder]]) -> list[Order]:
    """Make signed orders `sent` with their ids and bytes, in the caller's transaction."""
    if not signed:
        return []
    now = timezone.now()
    told = {
        "ids": prepared.array(order.pk for order, _ in signed),
        "order_ids": [made.order_id for _, made in signed],
        "payloads": [made.payload for _, made in signed],
        "now": now,
        "soon": now + waits.LOOK_AGAIN,
    }
    won = {pk for (pk,) in prepared.run((_SIGNED, told))[0]}
    for order, made in signed:
        _become_sent(order, made, now)
    return [order for order, _ in signed if order.pk in won]


def _become_sent(order: Order, made: SignedOrder, now: datetime) -> None:
    """In memory alone; the caller writes it down."""
    order.status, order.sent_at, order.next_look_at = "sent", now, now + waits.LOOK_AGAIN
    order.order_id, order.payload = made.order_id, made.payload


def _sign(order: Order) -> SignedOrder | None:
    """Sign a claimed order; `None` for one that is not to be sent, or not now."""
    if order.cancel_requested_at is not None or is_too_old(order):
        _do_not_send(order)
        return None
    try:
        return _made(order)
    except Rejected as refusal:
        _give_up_unsigned(order, refusal)
    except ExchangeError as error:
        order.note(reason=f"cannot be signed: {error}", next_look_at=waits.soon())
        log.error("order_not_signed", order=order.pk, error=str(error))
    except Exception as error:  # one row's trouble is not that of the others in its batch
        said = f"{type(error).__name__} while it was signed; the log says more"
        order.note(reason=said, next_look_at=timezone.now() + waits.UNSIGNABLE_FOR)
        log.exception("order_not_signed", order=order.pk)
        raise_alert("exit_held", f"order {order.pk}", f"it cannot be sent: {said}")
    return None


def is_too_old(order: Order) -> bool:
    """Whether its signal has expired and the venue has had nothing of this leg yet.

    What was begun is seen through: retries and remedies go out however old the signal is.
    """
    leg = order.leg
    valid_until = leg.trade.valid_until
    if valid_until is None or valid_until >= timezone.now() or leg.role != "wanted":
        return False
    return not leg.orders.filter(acknowledged_at__isnull=False).exists()


def _do_not_send(order: Order) -> None:
    """Cancel an order that nobody wants any more; its leg, and its trade, are looked after soon."""
    now = timezone.now()
    leg = Leg.objects.select_for_update().get(pk=order.leg_id)
    order.move("cancelled", reason="it was not to be sent any more", closed_at=now)
    if order.cancel_requested_at is not None:
        leg.note(cancel_requested_at=leg.cancel_requested_at or now, next_attempt_at=now)
    else:
        leg.note(
            expires_at=leg.trade.valid_until,
            next_attempt_at=now,
            reason="its signal had expired before it could be sent",
        )


def _give_up_unsigned(order: Order, refusal: Rejected) -> None:
    """An order that can never be signed as it is makes room for one planned anew."""
    leg = Leg.objects.select_for_update().get(pk=order.leg_id)
    reason = f"cannot be signed: {refusal}"
    order.move("cancelled", reason=reason, refusal=refusal.code, closed_at=timezone.now())
    log.error("order_not_signed", order=order.pk, error=str(refusal))
    leg.note(rejections=leg.rejections + 1)
    planning.retry_later(leg, reason)


def _made(order: Order) -> SignedOrder:
    """The signed order, of which the venue knows nothing yet."""
    return venue_of(order.instrument).sign(_request(order))


def _request(order: Order) -> OrderRequest:
    instrument = order.instrument
    return OrderRequest(
        symbol=instrument.symbol,
        side=cast(Side, order.side),
        quantity=order.quantity,
        price=order.price,
        tick_size=instrument.tick_size,
        neg_risk=instrument.neg_risk,
        order_type=cast(OrderType, order.order_type),
        expires_at=order.expires_at,
        post_only=order.post_only,
    )
