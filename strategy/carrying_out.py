"""Carrying out: a decision becomes moves, planned orders and remedies, in the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any, cast

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from exchange.types import Side
from orders import cancelling, instruments, planning
from orders.models import Instrument, Leg
from polytrader.alerts import raise_alert, resolve_alert
from polytrader.numbers import plain
from strategy import holding, seeing
from strategy.models import Decision as DecisionRow
from strategy.rules import (
    LIVE,
    TAKES_NO_ORDERS,
    TICK_HAS_CHANGED,
    Decision,
    furthest_price,
)
from strategy.seeing import Seen

log = structlog.get_logger()

HELD_TOO_LONG = timedelta(seconds=15)
"""An exit that is not done after so long is told to a person."""


def record(leg: Leg, seen: Seen, decision: Decision) -> None:
    """Keep a decision with its inputs; one that is taken again only counts."""
    now = timezone.now()
    last = DecisionRow.objects.filter(leg=leg).order_by("-pk").first()
    if last is not None and (last.kind, last.reason) == (decision.kind, decision.reason):
        DecisionRow.objects.filter(pk=last.pk).update(count=F("count") + 1, last_at=now)
        return
    outcome: dict[str, Any] = {}
    if decision.quantity:
        outcome["quantity"] = plain(decision.quantity)
    if decision.price is not None:
        outcome["price"] = plain(decision.price)
    if decision.wait is not None:
        outcome["waitSeconds"] = decision.wait.total_seconds()
    if decision.unwinds:
        outcome["unwinds"] = [
            {"leg": pk, "quantity": plain(quantity)} for pk, quantity in decision.unwinds
        ]
    DecisionRow.objects.create(
        leg=leg,
        kind=decision.kind,
        reason=decision.reason,
        inputs=seen.as_json(),
        outcome=outcome,
        at=now,
        last_at=now,
    )


def carry_out(leg: Leg, family: Sequence[Leg], seen: Seen, decision: Decision) -> list[int]:
    """Do what was decided about a locked leg. Returns the orders planned, to be sent after the commit."""
    kind = decision.kind
    if kind == "wait":
        _wait(leg, seen, decision)
    elif kind in ("place", "resend"):
        return _place(leg, decision)
    elif kind == "cancel":
        cancelling.withdraw(leg)
    elif kind == "withdraw":
        _withdraw_others(leg, family, decision)
    elif kind == "free":
        _free(leg, decision)
    elif kind == "hedge":
        _hedge(leg, decision)
    elif kind == "unwind":
        _unwind(leg, family, decision)
    elif kind == "finish":
        _end(leg, "done", decision.reason)
    elif kind == "stop":
        _end(leg, "cancelled", leg.reason if "expired" in leg.reason else decision.reason)
    else:
        _give_up(leg, decision.reason)
    return []


def _wait(leg: Leg, seen: Seen, decision: Decision) -> None:
    order = seen.leg.order
    if holding.is_at_limit(decision.reason):
        holding.tell(leg, seen.market.price, decision.reason)
    if order is not None and order.status in LIVE:
        # Its order wakes it, and the trade's job after all; an exit's is not trusted to.
        leg.note(next_attempt_at=_told_at(leg) if seen.leg.is_exit else None)
    else:
        planning.ask_again(leg, cast(timedelta, decision.wait), decision.reason)
    if decision.reason in (TICK_HAS_CHANGED, TAKES_NO_ORDERS):
        _have_described_again(leg.instrument)
    if seen.leg.is_exit and not _is_told(decision.reason) and _told_at(leg) is None:
        text = f"the exit is not done yet: {decision.reason}"
        raise_alert("exit_held", _subject(leg), text + _trouble(leg))


def _is_told(reason: str) -> bool:
    """Whether an exit that waits for this is fine, or a person knows it already."""
    return reason == "settling" or holding.is_at_limit(reason)


def _told_at(leg: Leg) -> datetime | None:
    """When a person is to be told that an exit is held; `None` once that is past."""
    at = leg.created_at + HELD_TOO_LONG
    return at if at > timezone.now() else None


def _trouble(leg: Leg) -> str:
    """What the live order of a leg says itself, such as the venue's last answer."""
    order = leg.orders.live().exclude(reason="").first()
    return "" if order is None else f"; {order.reason}"


def _have_described_again(instrument: Instrument) -> None:
    """Have the venue asked about an instrument soon.

    After the commit: positions are locked now, and the tick locks instruments first.
    """
    before = timezone.now() - instruments.FRESH_FOR
    transaction.on_commit(lambda: instrument.note(updated_at=before))


def _place(leg: Leg, decision: Decision) -> list[int]:
    order = planning.plan(leg, decision.quantity, cast(Decimal, decision.price))
    if order is None:
        planning.ask_again(leg, planning.WAIT_FOR_SHARES, "waiting: less is free than a moment ago")
        return []
    if leg.price is None:
        leg.note(next_attempt_at=_told_at(leg))
        holding.is_over(leg, "the market is back within its limit; the exit goes on")
    return [order.pk]


