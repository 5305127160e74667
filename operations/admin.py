"""The admin: everything can be looked at, nothing can be edited; cancel and retry act through `move`."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from minting.models import Mint, Transaction
from orders.models import Entry, Fill, Instrument, Leg, Order, Position
from polytrader.bells import ring
from polytrader.models import ApiToken, Heartbeat
from polytrader.numbers import plain
from trailing.creating import cancel
from trailing.models import StopEvent, TrailingStop

STATE_COLOURS = {
    "active": "success",
    "pending_activation": "info",
    "triggered": "warning",
    "error": "danger",
    "cancelled": "default",
    "planned": "info",
    "sent": "info",
    "open": "info",
    "filled": "success",
    "rejected": "danger",
    "matched": "info",
    "confirmed": "success",
    "failed": "danger",
    "requested": "info",
    "delayed": "warning",
    "working": "info",
    "done": "success",
}


def number(value: Decimal | None) -> str:
    """A decimal for a cell; a dash where there is none."""
    return "-" if value is None else plain(value)


class Looking:
    """Look, do not touch: rows change by their own moves only."""

    compressed_fields = True
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Rows are made by the system."""
        return False

    def has_delete_permission(self, request: HttpRequest, *_: Any) -> bool:
        """The record stays."""
        return False

    def has_change_permission(self, request: HttpRequest, *_: Any) -> bool:
        """No field can be edited."""
        return False

    @display(description="state", label=STATE_COLOURS, ordering="status")
    def state(self, row: Any) -> str:
        """The state as a coloured label."""
        return str(row.status)


class EventsOfStop(Looking, TabularInline):  # type: ignore[misc]
    """What happened to a stop, below it."""

    model = StopEvent
    fields = ("at", "kind", "price", "trigger_price", "text")
    readonly_fields = fields
    extra = 0
    tab = True


@admin.register(TrailingStop)
class TrailingStopAdmin(Looking, ModelAdmin):  # type: ignore[misc]
    """Stops with last price, trigger and the distance between them."""

    list_display = (
        "state_key",
        "market",
        "side",
        "state",
        "shown_quantity",
        "last_price",
        "trigger",
        "distance",
        "watermark_now",
        "evaluated",
        "strategy",
        "created_at",
    )
    list_filter = ("status", "side", "strategy", "mint_after_sell", "instrument__venue")
    search_fields = ("state_key", "instrument__symbol", "instrument__question", "strategy")
    list_select_related = ("instrument", "watermark")
    date_hierarchy = "created_at"
    actions = ("cancel_stops", "retry_exits")
    inlines = (EventsOfStop,)
    list_fullwidth = True

    @display(description="market")
    def market(self, stop: TrailingStop) -> str:
        """The question and outcome, or the symbol."""
        return str(stop.instrument)

    @display(description="quantity", ordering="quantity")
    def shown_quantity(self, stop: TrailingStop) -> str:
        """The quantity, or all."""
        return "all" if stop.quantity is None else plain(stop.quantity)

    @display(description="last price")
    def last_price(self, stop: TrailingStop) -> str:
        """The last evaluated price of its side."""
        return number(stop.instrument.price_for(stop.side))

    @display(description="trigger")
    def trigger(self, stop: TrailingStop) -> str:
        """The trigger price now."""
        return number(stop.current_trigger_price)

    @display(description="best price")
    def watermark_now(self, stop: TrailingStop) -> str:
        """The watermark."""
        return number(stop.watermark_price)

    @display(description="distance")
    def distance(self, stop: TrailingStop) -> str:
        """From the last price to the trigger, in percent, with a bar while it is watched."""
        price = stop.instrument.price_for(stop.side)
        if price is None or not stop.is_watched or price == 0:
            return "-"
        percent = abs(price - stop.current_trigger_price) / price * 100
        width = int(min(percent * 4, Decimal(100)))
        colour = "#dc2626" if percent < 2 else "#d97706" if percent < 5 else "#16a34a"
        return format_html(
            '<div style="display:flex;align-items:center;gap:6px"><div style="width:60px;height:6px;'
            'border-radius:3px;background:#e5e7eb"><div style="width:{}%;height:6px;border-radius:3px;'
            'background:{}"></div></div>{} %</div>',
            width,
            colour,
            plain(round(percent, 2)),
        )

    @display(description="evaluated")
    def evaluated(self, stop: TrailingStop) -> str:
        """How long ago its price was looked at, while that matters."""
        if not stop.is_watched:
            return "-"
        return age_of(stop.instrument.observed_at)

    @admin.action(description="Cancel the selected stops")
    def cancel_stops(self, request: HttpRequest, rows: QuerySet[TrailingStop]) -> None:
        """Cancel what has not triggered; the others are named."""
        done = [stop for stop in rows if cancel(stop)]
        messages.success(request, f"{len(done)} stops cancelled")
        if len(done) < rows.count():
            messages.warning(
                request, "The others have triggered or ended and cannot be cancelled any more."
            )

    @admin.action(description="Retry the exits of the selected stops now")
    def retry_exits(self, request: HttpRequest, rows: QuerySet[TrailingStop]) -> None:
        """Make waiting exits due at once; nothing in flight is touched."""
        legs = Leg.objects.filter(
            trade__trailingstop__in=rows, status="working", next_attempt_at__isnull=False
        )
        messages.success(
            request, f"{legs.update(next_attempt_at=timezone.now())} exits are due now"
        )


