"""What the venue said of an order that was posted, or did not say, written down."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import cast

import structlog
from django.db import transaction
from django.utils import timezone

from exchange.errors import ExchangeError, OtherOrderId, OutcomeUnknown, Rejected
from exchange.port import Exchange
from exchange.types import Acknowledgement, RejectionCode
from orders import balances, instruments, planning, waits
from orders.models import Halt, Leg, Order
from polytrader import prepared
from polytrader.alerts import raise_alert
from polytrader.bells import ring
from polytrader.points import point

log = structlog.get_logger()


def note_all(
    answers: Sequence[tuple[Order, Acknowledgement | ExchangeError]], exchange: Exchange
) -> None:
    """Write down what the venue said of each order; those it took in one statement."""
    taken = [(order, said) for order, said in answers if isinstance(said, Acknowledgement)]
    try:
        _acknowledge([(order, said.status) for order, said in taken])
    except Exception:
        log.exception("answers_not_noted", orders=[order.pk for order, _ in taken])
    point("answer_noted")
    for order, answer in answers:
        if isinstance(answer, Acknowledgement):
            continue
        try:
            _note(order, answer, exchange)
        except Exception:
            log.exception("answer_not_noted", order=order.pk)  # the look-up will find out


def _note(order: Order, answer: ExchangeError, exchange: Exchange) -> None:
    """Write down why the venue did not take an order, or that it did not say."""
    if isinstance(answer, OtherOrderId):
        _halt(order, answer)
    elif isinstance(answer, Rejected):
        order.note(answered_at=timezone.now())
        _refused(order, answer, exchange)
    elif isinstance(answer, OutcomeUnknown):
        _no_answer(order, answer, doubtful_until=timezone.now() + waits.DOUBT_FOR)
    else:
        _no_answer(order, answer, doubtful_until=order.doubtful_until)


_ACKNOWLEDGED = """
UPDATE orders_order o
   SET answered_at = %(now)s, acknowledged_at = %(now)s, updated_at = %(now)s, reason = '',
       venue_status = v.said,
       is_late = o.is_late OR o.status IN ('cancelled', 'rejected'),
       status = CASE WHEN o.status = 'sent' AND v.said = 'open' THEN 'open' ELSE o.status END,
       next_look_at = CASE WHEN o.status = 'sent' AND v.said = 'open'
                           THEN %(rested)s::timestamptz ELSE %(now)s END
  FROM unnest(%(ids)s::bigint[], %(said)s::text[]) AS v (id, said)
 WHERE o.id = v.id
RETURNING o.id, o.status
"""


def _acknowledge(answers: Sequence[tuple[Order, str]]) -> None:
    """The venue has these orders. What rests is `open`; of others it is asked what they became."""
    if not answers:
        return
    now = timezone.now()
    told = {
        "ids": prepared.array(order.pk for order, _ in answers),
        "said": [said for _, said in answers],
        "now": now,
        "rested": now + waits.RESTING,
    }
    (rows,) = prepared.run((_ACKNOWLEDGED, told))
    point("acknowledgement_noted")
    became = dict(rows)
    for order, said in answers:
        log.info("order_posted", order=order.pk, id=order.order_id, status=said)
        order.status, order.venue_status, order.reason = became[order.pk], said, ""
        order.answered_at = order.acknowledged_at = now
        if order.status in ("cancelled", "rejected"):
            log.critical("order_taken_after_it_was_closed", order=order.pk, id=order.order_id)
            tell_late(order)
    ring("orders.sweep", queue="orders")


def is_doubtful(order: Order) -> bool:
    """Whether an earlier post without a clear answer may still be carried out."""
    return order.doubtful_until is not None and order.doubtful_until > timezone.now()


def tell_late(order: Order) -> None:
    """Alarm about an order that the venue has after all: what it does is booked, and it is withdrawn."""
    raise_alert(
        "unknown_order",
        f"order {order.pk}",
        "the venue took this order after we had closed it; its trades are booked, what rests of"
        " it is cancelled",
    )


def _no_answer(order: Order, trouble: ExchangeError, *, doubtful_until: datetime | None) -> None:
    log.warning("order_outcome_unknown", order=order.pk, id=order.order_id, error=str(trouble))
    order.note(
        answered_at=timezone.now(),
        doubtful_until=doubtful_until,
        reason=f"no clear answer yet: {trouble}",
        next_look_at=waits.soon(),
    )


def _halt(order: Order, trouble: OtherOrderId) -> None:
    """The venue calls our order by another id: nothing we look up by id can be believed."""
    Halt.objects.create(reason=f"order {order.pk}: {trouble}")
    raise_alert(
        "order_id_mismatch",
        f"order {order.pk}",
        f"{trouble}; nothing more is sent until a person lifts the halt in the admin",
    )
    log.critical("sending_halted", order=order.pk, error=str(trouble))
    now = timezone.now()
    order.note(answered_at=now, acknowledged_at=now, reason=str(trouble), next_look_at=waits.soon())


def _refused(order: Order, refusal: Rejected, exchange: Exchange) -> None:
    """Believe a refusal only when no earlier post of the same bytes can have succeeded."""
    look_first = (RejectionCode.DUPLICATED, RejectionCode.OTHER)
    if refusal.code in look_first or order.posts > 1:
        try:
            known = exchange.find_order(cast(str, order.order_id)) is not None
            point("refusal_looked_up")
        except ExchangeError as error:
            order.note(reason=f"refused, look-up failed: {error}", next_look_at=waits.soon())
            return
        if known or refusal.code == RejectionCode.DUPLICATED:
            _acknowledge([(order, "")])
            return
        if is_doubtful(order):
            order.note(reason=f"refused, but an earlier post may still count: {refusal}")
            return
    refuse(order, refusal.code, str(refusal))


def refuse(order: Order, code: str, message: str) -> None:
    """Close an order that the venue definitely refused; its leg is looked at again soon."""
    with transaction.atomic():
        leg = Leg.objects.select_for_update().get(pk=order.leg_id)
        unmatched = code == RejectionCode.UNMATCHED
        won = order.move(
            "cancelled" if unmatched else "rejected",
            reason=message,
            refusal=code,
            closed_at=timezone.now(),
        )
        if not won:
            return
        log.info("order_refused", order=order.pk, id=order.order_id, code=code)
        if unmatched:
            planning.retry_later(leg, "nothing to match at that price; trying again")
        else:
            leg.note(rejections=leg.rejections + 1)
            _retry_refused(leg, code, f"refused, trying again: {message}")
        point("refusal_noted")
    point("refusal_committed")
    _learn_from(order, code)
    ring("strategy.sweep", queue="manage-position")


def _retry_refused(leg: Leg, code: str, reason: str) -> None:
    if code in (
        RejectionCode.NOT_ENOUGH_BALANCE,
        RejectionCode.TICK_SIZE,
        RejectionCode.NOT_ALLOWED,
    ):
        planning.ask_again(leg, planning.WAIT_FOR_SHARES, reason)
    else:
        planning.retry_later(leg, reason)


def _learn_from(order: Order, code: str) -> None:
    """Ask the venue about what a refusal says we have wrong, before the next order is planned."""
    instrument = order.instrument
    asset = instrument.base_asset if order.side == "sell" else instrument.quote_asset
    with suppress(ExchangeError):
        if code == RejectionCode.NOT_ENOUGH_BALANCE:
            balances.compare(asset, instrument.venue)
        elif code in (RejectionCode.TICK_SIZE, RejectionCode.MARKET_CLOSED):
            instruments.reread(instrument)
