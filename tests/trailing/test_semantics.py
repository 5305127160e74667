"""What a stop may have besides its trail: references, guards, levels, gaps, expiry, on the real rows."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.utils import timezone

from orders.models import Instrument, Order
from polytrader.models import Alert
from tests.rows import a_stop, an_instrument, moments, seen
from trailing import amending, ending, firing, monitor
from trailing.executable import Depth, executable_price
from trailing.maths import Trail
from trailing.models import TrailingStop
from trailing.tick import tick

pytestmark = pytest.mark.django_db

TEN_PERCENT = Trail.of_percent(Decimal(10))


def kinds(stop: TrailingStop) -> list[str]:
    return list(stop.events.order_by("pk").values_list("kind", flat=True))


def again(stop: TrailingStop) -> TrailingStop:
    return TrailingStop.objects.select_related("instrument", "watermark", "trade").get(pk=stop.pk)


def observe(instrument: Instrument, *prices: str, step: float = 0.001, **changes: object) -> None:
    """These prices in turn, the last one now, so many seconds apart."""
    now = timezone.now()
    for index, price in enumerate(prices):
        moment = now - timedelta(seconds=step * (len(prices) - 1 - index))
        tick([seen(instrument, price, moment, **changes)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reference", "side", "fires_at"),
    [
        ("bid", "sell", {"price": "0.45", "ask": "0.60"}),
        ("ask", "sell", {"price": "0.30", "ask": "0.45"}),
        ("mid", "sell", {"price": "0.40", "ask": "0.50"}),
        ("last", "sell", {"price": "0.60", "ask": "0.70", "last": "0.45"}),
        ("ask", "buy", {"price": "0.40", "ask": "0.55"}),
        ("bid", "buy", {"price": "0.55", "ask": "0.60"}),
        ("mid", "buy", {"price": "0.50", "ask": "0.60"}),
    ],
)
def test_each_reference_fires_at_its_own_price_boundary_included(reference, side, fires_at):
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50", side=side, reference=reference)
    early, late = moments(2)
    almost = {
        name: str(Decimal(value) + (Decimal("0.001") if side == "sell" else Decimal("-0.001")))
        for name, value in fires_at.items()
    }
    tick([seen(instrument, at=early, **almost)])
    assert again(stop).status == "active"
    tick([seen(instrument, at=late, **fires_at)])
    assert again(stop).status == "triggered"


def test_a_reference_that_is_not_there_leaves_the_stop_alone():
    instrument = an_instrument()
    by_mid = a_stop(instrument, TEN_PERCENT, "0.50", reference="mid")
    by_last = a_stop(instrument, TEN_PERCENT, "0.50", reference="last")
    tick([seen(instrument, "0.10", ask=None)])
    assert again(by_last).status == "active"
    assert again(by_mid).status == "triggered"  # without an ask given, `seen` mirrors the bid


def test_executable_is_what_the_own_quantity_would_get():
    book = [(Decimal("0.50"), Decimal(10)), (Decimal("0.40"), Decimal(90))]
    assert executable_price(book, Decimal(10)) == Decimal("0.50")
    assert executable_price(book, Decimal(100)) == Decimal("0.41")
    assert executable_price(book, Decimal(1000)) == Decimal("0.41")  # all there is
    assert executable_price([], Decimal(1)) is None


def test_a_large_stop_fires_in_a_thin_book_where_a_small_one_does_not():
    instrument = an_instrument()
    small = a_stop(instrument, TEN_PERCENT, "0.50", reference="executable", quantity="10")
    large = a_stop(instrument, TEN_PERCENT, "0.50", reference="executable", quantity="100")
    levels = ((Decimal("0.50"), Decimal(10)), (Decimal("0.40"), Decimal(90)))
    tick([seen(instrument, "0.50", ask="0.52", depth=Depth(levels, ()))])
    assert (again(small).status, again(large).status) == ("active", "triggered")
    assert again(large).triggered_by_price == Decimal("0.41")


def test_an_executable_stop_activates_and_ratchets_by_its_own_price():
    instrument = an_instrument()
    stop = a_stop(
        instrument, TEN_PERCENT, "0.50", reference="executable", quantity="20", activation="0.60"
    )
    first, second, third = moments(3)
    for moment, price in ((first, "0.60"), (second, "0.70")):
        depth = Depth(((Decimal(price), Decimal(100)),), ())
        tick([seen(instrument, price, moment, depth=depth)])
    assert (again(stop).status, again(stop).watermark_price) == ("active", Decimal("0.70"))
    tick([seen(instrument, "0.63", third, depth=Depth(((Decimal("0.63"), Decimal(100)),), ()))])
    assert again(stop).status == "triggered"


def test_one_print_does_not_fire_a_stop_that_wants_two():
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50", confirm_updates=2)
    observe(instrument, "0.40", "0.49")
    assert (again(stop).status, again(stop).breached_since) == ("active", None)
    assert kinds(stop) == ["breached", "recovered"]
    observe(instrument, "0.40", "0.41")
    assert again(stop).status == "triggered"
    assert kinds(stop) == ["breached", "recovered", "breached", "triggered"]


def test_the_same_book_again_is_no_second_update():
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50", confirm_updates=2)
    observe(instrument, "0.40", "0.40", "0.40")
    assert again(stop).status == "active"


def test_a_quiet_book_fires_by_the_clock():
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50", confirm_updates=2, confirm_ms=1000)
    observe(instrument, "0.40")
    with transaction.atomic():
        assert firing.judge_held(timezone.now()).count == 0
        fired = firing.judge_held(timezone.now() + timedelta(seconds=1))
    assert (fired.count, again(stop).status) == (1, "triggered")
    assert Order.objects.filter(pk__in=[o.pk for o in fired.orders]).count() == 1


def test_a_stale_price_fires_nothing_by_the_clock():
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50", confirm_updates=2, confirm_ms=1000)
    observe(instrument, "0.40")
    with transaction.atomic():
        assert firing.judge_held(timezone.now() + timedelta(minutes=1)).count == 0
    assert again(stop).status == "active"


def test_a_wide_quote_cannot_trigger_alone_and_never_ratchets_less():
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50", max_spread=Decimal("0.05"))
    tick([seen(instrument, "0.40", moments(3)[0], ask="0.60")])
    assert again(stop).status == "active"
    tick([seen(instrument, "0.60", moments(3)[1], ask="0.90")])
    assert again(stop).watermark_price == Decimal("0.60")
    tick([seen(instrument, "0.54", ask="0.56")])
    assert again(stop).status == "triggered"


def test_a_hard_floor_holds_from_the_start_and_asks_no_confirmation():
    instrument = an_instrument()
    options = {"confirm_updates": 5, "stop_price": Decimal("0.44")}
    waiting = a_stop(instrument, TEN_PERCENT, "0.50", activation="0.80", **options)
    armed = a_stop(instrument, Trail.of_percent(Decimal(50)), "0.50", **options)
    observe(instrument, "0.45")
    assert {again(waiting).status, again(armed).status} == {"pending_activation", "active"}
    observe(instrument, "0.44")
    for stop in (waiting, armed):
        stop = again(stop)
        assert (stop.status, stop.triggered_by) == ("triggered", "floor")
        assert stop.current_trigger_price == Decimal("0.44")


@pytest.mark.parametrize(
    ("side", "profit", "near"), [("sell", "0.70", "0.69"), ("buy", "0.30", "0.31")]
)
def test_a_take_profit_and_the_trail_cancel_each_other(side, profit, near):
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50", side=side, take_profit_price=Decimal(profit))
    observe(instrument, near)
    assert again(stop).status == "active"
    observe(instrument, profit, "0.10")
    stop = again(stop)
    assert (stop.status, stop.triggered_by) == ("triggered", "take_profit")
    assert Order.objects.filter(leg__trade=stop.trade).count() == 1
    assert kinds(stop) == ["triggered"]


@pytest.mark.parametrize(
    ("policy", "status", "kind"),
    [
        ("fire_if_still_breached", "active", "breached"),
        ("fire", "triggered", "triggered"),
        ("rearm", "active", "rearmed"),
        ("ask", "active", "asked"),
    ],
)
def test_a_price_that_passed_the_trigger_unwatched_is_for_the_gap_policy(policy, status, kind):
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50", confirm_updates=2, gap_policy=policy)
    now = timezone.now()
    Instrument.objects.filter(pk=instrument.pk).update(observed_at=now - timedelta(minutes=5))
    tick([seen(instrument, "0.40", now)])
    stop = again(stop)
    assert (stop.status, kinds(stop)) == (status, [kind])
    assert stop.watermark_price == Decimal("0.40" if policy == "rearm" else "0.50")


def test_a_stop_that_asks_fires_for_nobody_but_the_person():
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50", gap_policy="ask")
    old = timezone.now() - timedelta(minutes=5)
    Instrument.objects.filter(pk=instrument.pk).update(observed_at=old)
    observe(instrument, "0.40")
    observe(instrument, "0.30")
    stop = again(stop)
    assert (stop.status, stop.protection(timezone.now())[0]) == ("active", False)
    assert Alert.objects.get(kind="stop_asks").resolved_at is None
    fired = amending.answer(stop, "fire")
    stop = again(stop)
    assert (fired.count, stop.status, stop.triggered_by) == (1, "triggered", "person")
    assert Alert.objects.get(kind="stop_asks").resolved_at is not None


def test_an_expired_stop_neither_fires_nor_stays():
    instrument = an_instrument()
    stop = a_stop(instrument, TEN_PERCENT, "0.50", expires_at=timezone.now())
    observe(instrument, "0.40")
    assert again(stop).status == "active"
    assert ending.end_expired(timezone.now()) == 1
    stop = again(stop)
    assert (stop.status, stop.phase(timezone.now())) == ("cancelled", "expired")
    assert kinds(stop) == ["expired"]


def test_an_exit_never_goes_beyond_its_slippage():
    instrument = an_instrument()
    near = a_stop(instrument, TEN_PERCENT, "0.50", max_slippage=Decimal("0.02"))
    far = a_stop(instrument, TEN_PERCENT, "0.50", max_slippage=Decimal("0.02"))
    TrailingStop.objects.filter(pk=far.pk).update(trail_fraction=Decimal("0.04"))
    observe(instrument, "0.44")
    # T = 0.45: the sweep would go to 0.41, the slippage ends at 0.43
    assert Order.objects.get(leg__trade=again(near).trade).price == Decimal("0.43")
    # T = 0.48, at most down to 0.46, which 0.44 is beyond: it holds
    assert not Order.objects.filter(leg__trade=again(far).trade).exists()
    assert again(far).status == "triggered"


def test_a_sweep_judges_what_waits_and_ends_what_has_expired(monkeypatch: pytest.MonkeyPatch):
    instrument = an_instrument()
    waits = a_stop(instrument, TEN_PERCENT, "0.50", confirm_updates=2, confirm_ms=1)
    expired = a_stop(instrument, TEN_PERCENT, "0.50", expires_at=timezone.now())
    observe(instrument, "0.40")
    monkeypatch.setattr(monitor, "_answers", lambda *asked: iter(()))
    monkeypatch.setattr(monitor.sending, "send_at_once", lambda ids: None)
    monitor.sweep()
    assert (again(waits).status, again(expired).status) == ("triggered", "cancelled")
