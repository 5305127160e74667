"""How a stop is shown to those who ask over HTTP."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Prefetch

from orders.models import LIVE_ORDER_STATES, Fill, Leg, Order
from polytrader.numbers import plain, plain_or_none
from trailing.history import Point
from trailing.models import StopEvent, TrailingStop


def with_exits(rows: "models.QuerySet[TrailingStop]") -> "models.QuerySet[TrailingStop]":
    """Fetch what `show_stop` needs in a handful of queries."""
    orders = Order.objects.order_by("pk").prefetch_related("fills")
    legs = Leg.objects.prefetch_related(Prefetch("orders", queryset=orders))
    return rows.select_related("instrument", "watermark", "trade", "resumes").prefetch_related(
        Prefetch("trade__legs", queryset=legs)
    )


def show_stop(stop: TrailingStop, now: datetime) -> dict[str, Any]:
    """A stop as the contract shows it; prices and sizes as plain decimal strings."""
    is_protected, reason = stop.protection(now)
    legs = [] if stop.trade is None else list(stop.trade.legs.all())
    orders = [order for leg in legs for order in leg.orders.all()]
    fills = [fill for order in orders for fill in order.fills.all() if fill.status != "failed"]
    settled = [fill for fill in fills if fill.status == "confirmed"]
    return {
        "stateKey": stop.state_key,
        "symbol": stop.instrument.symbol,
        "question": stop.instrument.question,
        "outcome": stop.instrument.outcome,
        "side": stop.side,
        "status": stop.status,
        "phase": stop.phase(now),
        "quantity": "all" if stop.quantity is None else plain(stop.quantity),
        "filledQuantity": plain(_quantity(fills)),
        "settledQuantity": plain(_quantity(settled)),
        "trailingPercent": plain_or_none(stop.trailing_percent),
        "trailingAmount": plain_or_none(
            None if stop.trailing_ticks is not None else stop.trail_amount
        ),
        "trailingTicks": stop.trailing_ticks,
        "entryPrice": plain(stop.entry_price),
        "activationPrice": plain_or_none(stop.activation_price),
        "watermarkPrice": plain(stop.watermark_price),
        "triggerPrice": plain(stop.current_trigger_price),
        "lastPrice": plain_or_none(stop.last_price),
        "lastEvaluatedAt": stop.instrument.observed_at,
        "protected": is_protected,
        "protectedReason": reason,
        "triggeredAt": stop.triggered_at,
        "averageExitPrice": plain_or_none(average_price(fills)),
        "orders": [show_order(order) for order in orders],
        "errorMessage": stop.error_message or _trouble(legs, orders),
        "strategy": stop.strategy,
        **_options(stop),
        "mintAfterSell": stop.mint_after_sell,
        "createdAt": stop.created_at,
        "updatedAt": stop.updated_at,
    }


def _options(stop: TrailingStop) -> dict[str, Any]:
    return {
        "triggerBy": stop.reference,
        "stopPrice": plain_or_none(stop.stop_price),
        "takeProfitPrice": plain_or_none(stop.take_profit_price),
        "confirmUpdates": stop.confirm_updates,
        "confirmMs": stop.confirm_ms,
        "maxSpread": plain_or_none(stop.max_spread),
        "maxSlippage": plain_or_none(stop.max_slippage),
        "gapPolicy": stop.gap_policy,
        "expiresAt": stop.expires_at,
        "triggeredBy": stop.triggered_by,
        "resumes": None if stop.resumes is None else stop.resumes.state_key,
    }


def trouble_of(stop: TrailingStop) -> str:
    """What the exit of a stop waits for, in words."""
    legs = [] if stop.trade is None else list(stop.trade.legs.all())
    return _trouble(legs, [order for leg in legs for order in leg.orders.all()])


def _trouble(legs: list[Leg], orders: list[Order]) -> str:
    """What a live order or its leg is waiting for, in words; a healthy exit says nothing."""
    live = [order.reason for order in orders if order.status in LIVE_ORDER_STATES]
    reasons = [*live, *(leg.reason for leg in legs)]
    return next((text for text in reasons if text and text != "settling"), "")


def _quantity(fills: list[Fill]) -> Decimal:
    return sum((fill.quantity for fill in fills), start=Decimal(0))


def average_price(fills: list[Fill]) -> Decimal | None:
    """The volume-weighted price of these fills, to eight decimals; `None` without any."""
    quantity = _quantity(fills)
    if quantity == 0:
        return None
    amount = sum((fill.quantity * fill.price for fill in fills), start=Decimal(0))
    return round(amount / quantity, 8)


def show_order(order: Order) -> dict[str, Any]:
    """One order of a stop's exit."""
    return {
        "id": order.pk,
        "orderId": order.order_id,
        "status": order.status,
        "side": order.side,
        "quantity": plain(order.quantity),
        "price": plain(order.price),
        "matchedQuantity": plain(order.matched_quantity),
        "orderType": order.order_type,
        "reason": order.reason,
        "createdAt": order.created_at,
        "sentAt": order.sent_at,
        "fills": [show_fill(fill) for fill in order.fills.all()],
    }


def show_fill(fill: Fill) -> dict[str, Any]:
    """One fill of an order."""
    return {
        "tradeId": fill.trade_id,
        "quantity": plain(fill.quantity),
        "price": plain(fill.price),
        "fee": plain(fill.fee),
        "status": fill.status,
        "matchedAt": fill.matched_at,
        "settledAt": fill.closed_at,
        "transactionHash": fill.transaction_hash,
    }


def show_point(point: Point) -> dict[str, Any]:
    """Where best price and trigger stood from a moment on."""
    return {
        "at": point.at,
        "watermarkPrice": plain(point.watermark),
        "triggerPrice": plain(point.trigger),
    }


def show_event(event: StopEvent) -> dict[str, Any]:
    """One decision with the price that caused it."""
    return {
        "at": event.at,
        "kind": event.kind,
        "price": plain_or_none(event.price),
        "triggerPrice": plain_or_none(event.trigger_price),
        "text": event.text,
    }
