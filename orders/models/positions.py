"""What the wallet holds by our own book, and every change of it."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.utils import timezone

from orders.models.instruments import ZERO
from polytrader.rows import ExactDecimalField, Row


class Position(Row):
    """What the wallet holds of one asset, by our own book.

    `matched` counts every match, `settled` only what is CONFIRMED. Both change
    by entries alone; what open orders reserve is summed from the orders, so that
    it cannot go stale.
    """

    asset = models.CharField(max_length=80, unique=True)
    venue = models.CharField(max_length=20)
    matched = ExactDecimalField(default=ZERO)
    settled = ExactDecimalField(default=ZERO)
    venue_balance = ExactDecimalField(null=True, blank=True)
    compared_at = models.DateTimeField(null=True, blank=True)
    doubted_balance = ExactDecimalField(
        null=True, blank=True, help_text="a difference seen once, booked when it is seen again"
    )
    doubted_at = models.DateTimeField(null=True, blank=True)
    pending_transactions = models.IntegerField(
        default=0, help_text="chain transactions under way that will move it"
    )

    pending_outflow = ExactDecimalField(
        default=ZERO, help_text="what those transactions will take from it"
    )

    def __str__(self) -> str:
        return self.asset

    @property
    def held(self) -> Decimal:
        """What the wallet holds by our book, settled or settling."""
        return max(self.matched, self.settled)

    def reserved(self) -> Decimal:
        """What is taken already of it (`orders.reserving`, which says it of many at once)."""
        from orders import reserving

        return reserving.reserved([self])[self.asset]

    def sellable(self) -> Decimal:
        """The most a new order may take: min(matched, settled) - reserved, never negative."""
        from orders import reserving

        return reserving.sellable([self])[self.asset]


class Entry(models.Model):
    """One side of one change: of the wallet's position, or of the account that it comes from.

    `reference` names what caused it and is posted once. All entries of one
    posting, over all accounts, add up to nothing per asset: what the wallet gains,
    the venue, the fees, the chain or the outside lose.
    """

    ACCOUNTS = ("wallet", "venue", "fees", "chain", "outside")
    KINDS = ("opening", "outside", "hand", "match", "settle", "fail", "split", "merge", "redeem")

    position = models.ForeignKey(Position, on_delete=models.PROTECT, related_name="entries")
    account = models.CharField(
        max_length=10, default="wallet", choices=[(name, name) for name in ACCOUNTS]
    )
    kind = models.CharField(max_length=20, choices=[(kind, kind) for kind in KINDS])
    reference = models.CharField(max_length=200)
    matched_change = ExactDecimalField(default=ZERO)
    settled_change = ExactDecimalField(default=ZERO)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["position", "account", "kind", "reference"], name="an_entry_is_posted_once"
            )
        ]
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"
