"""Whether armed stops protect: an instrument that has gone blind is told to a person, once."""

from typing import Final

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from orders.models import Instrument
from polytrader.alerts import raise_alert, resolve_alert
from polytrader.models import Alert
from trailing import watching
from trailing.models import STALE_AFTER, TrailingStop

KIND: Final = "stop_not_protected"


def tell_blind() -> int:
    """Raise an alert for each watched instrument that does not protect, resolve those that do again.

    Returns how many instruments are blind now.
    """
    blind = {_subject(instrument): why for instrument, why in _blind()}
    told = Alert.objects.filter(kind=KIND, resolved_at=None)
    open_subjects = set(told.values_list("subject", flat=True))
    for subject in blind.keys() - open_subjects:
        raise_alert(KIND, subject, f"its stops are armed but do not protect: {blind[subject]}")
    for subject in open_subjects - blind.keys():
        resolve_alert(KIND, subject, "its stops protect again, or there are none any more")
    return len(blind)


def _blind() -> list[tuple[Instrument, str]]:
    """Instruments with an active stop that some sweep must have reached, and why it cannot fire."""
    now = timezone.now()
    blind = {
        each.pk: (each, _why_blind(each))
        for each in Instrument.objects.filter(
            Q(accepting_orders=False)
            | Q(observed_at__isnull=True)
            | Q(observed_at__lt=now - STALE_AFTER),
            pk__in=watching.instrument_ids(),
            is_closed=False,
        )
    }
    if not blind:
        return []
    stops = TrailingStop.objects.filter(
        instrument=OuterRef("pk"), status="active", created_at__lt=now - STALE_AFTER
    )
    reached = Instrument.objects.filter(Exists(stops), pk__in=blind)
    return [blind[pk] for pk in reached.values_list("pk", flat=True)]


def _why_blind(instrument: Instrument) -> str:
    if not instrument.accepting_orders:
        return "the market takes no orders now"
    seen_at = instrument.observed_at
    if seen_at is None:
        return "no fresh price ever"
    return f"no fresh price for {(timezone.now() - seen_at).total_seconds():.0f} s"


def _subject(instrument: Instrument) -> str:
    return f"instrument {instrument.symbol}"
