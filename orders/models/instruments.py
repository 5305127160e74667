"""What is traded, and where: instruments and the venues' own state."""

from __future__ import annotations

from decimal import Decimal

from django.db import models

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
    neg_risk_id = models.CharField(max_length=66, blank=True, default="")
    fee_rate = ExactDecimalField(default=ZERO)
    fee_exponent = models.IntegerField(default=0)
    accepting_orders = models.BooleanField(default=True)
    is_closed = models.BooleanField(default=False)
    bid = ExactDecimalField(null=True, blank=True)
    ask = ExactDecimalField(null=True, blank=True)
    last = ExactDecimalField(null=True, blank=True)
    observed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        if self.question:
            return f"{self.question} [{self.outcome}]"
        return self.symbol

    @property
    def spread(self) -> Decimal | None:
        """Between the best prices; `None` when a side is empty."""
        return None if self.bid is None or self.ask is None else self.ask - self.bid

    def price_of(self, reference: str, side: str) -> Decimal | None:
        """The price a stop refers to; of `executable`, which depends on a quantity, the best one."""
        if reference == "mid":
            return None if self.bid is None or self.ask is None else (self.bid + self.ask) / 2
        if reference == "last":
            return self.last
        if reference == "executable":
            reference = "bid" if side == "sell" else "ask"
        return self.bid if reference == "bid" else self.ask


class VenueState(models.Model):
    """What we know of a venue as a whole: when our book last agreed with it, and its clock."""

    venue = models.CharField(max_length=20, primary_key=True)
    reconciled_at = models.DateTimeField(
        null=True, blank=True, help_text="when everything in flight was last looked up there"
    )
    listed_at = models.DateTimeField(
        null=True, blank=True, help_text="up to when its list of our trades has been read"
    )
    clock_offset = models.DurationField(
        null=True, blank=True, help_text="the venue's clock less ours"
    )
    clock_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")

    def __str__(self) -> str:
        return self.venue
