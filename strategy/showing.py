"""How orders, legs, trades, signals and jobs are shown to those who ask over HTTP."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Case, Exists, OuterRef, Prefetch, Value, When

from orders.models import Fill, ForeignOrder, Leg, Order, Trade
from polytrader.numbers import plain, plain_or_none
from strategy.models import Decision, PositionJob, Signal
from trailing.showing import average_price, show_order

TRADE_STATES = ("working", "failed", "cancelled", "done")


def with_state(trades: "models.QuerySet[Trade]") -> "models.QuerySet[Any]":
    """Give each trade a `state`: what the first of `TRADE_STATES` is that any of its legs is in."""
    legs = Leg.objects.filter(trade=OuterRef("pk"))
    found = (
        When(Exists(legs.filter(status=state)), then=Value(state)) for state in TRADE_STATES[:-1]
    )
    return trades.annotate(state=Case(*found, default=Value(TRADE_STATES[-1])))


def state_of(legs: Sequence[Leg]) -> str:
    """The same of legs that have been fetched."""
    states = {leg.status for leg in legs}
    return next((state for state in TRADE_STATES if state in states), TRADE_STATES[-1])


def legs_in_full() -> "models.QuerySet[Leg]":
    """Legs with all that `show_leg` needs: three queries for any number of them."""
    orders = Order.objects.order_by("pk").prefetch_related("fills")
    return (
        Leg.objects.order_by("pk")
        .select_related("instrument")
        .prefetch_related(Prefetch("orders", queryset=orders))
    )


def with_legs(trades: "models.QuerySet[Trade]") -> "models.QuerySet[Trade]":
    """Fetch what `show_trade` needs in a handful of queries."""
    return trades.prefetch_related(Prefetch("legs", queryset=legs_in_full()))


def with_trades(signals: "models.QuerySet[Signal]") -> "models.QuerySet[Signal]":
    """Fetch what `show_signal` needs in a handful of queries."""
    return signals.select_related("trade").prefetch_related(
        Prefetch("trade__legs", queryset=legs_in_full())
    )


def show_signal(signal: Signal) -> dict[str, Any]:
    """A signal with its trade; of a dry run, what would have been sent."""
    trade = None if signal.trade is None else show_trade(signal.trade)
    return {
        "id": signal.pk,
        "strategy": signal.strategy,
        "dryRun": signal.is_dry_run,
        "createdAt": signal.created_at,
        "trade": trade,
        "legs": [_show_rehearsed(leg) for leg in signal.body["legs"]]
        if trade is None
        else trade["legs"],
    }


def show_trade(trade: Trade) -> dict[str, Any]:
    """A trade with its legs, each with its orders and their fills."""
    legs = list(trade.legs.all())
    return {
        "id": trade.pk,
        "purpose": trade.purpose,
        "strategy": trade.strategy,
        "status": state_of(legs),
        "mintAfterSell": trade.mint_after_sell,
        "maxSlippage": plain_or_none(trade.max_slippage),
        "validUntil": trade.valid_until,
        "createdAt": trade.created_at,
        "legs": [show_leg(leg) for leg in legs],
    }


def show_leg(leg: Leg) -> dict[str, Any]:
    """A leg: `status` is the state of its latest order, `phase` its own."""
    orders = list(leg.orders.all())
    latest = orders[-1] if orders else None
    fills = [fill for order in orders for fill in order.fills.all() if fill.status != "failed"]
    settled = [fill for fill in fills if fill.status == "confirmed"]
    shown = [_show_order_of(order, leg) for order in orders]
    return {
        "id": leg.pk,
        "assetId": leg.instrument.symbol,
        "question": leg.instrument.question,
        "outcome": leg.instrument.outcome,
        "side": leg.side,
        "size": plain(leg.quantity),
        "price": plain_or_none(leg.price),
        "orderType": leg.order_type,
        "postOnly": leg.post_only,
        "expiresAt": leg.expires_at,
        "role": leg.role,
        "status": None if latest is None else latest.status,
        "phase": leg.status,
        "filledQuantity": plain(_quantity(fills)),
        "settledQuantity": plain(_quantity(settled)),
        "averagePrice": plain_or_none(average_price(fills)),
        "reason": leg.reason or ("" if latest is None else latest.reason),
        "orderId": None if latest is None else latest.order_id,
        "order": shown[-1] if shown else None,
        "orders": shown,
    }


def _show_rehearsed(leg: dict[str, Any]) -> dict[str, Any]:
    """A leg of a dry run: the order that would have been sent, in the shape of one that was."""
    return {
        "id": None,
        "assetId": leg["assetId"],
        "question": "",
        "outcome": "",
        **{name: leg[name] for name in ("side", "size", "price", "orderType", "postOnly")},
        "expiresAt": leg["expiresAt"],
        "role": "wanted",
        "status": "planned",
        "phase": None,
        "filledQuantity": "0",
        "settledQuantity": "0",
        "averagePrice": None,
        "reason": "a dry run: nothing was sent",
        "orderId": None,
        "order": None,
        "orders": [],
    }


def _quantity(fills: Sequence[Fill]) -> Decimal:
    return sum((fill.quantity for fill in fills), start=Decimal(0))


def whole_orders(orders: "models.QuerySet[Order]") -> "models.QuerySet[Order]":
    """Fetch what `show_whole_order` needs in a handful of queries."""
    return orders.select_related("leg__instrument", "leg__trade").prefetch_related("fills")


def show_whole_order(order: Order) -> dict[str, Any]:
    """An order by itself: what `show_order` says, and of which trade it is."""
    return {
        **_show_order_of(order, order.leg),
        "purpose": order.leg.trade.purpose,
        "strategy": order.leg.trade.strategy,
        "question": order.leg.instrument.question,
        "outcome": order.leg.instrument.outcome,
    }


def _show_order_of(order: Order, leg: Leg) -> dict[str, Any]:
    fills = [fill for fill in order.fills.all() if fill.status != "failed"]
    return {
        **show_order(order),
        "assetId": leg.instrument.symbol,
        "tradeId": leg.trade_id,
        "legId": leg.pk,
        "role": leg.role,
        "postOnly": order.post_only,
        "expiresAt": order.expires_at,
        "averagePrice": plain_or_none(average_price(fills)),
        "venueStatus": order.venue_status,
        "refusal": order.refusal,
        "cancelRequestedAt": order.cancel_requested_at,
        "acknowledgedAt": order.acknowledged_at,
        "closedAt": order.closed_at,
        "posts": order.posts,
    }


def show_foreign_order(order: ForeignOrder) -> dict[str, Any]:
    """An order of the wallet that was placed elsewhere."""
    return {
        "orderId": order.order_id,
        "venue": order.venue,
        "assetId": order.symbol,
        "side": order.side,
        "size": plain(order.quantity),
        "price": plain(order.price),
        "matchedQuantity": plain(order.matched_quantity),
        "reserved": plain(order.reserved),
        "reservedAsset": order.asset,
        "seenAt": order.updated_at,
        "createdAt": order.created_at,
        "closedAt": order.closed_at,
    }


def decisions_of(trade: Trade) -> list[dict[str, Any]]:
    """Every decision about a trade's legs, in the order they were taken."""
    rows = Decision.objects.filter(leg__trade=trade).order_by("pk")
    return [
        {
            "legId": row.leg_id,
            "kind": row.kind,
            "reason": row.reason,
            "count": row.count,
            "at": row.at,
            "lastAt": row.last_at,
            "inputs": row.inputs,
            "outcome": row.outcome,
        }
        for row in rows
    ]


def show_job(job: PositionJob) -> dict[str, Any]:
    """A job of the position manager."""
    return {
        "id": job.pk,
        "tradeId": job.trade_id,
        "status": job.status,
        "byHand": job.is_by_hand,
        "originalOrders": job.original_orders,
        "runs": job.runs,
        "nextRunAt": None if job.closed_at is not None else job.next_run_at,
        "reason": job.reason,
        "createdAt": job.created_at,
        "updatedAt": job.updated_at,
        "closedAt": job.closed_at,
    }
