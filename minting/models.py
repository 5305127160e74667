"""Mint requests and the transactions that carry them out."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from orders.models import Fill, Instrument
from polytrader.rows import ExactDecimalField, Row


class Transaction(Row):
    """One signed split of a wallet, committed with its nonce before it is sent.

    The same bytes may be sent again at any time; a new transaction for the same
    requests exists only once these can no longer execute.
    """

    moves = {"sent": frozenset({"confirmed", "failed"})}
    STATES = ("sent", "confirmed", "failed")

    wallet = models.CharField(max_length=42)
    nonce = models.BigIntegerField()
    deadline = models.DateTimeField()
    payload = models.TextField(editable=False)
    condition_id = models.CharField(max_length=66)
    quantity = ExactDecimalField()
    status = models.CharField(max_length=10, default="sent", choices=[(s, s) for s in STATES])
    transaction_id = models.CharField(max_length=80, blank=True, default="")
    transaction_hash = models.CharField(max_length=80, blank=True, default="")
    submits = models.IntegerField(default=0)
    next_look_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["sent", "confirmed", "failed"]),
                name="a_transaction_is_in_a_known_state",
            ),
            models.UniqueConstraint(
                fields=["wallet", "nonce"],
                condition=~Q(status="failed"),
                name="a_nonce_is_used_once",
            ),
            models.UniqueConstraint(
                fields=["wallet"],
                condition=Q(status="sent"),
                name="one_sent_transaction_per_wallet",
            ),
        ]

    def __str__(self) -> str:
        return f"split {self.pk} ({self.status})"


class Mint(Row):
    """A request for so many of both outcomes of a condition, because a sale was settled."""

    moves = {
        "requested": frozenset({"sent", "delayed", "failed"}),
        "delayed": frozenset({"requested", "sent", "failed"}),
        "sent": frozenset({"confirmed", "failed", "requested"}),
        "failed": frozenset({"requested"}),
    }
    STATES = ("requested", "delayed", "sent", "confirmed", "failed")

    fill = models.OneToOneField(Fill, null=True, blank=True, on_delete=models.PROTECT)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    quantity = ExactDecimalField()
    status = models.CharField(max_length=10, default="requested", choices=[(s, s) for s in STATES])
    transaction = models.ForeignKey(
        Transaction, null=True, blank=True, on_delete=models.PROTECT, related_name="mints"
    )
    reason = models.TextField(blank=True, default="")
    next_attempt_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["requested", "delayed", "sent", "confirmed", "failed"]),
                name="a_mint_is_in_a_known_state",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["sent", "confirmed"]) | Q(transaction__isnull=False),
                name="a_sent_mint_has_its_transaction",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gt=0), name="a_mint_has_a_positive_quantity"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(status__in=["requested", "delayed"]),
                name="mints_due",
            )
        ]

    def __str__(self) -> str:
        return f"mint {self.pk} ({self.status})"


class QueuePause(models.Model):
    """Whether a queue takes up new work; one row per queue, made when first asked."""

    queue = models.CharField(max_length=30, primary_key=True)
    is_paused = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.queue}: {'paused' if self.is_paused else 'running'}"