def age_of(moment: datetime | None) -> str:
    """How long ago a moment was, in seconds."""
    if moment is None:
        return "never"
    return f"{(timezone.now() - moment).total_seconds():.0f} s ago"


class FillsOfOrder(Looking, TabularInline):  # type: ignore[misc]
    """The fills of an order, below it."""

    model = Fill
    fields = ("trade_id", "quantity", "price", "fee", "status", "matched_at", "closed_at")
    readonly_fields = fields
    extra = 0


@admin.register(Order)
class OrderAdmin(Looking, ModelAdmin):  # type: ignore[misc]
    """Orders from planned to closed."""

    list_display = (
        "id",
        "order_id",
        "instrument",
        "side",
        "state",
        "size",
        "limit",
        "matched",
        "posts",
        "reason",
        "created_at",
    )
    list_filter = ("status", "side", "order_type", "instrument__venue")
    search_fields = ("order_id", "instrument__symbol", "instrument__question", "reason")
    list_select_related = ("instrument",)
    actions = ("retry_orders",)
    inlines = (FillsOfOrder,)
    exclude = ("payload",)
    list_fullwidth = True

    @display(description="quantity", ordering="quantity")
    def size(self, order: Order) -> str:
        """The quantity."""
        return plain(order.quantity)

    @display(description="limit", ordering="price")
    def limit(self, order: Order) -> str:
        """The limit price."""
        return plain(order.price)

    @display(description="matched")
    def matched(self, order: Order) -> str:
        """What has been matched."""
        return plain(order.matched_quantity)

    @admin.action(description="Look after the selected orders now")
    def retry_orders(self, request: HttpRequest, rows: QuerySet[Order]) -> None:
        """Make what is planned or in flight due at once; closed orders stay closed."""
        due = rows.filter(status__in=["planned", "sent", "open"])
        count = due.update(next_look_at=timezone.now())
        ring("orders.sweep", queue="orders")
        messages.success(request, f"{count} orders will be looked after at once")


@admin.register(Fill)
class FillAdmin(Looking, ModelAdmin):  # type: ignore[misc]
    """Fills and what settlement said."""

    list_display = (
        "trade_id",
        "order",
        "state",
        "size",
        "at_price",
        "cost",
        "matched_at",
        "closed_at",
    )
    list_filter = ("status",)
    search_fields = ("trade_id", "order__order_id", "transaction_hash")
    list_select_related = ("order",)
    list_fullwidth = True

    @display(description="quantity", ordering="quantity")
    def size(self, fill: Fill) -> str:
        """The quantity."""
        return plain(fill.quantity)

    @display(description="price", ordering="price")
    def at_price(self, fill: Fill) -> str:
        """The price."""
        return plain(fill.price)

    @display(description="fee")
    def cost(self, fill: Fill) -> str:
        """The fee."""
        return plain(fill.fee)


@admin.register(Mint)
class MintAdmin(Looking, ModelAdmin):  # type: ignore[misc]
    """Mint requests with their transaction and the sale that caused them."""

    list_display = (
        "id",
        "instrument",
        "state",
        "size",
        "transaction",
        "fill",
        "reason",
        "created_at",
    )
    list_filter = ("status", "instrument__venue")
    search_fields = ("instrument__symbol", "instrument__question", "transaction__transaction_hash")
    list_select_related = ("instrument", "transaction", "fill")
    actions = ("retry_mints",)
    list_fullwidth = True

    @display(description="quantity", ordering="quantity")
    def size(self, mint: Mint) -> str:
        """The quantity."""
        return plain(mint.quantity)

    @admin.action(description="Retry the selected mints")
    def retry_mints(self, request: HttpRequest, rows: QuerySet[Mint]) -> None:
        """Request failed ones again and make waiting ones due; what is sent stays as it is."""
        now = timezone.now()
        again = sum(
            mint.move("requested", next_attempt_at=now, transaction=None, closed_at=None)
            for mint in rows.filter(status__in=["failed", "delayed"])
        )
        messages.success(request, f"{again} mints are requested again")


class ReadOnlyAdmin(Looking, ModelAdmin):  # type: ignore[misc]
    """A plain list."""

    columns: tuple[str, ...] = ()
    list_fullwidth = True

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """The model's own choice of columns."""
        return self.columns


def look_at(model: type[Model], *columns: str, search: tuple[str, ...] = ()) -> None:
    """Register a list that can only be looked at."""
    name = f"{model.__name__}Admin"
    admin.site.register(
        model, type(name, (ReadOnlyAdmin,), {"columns": columns, "search_fields": search})
    )


look_at(Instrument, "__str__", "symbol", "venue", "tick_size", "bid", "ask", "observed_at",
        search=("symbol", "question"))  # fmt: skip
look_at(
    Position,
    "asset",
    "venue",
    "matched",
    "settled",
    "venue_balance",
    "compared_at",
    search=("asset",),
)
look_at(Entry, "created_at", "position", "kind", "reference", "matched_change", "settled_change",
        search=("reference", "position__asset"))  # fmt: skip
look_at(Transaction, "id", "wallet", "nonce", "status", "quantity", "transaction_hash", "reason", "created_at",
        search=("wallet", "transaction_hash"))  # fmt: skip
look_at(Heartbeat, "role", "process", "did", "at")
look_at(ApiToken, "name", "scope", "created_at")
