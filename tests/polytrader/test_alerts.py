"""Alerts: one open row per kind and subject, in the caller's transaction."""

import threading
from decimal import Decimal

import pytest
from django.db import close_old_connections, connection, transaction
from django.utils import timezone

from polytrader.alerts import KINDS, raise_alert, resolve_alert
from polytrader.models import Alert


@pytest.mark.parametrize("kind", KINDS)
def test_an_alert_of_every_kind_is_a_row_that_is_due(db, kind):
    pk = raise_alert(kind, "order 12", "what happened", price=Decimal("0.48"), order=12)
    alert = Alert.objects.get(pk=pk)
    assert (alert.kind, alert.subject, alert.text) == (kind, "order 12", "what happened")
    assert alert.details == {"price": "0.48", "order": 12}
    assert (alert.count, alert.attempts, alert.resolved_at) == (1, 0, None)
    assert alert.next_attempt_at <= timezone.now()


def test_a_repeat_is_counted_with_the_new_text_and_not_delivered_again(db):
    first = raise_alert("exit_held", "stop 1", "held at 0.48")
    Alert.objects.update(next_attempt_at=None, delivered_at=timezone.now())
    assert raise_alert("exit_held", "stop 1", "held at 0.47", price="0.47") == first
    alert = Alert.objects.get()
    assert (alert.count, alert.text, alert.details) == (2, "held at 0.47", {"price": "0.47"})
    assert alert.last_at > alert.raised_at
    assert alert.next_attempt_at is None


def test_another_subject_or_kind_is_another_alert(db):
    raise_alert("exit_held", "stop 1", "")
    raise_alert("exit_held", "stop 2", "")
    raise_alert("leg_given_up", "stop 1", "")
    assert Alert.objects.count() == 3


def test_a_resolved_alert_is_due_again_and_the_next_one_is_new(db):
    first = raise_alert("clock_skew", "polymarket", "3 s behind")
    Alert.objects.update(next_attempt_at=None, delivered_at=timezone.now())
    assert resolve_alert("clock_skew", "polymarket", "0.1 s behind")
    alert = Alert.objects.get(pk=first)
    assert alert.resolved_at is not None
    assert alert.next_attempt_at is not None
    assert (alert.text, alert.resolution) == ("3 s behind", "0.1 s behind")
    assert not resolve_alert("clock_skew", "polymarket")
    assert raise_alert("clock_skew", "polymarket", "4 s behind") != first


def test_resolving_leaves_an_undelivered_alert_due_when_it_was(db):
    raise_alert("clock_skew", "polymarket", "3 s behind")
    due = Alert.objects.get().next_attempt_at
    resolve_alert("clock_skew", "polymarket")
    assert Alert.objects.get().next_attempt_at == due


def test_an_alert_of_a_transaction_that_fails_was_never_raised(transactional_db):
    with transaction.atomic():
        raise_alert("exit_held", "stop 1", "")
        transaction.set_rollback(True)
    assert not Alert.objects.exists()


def test_whatever_a_venue_says_can_be_stored(db):
    raise_alert("unknown_order", "x" * 500, "nul \0 and long " + "y" * 5000, said="\0", by=object())
    alert = Alert.objects.get()
    assert len(alert.subject) == 200
    assert "nul  and" in alert.text
    assert resolve_alert("unknown_order", "x" * 500)


def test_many_at_once_open_one_alert(transactional_db):
    start = threading.Barrier(6)

    def raise_it() -> None:
        start.wait()
        raise_alert("outside_movement", "asset 1", "moved")
        close_old_connections()
        connection.close()

    threads = [threading.Thread(target=raise_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Alert.objects.get().count == 6
