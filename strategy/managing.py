"""The position manager: for now it reconciles a trade's orders; its decisions come later."""

import structlog
from django.utils import timezone

from orders import reconciling
from orders.models import Fill, Leg, Order, Trade
from polytrader import heartbeats

log = structlog.get_logger()


def reconcile_trade(trade_id: int) -> bool:
    """Look up every order and unsettled fill of a trade now; `False` when there is no such trade."""
    if not Trade.objects.filter(pk=trade_id).exists():
        log.warning("no_such_trade", trade=trade_id)
        return False
    orders = Order.objects.filter(leg__trade=trade_id).select_related("instrument", "leg")
    for order in orders.filter(status__in=["sent", "open"]):
        reconciling.look(order)
    unsettled = Fill.objects.filter(order__leg__trade=trade_id, status="matched")
    for order_pk in set(unsettled.values_list("order_id", flat=True)):
        reconciling.settle(order_pk)
    return True


def sweep(limit: int = 50) -> int:
    """Manage the trades that have worked longest without being looked at."""
    working = Leg.objects.filter(status="working", next_attempt_at__isnull=True)
    trades = list(
        working.filter(updated_at__lt=timezone.now() - reconciling.IN_FLIGHT * 2)
        .order_by("updated_at")
        .values_list("trade_id", flat=True)[:limit]
    )
    for trade_id in trades:
        try:
            reconcile_trade(trade_id)
        except Exception:
            log.exception("trade_not_managed", trade=trade_id)
        legs = Leg.objects.filter(trade=trade_id, status="working", next_attempt_at__isnull=True)
        legs.update(next_attempt_at=timezone.now(), updated_at=timezone.now())
    heartbeats.beat("worker", f"managed {len(trades)} trades")
    return len(trades)
