"""The queue `manage-position`: one job per trade of its own accord, others by hand."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Count, Min, Q
from django.utils import timezone

from minting import pausing
from orders.models import Leg, Order, Trade
from polytrader.alerts import resolve_alert
from polytrader.bells import ring
from polytrader.numbers import plain
from strategy.models import PositionJob

log = structlog.get_logger()

QUEUE = "manage-position"
OPEN = ("waiting", "active", "delayed")
MOST_ORDERS = 500
CHECKED = ("assetId", "tokenId", "side", "size", "price")


def enqueue(trade: Trade, original_orders: Sequence[Any] = ()) -> PositionJob:
    """Have a trade looked after now; while such a job is open, asking again gives the same one."""
    with transaction.atomic():
        job, is_new = PositionJob.objects.get_or_create(
            trade=trade,
            is_by_hand=True,
            status__in=OPEN,
            defaults={"original_orders": list(original_orders), "status": "waiting"},
        )
    if not is_new:
        job.note(next_run_at=timezone.now())
    return job


def enqueue_by_message(trade_id: int, original_orders: Sequence[Any] | None) -> PositionJob | None:
    """Take a job from a message, whose data nobody has checked.

    A trade that is not there is logged. Original orders that are not its own are logged
    and left out: the trade is looked after all the same, by its own rows.
    """
    trade = Trade.objects.filter(pk=trade_id).first() if isinstance(trade_id, int) else None
    if trade is None:
        log.warning("no_such_trade", trade=str(trade_id)[:80])
        return None
    rows = original_orders if isinstance(original_orders, list) else []
    problems = check_orders(trade, rows[:MOST_ORDERS])
    if problems or len(rows) > MOST_ORDERS:
        log.warning("original_orders_do_not_fit", trade=trade.pk, problems=list(problems)[:5])
        rows = []
    return enqueue(trade, as_kept(rows))


def check_orders(trade: Trade, rows: Sequence[Any]) -> dict[str, str]:
    """Say what is wrong with the original orders of a job, by place; nothing where all is right.

    Each is the id of an order of this trade, ours or the venue's, or an object that has it
    as `orderId`, `orderID` or `id`; what else it says of the order must be so.
    """
    problems: dict[str, str] = {}
    mine = _orders_by_id(trade)
    stated: dict[Leg, Decimal] = defaultdict(Decimal)
    seen: set[int] = set()
    for index, row in enumerate(rows):
        place = f"originalOrders[{index}]"
        order = mine.get(_id_in(row))
        if order is None:
            problems[place] = "expected the id of an order of this trade"
        elif order.pk in seen:
            problems[place] = "the same order is given twice"
        elif isinstance(row, Mapping):
            told = _contradictions(row, order)
            problems |= {f"{place}.{name}": text for name, text in told.items()}
            stated[order.leg] += order.quantity if "size" in row else 0
        if order is not None:
            seen.add(order.pk)
    for leg, size in stated.items():
        if size > leg.quantity:
            problems["originalOrders"] = (
                f"the sizes of leg {leg.pk} add up to {plain(size)},"
                f" more than its {plain(leg.quantity)}"
            )
    return problems


def as_kept(rows: Sequence[Any]) -> list[dict[str, str]]:
    """What is kept of checked original orders: what was said of each, as text."""
    kept = []
    for row in rows:
        told = {"orderId": _id_in(row)}
        if isinstance(row, Mapping):
            told |= {name: _text(row[name]) for name in CHECKED if name in row}
        kept.append(told)
    return kept


def _text(value: Any) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)


def _orders_by_id(trade: Trade) -> dict[str, Order]:
    orders = Order.objects.filter(leg__trade=trade).select_related("leg", "instrument")
    found = {str(order.pk): order for order in orders}
    return found | {order.order_id.lower(): order for order in orders if order.order_id}


def _id_in(row: Any) -> str:
    """The order id that a row names, as text; empty where there is none."""
    if isinstance(row, Mapping):
        row = next((row[name] for name in ("orderId", "orderID", "id") if row.get(name)), None)
    is_id = isinstance(row, str | int) and not isinstance(row, bool)
    return str(row)[:100].lower() if is_id else ""


def _contradictions(row: Mapping[str, Any], order: Order) -> dict[str, str]:
    """What a row says of its order and is not so."""
    problems = {}
    for name in ("assetId", "tokenId"):
        if name in row and str(row[name]) != order.instrument.symbol:
            problems[name] = "the order is of another token"
    if "side" in row and str(row["side"]).lower() != order.side:
        problems["side"] = f"the order is to {order.side}"
    for name, value in (("size", order.quantity), ("price", order.price)):
        if name in row and _number(row[name]) != value:
            problems[name] = f"the order's {name} is {plain(value)}"
    return problems


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def status() -> dict[str, Any]:
    """The queue in numbers, counted from rows; the age of the longest overdue job, in seconds."""
    counts = dict(PositionJob.objects.values_list("status").annotate(Count("pk")).order_by())
    now = timezone.now()
    overdue = PositionJob.objects.filter(status__in=["waiting", "delayed"], next_run_at__lte=now)
    since = overdue.aggregate(at=Min("next_run_at"))["at"]
    return {
        **{state: counts.get(state, 0) for state in PositionJob.STATES},
        "isPaused": pausing.is_paused(QUEUE),
        "oldestWaitingSeconds": 0 if since is None else int((now - since).total_seconds()),
    }


def retry_failed(limit: Q | None = None) -> int:
    """Have failed jobs wait again, with those of their legs that may be tried again; how many.

    That is, the failed legs of signals in whose trade nothing was hedged or undone: a leg
    that came back alone would be naked. An exit is resumed as a new stop.
    """
    count = 0
    failed = PositionJob.objects.filter(limit or Q(), status="failed").order_by("-pk")
    for job in failed:
        count += _retry(job)
    if count:
        ring("strategy.sweep", queue=QUEUE)
    return count


def _retry(job: PositionJob) -> bool:
    now = timezone.now()
    with transaction.atomic():
        if not _moved_to_waiting(job, now):
            return False
        for leg in _to_be_tried_again(job.trade_id):
            leg.move("working", attempts=0, rejections=0, next_attempt_at=now, reason="")
            resolve_alert("leg_given_up", f"leg {leg.pk} of trade {leg.trade_id}", "tried again")
    log.info("job_retried", job=job.pk, trade=job.trade_id)
    return True


def _to_be_tried_again(trade_id: int) -> list[Leg]:
    """The failed legs of a signal, locked with their trade; none once there is a remedy in it."""
    mine = Leg.objects.filter(trade=trade_id, trade__purpose="signal").order_by("pk")
    legs = list(mine.select_for_update(of=("self",)))
    if mine.exclude(role="wanted").exists():  # asked when nobody can add one any more
        return []
    return [leg for leg in legs if leg.status == "failed"]


def _moved_to_waiting(job: PositionJob, now: datetime) -> bool:
    try:
        with transaction.atomic():
            return job.move("waiting", next_run_at=now, runs=0, closed_at=None, reason="")
    except IntegrityError:
        return False  # another job by hand is open for this trade; that one sees to it
