"""Sending: sign, commit the signed order with its id, then post; an outcome is looked up, not guessed."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, TypeVar, cast

import structlog
from django.db import close_old_connections, transaction
from django.utils import timezone

from exchange.errors import (
    ExchangeError,
    OtherOrderId,
    OutcomeUnknown,
    Rejected,
)
from exchange.port import Exchange
from exchange.types import (
    Acknowledgement,
    OrderRequest,
    OrderType,
    RejectionCode,
    Side,
    SignedOrder,
)
from orders import balances, instruments, planning, starting
from orders.models import Halt, Instrument, Leg, Order, Trade
from orders.venues import is_loaded, venue, venue_of
from polytrader import prepared
from polytrader.alerts import raise_alert
from polytrader.bells import ring
from polytrader.points import point
from polytrader.prepared import Columns

log = structlog.get_logger()
T = TypeVar("T")

LOOK_AGAIN = timedelta(seconds=2)
"""How often an order in flight is looked at."""

UNDER_WAY_FOR = timedelta(seconds=15)
"""How long a post whose process may have died can still arrive: connecting 5 s, answering 10 s."""

POST_WITHIN = timedelta(seconds=4)
"""From the turn to the post; later than that, others may hold the order for dead."""

DOUBT_FOR = timedelta(seconds=15)
"""How long a post without a clear answer may still be carried out (Binance's recvWindow is 5 s)."""

UNSIGNABLE_FOR = timedelta(seconds=30)
"""How long an order rests that our own code stumbled over."""

LOST_AFTER = timedelta(seconds=60)
"""How long an acknowledged order may be missing before its same bytes are posted again."""

RESTING = timedelta(seconds=5)
"""How often an order in the book is looked at."""


def send(order_pk: int) -> bool:
    """Send one planned order; `False` when somebody else has claimed it or it cannot be signed."""
    return send_all([order_pk]) == 1


def send_all(order_pks: Sequence[int]) -> int:
    """Send these planned orders, batched where the venue takes batches; how many were sent here.

    The claims, the ids and the signed bytes are committed together before
    anything goes out. From then on reconciling finds out what became of them.
    """
    claimed = _claim(order_pks) if order_pks else []
    if not claimed:
        return 0
    point("orders_signed")
    post_all(claimed)
    return len(claimed)


def sign_new(orders: Sequence[Order]) -> None:
    """Make new orders `sent`, with their ids and bytes, before they are saved for the first time.

    Whatever cannot be signed at once and without a question stays `planned`: sending it
    says why, and tries again.
    """
    ready = {venue for venue in {o.instrument.venue for o in orders} if _is_ready(venue)}
    if not ready or prepared.run((_HALTS, {}))[0]:
        return
    now, soon = timezone.now(), _soon()
    for order in orders:
        if order.instrument.venue not in ready:
            continue
        try:
            signed = _made(order)
        except Exception as error:
            log.warning("exit_not_signed", order=order.pk, error=type(error).__name__)
            continue
        order.status, order.sent_at, order.next_look_at = "sent", now, soon
        order.order_id, order.payload = signed.order_id, signed.payload


def _is_ready(venue: str) -> bool:
    """Whether this process may send there, and has its adapter loaded."""
    return is_loaded(venue) and starting.may_send(venue)


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


def _claim(order_pks: Sequence[int]) -> list[Order]:
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
    now, soon = timezone.now(), _soon()
    told = {
        "ids": prepared.array(order.pk for order, _ in signed),
        "order_ids": [made.order_id for _, made in signed],
        "payloads": [made.payload for _, made in signed],
        "now": now,
        "soon": soon,
    }
    won = {pk for (pk,) in prepared.run((_SIGNED, told))[0]}
    for order, made in signed:
        order.status, order.sent_at, order.next_look_at = "sent", now, soon
        order.order_id, order.payload = made.order_id, made.payload
    return [order for order, _ in signed if order.pk in won]


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
        order.note(reason=f"cannot be signed: {error}", next_look_at=_soon())
        log.error("order_not_signed", order=order.pk, error=str(error))
    except Exception as error:  # one row's trouble is not that of the others in its batch
        said = f"{type(error).__name__} while it was signed; the log says more"
        order.note(reason=said, next_look_at=timezone.now() + UNSIGNABLE_FOR)
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


def post(order: Order) -> None:
    """Post the committed bytes of a `sent` order, the first time or again, and note the answer.

    Nothing happens while another post of it may be under way, or once the venue
    has said that it has it.
    """
    post_all([order])


def post_all(orders: Sequence[Order]) -> None:
    """Post committed orders, those of one venue in batches; each answer is read for itself."""

    def batch_of(order: Order) -> tuple[str, bool]:
        # A limit of the venue refuses a batch as a whole: exits do not share one with others.
        return order.instrument.venue, not _is_urgent(order)

    for (name, _), group in groupby(sorted(orders, key=batch_of), key=batch_of):
        exchange, mine = venue(name), list(group)
        size = exchange.largest_batch
        for at in range(0, len(mine), size):
            _post_batch(exchange, mine[at : at + size])


def _post_batch(exchange: Exchange, orders: Sequence[Order]) -> None:
    taken = _take_turns(orders)
    point("turn_taken")
    # A process that was frozen in between (a paused machine) leaves them to whoever looks next.
    taken = [order for order in taken if _turned_at(order) > timezone.now() - POST_WITHIN]
    if len(taken) == 1:
        answers = [_answer(exchange, taken[0])]
    elif taken:
        answers = exchange.post_many([_signed(order) for order in taken])
    else:
        return
    point("orders_posted")
    _note_all(list(zip(taken, answers, strict=True)), exchange)


def _turned_at(order: Order) -> datetime:
    return order.sent_at or timezone.now()


def _answer(exchange: Exchange, order: Order) -> Acknowledgement | ExchangeError:
    try:
        return exchange.post(_signed(order))
    except ExchangeError as error:
        return error


def _signed(order: Order) -> SignedOrder:
    return SignedOrder(cast(str, order.order_id), order.payload, _is_urgent(order))


def _is_urgent(order: Order) -> bool:
    """Exits and repairs are held back by no limit of ours."""
    return order.leg.price is None or order.leg.role != "wanted"


def _note_all(
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
        _no_answer(order, answer, doubtful_until=timezone.now() + DOUBT_FOR)
    else:
        _no_answer(order, answer, doubtful_until=order.doubtful_until)


_TAKE_TURNS = """
UPDATE orders_order AS o
   SET posts = o.posts + 1, sent_at = %(now)s, answered_at = NULL, updated_at = %(now)s
  FROM unnest(%(ids)s::bigint[], %(posts)s::integer[]) AS seen (id, posts)
 WHERE o.id = seen.id AND o.status = 'sent' AND o.posts = seen.posts
   AND o.cancel_requested_at IS NULL
   AND (o.acknowledged_at IS NULL OR o.acknowledged_at < %(lost)s)
   AND (o.answered_at IS NOT NULL OR o.posts = 0 OR o.sent_at < %(over)s)
   AND NOT EXISTS (SELECT 1 FROM orders_halt WHERE lifted_at IS NULL)
RETURNING o.id, o.posts, o.doubtful_until
"""


def _take_turns(orders: Sequence[Order]) -> list[Order]:
    """Count this post of each order, unless somebody else has posted it since it was read.

    Returns those whose turn it is, in their order; none while sending is halted.
    """
    now = timezone.now()
    told = {
        "now": now,
        "over": now - UNDER_WAY_FOR,
        "lost": now - LOST_AFTER,
        "ids": prepared.array(order.pk for order in orders),
        "posts": prepared.array(order.posts for order in orders),
    }
    won = {pk: (posts, doubt) for pk, posts, doubt in prepared.run((_TAKE_TURNS, told))[0]}
    ours = [order for order in orders if order.pk in won]
    for order in ours:
        order.posts, order.doubtful_until = won[order.pk]
        order.sent_at, order.answered_at = now, None
    return ours


def may_post_again(order: Order) -> bool:
    """Whether the same bytes may go out again to an order the venue does not know.

    Not while a post may still be under way: a refusal of the second says nothing
    about the first. One that was acknowledged has been lost when it is missing for a
    minute; on Polymarket the same bytes are the same order, and can do no harm.
    Binance takes the id of an ended order again, so there every doubt is waited out,
    and what was acknowledged is never posted again.
    """
    now = timezone.now()
    if order.status != "sent":
        return False
    if order.instrument.venue != "polymarket":
        if is_doubtful(order) or order.acknowledged_at is not None:
            return False
    elif order.acknowledged_at is not None and order.acknowledged_at > now - LOST_AFTER:
        return False
    return order.posts == 0 or order.answered_at is not None or _is_over(order, now)


def _is_over(order: Order, now: datetime) -> bool:
    return order.sent_at is None or order.sent_at < now - UNDER_WAY_FOR


def is_doubtful(order: Order) -> bool:
    """Whether an earlier post without a clear answer may still be carried out."""
    return order.doubtful_until is not None and order.doubtful_until > timezone.now()


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
        "rested": now + RESTING,
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
        next_look_at=_soon(),
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
    order.note(answered_at=now, acknowledged_at=now, reason=str(trouble), next_look_at=_soon())


def _refused(order: Order, refusal: Rejected, exchange: Exchange) -> None:
    """Believe a refusal only when no earlier post of the same bytes can have succeeded."""
    look_first = (RejectionCode.DUPLICATED, RejectionCode.OTHER)
    if refusal.code in look_first or order.posts > 1:
        try:
            known = exchange.find_order(cast(str, order.order_id)) is not None
            point("refusal_looked_up")
        except ExchangeError as error:
            order.note(reason=f"refused, look-up failed: {error}", next_look_at=_soon())
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


def _soon() -> datetime:
    return timezone.now() + LOOK_AGAIN


SENDERS = 4
SIGNED_AT_ONCE = 15 * SENDERS
"""Of a burst: the senders sign the rest while the first are on the wire, and no lock waits for it."""

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
    post_all([order for order in orders if order.status == "sent"])
    send_all([order.pk for order in orders if order.status == "planned"])


def _in_thread(send: Callable[[T], object], orders: T) -> None:
    close_old_connections()
    try:
        send(orders)
    except Exception:
        log.exception("send_failed", orders=str(orders))
    finally:
        close_old_connections()
