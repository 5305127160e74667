"""Orders, their fills, and what keeps them from being sent."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from orders.models.instruments import SIDES, ZERO, Instrument
from orders.models.trades import Leg
from polytrader.rows import ExactDecimalField, Row

LIVE_ORDER_STATES = ("planned", "sent", "open")


class OrderRows(models.QuerySet["Order"]):
    """Orders by what is to be done with them."""

    def live(self) -> OrderRows:
        """Those that may still take something from a position."""
        return self.filter(status__in=LIVE_ORDER_STATES)


class Order(Row):
    """One order of a leg: `planned -> sent -> open -> filled | cancelled | rejected`.

    `order_id` and `payload` (the signed bytes) are committed with `sent`, before
    anything goes out. `cancelled` with a matched quantity is a FAK whose rest was killed.
    """

    moves = {
        "planned": frozenset({"sent", "cancelled"}),
        "sent": frozenset({"open", "filled", "cancelled", "rejected"}),
        "open": frozenset({"filled", "cancelled"}),
    }
    STATES = ("planned", "sent", "open", "filled", "cancelled", "rejected")

    leg = models.ForeignKey(Leg, on_delete=models.PROTECT, related_name="orders")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    side = models.CharField(max_length=4, choices=SIDES)
    quantity = ExactDecimalField()
    price = ExactDecimalField()
    fee_per_unit = ExactDecimalField(
        default=ZERO, help_text="the most that a buy may pay per unit on top of its price"
    )
    order_type = models.CharField(max_length=4, default="FAK")
    post_only = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    status = models.CharField(max_length=10, default="planned", choices=[(s, s) for s in STATES])
    order_id = models.CharField(max_length=80, null=True, blank=True, unique=True)
    payload = models.TextField(blank=True, default="", editable=False)
    matched_quantity = ExactDecimalField(default=ZERO)
    venue_status = models.CharField(
        max_length=80, blank=True, default="", help_text="the venue's own word, last seen"
    )
    refusal = models.CharField(
        max_length=30, blank=True, default="", help_text="why the venue refused it, as a code"
    )
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    posts = models.IntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(
        null=True, blank=True, help_text="when the last post had ended, whatever came of it"
    )
    acknowledged_at = models.DateTimeField(
        null=True, blank=True, help_text="when the venue said that it has the order"
    )
    doubtful_until = models.DateTimeField(
        null=True, blank=True, help_text="until then an earlier post may still be carried out"
    )
    is_late = models.BooleanField(
        default=False, help_text="the venue took it after we had closed it; its trades are booked"
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    next_look_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")

    objects = OrderRows.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    status__in=["planned", "sent", "open", "filled", "cancelled", "rejected"]
                ),
                name="an_order_is_in_a_known_state",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["planned", "cancelled"])
                | (Q(order_id__isnull=False) & ~Q(payload="")),
                name="what_was_sent_has_its_id_and_bytes",
            ),
            models.UniqueConstraint(
                fields=["leg"],
                condition=Q(status__in=["planned", "sent", "open"]),
                name="one_open_order_per_leg",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gt=0, price__gt=0), name="an_order_has_quantity_and_price"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_look_at"],
                condition=Q(status__in=["planned", "sent", "open"]),
                name="orders_due",
            ),
            models.Index(
                fields=["next_look_at"], condition=Q(is_late=True), name="late_orders_due"
            ),
            models.Index(fields=["status", "-created_at"], name="orders_by_state"),
        ]

    def __str__(self) -> str:
        return f"order {self.pk} ({self.status})"


class Fill(Row):
    """Our part of one trade of the venue: `matched -> confirmed | failed`."""

    moves = {"matched": frozenset({"confirmed", "failed"})}

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    trade_id = models.CharField(max_length=80)
    quantity = ExactDecimalField()
    price = ExactDecimalField()
    fee = ExactDecimalField(default=ZERO)
    fee_asset = models.CharField(
        max_length=80, blank=True, default="", help_text="empty: the quote asset"
    )
    venue_status = models.CharField(
        max_length=20, blank=True, default="", help_text="the venue's own word, last seen"
    )
    status = models.CharField(
        max_length=10,
        default="matched",
        choices=[(s, s) for s in ("matched", "confirmed", "failed")],
    )
    transaction_hash = models.CharField(max_length=80, blank=True, default="")
    matched_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    next_look_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["matched", "confirmed", "failed"]),
                name="a_fill_is_in_a_known_state",
            ),
            models.UniqueConstraint(fields=["order", "trade_id"], name="a_trade_fills_once"),
        ]
        indexes = [
            models.Index(fields=["next_look_at"], condition=Q(status="matched"), name="fills_due")
        ]

    def __str__(self) -> str:
        return f"fill {self.trade_id}"


class ForeignOrder(Row):
    """An order of the wallet that rests at the venue and is not ours: placed by hand, say.

    It is shown and what it reserves is not sold twice; it is never touched.
    """

    order_id = models.CharField(max_length=80, unique=True)
    venue = models.CharField(max_length=20)
    symbol = models.CharField(max_length=80)
    asset = models.CharField(max_length=80, help_text="what it takes from", db_index=True)
    side = models.CharField(max_length=4, choices=SIDES)
    quantity = ExactDecimalField()
    matched_quantity = ExactDecimalField(default=ZERO)
    price = ExactDecimalField()
    reserved = ExactDecimalField(default=ZERO)
    closed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"order {self.order_id}"


class Halt(Row):
    """A stop of all sending, made by the system when it can no longer trust itself.

    While a halt is not lifted, no new order is sent; what is in flight is looked
    up as ever. A person lifts it in the admin.
    """

    reason = models.TextField()
    lifted_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.reason[:80]

    @classmethod
    def is_on(cls) -> bool:
        """Whether sending is halted now."""
        return cls.objects.filter(lifted_at__isnull=True).exists()
