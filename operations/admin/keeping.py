"""What is kept: positions with their entries, venues, halts, heartbeats, API tokens."""

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from operations.admin.cells import LONGEST_ID, NOTHING, counted, link, market, shortened
from operations.admin.looking import Looking, Table, table
from orders.models import Entry, Halt, Instrument, Position, VenueState
from polytrader.bells import ring
from polytrader.models import ApiToken, Heartbeat

VenueState._meta.verbose_name = "venue"
VenueState._meta.verbose_name_plural = "venues"
ApiToken._meta.verbose_name = "API token"  # here: a name for people is no migration
ApiToken._meta.verbose_name_plural = "API tokens"


def name_of_asset(asset: str) -> str:
    """Collateral, a coin, or the question and outcome of a token id."""
    if len(asset) <= LONGEST_ID:
        return asset
    known = Instrument.objects.filter(Q(base_asset=asset) | Q(complement=asset))
    found = sorted(known, key=lambda instrument: instrument.base_asset != asset)
    if not found:
        return shortened(asset)
    if found[0].base_asset == asset:
        return market(found[0])
    text = f"{found[0].question} [not {found[0].outcome}]"
    return format_html('<span title="{} {}">{}</span>', text, asset, text)


@admin.register(Position)
class PositionAdmin(Looking):
    """What the wallet holds, by our own book and by the venue's."""

    list_display = (
        "holding",
        "asset",
        "venue",
        "matched",
        "settled",
        "venue_balance",
        "compared_at",
    )
    list_filter = ("venue",)
    search_fields = ("asset",)

    @display(description="market", ordering="asset")
    def holding(self, position: Position) -> str:
        """What the asset is, in words."""
        return name_of_asset(position.asset)

    def tables(self, position: Position) -> list[Table]:
        """Its entries, the youngest first."""
        return [
            table("Entries", Entry, position.entries.order_by("-pk"), "created_at", "kind",
                  "reference", "matched_change", "settled_change")
        ]  # fmt: skip


@admin.register(Entry)
class EntryAdmin(Looking):
    """Every change of a position, once."""

    list_display = (
        "id",
        "created_at",
        "holding",
        "kind",
        "matched_change",
        "settled_change",
        "reference",
    )
    fields = (
        "id",
        "created_at",
        "holding",
        "kind",
        "matched_change",
        "settled_change",
        "reference",
    )
    list_filter = ("kind",)
    search_fields = ("reference", "position__asset")
    list_select_related = ("position",)

    @display(description="position", ordering="position__asset")
    def holding(self, entry: Entry) -> str:
        """What the asset is, in words; it leads to the position."""
        return link(entry.position, name_of_asset(entry.position.asset))


@admin.register(VenueState)
class VenueStateAdmin(Looking):
    """When our book last agreed with each venue, and how far its clock is from ours."""

    list_display = ("venue", "reconciled_at", "listed_at", "clock", "clock_at", "reason")
    fields = (
        ("venue", "clock"),
        ("reconciled_at", "listed_at"),
        ("clock_at", "reason"),
    )

    @display(description="its clock less ours", ordering="clock_offset")
    def clock(self, state: VenueState) -> str:
        """In milliseconds."""
        offset = state.clock_offset
        return NOTHING if offset is None else f"{offset.total_seconds() * 1000:+.0f} ms"


@admin.register(Halt)
class HaltAdmin(Looking):
    """Why nothing new is sent, and since when; a person who has looked into it lifts it."""

    list_display = ("id", "reason", "created_at", "lifted_at")
    actions = ("lift",)

    @admin.action(description="Lift the selected halts: orders are sent again")
    def lift(self, request: HttpRequest, rows: QuerySet[Halt]) -> None:
        """Mark them as lifted, once; sending goes on when no other halt stands."""
        count = rows.filter(lifted_at__isnull=True).update(lifted_at=timezone.now())
        ring("orders.sweep", queue="orders")
        messages.success(request, f"{counted(count, 'halt')} lifted")
        if Halt.is_on():
            messages.warning(
                request, "Another halt stands; nothing new is sent until it is lifted."
            )


@admin.register(Heartbeat)
class HeartbeatAdmin(Looking):
    """The last thing each process did."""

    list_display = ("role", "process", "did", "version", "at")


@admin.register(ApiToken)
class ApiTokenAdmin(Looking):
    """Who may use the API; the tokens themselves are nowhere."""

    list_display = ("name", "scope", "created_at")