def _withdraw_others(leg: Leg, family: Sequence[Leg], decision: Decision) -> None:
    for other in family:
        if other.pk != leg.pk and other.role == "wanted" and other.status == "working":
            if other.cancel_requested_at is None:
                _keep(other, seeing.WITHDRAWN, f"leg {leg.pk} of its trade cannot be completed")
            cancelling.withdraw(other)
    planning.ask_again(leg, cast(timedelta, decision.wait), decision.reason)


def _keep(leg: Leg, kind: str, reason: str) -> None:
    """Keep with a leg that was withdrawn why it was: not by a person."""
    DecisionRow.objects.create(leg=leg, kind=kind, reason=reason, inputs={}, outcome={})


def _free(leg: Leg, decision: Decision) -> None:
    """Have enough of our own resting sales withdrawn, the largest first; the exit asks again."""
    wanted, chosen = decision.quantity, []
    for pk, reserved in seeing.resting_sales(leg.instrument):
        if wanted <= 0:
            break
        chosen.append(pk)
        wanted -= reserved
    why = f"its shares are freed for leg {leg.pk}, a stop's exit"
    transaction.on_commit(lambda: _withdraw_for_an_exit(chosen, why))
    planning.ask_again(leg, cast(timedelta, decision.wait), decision.reason)


def _withdraw_for_an_exit(legs: Sequence[int], why: str) -> None:
    """Withdraw legs of other trades, in transactions of their own: no position may be locked yet.

    One that somebody else is looking after just now is passed over; the exit asks again.
    """
    for pk in legs:
        with transaction.atomic():
            leg = Leg.objects.select_for_update(skip_locked=True).filter(pk=pk).first()
            if leg is None or leg.status != "working" or leg.cancel_requested_at is not None:
                continue
            _keep(leg, seeing.FREED, why)
            cancelling.withdraw(leg)
            log.warning("resting_sale_withdrawn", leg=pk, reason=why)


def _hedge(leg: Leg, decision: Decision) -> None:
    """Buy the other outcome instead: the leg ends, a remedy takes its place."""
    complement = Instrument.objects.filter(symbol=leg.instrument.complement).first()
    if complement is None:  # its price was seen, so it is known; never guess
        _give_up(leg, f"{decision.reason}; but the other outcome is not known here")
        return
    tick = complement.tick_size
    limit = (cast(Decimal, decision.price) / tick).to_integral_value(ROUND_FLOOR) * tick
    _remedy(leg, leg, "hedge", complement, "buy", decision.quantity, limit)
    _give_up(leg, decision.reason)


def _unwind(leg: Leg, family: Sequence[Leg], decision: Decision) -> None:
    """Undo what legs have too much, each by a remedy, from what was really paid; the leg ends."""
    by_id = {one.pk: one for one in family}
    slippage = leg.trade.max_slippage
    if slippage is None:
        slippage = settings.CONFIGURATION.max_slippage
    for pk, quantity in decision.unwinds:
        other = by_id[pk]
        side: Side = "sell" if other.side == "buy" else "buy"
        paid = seeing.average_price(other) or cast(Decimal, other.price)
        limit = furthest_price(
            side,
            paid,
            slippage,
            other.instrument.tick_size,
            is_outcome=other.instrument.venue == "polymarket",
        )
        _remedy(leg, other, "unwind", other.instrument, side, quantity, limit)
    _give_up(leg, decision.reason)


def _remedy(
    leg: Leg,
    of: Leg,
    role: str,
    instrument: Instrument,
    side: str,
    quantity: Decimal,
    limit: Decimal,
) -> None:
    if Leg.objects.filter(of=of, instrument=instrument, role=role).exists():
        # A person had a leg tried again that had been remedied: that is not done twice.
        log.error("remedied_before", leg=leg.pk, of=of.pk, role=role, quantity=plain(quantity))
        return
    Leg.objects.create(
        trade=leg.trade,
        role=role,
        of=of,
        instrument=instrument,
        side=side,
        quantity=quantity,
        price=limit,
        order_type="FAK",
        next_attempt_at=timezone.now(),
        reason=f"for leg {leg.pk}, which cannot be completed",
    )
    log.warning("remedy_planned", leg=leg.pk, of=of.pk, role=role, quantity=plain(quantity))


def _end(leg: Leg, to: str, reason: str) -> None:
    leg.move(to, reason=reason, next_attempt_at=None)
    resolve_alert("exit_held", _subject(leg), "the exit is done")
    holding.is_over(leg, "the exit has ended")
    log.info("leg_ended", leg=leg.pk, status=to, reason=reason)


def _give_up(leg: Leg, reason: str) -> None:
    leg.move("failed", reason=reason, next_attempt_at=None)
    log.error("leg_given_up", leg=leg.pk, reason=reason)
    resolve_alert("exit_held", _subject(leg), "the exit was given up")
    holding.is_over(leg, "the exit was given up")
    raise_alert("leg_given_up", _subject(leg), reason, trade=leg.trade_id)


def _subject(leg: Leg) -> str:
    return f"leg {leg.pk} of trade {leg.trade_id}"
