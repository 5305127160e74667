"""Mint requests and the transactions that carry them out."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from minting.models import Mint, Transaction
from operations.admin.cells import counted
from operations.admin.looking import Looking, Table, table


@admin.register(Mint)
class MintAdmin(Looking):
    """Mint requests with their transaction and the sale that caused them."""

    list_display = (
        "id",
        "instrument",
        "status",
        "quantity",
        "fill",
        "transaction",
        "reason",
        "created_at",
    )
    list_filter = ("status", "instrument__venue")
    search_fields = ("instrument__symbol", "instrument__question", "transaction__transaction_hash")
    list_select_related = ("instrument", "transaction", "fill")
    actions = ("retry_mints",)

    @admin.action(description="Retry the selected mints")
    def retry_mints(self, request: HttpRequest, rows: QuerySet[Mint]) -> None:
        """Request failed ones again and make waiting ones due; what is sent stays as it is."""
        now = timezone.now()
        again = sum(
            mint.move("requested", next_attempt_at=now, transaction=None, closed_at=None)
            for mint in rows.filter(status__in=["failed", "delayed"])
        )
        messages.success(request, f"{counted(again, 'mint')} requested again")


@admin.register(Transaction)
class TransactionAdmin(Looking):
    """Splits on the chain, with the requests each carries out."""

    list_display = (
        "id",
        "status",
        "quantity",
        "transaction_hash",
        "wallet",
        "nonce",
        "submits",
        "reason",
        "created_at",
    )
    list_filter = ("status",)
    search_fields = ("wallet", "transaction_hash", "condition_id")

    def tables(self, transaction: Transaction) -> list[Table]:
        """The requests it carries out."""
        mints = transaction.mints.select_related("instrument", "fill").order_by("pk")
        return [
            table("Mints", Mint, mints, "instrument", "status", "quantity", "fill", "created_at")
        ]
