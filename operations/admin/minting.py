"""The mint queue: its jobs, the transactions that carry them out, and what is resolved."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from unfold.decorators import display

from minting import requesting
from minting.models import WAITING, Mint, Resolution, Transaction, Version
from minting.preparing import assets_of
from operations.admin.cells import NOTHING, column, counted, cut, label, link, link_to, number
from operations.admin.conversions import COST, cost_of, jobs_table, link_to_explorer
from operations.admin.keeping import name_of_asset
from operations.admin.looking import Looking, Table, table
from operations.admin.trading import link_to_source
from orders.models import Entry, Instrument
from polytrader.bells import ring
from polytrader.numbers import plain

LONGEST_QUESTION = 60
CAUSED_BY = "fill__order__leg__trade__trailingstop"
CAUSES = {"surplus": "surplus pairs", "resolved": "a resolved market", "hand": "asked by hand"}


def source_of(job: Mint) -> str:
    """Lead to the stop or the trade that a job is for; in words where nothing traded asked for it."""
    return CAUSES.get(job.cause, job.cause) if job.fill is None else link_to_source(job.fill.order)


@admin.register(Mint)
class MintAdmin(Looking):
    """Splits, merges and redemptions, each with its transaction and what caused it."""

    list_display = (
        "id",
        "kind",
        "status",
        "instrument",
        "quantity",
        "source",
        "transaction",
        "cost",
        "reason",
        "created_at",
    )
    fields = (
        ("id", "status"),
        ("kind", "cause"),
        ("instrument", "source"),
        ("quantity", "done_quantity"),
        ("fill", "order"),
        ("transaction", "trade"),
        ("cost", "explorer"),
        ("asked_at", "next_attempt_at"),
        ("put_off", "reverts"),
        ("created_at", "closed_at"),
        "reason",
    )
    list_filter = ("kind", "status", "cause")
    search_fields = (
        "instrument__symbol",
        "instrument__question",
        "reason",
        "transaction__transaction_hash",
    )
    list_select_related = ("instrument", "transaction", CAUSED_BY)
    actions = ("retry_mints",)

    @display(description="of")
    def source(self, job: Mint) -> str:
        """The stop or trade it is for, or why else it was made."""
        return source_of(job)

    @display(description="cost")
    def cost(self, job: Mint) -> str:
        """Of its transaction."""
        return cost_of(job.transaction)

    @display(description="order")
    def order(self, job: Mint) -> str:
        """The order of its fill."""
        return NOTHING if job.fill is None else link_to(job.fill.order)

    @display(description="trade")
    def trade(self, job: Mint) -> str:
        """The trade of its fill."""
        return NOTHING if job.fill is None else link_to(job.fill.order.leg.trade)

    @display(description="explorer")
    def explorer(self, job: Mint) -> str:
        """Its transaction on the public chain."""
        return link_to_explorer(job.transaction)

    @admin.action(description="Retry the selected")
    def retry_mints(self, request: HttpRequest, rows: QuerySet[Mint]) -> None:
        """Request failed ones again and make waiting ones due; what is sent or done stays."""
        chosen = Mint.objects.filter(pk__in=list(rows.values_list("pk", flat=True)))
        due = chosen.filter(status__in=WAITING).update(next_attempt_at=timezone.now())
        again = requesting.retry_failed(chosen)
        ring(requesting.QUEUE, queue=requesting.QUEUE)
        messages.success(request, f"{counted(again, 'job')} requested again, {due} due now")
        if due + again < chosen.count():
            messages.info(request, "The others are under way or done.")


@admin.register(Transaction)
class TransactionAdmin(Looking):
    """Splits, merges, redemptions and approvals on the chain, with the jobs each carries out."""

    list_display = (
        "id",
        "kind",
        "status",
        "market",
        "quantity",
        "shown_cost",
        "transaction_hash",
        "nonce",
        "submits",
        "reason",
        "created_at",
    )
    fields = (
        ("id", "status"),
        ("kind", "quantity"),
        ("instrument", "shown_cost"),
        ("shown_takes", "shown_brings"),
        ("nonce", "submits"),
        ("created_at", "closed_at"),
        ("explorer", "next_look_at"),
        "transaction_hash",
        "transaction_id",
        "condition_id",
        "wallet",
        "reason",
    )
    list_filter = ("kind", "status")
    search_fields = ("wallet", "transaction_hash", "transaction_id", "condition_id")
    list_select_related = ("instrument",)

    @display(description="market", ordering="instrument__question")
    def market(self, transaction: Transaction) -> str:
        """The question of its condition; both outcomes are moved."""
        row = transaction.instrument
        return NOTHING if row is None else link(row, _question(row.question or row.symbol))

    @display(description="cost", ordering="cost")
    def shown_cost(self, transaction: Transaction) -> str:
        """What the wallet paid for gas."""
        return cost_of(transaction)

    @display(description="takes")
    def shown_takes(self, transaction: Transaction) -> str:
        """What leaves the wallet."""
        return _amounts(transaction.taken())

    @display(description="brings")
    def shown_brings(self, transaction: Transaction) -> str:
        """What must have arrived for it to count as confirmed."""
        return _amounts(transaction.brought())

    @display(description="explorer")
    def explorer(self, transaction: Transaction) -> str:
        """Its page on the public chain."""
        return link_to_explorer(transaction)

    def tables(self, transaction: Transaction) -> list[Table]:
        """The jobs it carries out, its signed versions without their bytes, what was booked."""
        assets = [] if transaction.instrument is None else assets_of(transaction.instrument)
        entries = Entry.objects.filter(
            position__asset__in=assets, reference=f"transaction {transaction.pk}"
        )
        holding = column("position", lambda one: name_of_asset(one.position.asset))
        return [
            jobs_table("Mints", transaction.mints.select_related(CAUSED_BY), "instrument", "fill",
                       column("of", source_of)),
            table("Versions", Version, transaction.versions.order_by("pk"), "id", "created_at",
                  "transaction_hash", "max_fee", "deadline"),
            table("Entries", Entry, entries.select_related("position").order_by("pk"), "created_at",
                  "account", holding, "matched_change", "settled_change"),
        ]  # fmt: skip


def _question(text: str) -> str:
    return cut(text, LONGEST_QUESTION)


def _amounts(amounts: Mapping[str, Decimal]) -> str:
    lines = ((plain(amount), name_of_asset(asset)) for asset, amount in amounts.items())
    return format_html_join(", ", "{} {}", lines) or NOTHING


@admin.register(Resolution)
class ResolutionAdmin(Looking):
    """What the chain says of the markets whose tokens we hold."""

    list_display = ("market", "state", "first", "second", "checked_at", "condition_id")
    fields = (("market", "state"), ("first", "second"), "checked_at", "condition_id")
    list_filter = (("first_payout", admin.EmptyFieldListFilter),)
    search_fields = ("condition_id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the question, the latest look on top."""
        known = Instrument.objects.filter(condition_id=OuterRef("pk")).order_by("pk")
        question = Subquery(known.values("question")[:1])
        rows: QuerySet[Any] = super().get_queryset(request)
        named: QuerySet[Any] = rows.annotate(question=question).order_by("-checked_at")
        return named

    @display(description="market")
    def market(self, resolution: Any) -> str:
        """Its question."""
        return _question(resolution.question or resolution.condition_id)

    @display(description="state", ordering="first_payout")
    def state(self, resolution: Resolution) -> str:
        """Whether it is resolved."""
        return label("open" if resolution.first_payout is None else "resolved")

    @display(description="first outcome pays")
    def first(self, resolution: Resolution) -> str:
        """Per token, in collateral."""
        return number(resolution.first_payout)

    @display(description="second outcome pays")
    def second(self, resolution: Resolution) -> str:
        """Per token, in collateral."""
        return number(resolution.second_payout)

    def tables(self, resolution: Resolution) -> list[Table]:
        """Its redemptions."""
        condition = resolution.condition_id
        jobs = Mint.objects.filter(kind="redeem", instrument__condition_id=condition)
        return [jobs_table("Redemptions", jobs, "transaction", COST)]
