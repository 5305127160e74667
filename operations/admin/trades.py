"""What was wanted and what was decided: trades with their legs, signals, the position manager's jobs."""

import json
from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from unfold.decorators import display

from minting.models import Mint
from operations.admin.cells import NOTHING, column, counted, cut, label, link, number
from operations.admin.conversions import COST, jobs_table
from operations.admin.looking import Looking, Table, table
from operations.admin.trading import link_to_stop_of
from orders.models import Fill, Leg, Order, Trade
from strategy import jobs
from strategy.models import Decision, PositionJob, Signal
from strategy.showing import TRADE_STATES, with_state


def link_to_trade(trade: Trade | None) -> str:
    """Lead to a trade by its number."""
    return link(trade, "" if trade is None else f"trade {trade.pk}")


LEG = column("leg", lambda row: link(row.leg, f"leg {row.leg_id}"))
"""A table's column that leads to the leg, by its number."""


class ByState(admin.SimpleListFilter):
    """Trades by what their legs have come to."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The states."""
        return [(state, state) for state in TRADE_STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of the chosen state."""
        return queryset.filter(state=self.value()) if self.value() else queryset


@admin.register(Trade)
class TradeAdmin(Looking):
    """Trades of signals and of stops, with what became of their legs."""

    list_display = ("id", "purpose", "source", "strategy", "state", "shown_legs", "created_at")
    fields = (
        ("id", "state"),
        ("purpose", "source"),
        ("strategy", "mint_after_sell"),
        ("max_slippage", "valid_until"),
        ("created_at", "updated_at"),
    )
    list_filter = ("purpose", ByState, "strategy", "mint_after_sell")
    search_fields = ("id", "strategy", "legs__instrument__symbol", "legs__instrument__question")
    list_select_related = ("signal", "trailingstop")
    date_hierarchy = "created_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the state and the numbers of legs."""
        legs: dict[str, Any] = {
            "leg_count": Count("legs", distinct=True),
            "ended_count": Count("legs", filter=~Q(legs__status="working"), distinct=True),
        }
        rows: QuerySet[Any] = with_state(super().get_queryset(request)).annotate(**legs)
        return rows.order_by("-pk")

    @display(description="state")
    def state(self, trade: Any) -> str:
        """What its legs have come to."""
        return label(trade.state)

    @display(description="legs")
    def shown_legs(self, trade: Any) -> str:
        """How many there are, and how many have ended."""
        return f"{trade.ended_count} of {trade.leg_count} ended"

    @display(description="of")
    def source(self, trade: Trade) -> str:
        """The signal or the stop that wanted it."""
        signal = getattr(trade, "signal", None)
        return link(signal, f"{signal}") if signal is not None else link_to_stop_of(trade)

    def tables(self, trade: Trade) -> list[Table]:
        """Its legs, and all that was done and decided about them."""
        legs = trade.legs.select_related("instrument").order_by("pk")
        orders = Order.objects.filter(leg__trade=trade).select_related("leg").order_by("pk")
        fills = Fill.objects.filter(order__leg__trade=trade).select_related("order").order_by("pk")
        decisions = Decision.objects.filter(leg__trade=trade).select_related("leg").order_by("pk")
        mints = Mint.objects.filter(fill__order__leg__trade=trade)
        return [
            table("Legs", Leg, legs, "role", "instrument", "side", "status", "quantity", "price",
                  "order_type", "attempts", "rejections", "reason"),
            table("Orders", Order, orders, LEG, "status", "quantity", "price",
                  "matched_quantity", "order_id", "sent_at", "closed_at", "reason"),
            table("Fills", Fill, fills, "order", "status", "quantity", "price", "fee", "trade_id",
                  "matched_at", "closed_at"),
            table("Decisions", Decision, decisions, LEG, "kind", "reason", "count", "at",
                  "last_at"),
            table("Jobs", PositionJob, trade.jobs.order_by("pk"), "status", "is_by_hand", "runs",
                  "next_run_at", "closed_at", "reason"),
            jobs_table("Mints", mints, "instrument", "fill", "transaction", COST),
        ]  # fmt: skip


@admin.register(Leg)
class LegAdmin(Looking):
    """One instrument of a trade, and what became of it."""

    list_display = (
        "id",
        "trade",
        "role",
        "instrument",
        "side",
        "status",
        "quantity",
        "limit",
        "order_type",
        "attempts",
        "reason",
        "created_at",
    )
    fields = (
        ("id", "status"),
        ("trade", "role"),
        ("instrument", "of"),
        ("side", "order_type"),
        ("quantity", "limit"),
        ("post_only", "expires_at"),
        ("attempts", "rejections"),
        ("next_attempt_at", "cancel_requested_at"),
        ("created_at", "updated_at"),
        "reason",
    )
    list_filter = ("status", "role", "side", "order_type", "trade__purpose")
    search_fields = ("instrument__symbol", "instrument__question", "reason")
    list_select_related = ("instrument", "trade")

    @display(description="price", ordering="price")
    def limit(self, leg: Leg) -> str:
        """Its own limit; an exit has none."""
        return "market" if leg.price is None else number(leg.price)

    def tables(self, leg: Leg) -> list[Table]:
        """Its orders, the decisions about it, and what was added for it."""
        return [
            table("Orders", Order, leg.orders.order_by("pk"), "status", "quantity", "price",
                  "matched_quantity", "order_id", "sent_at", "closed_at", "reason"),
            table("Decisions", Decision, leg.decisions.order_by("pk"), "kind", "reason", "count",
                  "at", "last_at"),
            table("Remedies", Leg, leg.remedies.order_by("pk"), "role", "instrument", "side",
                  "status", "quantity", "price", "reason"),
        ]  # fmt: skip


@admin.register(Signal)
class SignalAdmin(Looking):
    """What somebody outside asked to be traded."""

    list_display = ("id", "strategy", "shown_legs", "is_dry_run", "trade", "created_at")
    fields = (("id", "is_dry_run"), ("strategy", "trade"), ("created_at", "updated_at"), "as_read")
    list_filter = ("is_dry_run", "strategy")
    search_fields = ("id", "strategy")
    list_select_related = ("trade",)
    date_hierarchy = "created_at"

    @display(description="legs")
    def shown_legs(self, signal: Signal) -> str:
        """What it wants, in short."""
        legs = [f"{leg['side']} {leg['size']} at {leg['price']}" for leg in signal.body["legs"]]
        return cut("; ".join(legs), 80)

    @display(description="request")
    def as_read(self, signal: Signal) -> str:
        """The body as it was read."""
        return pretty(signal.body)

    def tables(self, signal: Signal) -> list[Table]:
        """The legs of its trade."""
        legs = Leg.objects.filter(trade=signal.trade_id).select_related("instrument")
        return [
            table("Legs", Leg, legs.order_by("pk"), "role", "instrument", "side", "status",
                  "quantity", "price", "order_type", "reason")
        ]  # fmt: skip


@admin.register(PositionJob)
class PositionJobAdmin(Looking):
    """Trades being looked after: when next, how often so far, and why they failed."""

    list_display = (
        "id",
        "trade",
        "status",
        "is_by_hand",
        "runs",
        "next_run_at",
        "closed_at",
        "reason",
        "created_at",
    )
    fields = (
        ("id", "status"),
        ("trade", "is_by_hand"),
        ("runs", "next_run_at"),
        ("created_at", "closed_at"),
        "original",
        "reason",
    )
    list_filter = ("status", "is_by_hand", "trade__purpose")
    search_fields = ("id", "reason", "trade__strategy")
    list_select_related = ("trade",)
    actions = ("retry_jobs",)

    @display(description="original orders")
    def original(self, job: PositionJob) -> str:
        """The orders it was enqueued with."""
        return pretty(job.original_orders) if job.original_orders else NOTHING

    def tables(self, job: PositionJob) -> list[Table]:
        """The legs of its trade, and what was decided about them."""
        legs = Leg.objects.filter(trade=job.trade_id).select_related("instrument").order_by("pk")
        decisions = Decision.objects.filter(leg__in=legs).select_related("leg").order_by("pk")
        return [
            table("Legs", Leg, legs, "role", "instrument", "side", "status", "quantity", "price",
                  "attempts", "reason"),
            table("Decisions", Decision, decisions, LEG, "kind", "reason", "count", "at",
                  "last_at"),
        ]  # fmt: skip

    @admin.action(description="Retry the selected jobs")
    def retry_jobs(self, request: HttpRequest, rows: QuerySet[PositionJob]) -> None:
        """Have failed ones wait again, with the legs of signals that may be tried again."""
        chosen = list(rows.values_list("pk", flat=True))
        count = jobs.retry_failed(Q(pk__in=chosen))
        messages.success(request, f"{counted(count, 'job')} waiting again")
        if count < len(chosen):
            messages.info(request, "The others have not failed; an exit is resumed as a new stop.")


@admin.register(Decision)
class DecisionAdmin(Looking):
    """Every decision about a leg, with all that it was taken from."""

    list_display = ("id", "leg", "trade", "kind", "reason", "count", "at", "last_at")
    fields = (
        ("id", "kind"),
        ("leg", "trade"),
        ("count", "at"),
        "last_at",
        "reason",
        "shown_outcome",
        "shown_inputs",
    )
    list_filter = ("kind",)
    search_fields = ("reason", "leg__instrument__symbol")
    list_select_related = ("leg__trade",)

    @display(description="trade")
    def trade(self, decision: Decision) -> str:
        """The trade of its leg."""
        return link_to_trade(decision.leg.trade)

    @display(description="outcome")
    def shown_outcome(self, decision: Decision) -> str:
        """Quantity, price, wait."""
        return rows_of(decision.outcome)

    @display(description="inputs")
    def shown_inputs(self, decision: Decision) -> str:
        """The leg, its market, the other legs and the limits, as they were."""
        groups = dict(_groups(decision.inputs))
        boxes = ((name, rows_of(values)) for name, values in groups.items())
        body = format_html_join("", '<div><div class="font-semibold mb-1">{}</div>{}</div>', boxes)
        return format_html('<div class="flex flex-wrap gap-10">{}</div>', body)


def _groups(inputs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What the inputs speak of, one by one: the leg, its market, each other leg, the limits."""
    for name, value in inputs.items():
        if isinstance(value, list):
            yield from ((f"{name} {index + 1}", one) for index, one in enumerate(value))
        else:
            yield name, value


def pretty(value: Any) -> str:
    """JSON for people to read."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre class="whitespace-pre-wrap break-all">{}</pre>', text)


def rows_of(value: Any) -> str:
    """JSON as a table of names and values, nested names joined by points."""
    rows = [(name, _shown(inner)) for name, inner in _flat(value)]
    if not rows:
        return NOTHING
    body = format_html_join(
        "", '<tr><td class="pr-4 whitespace-nowrap opacity-70">{}</td><td>{}</td></tr>', rows
    )
    return format_html('<table class="text-sm">{}</table>', body)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NOTHING if value in (None, "") else str(value)


def _flat(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{place}[{index}]")
    else:
        yield place, value
