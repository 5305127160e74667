"""Trailing stops: the list a person watches, and the page of one."""

from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from minting.models import Mint
from operations.admin.cells import NOTHING, age_of, counted, cut, market, number, tail_of
from operations.admin.conversions import COST, jobs_table
from operations.admin.looking import Looking, Table, table
from operations.admin.price_line import draw, prices_of
from orders.models import Fill, Leg, Order
from polytrader.numbers import plain
from trailing.ending import cancel
from trailing.models import StopEvent, TrailingStop


@admin.register(TrailingStop)
class TrailingStopAdmin(Looking):
    """Stops with last price, trigger and the distance between them."""

    list_display = (
        "key",
        "market",
        "status",
        "wanted",
        "last_price",
        "trigger",
        "distance",
        "best_price",
        "evaluated",
        "created_at",
        "shown_strategy",
    )
    fields = (
        ("state_key", "status"),
        ("instrument", "wanted"),
        ("strategy", "mint_after_sell"),
        ("trailing", "entry_price"),
        ("activation_price", "best_price"),
        ("trigger", "last_price"),
        ("triggered_by_price", "triggered_at"),
        ("distance", "evaluated"),
        ("created_at", "updated_at"),
        "error_message",
    )
    list_filter = ("status", "side", "strategy", "mint_after_sell", "instrument__venue")
    search_fields = ("state_key", "instrument__symbol", "instrument__question", "strategy")
    list_select_related = ("instrument", "watermark")
    date_hierarchy = "created_at"
    actions = ("cancel_stops", "retry_exits")
    change_form_before_template: Any = "operations/price_line.html"

    @display(description="key", ordering="state_key")
    def key(self, stop: TrailingStop) -> str:
        """The last digits of the state key; all of it when one points at it."""
        return tail_of(stop.state_key)

    @display(description="market", ordering="instrument__question")
    def market(self, stop: TrailingStop) -> str:
        """The question and outcome, or the symbol."""
        return market(stop.instrument)

    @display(description="quantity", ordering="quantity")
    def wanted(self, stop: TrailingStop) -> str:
        """The side and the quantity, or all that is held."""
        return f"{stop.side} {'all' if stop.quantity is None else plain(stop.quantity)}"

    @display(description="trail")
    def trailing(self, stop: TrailingStop) -> str:
        """The distance rule as it was asked for."""
        if stop.trail_amount is None:
            return f"{plain((stop.trail_fraction or Decimal(0)) * 100)} %"
        ticks = "" if stop.trailing_ticks is None else f" ({stop.trailing_ticks} ticks)"
        return f"{plain(stop.trail_amount)}{ticks}"

    @display(description="last price")
    def last_price(self, stop: TrailingStop) -> str:
        """The last evaluated price of its side."""
        return number(stop.last_price)

    @display(description="trigger")
    def trigger(self, stop: TrailingStop) -> str:
        """The trigger price now."""
        return number(stop.current_trigger_price)

    @display(description="best price")
    def best_price(self, stop: TrailingStop) -> str:
        """The watermark."""
        return number(stop.watermark_price)

    @display(description="distance")
    def distance(self, stop: TrailingStop) -> str:
        """From the last price to the trigger, in percent, with a bar while it is watched."""
        price = stop.last_price
        if price is None or not stop.is_watched or price == 0:
            return NOTHING
        percent = abs(price - stop.current_trigger_price) / price * 100
        colour = "#dc2626" if percent < 2 else "#d97706" if percent < 5 else "#16a34a"
        return format_html(
            '<div style="display:flex;align-items:center;gap:6px;white-space:nowrap">'
            '<div style="flex:none;width:40px;height:6px;border-radius:3px;background:#9ca3af55">'
            '<div style="width:{}%;height:6px;border-radius:3px;background:{}"></div></div>{} %</div>',
            int(min(percent * 4, Decimal(100))),
            colour,
            plain(round(percent, 1)),
        )

    @display(description="evaluated")
    def evaluated(self, stop: TrailingStop) -> str:
        """How long ago its price was looked at, while that matters."""
        return age_of(stop.instrument.observed_at) if stop.is_watched else NOTHING

    @display(description="strategy", ordering="strategy")
    def shown_strategy(self, stop: TrailingStop) -> str:
        """The strategy, cut short."""
        return cut(stop.strategy, 12)

    def tables(self, stop: TrailingStop) -> list[Table]:
        """What its exit did, and every decision about it."""
        mine = {"leg__trade__trailingstop": stop}
        orders = Order.objects.filter(**mine).order_by("pk")
        fills = Fill.objects.filter(order__in=orders).select_related("order").order_by("pk")
        mints = Mint.objects.filter(fill__order__in=orders)
        return [
            table("Exit orders", Order, orders, "status", "quantity", "price", "matched_quantity",
                  "order_id", "sent_at", "closed_at", "reason"),
            table("Fills", Fill, fills, "order", "status", "quantity", "price", "fee",
                  "trade_id", "matched_at", "closed_at"),
            jobs_table("Mints", mints, "fill", "transaction", COST),
            table("Events", StopEvent, stop.events.order_by("pk"), "at", "kind", "price",
                  "trigger_price", "text"),
        ]  # fmt: skip

    def context_of(self, stop: TrailingStop) -> dict[str, Any]:
        """The tables, and its prices on a line."""
        return {**super().context_of(stop), "line": draw(prices_of(stop))}

    @admin.action(description="Cancel the selected stops")
    def cancel_stops(self, request: HttpRequest, rows: QuerySet[TrailingStop]) -> None:
        """Cancel what has not triggered; the others are named."""
        done = [stop for stop in rows if cancel(stop)]
        messages.success(request, f"{counted(len(done), 'stop')} cancelled")
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
        count = legs.update(next_attempt_at=timezone.now())
        if count:
            messages.success(request, f"{counted(count, 'exit')} due now")
        else:
            messages.info(request, "No exit of these stops is waiting to be tried again.")
