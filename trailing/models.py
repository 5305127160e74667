"""Trailing stops, the watermarks they share, and what happened to each."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from orders.models import LIVE_ORDER_STATES, SIDES, Instrument, Leg, Trade
from orders.reasons import HELD_AT_LIMIT
from polytrader.rows import ExactDecimalField, Row
from trailing.guards import GAP_POLICIES, Breach, GapPolicy, Guard
from trailing.maths import Side, Trail, trigger_price

STALE_AFTER = timedelta(seconds=10)
"""A price older than this protects nobody (BEHAVIOUR 1.7, polled prices)."""


FASTEST_CLOCK = timedelta(seconds=2)


def is_fresh(observed_at: datetime | None, now: datetime) -> bool:
    """Whether a price of that moment still protects; one from the future is of a wrong clock."""
    return observed_at is not None and now - STALE_AFTER <= observed_at <= now + FASTEST_CLOCK


CAUSES = ("trail", "floor", "take_profit", "person")
REFERENCES = ("bid", "ask", "mid", "last", "executable")
"""What a stop may refer to; `executable` depends on its own quantity."""

WHOLE_BOOK = ("last", "executable")
"""References that best prices do not tell: the book is asked for, with its last trade."""


class Watermark(models.Model):
    """The best price that any number of stops of one instrument, side and reference have seen.

    Stops that have seen the same best price share it from then on for ever, so
    a new price moves one row, however many stops point to it. A stop of the reference
    `executable` shares its own with nobody.
    """

    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    side = models.CharField(max_length=4, choices=SIDES)
    reference = models.CharField(max_length=10, default="bid", choices=[(r, r) for r in REFERENCES])
    price = ExactDecimalField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [
            # Not the price: it moves all the time, and a row no index sees moves in its page.
            models.Index(fields=["instrument", "side", "reference"], name="watermarks_of_a_market")
        ]
        constraints = [
            models.CheckConstraint(condition=Q(price__gt=0), name="a_watermark_is_a_price")
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.price.normalize():f}"

    @classmethod
    def at(cls, stop: TrailingStop, price: Decimal) -> Watermark:
        """The watermark of exactly this price for a stop: shared, or made."""
        columns = {
            "instrument_id": stop.instrument_id,
            "side": stop.side,
            "reference": stop.reference,
            "price": price,
        }
        shared = None
        if stop.reference != "executable":
            shared = cls.objects.filter(**columns).first()
        return shared or cls.objects.create(**columns)


class Ratchet(models.Model):
    """Where a watermark stood at a moment, at most once a minute: what a chart needs.

    It names the watermark by number: it stays when that is merged or deleted, so that an
    ended stop can still be looked at (`history.py`).
    """

    watermark_number = models.BigIntegerField()
    price = ExactDecimalField()
    at = models.DateTimeField()
    continued_as = models.BigIntegerField(
        null=True, blank=True, help_text="the watermark it was merged into then"
    )

    class Meta:
        indexes = [
            models.Index(fields=["watermark_number", "at"], name="ratchets_of_a_watermark"),
            models.Index(fields=["at"], name="ratchets_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.price.normalize():f}"


UNNOTED = Q(status="active", followed_number__isnull=True)
"""Stops of which it is not noted yet whose history is theirs: a tick has activated them."""

_LIVE = Q(status__in=["pending_activation", "active"])


class StopQuery(models.QuerySet["TrailingStop"]):
    """Questions about many stops."""

    def live(self) -> StopQuery:
        """Those that prices still matter to."""
        return self.filter(_LIVE)


class TrailingStop(Row):
    """A stop that follows the best price at a distance and sells (or buys) when it is reached.

    While it lives, its watermark is the shared row; when it ends, watermark and
    trigger price are copied into it, since the shared row moves on.
    """

    moves = {
        "pending_activation": frozenset({"active", "triggered", "cancelled", "error"}),
        "active": frozenset({"triggered", "cancelled", "error"}),
        "triggered": frozenset({"error"}),
    }
    STATES = ("pending_activation", "active", "triggered", "error", "cancelled")
    objects = StopQuery.as_manager()

    state_key = models.CharField(max_length=60, unique=True)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    side = models.CharField(max_length=4, choices=SIDES)
    status = models.CharField(max_length=20, choices=[(s, s) for s in STATES])
    quantity = ExactDecimalField(null=True, blank=True, help_text="empty: all that is held")
    trailing_percent = ExactDecimalField(null=True, blank=True)
    trail_fraction = ExactDecimalField(null=True, blank=True)
    trail_amount = ExactDecimalField(null=True, blank=True)
    trailing_ticks = models.IntegerField(null=True, blank=True)
    reference = models.CharField(max_length=10, default="bid", choices=[(r, r) for r in REFERENCES])
    entry_price = ExactDecimalField()
    activation_price = ExactDecimalField(null=True, blank=True)
    stop_price = ExactDecimalField(null=True, blank=True, help_text="the hard floor (of a sell)")
    take_profit_price = ExactDecimalField(null=True, blank=True)
    confirm_updates = models.IntegerField(null=True, blank=True)
    confirm_ms = models.IntegerField(null=True, blank=True)
    max_spread = ExactDecimalField(null=True, blank=True)
    max_slippage = ExactDecimalField(null=True, blank=True)
    gap_policy = models.CharField(
        max_length=30, default="fire_if_still_breached", choices=[(p, p) for p in GAP_POLICIES]
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    breached_since = models.DateTimeField(null=True, blank=True)
    breach_updates = models.IntegerField(default=0)
    asking_since = models.DateTimeField(null=True, blank=True)
    is_live = models.GeneratedField(
        expression=Q(status__in=["pending_activation", "active"]),  # type: ignore[arg-type]
        output_field=models.BooleanField(),
        db_persist=True,
    )
    is_pending = models.GeneratedField(
        expression=Q(status="pending_activation"),  # type: ignore[arg-type]
        output_field=models.BooleanField(),
        db_persist=True,
    )
    watermark = models.ForeignKey(Watermark, null=True, blank=True, on_delete=models.PROTECT)
    followed_number = models.BigIntegerField(
        null=True, blank=True, help_text="the watermark it began with, whose history is its own"
    )
    final_watermark_price = ExactDecimalField(null=True, blank=True)
    final_trigger_price = ExactDecimalField(null=True, blank=True)
    triggered_at = models.DateTimeField(null=True, blank=True)
    triggered_by_price = ExactDecimalField(null=True, blank=True)
    triggered_by = models.CharField(
        max_length=20, blank=True, default="", choices=[(c, c) for c in CAUSES]
    )
    resumes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="resumed_by"
    )
    trade = models.OneToOneField(Trade, null=True, blank=True, on_delete=models.PROTECT)
    strategy = models.CharField(max_length=80, blank=True, default="")
    mint_after_sell = models.BooleanField(default=False)
    error_message = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    status__in=["pending_activation", "active", "triggered", "error", "cancelled"]
                ),
                name="a_stop_is_in_a_known_state",
            ),
            models.CheckConstraint(
                condition=Q(trail_fraction__isnull=False, trail_amount__isnull=True)
                | Q(trail_fraction__isnull=True, trail_amount__isnull=False),
                name="a_trail_is_a_fraction_or_an_amount",
            ),
            models.CheckConstraint(
                condition=Q(trail_fraction__isnull=True)
                | Q(trail_fraction__gt=0, trail_fraction__lt=1),
                name="a_trail_fraction_lies_between_0_and_1",
            ),
            models.CheckConstraint(
                condition=~Q(status="active") | Q(watermark__isnull=False),
                name="an_active_stop_has_a_watermark",
            ),
            models.CheckConstraint(
                condition=~Q(status="pending_activation") | Q(activation_price__isnull=False),
                name="a_pending_stop_has_an_activation_price",
            ),
            models.CheckConstraint(
                condition=~Q(status="triggered")
                | Q(trade__isnull=False, triggered_at__isnull=False),
                name="a_triggered_stop_has_its_trade",
            ),
            models.CheckConstraint(
                condition=Q(quantity__isnull=True) | Q(quantity__gt=0),
                name="a_stop_has_a_positive_quantity",
            ),
        ]
        indexes = [
            # The tick probes by expressions and conditions that no other index has, so that the
            # planner cannot choose one that reads all stops of a watermark or an instrument.
            models.Index(
                F("watermark_id") + 0,
                "trail_fraction",
                condition=Q(trail_fraction__isnull=False),
                name="stops_by_fraction",
            ),
            models.Index(
                F("watermark_id") + 0,
                "trail_amount",
                condition=Q(trail_amount__isnull=False),
                name="stops_by_amount",
            ),
            models.Index(
                F("instrument_id") + 0,
                "side",
                "activation_price",
                condition=Q(is_pending=True),
                name="stops_by_activation",
            ),
            models.Index(
                F("instrument_id") + 0,
                "side",
                "stop_price",
                condition=Q(is_live=True, stop_price__isnull=False),
                name="stops_by_floor",
            ),
            models.Index(
                F("instrument_id") + 0,
                "side",
                "take_profit_price",
                condition=Q(is_live=True, take_profit_price__isnull=False),
                name="stops_by_take_profit",
            ),
            models.Index(
                F("instrument_id") + 0,
                condition=Q(is_live=True, breached_since__isnull=False),
                name="stops_in_breach",
            ),
            models.Index(
                fields=["instrument"],
                condition=_LIVE & Q(reference="executable"),
                name="stops_by_depth",
            ),
            models.Index(
                fields=["instrument"],
                condition=_LIVE & Q(reference="last"),
                name="stops_by_last_trade",
            ),
            models.Index(
                fields=["instrument", "confirm_updates"],
                condition=_LIVE & Q(confirm_updates__gt=2),
                name="stops_by_confirmation",
            ),
            models.Index(fields=["id"], condition=UNNOTED, name="stops_to_note"),
            models.Index(
                fields=["instrument", "max_spread"],
                condition=_LIVE & Q(max_spread__isnull=False),
                name="stops_by_spread",
            ),
            models.Index(
                fields=["expires_at"],
                condition=_LIVE & Q(expires_at__isnull=False),
                name="stops_by_expiry",
            ),
            models.Index(
                fields=["instrument"],
                condition=Q(status__in=["pending_activation", "active"]),
                name="stops_watched",
            ),
            models.Index(fields=["status", "-created_at"], name="stops_by_state"),
            models.Index(fields=["-created_at"], name="stops_by_age"),
        ]

    def __str__(self) -> str:
        return self.state_key

    @property
    def trail(self) -> Trail:
        """The distance rule as the arithmetic wants it."""
        return Trail(fraction=self.trail_fraction, amount=self.trail_amount)

    @property
    def guard(self) -> Guard:
        """What may hold its trigger back."""
        return Guard(
            self.confirm_updates,
            None if self.confirm_ms is None else timedelta(milliseconds=self.confirm_ms),
            self.max_spread,
            cast(GapPolicy, self.gap_policy),
        )

    @property
    def breach(self) -> Breach | None:
        """Since when its price has been beyond the trigger, if it is."""
        if self.breached_since is None:
            return None
        return Breach(self.breached_since, self.breach_updates)

    def move(self, to: str, **changes: Any) -> bool:
        """The same; with another watermark its history begins there."""
        return super().move(to, **_with_history(changes))

    def note(self, **changes: Any) -> None:
        """The same; with another watermark its history begins there."""
        super().note(**_with_history(changes))

    def worst_price(self, trigger: Decimal) -> Decimal | None:
        """How far its exit may go from the trigger; `None`: as far as the market."""
        if self.max_slippage is None:
            return None
        return trigger - self.max_slippage if self.side == "sell" else trigger + self.max_slippage

    @property
    def watermark_price(self) -> Decimal:
        """The best price seen; while pending, the entry price."""
        if self.final_watermark_price is not None:
            return self.final_watermark_price
        return self.watermark.price if self.watermark is not None else self.entry_price

    @property
    def current_trigger_price(self) -> Decimal:
        """The price that triggers now, or the one that did."""
        if self.final_trigger_price is not None:
            return self.final_trigger_price
        return trigger_price(cast(Side, self.side), self.watermark_price, self.trail)

    @property
    def last_price(self) -> Decimal | None:
        """The price it refers to, as last seen."""
        return self.instrument.price_of(self.reference, self.side)

    @property
    def is_watched(self) -> bool:
        """Whether prices still matter to it."""
        return self.status in ("pending_activation", "active")

    def protection(self, now: datetime) -> tuple[bool, str]:
        """Say whether the stop protects at this moment, and why not in words."""
        if self.status == "pending_activation":
            return False, "waiting for its activation price"
        if self.status != "active":
            return False, f"the stop is {self.status}"
        if not self.instrument.accepting_orders:
            return False, "the market takes no orders now; it goes on when it does"
        if not is_fresh(self.instrument.observed_at, now):
            return False, "no fresh price from the venue; it goes on by itself when prices return"
        if self.asking_since is not None:
            return False, "the price passed the trigger unwatched; it waits for your decision"
        if self.last_price is None:
            return False, f"there is no {self.reference} price now; it goes on when there is one"
        return True, ""

    def phase(self, now: datetime) -> str:
        """Refine the status: watching, suspended, exiting, retrying, exited, ..."""
        if self.status == "pending_activation":
            return "waiting"
        if self.status == "active":
            return "watching" if self.protection(now)[0] else "suspended"
        if self.status == "triggered" and self.trade is not None:
            return _exit_phase(self.trade)
        if self.status == "cancelled" and self.expires_at and self.updated_at >= self.expires_at:
            return "expired"
        return self.status


def _with_history(changes: dict[str, Any]) -> dict[str, Any]:
    mark = changes.get("watermark")
    return changes if mark is None else {**changes, "followed_number": mark.pk}


def _exit_phase(trade: Trade) -> str:
    legs = list(trade.legs.all())
    if all(leg.status == "done" for leg in legs):
        return "exited"
    if any(leg.status == "working" and leg.reason.startswith(HELD_AT_LIMIT) for leg in legs):
        return "held"
    return "retrying" if any(_is_troubled(leg) for leg in legs) else "exiting"


def _is_troubled(leg: Leg) -> bool:
    """Whether its latest order was refused, or has to say why it is still under way."""
    latest = max(leg.orders.all(), key=lambda order: order.pk, default=None)
    if latest is None:
        return False
    return latest.status == "rejected" or bool(latest.reason and latest.status in LIVE_ORDER_STATES)


class StopEvent(models.Model):
    """One decision about one stop, with the price that caused it."""

    stop = models.ForeignKey(TrailingStop, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(max_length=30)
    price = ExactDecimalField(null=True, blank=True)
    trigger_price = ExactDecimalField(null=True, blank=True)
    text = models.TextField(blank=True, default="")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["stop", "id"], name="events_of_a_stop")]
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.text}"
