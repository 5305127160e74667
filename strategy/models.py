"""Signals, the position manager's jobs and every decision it took."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from orders.models import Leg, Trade
from polytrader.rows import Row


class Signal(Row):
    """What somebody outside asked to be traded, as it came; a dry run has no trade."""

    strategy = models.CharField(max_length=80, blank=True, default="")
    body = models.JSONField(help_text="the request as it was read")
    is_dry_run = models.BooleanField(default=False)
    trade = models.OneToOneField(Trade, null=True, blank=True, on_delete=models.PROTECT)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(is_dry_run=True, trade__isnull=True)
                | Q(is_dry_run=False, trade__isnull=False),
                name="only_a_dry_run_has_no_trade",
            )
        ]
        indexes = [models.Index(fields=["-created_at"], name="signals_by_age")]

    def __str__(self) -> str:
        return f"signal {self.pk}"


class PositionJob(Row):
    """One trade to be looked after: made with it, or by hand; due again until it has ended.

    `failed` says that a leg was given up; its reason says which.
    """

    STATES = ("waiting", "active", "delayed", "completed", "failed")
    moves = {
        "waiting": frozenset({"active"}),
        "delayed": frozenset({"active", "waiting"}),
        "active": frozenset({"active", "delayed", "completed", "failed"}),
        "failed": frozenset({"waiting"}),
    }

    trade = models.ForeignKey(Trade, on_delete=models.PROTECT, related_name="jobs")
    is_by_hand = models.BooleanField(default=False)
    original_orders = models.JSONField(default=list, blank=True)
    status = models.CharField(max_length=10, default="waiting", choices=[(s, s) for s in STATES])
    runs = models.IntegerField(default=0)
    next_run_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "active", "delayed", "completed", "failed"]),
                name="a_job_is_in_a_known_state",
            ),
            models.UniqueConstraint(
                fields=["trade"],
                condition=Q(is_by_hand=False),
                name="one_job_of_its_own_per_trade",
            ),
            models.UniqueConstraint(
                fields=["trade"],
                condition=Q(is_by_hand=True, status__in=["waiting", "active", "delayed"]),
                name="one_open_job_by_hand_per_trade",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_run_at"],
                condition=Q(status__in=["waiting", "active", "delayed"]),
                name="jobs_due",
            )
        ]

    def __str__(self) -> str:
        return f"job {self.pk} for trade {self.trade_id}"


class Decision(models.Model):
    """One decision about a leg, with all that it was taken from; taken `count` times in a row."""

    leg = models.ForeignKey(Leg, on_delete=models.CASCADE, related_name="decisions")
    kind = models.CharField(max_length=10)
    reason = models.TextField(blank=True, default="")
    inputs = models.JSONField(help_text="the leg, its market, the other legs and the limits")
    outcome = models.JSONField(help_text="quantity, price and wait of the decision")
    count = models.IntegerField(default=1)
    at = models.DateTimeField(default=timezone.now)
    last_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["leg", "-id"], name="decisions_of_a_leg")]

    def __str__(self) -> str:
        return f"{self.kind} {self.reason}"
