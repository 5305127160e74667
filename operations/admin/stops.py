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
from operations.admin import stop_words
from operations.admin.cells import (
    NOTHING,
    age_of,
    counted,
    cut,
    link_to,
    market,
    number,
    tail_of,
)
from operations.admin.conversions import COST, jobs_table
from operations.admin.history_chart import chart_of
from operations.admin.looking import Looking, Table, table
from operations.admin.price_line import draw, prices_of
from orders.models import Fill, Leg, Order
from polytrader.numbers import plain
from trailing.ending import cancel
from trailing.models import StopEvent, TrailingStop
from trailing.showing import with_exits


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
        "options",
        "phase",
        "created_at",
        "shown_strategy",
    )
    fields = (
        ("state_key", "status"),
        "state_now",
        ("instrument", "wanted"),
        ("strategy", "mint_after_sell"),
        ("trailing", "refers_to"),
        ("entry_price", "activation_price"),
        ("best_price", "last_price"),
        ("trigger", "distance"),
        ("floor", "take_profit"),
        ("confirmation", "spread_guard"),
        ("slippage", "gap_policy_in_words"),
        ("expires_at", "evaluated"),
        ("breach_now", "asking_since"),
        ("triggered_because", "triggered_at"),
        ("resumes", "resumed_as"),
        ("created_at", "updated_at"),
    )
    list_filter = (
        "status",
        "side",
        "reference",
        "gap_policy",
        "triggered_by",
        ("asking_since", admin.EmptyFieldListFilter),
        "strategy",
        "mint_after_sell",
        "instrument__venue",
    )
    search_fields = ("state_key", "instrument__symbol", "instrument__question", "strategy")
    date_hierarchy = "created_at"
    actions = ("cancel_stops", "retry_exits")
    change_form_before_template: Any = "operations/stop_drawings.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrailingStop]:
        """With their exits, which say what goes on."""
        rows: QuerySet[TrailingStop] = super().get_queryset(request)
        return with_exits(rows)

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

    @display(description="state")
    def state_now(self, stop: TrailingStop) -> str:
        """Its phase, and in words what it waits for or what went wrong."""
        return stop_words.state(stop, timezone.now())

    @display(description="phase")
    def phase(self, stop: TrailingStop) -> str:
        """The same in a word; all of it when one points at it."""
        now = timezone.now()
        return format_html(
            '<span title="{}">{}</span>', stop_words.state(stop, now), stop.phase(now)
        )

    @display(description="options")
    def options(self, stop: TrailingStop) -> str:
        """What it has besides its trail, in a few words."""
        return cut(stop_words.options(stop), 28)

    @display(description="refers to")
    def refers_to(self, stop: TrailingStop) -> str:
        """Which price it follows."""
        return stop_words.REFERENCES[stop.reference]

    @display(description="hard floor")
    def floor(self, stop: TrailingStop) -> str:
        """The price that fires it without confirmation; a ceiling of a purchase."""
        return number(stop.stop_price)

    @display(description="take-profit")
    def take_profit(self, stop: TrailingStop) -> str:
        """The price that ends it with a profit."""
        return number(stop.take_profit_price)

    @display(description="confirmation")
    def confirmation(self, stop: TrailingStop) -> str:
        """What it wants to see before it fires."""
        return stop_words.confirmation(stop)

    @display(description="spread guard")
    def spread_guard(self, stop: TrailingStop) -> str:
        """How wide a quote may be that fires it."""
        if stop.max_spread is None:
            return NOTHING
        return f"a quote wider than {plain(stop.max_spread)} is held back for up to 10 s"

    @display(description="slippage limit")
    def slippage(self, stop: TrailingStop) -> str:
        """How far its exit may go."""
        worst = stop.worst_price(stop.current_trigger_price)
        if stop.max_slippage is None or worst is None:
            return NOTHING
        return f"{plain(stop.max_slippage)} from the trigger, to {plain(worst)} now"

    @display(description="when passed unwatched")
    def gap_policy_in_words(self, stop: TrailingStop) -> str:
        """The gap policy."""
        return stop_words.GAP_POLICIES[stop.gap_policy]

    @display(description="in breach")
    def breach_now(self, stop: TrailingStop) -> str:
        """Since when its price has been beyond the trigger, unconfirmed."""
        if stop.breached_since is None or not stop.is_watched:
            return NOTHING
        seen = counted(stop.breach_updates, "book state")
        return f"for {age_of(stop.breached_since).removesuffix(' ago')}, {seen}"

    @display(description="triggered by")
    def triggered_because(self, stop: TrailingStop) -> str:
        """What made it fire, and the price that did."""
        if not stop.triggered_by:
            return number(stop.triggered_by_price)
        return f"{stop_words.CAUSES[stop.triggered_by]} at {number(stop.triggered_by_price)}"

    @display(description="resumed by")
    def resumed_as(self, stop: TrailingStop) -> str:
        """The stop that went on where this one failed."""
        return link_to(TrailingStop.objects.filter(resumes=stop).first())

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
        return {**super().context_of(stop), "line": draw(prices_of(stop)), "chart": chart_of(stop)}

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
