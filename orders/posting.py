"""Posting the committed bytes of orders, the first time or again, each by one process at a time."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import cast

from django.utils import timezone

from exchange.errors import ExchangeError
from exchange.port import Exchange
from exchange.types import Acknowledgement, SignedOrder
from orders import waits
from orders.answering import is_doubtful, note_all
from orders.models import Order
from orders.venues import venue
from polytrader import prepared
from polytrader.points import point


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
    taken = [order for order in taken if _turned_at(order) > timezone.now() - waits.POST_WITHIN]
    if len(taken) == 1:
        answers = [_answer(exchange, taken[0])]
    elif taken:
        answers = exchange.post_many([_signed(order) for order in taken])
    else:
        return
    point("orders_posted")
    note_all(list(zip(taken, answers, strict=True)), exchange)


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
        "over": now - waits.UNDER_WAY_FOR,
        "lost": now - waits.LOST_AFTER,
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
    elif order.acknowledged_at is not None and order.acknowledged_at > now - waits.LOST_AFTER:
        return False
    return order.posts == 0 or order.answered_at is not None or _is_over(order, now)


def _is_over(order: Order, now: datetime) -> bool:
    return order.sent_at is None or order.sent_at < now - waits.UNDER_WAY_FOR
