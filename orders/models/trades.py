"""What somebody wanted done: a trade of one to fifteen legs."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Q, Sum

from orders.models.instruments import SIDES, ZERO, Instrument
from polytrader.rows import ExactDecimalField, Row


class Trade(Row):
    """What somebody wanted done, in one to fifteen legs; a stop's exit has one leg.

    `max_slippage` is how far a retry's price may move from a leg's own limit.
    """

    purpose = models.CharField(max_length=20, choices=[("exit", "exit"), ("signal", "signal")])
    strategy = models.CharField(max_length=80, blank=True, default="")
    mint_after_sell = models.BooleanField(default=False)
    max_slippage = ExactDecimalField(null=True, blank=True)
    valid_until = models.DateTimeField(
        null=True, blank=True, help_text="what was not sent by then is not sent at all"
    )

    def __str__(self) -> str:
        return f"trade {self.pk}"


class Leg(Row):
    """One instrument of a trade: a quantity to be bought or sold until it is.

    `working` until everything is matched and settled; `done`; `cancelled` when a
    person or its expiry ended it; `failed` when the position manager gave it up.
    A leg without a `price` follows the market (an exit). Legs of another `role`
    than `wanted` were added by the position manager for the leg `of`.
    """

    STATES = ("working", "done", "cancelled", "failed")
    ROLES = ("wanted", "hedge", "unwind")
    moves = {
        "working": frozenset({"done", "cancelled", "failed"}),
        "failed": frozenset({"working"}),  # a person may have it tried again
    }

    trade = models.ForeignKey(Trade, on_delete=models.PROTECT, related_name="legs")
    role = models.CharField(max_length=10, default="wanted", choices=[(r, r) for r in ROLES])
    of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="remedies"
    )
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    side = models.CharField(max_length=4, choices=SIDES)
    quantity = ExactDecimalField()
    price = ExactDecimalField(null=True, blank=True)
    worst_price = ExactDecimalField(
        null=True, blank=True, help_text="how far an exit may follow the market"
    )
    order_type = models.CharField(max_length=4, default="FAK")
    post_only = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    status = models.CharField(max_length=10, default="working", choices=[(s, s) for s in STATES])
    reason = models.TextField(blank=True, default="")
    attempts = models.IntegerField(default=0)
    rejections = models.IntegerField(default=0)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["working", "done", "cancelled", "failed"]),
                name="a_leg_is_in_a_known_state",
            ),
            models.CheckConstraint(
                condition=Q(role="wanted") | Q(of__isnull=False),
                name="a_remedy_names_the_leg_it_is_for",
            ),
            models.UniqueConstraint(
                fields=["of", "instrument", "role"],
                condition=~Q(role="wanted"),
                name="one_remedy_of_a_kind_per_leg",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=Q(status="working"), name="legs_due"
            ),
            models.Index(fields=["trade"], condition=Q(status="failed"), name="legs_failed"),
        ]

    def __str__(self) -> str:
        return f"leg {self.pk}: {self.side} {self.quantity.normalize():f}"

    def matched_quantity(self) -> Decimal:
        """What has been matched and has not failed to settle."""
        return self._filled(Q(status__in=["matched", "confirmed"]))

    def settled_quantity(self) -> Decimal:
        """What is CONFIRMED."""
        return self._filled(Q(status="confirmed"))

    def _filled(self, condition: Q) -> Decimal:
        from orders.models.orders import Fill

        fills = Fill.objects.filter(condition, order__leg=self)
        return fills.aggregate(total=Sum("quantity"))["total"] or ZERO
