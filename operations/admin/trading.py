"""Orders, fills, orders placed elsewhere, and instruments."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display

from minting.models import Mint
from operations.admin.cells import counted, link, link_to, tail_of
from operations.admin.conversions import COST, jobs_table
from operations.admin.looking import Looking, Table, table
from orders.models import Fill, ForeignOrder, Instrument, Order, Trade
from polytrader.bells import ring
from trailing.models import TrailingStop


def link_to_stop_of(trade: Trade) -> str:
    """Lead to the stop whose exit a trade is."""
    stop = getattr(trade, "trailingstop", None)
    return link(stop, "" if stop is None else tail_of(stop.state_key))


def link_to_source(order: Order) -> str:
    """Lead to the stop whose exit an order is of, or to the trade of its signal."""
    trade = order.leg.trade
    return link_to_stop_of(trade) if trade.purpose == "exit" else link(trade, str(trade))


@admin.register(Order)
class OrderAdmin(Looking):
    """Orders from planned to closed."""

    list_display = (
        "id",
        "instrument",
        "side",
        "status",
        "quantity",
        "price",
        "matched_quantity",
        "order_type",
        "order_id",
        "source",
        "reason",
        "created_at",
    )
    fields = (
        ("id", "status"),
        ("instrument", "source"),
        ("side", "order_type"),
        ("quantity", "price"),
        ("matched_quantity", "fee_per_unit"),
        ("post_only", "expires_at"),
        ("created_at", "sent_at"),
        ("answered_at", "acknowledged_at"),
        ("cancel_requested_at", "closed_at"),
        ("next_look_at", "posts"),
        ("venue_status", "refusal"),
        ("leg", "is_late"),
        "order_id",
        "reason",
    )
    list_filter = ("status", "side", "order_type", "instrument__venue")
    search_fields = ("order_id", "instrument__symbol", "instrument__question", "reason")
    list_select_related = ("instrument", "leg__trade__trailingstop")
    actions = ("retry_orders",)

    @display(description="of")
    def source(self, order: Order) -> str:
        """The stop whose exit it is of, or the trade of its signal."""
        return link_to_source(order)

    def tables(self, order: Order) -> list[Table]:
        """Its fills, and what was minted or merged because of them."""
        mints = Mint.objects.filter(fill__order=order)
        return [
            table("Fills", Fill, order.fills.order_by("pk"), "status", "quantity", "price", "fee",
                  "trade_id", "transaction_hash", "matched_at", "closed_at"),
            jobs_table("Mints", mints, "fill", "transaction", COST),
        ]  # fmt: skip

    @admin.action(description="Look after the selected orders now")
    def retry_orders(self, request: HttpRequest, rows: QuerySet[Order]) -> None:
        """Make what is planned or in flight due at once; closed orders stay closed."""
        due = rows.filter(status__in=["planned", "sent", "open"])
        count = due.update(next_look_at=timezone.now())
        ring("orders.sweep", queue="orders")
        messages.success(request, f"{counted(count, 'order')} will be looked after at once")


@admin.register(Fill)
class FillAdmin(Looking):
    """Fills and what settlement said."""

    list_display = (
        "id",
        "order",
        "market",
        "status",
        "quantity",
        "price",
        "fee",
        "trade_id",
        "matched_at",
        "closed_at",
    )
    fields = (
        ("id", "status"),
        ("market", "order"),
        ("source", "fee"),
        ("quantity", "price"),
        ("matched_at", "closed_at"),
        ("created_at", "next_look_at"),
        "trade_id",
        "transaction_hash",
    )
    list_filter = ("status",)
    search_fields = ("trade_id", "order__order_id", "transaction_hash")
    list_select_related = ("order__instrument",)

    @display(description="market")
    def market(self, fill: Fill) -> str:
        """The market of its order."""
        return link_to(fill.order.instrument)

    @display(description="of")
    def source(self, fill: Fill) -> str:
        """The stop whose exit its order is of, or the trade of its signal."""
        return link_to_source(fill.order)

    def tables(self, fill: Fill) -> list[Table]:
        """What was minted or merged because of it."""
        return [jobs_table("Mint", Mint.objects.filter(fill=fill), "transaction", COST)]


@admin.register(ForeignOrder)
class ForeignOrderAdmin(Looking):
    """Orders of the wallet that were placed elsewhere: shown, counted as reserved, left alone."""

    list_display = (
        "order_id",
        "venue",
        "symbol",
        "side",
        "quantity",
        "matched_quantity",
        "price",
        "reserved",
        "created_at",
        "closed_at",
    )
    list_filter = ("venue", "side", ("closed_at", admin.EmptyFieldListFilter))
    search_fields = ("order_id", "symbol")


@admin.register(Instrument)
class InstrumentAdmin(Looking):
    """Outcome tokens and spot symbols with the last prices anyone evaluated."""

    list_display = ("market", "symbol", "venue", "tick_size", "bid", "ask", "observed_at")
    list_filter = ("venue", "accepting_orders")
    search_fields = ("symbol", "question")

    @display(description="market", ordering="question")
    def market(self, instrument: Instrument) -> str:
        """The question and outcome, or the symbol."""
        return str(instrument) if instrument.outcome else instrument.question or instrument.symbol

    def tables(self, instrument: Instrument) -> list[Table]:
        """The stops that follow it, the youngest first."""
        stops = TrailingStop.objects.filter(instrument=instrument).order_by("-pk")
        return [
            table("Trailing stops", TrailingStop, stops, "state_key", "status", "side", "quantity",
                  "entry_price", "created_at")
        ]  # fmt: skip
