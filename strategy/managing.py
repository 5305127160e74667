"""The position manager: look at what is due, decide (`rules.py`), carry the decision out.

Legs fall due when something happened to them, trades as jobs after 3 s, 10 s, 30 s and so on, as
the sure way. Running either twice changes nothing: what was decided stands in rows.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, Min, OuterRef, Q
from django.utils import timezone

from exchange.errors import ExchangeError
from exchange.types import Quote
from minting import pausing
from orders import instruments, reconciling, sending
from orders.models import Fill, Instrument, Leg, Order, Trade
from orders.venues import venue
from polytrader import heartbeats
from polytrader.points import point
from strategy import carrying_out, seeing
from strategy.models import PositionJob
from strategy.rules import decide

log = structlog.get_logger()

QUEUE = "manage-position"
BATCH = 500
SCHEDULE = tuple(timedelta(seconds=s) for s in (3, 10, 30, 60))
"""When a job is due again, the first, second ... time; the last one from then on."""

ABANDONED = timedelta(seconds=30)
"""A job that has been active for so long belonged to a process that died."""


def work() -> int:
    """Reconcile and manage whatever is due: all that a process does without being rung."""
    return reconciling.sweep() + sweep()


def sweep() -> int:
    """Look after the legs and jobs that are due. Returns how many."""
    open_jobs()
    return manage_due() + run_due_jobs()


def manage_due() -> int:
    """Look after a batch of due legs."""
    due = Leg.objects.filter(status="working").only("trade", "instrument", "price")
    due = due.prefetch_related("instrument")
    legs = reconciling.claim_due(due, "next_attempt_at", reconciling.IN_FLIGHT, BATCH)
    sending.send_all(manage(legs))
    return len(legs)


def sweep_until_idle() -> int:
    """Sweep, and stay for whatever falls due within a second: retries after 0.2 s need no message."""
    touched = reconciling.until_idle(sweep, next_due)
    heartbeats.beat("worker", f"managed {touched} legs and jobs")
    return touched


def next_due() -> datetime | None:
    """When the next leg falls due; `None` when none does by itself."""
    working = Leg.objects.filter(status="working")
    due_at: datetime | None = working.aggregate(at=Min("next_attempt_at"))["at"]
    return due_at


def manage(legs: Sequence[Leg]) -> list[int]:
    """Decide about each of these legs and carry it out. Returns the orders planned, to be sent."""
    if not legs:
        return []
    _know_complements(legs)
    quotes = _quotes(seeing.instruments_of(legs))
    planned: list[int] = []
    for leg in legs:
        try:
            planned += _manage(leg, quotes)
        except Exception:
            log.exception("leg_not_managed", leg=leg.pk)
    return planned


def _manage(leg: Leg, quotes: dict[str, Quote]) -> list[int]:
    with transaction.atomic():
        family = seeing.locked(leg)
        leg = next(one for one in family if one.pk == leg.pk)
        if leg.status != "working":
            return []
        seen = seeing.see(leg, family, quotes)
        decision = decide(seen.leg, seen.market, seen.others, seen.limits, now=timezone.now())
        carrying_out.record(leg, seen, decision)
        point("decision_recorded")
        planned = carrying_out.carry_out(leg, family, seen, decision)
        point("decision_carried_out")
    point("decision_committed")
    return planned


def _know_complements(legs: Sequence[Leg]) -> None:
    """Have the other outcome of a signal's legs described: it may be the hedge."""
    wanted = {leg.instrument.complement for leg in legs if leg.price is not None}
    known = set(Instrument.objects.filter(symbol__in=wanted).values_list("symbol", flat=True))
    for symbol in wanted - known - {""}:
        try:
            instruments.known(symbol)
        except ExchangeError as error:
            log.warning("complement_not_described", symbol=symbol, error=str(error))


def _quotes(wanted: Iterable[Instrument]) -> dict[str, Quote]:
    """Fresh best prices of these instruments; those of a silent venue are left out."""
    quotes: dict[str, Quote] = {}
    found = list(wanted)
    for name in sorted({i.venue for i in found}):
        try:
            quotes.update(venue(name).quotes({i.symbol for i in found if i.venue == name}))
        except ExchangeError as error:
            log.warning("no_prices", venue=name, error=str(error))
    return quotes


def open_jobs() -> None:
    """Give every working trade its job; safe twice at once, by constraint."""
    working = Leg.objects.filter(trade=OuterRef("pk"), status="working")
    jobs = PositionJob.objects.filter(trade=OuterRef("pk"), is_by_hand=False)
    without = Trade.objects.filter(Exists(working), ~Exists(jobs))[:BATCH]
    PositionJob.objects.bulk_create(
        (PositionJob(trade=trade, next_run_at=trade.created_at + SCHEDULE[0]) for trade in without),
        ignore_conflicts=True,
    )


def run_due_jobs() -> int:
    """Run the jobs that are due, unless a person has paused the queue. Returns how many."""
    if pausing.is_paused(QUEUE):
        return 0
    now = timezone.now()
    waiting = Q(status__in=["waiting", "delayed"])
    abandoned = Q(status="active", updated_at__lt=now - ABANDONED)
    rows = PositionJob.objects.filter(waiting | abandoned).only("trade", "status", "runs")
    due = reconciling.claim_due(rows, "next_run_at", SCHEDULE[0], BATCH)
    for job in due:
        try:
            run(job)
        except Exception:
            log.exception("job_not_run", job=job.pk)
    return len(due)


def run(job: PositionJob) -> None:
    """Look after one trade: ask about its orders, decide about its legs, say when to come again."""
    if not job.move("active", runs=job.runs + 1):
        return
    point("job_taken")
    reconcile_trade(job.trade_id)
    working = Leg.objects.filter(trade=job.trade_id, status="working").select_related("instrument")
    sending.send_all(manage(list(working)))
    point("job_run")
    _close_or_delay(job)


def _close_or_delay(job: PositionJob) -> None:
    legs = list(Leg.objects.filter(trade=job.trade_id).order_by("pk"))
    working = [leg for leg in legs if leg.status == "working"]
    if working:
        wait = SCHEDULE[min(job.runs, len(SCHEDULE) - 1)]
        reason = next((leg.reason for leg in working if leg.reason), "orders are under way")
        job.move("delayed", next_run_at=timezone.now() + wait, reason=reason)
        return
    failed = [leg for leg in legs if leg.status == "failed"]
    text = "; ".join(f"leg {leg.pk}: {leg.reason}" for leg in failed)
    job.move("failed" if failed else "completed", reason=text, closed_at=timezone.now())


def reconcile_trade(trade_id: int) -> None:
    """Look up every order and unsettled fill of a trade now."""
    orders = Order.objects.filter(leg__trade=trade_id).select_related("instrument", "leg")
    for order in orders.filter(Q(status__in=["sent", "open"]) | Q(is_late=True)):
        reconciling.look(order)
    unsettled = Fill.objects.filter(order__leg__trade=trade_id, status="matched")
    for order_pk in set(unsettled.values_list("order_id", flat=True)):
        reconciling.settle(order_pk)
