"""How jobs of the mint queue and what they cost read on the pages of others."""

from typing import Any

from django.db.models import QuerySet
from django.utils.html import format_html

from minting.models import Mint, Transaction
from minting.showing import explorer_url
from operations.admin.cells import NOTHING, column
from operations.admin.looking import Table, table
from polytrader.numbers import plain


def cost_of(transaction: Transaction | None) -> str:
    """What the wallet paid for the gas of a transaction that has ended."""
    if transaction is None or transaction.status == "sent":
        return NOTHING
    text = f"{plain(transaction.cost)} POL"
    return format_html('<span class="whitespace-nowrap">{}</span>', text)


def link_to_explorer(transaction: Transaction | None) -> str:
    """Lead to the public chain's page of a transaction, where it has one."""
    url = None if transaction is None else explorer_url(transaction.transaction_hash)
    if url is None:
        return NOTHING
    return format_html(
        '<a href="{}" target="_blank" rel="noopener" class="text-primary-600">polygonscan</a>', url
    )


COST = column("cost", lambda job: cost_of(job.transaction))


def jobs_table(title: str, jobs: QuerySet[Mint], *columns: Any) -> Table:
    """Jobs with these columns between what they are and what became of them."""
    rows = jobs.select_related("instrument", "transaction", "fill").order_by("pk")
    return table(
        title, Mint, rows, "kind", "status", "quantity", *columns, "created_at", "closed_at",
        "reason",
    )  # fmt: skip
