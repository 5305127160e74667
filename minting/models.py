"""Jobs of the mint queue and the transactions that carry them out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from exchange.types import SignedTransaction
from orders.models import Fill, Instrument
from orders.models.instruments import ZERO
from polytrader.numbers import plain
from polytrader.rows import ExactDecimalField, Row

KINDS = ("split", "merge", "redeem")
CAUSES = ("sale", "hedge", "surplus", "resolved", "hand")
WAITING = ("requested", "delayed")


class Transaction(Row):
    """One transaction of the wallet, committed with its nonce and bytes before it is sent.

    The same bytes may be sent again at any time; a new transaction for the same
    jobs exists only once this one can no longer execute. `takes` and `brings` are what
    leaves the wallet and what must have arrived for it to count as confirmed, by asset.
    """

    moves = {"sent": frozenset({"confirmed", "failed"})}
    STATES = ("sent", "confirmed", "failed")

    kind = models.CharField(
        max_length=10, default="split", choices=[(kind, kind) for kind in (*KINDS, "approve")]
    )
    wallet = models.CharField(max_length=42)
    nonce = models.BigIntegerField()
    instrument = models.ForeignKey(Instrument, null=True, on_delete=models.PROTECT)
    condition_id = models.CharField(max_length=66)
    quantity = ExactDecimalField(help_text="of each outcome, or of collateral to approve")
    takes = models.JSONField(default=dict)
    brings = models.JSONField(default=dict)
    status = models.CharField(max_length=10, default="sent", choices=[(s, s) for s in STATES])
    transaction_id = models.CharField(max_length=80, blank=True, default="")
    transaction_hash = models.CharField(max_length=80, blank=True, default="")
    cost = ExactDecimalField(default=ZERO, help_text="what the wallet paid for gas, in POL")
    submits = models.IntegerField(default=0)
    doubts = models.IntegerField(
        default=0, help_text="submissions of which nobody said that they were not taken"
    )
    since_block = models.BigIntegerField(
        default=0, help_text="the chain's height when it was first signed"
    )
    doubted_at = models.DateTimeField(
        null=True, blank=True, help_text="since when what became of it is not clear"
    )
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
        return f"{self.kind} {self.pk} ({self.status})"

    def signed(self) -> list[SignedTransaction]:
        """All its versions, oldest first."""
        return [version.signed() for version in self.versions.order_by("pk")]

    def note_under_way(self, **changes: Any) -> None:
        """Write columns of a transaction that nobody has judged meanwhile."""
        changes = {"updated_at": timezone.now(), **changes}
        if Transaction.objects.filter(pk=self.pk, status="sent").update(**changes):
            for name, value in changes.items():
                setattr(self, name, value)

    def claim_look(self, until: datetime) -> bool:
        """Take the next look, if it is due and nobody else has; the one after is at `until`."""
        mine = Transaction.objects.filter(pk=self.pk, status="sent", next_look_at=self.next_look_at)
        is_due = self.next_look_at <= timezone.now()
        if not is_due or mine.update(next_look_at=until) == 0:
            return False
        self.next_look_at = until
        return True

    def taken(self) -> dict[str, Decimal]:
        """What it takes from the wallet, by asset."""
        return _amounts(self.takes)

    def brought(self) -> dict[str, Decimal]:
        """What it brings, by asset."""
        return _amounts(self.brings)


class Version(models.Model):
    """One signed form of a transaction.

    A replacement for higher fees has the nonce of the one it replaces, so of all
    versions at most one executes; each is committed before it is sent.
    """

    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT, related_name="versions")
    payload = models.TextField(editable=False)
    transaction_hash = models.CharField(max_length=80, blank=True, default="")
    deadline = models.DateTimeField(null=True, blank=True)
    max_fee = ExactDecimalField(default=ZERO, help_text="the most it may cost, in POL")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"version {self.pk} of {self.transaction_id}"

    def signed(self) -> SignedTransaction:
        """The bytes as the adapter takes them."""
        return SignedTransaction(
            wallet=self.transaction.wallet,
            nonce=self.transaction.nonce,
            payload=self.payload,
            transaction_hash=self.transaction_hash,
            deadline=self.deadline,
            max_fee=self.max_fee,
            since_block=self.transaction.since_block,
        )


class Mint(Row):
    """A job of the mint queue: split, merge or redeem so many of both outcomes of a condition.

    A job larger than one transaction may carry goes out in parts: `sent_quantity` is what
    the transaction under way carries of it, `done_quantity` what earlier ones have done.
    """

    moves = {
        "requested": frozenset({"sent", "delayed", "failed"}),
        "delayed": frozenset({"requested", "sent", "failed"}),
        "sent": frozenset({"confirmed", "failed", "requested", "delayed"}),
        "failed": frozenset({"requested"}),
    }
    STATES = ("requested", "delayed", "sent", "confirmed", "failed")

    kind = models.CharField(
        max_length=10, default="split", choices=[(kind, kind) for kind in KINDS]
    )
    cause = models.CharField(max_length=10, default="hand", choices=[(one, one) for one in CAUSES])
    fill = models.OneToOneField(Fill, null=True, blank=True, on_delete=models.PROTECT)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    quantity = ExactDecimalField()
    sent_quantity = ExactDecimalField(default=ZERO)
    done_quantity = ExactDecimalField(default=ZERO)
    status = models.CharField(max_length=10, default="requested", choices=[(s, s) for s in STATES])
    transaction = models.ForeignKey(
        Transaction, null=True, blank=True, on_delete=models.PROTECT, related_name="mints"
    )
    reason = models.TextField(blank=True, default="")
    asked_at = models.DateTimeField(default=timezone.now, help_text="when its expiry begins to run")
    next_attempt_at = models.DateTimeField(default=timezone.now)
    put_off = models.IntegerField(default=0, help_text="how often in a row it was put off")
    reverts = models.IntegerField(default=0, help_text="transactions that failed on the chain")
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
            models.CheckConstraint(
                condition=Q(quantity__gte=F("done_quantity") + F("sent_quantity")),
                name="a_mint_does_no_more_than_asked",
            ),
            models.UniqueConstraint(
                fields=["instrument", "cause"],
                condition=Q(
                    status__in=["requested", "delayed", "sent"], cause__in=["surplus", "resolved"]
                ),
                name="one_open_job_of_its_own_accord",
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
        return f"{self.kind} job {self.pk} ({self.status})"

    @property
    def left(self) -> Decimal:
        """What is still to be done and not under way."""
        return self.quantity - self.done_quantity - self.sent_quantity


class Resolution(models.Model):
    """What the chain says of a condition whose tokens we hold; payouts once it is resolved."""

    condition_id = models.CharField(max_length=66, primary_key=True)
    checked_at = models.DateTimeField()
    first_payout = ExactDecimalField(null=True, blank=True)
    second_payout = ExactDecimalField(null=True, blank=True)

    def __str__(self) -> str:
        if self.first_payout is None:
            return f"{self.condition_id}: open"
        pays = [plain(payout or ZERO) for payout in (self.first_payout, self.second_payout)]
        return f"{self.condition_id}: pays {' and '.join(pays)}"


class QueuePause(models.Model):
    """Whether a queue takes up new work; one row per queue, made when first asked."""

    queue = models.CharField(max_length=30, primary_key=True)
    is_paused = models.BooleanField(default=False)
    paused_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.queue}: {'paused' if self.is_paused else 'running'}"


def as_json(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    """Amounts by asset as they are kept: exact, as text."""
    return {asset: f"{amount:f}" for asset, amount in amounts.items()}


def _amounts(kept: Mapping[str, str]) -> dict[str, Decimal]:
    return {asset: Decimal(text) for asset, text in kept.items()}
