"""Instruments, positions with their entries, trades, legs, orders and fills."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Q, Sum
from django.utils import timezone

from polytrader.rows import ExactDecimalField, Row

SIDES = [("sell", "sell"), ("buy", "buy")]
ZERO = Decimal(0)


class Instrument(Row):
    """An outcome token or a spot symbol, with the last prices anyone evaluated.

    `observed_at` is the clock of the tick: an observation must be younger to
    be evaluated, so that late prices cannot act.
    """

    symbol = models.CharField(max_length=80, unique=True)
    venue = models.CharField(max_length=20)
    base_asset = models.CharField(max_length=80)
    quote_asset = models.CharField(max_length=80)
    tick_size = ExactDecimalField()
    min_quantity = ExactDecimalField()
    quantity_step = ExactDecimalField()
    condition_id = models.CharField(max_length=66, blank=True, default="", db_index=True)
    complement = models.CharField(max_length=80, blank=True, default="")
    outcome = models.CharField(max_length=80, blank=True, default="")
    question = models.TextField(blank=True, default="")
    neg_risk = models.BooleanField(default=False)
    fee_rate = ExactDecimalField(default=ZERO)
    fee_exponent = models.IntegerField(default=0)
    accepting_orders = models.BooleanField(default=True)
    is_closed = models.BooleanField(default=False)
    bid = ExactDecimalField(null=True, blank=True)
    ask = ExactDecimalField(null=True, blank=True)
    observed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        if self.question:
            return f"{self.question} [{self.outcome}]"
        return self.symbol

    def price_for(self, side: str) -> Decimal | None:
        """The price a stop of this side refers to: best bid for sells, best ask for buys."""
        return self.bid if side == "sell" else self.ask


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

    def reserved(self) -> Decimal:
        """What planned, sent and open orders may still take from this asset."""
        sells = Order.objects.live().filter(side="sell", instrument__base_asset=self.asset)
        buys = Order.objects.live().filter(side="buy", instrument__quote_asset=self.asset)
        sold = sells.aggregate(total=Sum(F("quantity") - F("matched_quantity")))["total"]
        spent = buys.aggregate(total=Sum((F("quantity") - F("matched_quantity")) * F("price")))
        return (sold or ZERO) + (spent["total"] or ZERO) + self.pending_outflow

    def sellable(self) -> Decimal:
        """The most a new order may take: min(matched, settled) - reserved, never negative."""
        return max(ZERO, min(self.matched, self.settled) - self.reserved())


class Entry(models.Model):
    """One change of a position, posted once: `reference` names what caused it."""

    KINDS = [(kind, kind) for kind in ("opening", "outside", "match", "settle", "fail", "split")]

    position = models.ForeignKey(Position, on_delete=models.PROTECT, related_name="entries")
    kind = models.CharField(max_length=20, choices=KINDS)
    reference = models.CharField(max_length=160)
    matched_change = ExactDecimalField(default=ZERO)
    settled_change = ExactDecimalField(default=ZERO)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["position", "kind", "reference"], name="an_entry_is_posted_once"
            )
        ]
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class Trade(Row):
    """What somebody wanted done, in one to fifteen legs; a stop's exit has one leg."""

    purpose = models.CharField(max_length=20, choices=[("exit", "exit")])
    strategy = models.CharField(max_length=80, blank=True, default="")
    mint_after_sell = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"trade {self.pk}"


class Leg(Row):
    """One instrument of a trade: a quantity to be bought or sold until it is.

    `working` until everything is sold and settled; `done`; `failed` when the
    retries are used up, the market is closed, or nothing is held.
    """

    moves = {"working": frozenset({"done", "failed"})}

    trade = models.ForeignKey(Trade, on_delete=models.PROTECT, related_name="legs")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    side = models.CharField(max_length=4, choices=SIDES)
    quantity = ExactDecimalField()
    status = models.CharField(
        max_length=10, default="working", choices=[(s, s) for s in ("working", "done", "failed")]
    )
    reason = models.TextField(blank=True, default="")
    attempts = models.IntegerField(default=0)
    rejections = models.IntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["working", "done", "failed"]),
                name="a_leg_is_in_a_known_state",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(status="working"), name="legs_due")
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
        fills = Fill.objects.filter(condition, order__leg=self)
        return fills.aggregate(total=Sum("quantity"))["total"] or ZERO


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
    order_type = models.CharField(max_length=4, default="FAK")
    status = models.CharField(max_length=10, default="planned", choices=[(s, s) for s in STATES])
    order_id = models.CharField(max_length=80, null=True, blank=True, unique=True)
    payload = models.TextField(blank=True, default="", editable=False)
    matched_quantity = ExactDecimalField(default=ZERO)
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
