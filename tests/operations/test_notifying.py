"""Telling a webhook of alerts: signed, once, in order, again until taken."""

import dataclasses
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from operations import notifying
from polytrader.alerts import raise_alert, resolve_alert
from polytrader.models import Alert
from tests.exchange.stub import Answer, Asked, Reset, Stub, serving

SECRET = "a secret of some length"
HOOK = ("POST", "/hook")


@pytest.fixture
def hook(settings: Any, transactional_db: None) -> Iterator[Stub]:
    """Somebody's server that takes alerts; this process is told of it."""
    with serving() as stub:
        stub.on(*HOOK, {})
        settings.CONFIGURATION = told(f"{stub.url}/hook?key=hunter2")
        yield stub


def told(url: str | None) -> Any:
    return dataclasses.replace(
        django_settings.CONFIGURATION, webhook_url=url, webhook_secret=url and SECRET
    )


def deliveries(stub: Stub) -> list[str]:
    return [asked.headers["Polytrader-Delivery"] for asked in stub.of(*HOOK)]


def make_due() -> None:
    """Let the time pass until the next attempt."""
    Alert.objects.exclude(next_attempt_at=None).update(next_attempt_at=timezone.now())


def test_an_alert_arrives_with_all_of_it_and_a_signature_that_can_be_checked(hook):
    pk = raise_alert("exit_held", "stop 7", "held at 0.48", price="0.48")
    raise_alert("exit_held", "stop 7", "held at 0.47", price="0.47")
    assert notifying.deliver_due() == 1
    (asked,) = hook.of(*HOOK)
    body = asked.json
    assert {name: body[name] for name in ("id", "event", "kind", "subject", "text", "count")} == {
        "id": pk,
        "event": "raised",
        "kind": "exit_held",
        "subject": "stop 7",
        "text": "held at 0.47",
        "count": 2,
    }
    assert (body["details"], body["resolvedAt"]) == ({"price": "0.47"}, None)
    assert body["raisedAt"].endswith("Z")
    assert (body["version"], body["exchange"]) == (django_settings.VERSION, "paper")
    assert is_signed(asked)
    assert not is_signed(dataclasses.replace(asked, body=asked.body + b" "))
    alert = Alert.objects.get()
    assert alert.delivered_at is not None
    assert (alert.next_attempt_at, alert.last_error) == (None, "")


def is_signed(asked: Asked) -> bool:
    """As a receiver would check it."""
    parts = dict(part.split("=") for part in asked.headers["Polytrader-Signature"].split(","))
    signed = f"{parts['t']}.".encode() + asked.body
    return hmac.compare_digest(
        hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest(), parts["v1"]
    )


def test_what_was_delivered_is_not_delivered_again_and_a_repeat_neither(hook):
    raise_alert("exit_held", "stop 7", "held")
    notifying.deliver_due()
    raise_alert("exit_held", "stop 7", "still held")
    assert notifying.deliver_due() == 0
    assert len(deliveries(hook)) == 1


def test_errors_are_tried_again_later_until_it_is_taken(hook):
    pk = raise_alert("exit_held", "stop 7", "held")
    answers = iter([Answer({}, 500), Answer({}, 503), Answer({}, 204)])
    hook.on(*HOOK, lambda _: next(answers))
    for attempts, error in ((1, "status 500"), (2, "status 503")):
        assert notifying.deliver_due() == 0
        alert = Alert.objects.get()
        assert (alert.attempts, alert.last_error) == (attempts, error)
        assert alert.next_attempt_at > timezone.now() - timedelta(seconds=1)
        make_due()
    assert notifying.deliver_due() == 1
    assert deliveries(hook) == [f"{pk}-raised"] * 3


def test_what_is_resolved_before_it_was_delivered_is_told_in_order(hook):
    pk = raise_alert("exit_held", "stop 7", "held")
    resolve_alert("exit_held", "stop 7", "sold")
    assert notifying.deliver_due() == 2
    assert deliveries(hook) == [f"{pk}-raised", f"{pk}-resolved"]
    body = hook.of(*HOOK)[1].json
    assert (body["event"], body["resolution"]) == ("resolved", "sold")
    assert body["resolvedAt"] is not None
    assert notifying.deliver_due() == 0


def test_what_is_resolved_while_it_is_being_delivered_is_told_afterwards(hook):
    pk = raise_alert("exit_held", "stop 7", "held")

    def resolve_meanwhile(_: Asked) -> Answer:
        resolve_alert("exit_held", "stop 7")
        connection.close()
        return Answer({})

    hook.on(*HOOK, resolve_meanwhile)
    assert notifying.deliver_due() == 2
    assert deliveries(hook) == [f"{pk}-raised", f"{pk}-resolved"]


def test_two_deliverers_at_once_deliver_once(hook):
    pks = [raise_alert("exit_held", f"stop {number}", "held") for number in range(6)]
    start = threading.Barrier(3)

    def deliver() -> None:
        start.wait()
        notifying.deliver_due()
        connection.close()

    threads = [threading.Thread(target=deliver) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(deliveries(hook)) == sorted(f"{pk}-raised" for pk in pks)


def test_a_deliverer_that_died_is_followed_by_another(hook):
    raise_alert("exit_held", "stop 7", "held")
    notifying._claim(timezone.now())
    assert notifying.deliver_due() == 0
    Alert.objects.update(next_attempt_at=timezone.now())
    assert notifying.deliver_due() == 1


def test_a_redirect_is_not_followed(hook):
    raise_alert("exit_held", "stop 7", "held")
    hook.on(*HOOK, Answer({}, 302, headers={"Location": f"{hook.url}/elsewhere"}))
    notifying.deliver_due()
    assert Alert.objects.get().last_error == "status 302"
    assert len(hook.asked) == 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/hunter2", "http://[::1", "http://h:99999/hunter2", "http://é..x/"]
)
def test_a_broken_address_ends_no_loop_and_is_shown_nowhere(db, settings, capsys, url):
    settings.CONFIGURATION = told(url)
    raise_alert("exit_held", "stop 7", "held")
    assert notifying.deliver_due() == 0
    alert = Alert.objects.get()
    assert alert.last_error != ""
    assert alert.delivered_at is None
    shown = alert.last_error + "".join(capsys.readouterr())
    assert "hunter2" not in shown
    assert SECRET not in shown


def test_a_connection_that_breaks_is_tried_again(hook):
    raise_alert("exit_held", "stop 7", "held")
    hook.on(*HOOK, Reset)
    assert notifying.deliver_due() == 0
    hook.on(*HOOK, {})
    make_due()
    assert notifying.deliver_due() == 1


def test_after_a_day_it_rests_with_the_reason_and_its_resolving_is_told(hook):
    pk = raise_alert("exit_held", "stop 7", "held")
    hook.on(*HOOK, Answer({}, 500))
    notifying.deliver_due()
    Alert.objects.update(
        raised_at=timezone.now() - timedelta(hours=25), next_attempt_at=timezone.now()
    )
    assert notifying.deliver_due() == 0
    alert = Alert.objects.get()
    assert (alert.next_attempt_at, alert.delivered_at) == (None, None)
    assert alert.last_error == "given up after 24 h: status 500"
    hook.on(*HOOK, {})
    resolve_alert("exit_held", "stop 7")
    assert notifying.deliver_due() == 1
    assert deliveries(hook)[-1] == f"{pk}-resolved"


def test_one_that_is_not_taken_leaves_the_others_to_the_next_round(hook):
    first = raise_alert("exit_held", "stop 7", "held")
    other = raise_alert("exit_held", "stop 8", "held")
    hook.on(*HOOK, lambda asked: Answer({}, 500 if json.loads(asked.body)["id"] == first else 200))
    assert notifying.deliver_due() == 0
    assert notifying.deliver_due() == 1
    assert Alert.objects.get(pk=other).delivered_at is not None


def test_without_a_webhook_alerts_are_rows_and_nothing_fails(db, settings):
    settings.CONFIGURATION = told(None)
    raise_alert("exit_held", "stop 7", "held")
    notifying.notify()
    assert Alert.objects.get().attempts == 0


def test_the_task_delivers_and_a_second_round_of_the_same_process_steps_back(hook):
    from operations.tasks import notify

    raise_alert("exit_held", "stop 7", "held")
    with notifying._busy:
        notify()
    assert deliveries(hook) == []
    notify()
    assert len(deliveries(hook)) == 1


@pytest.mark.parametrize(
    ("attempts", "longest"), [(1, 1), (2, 2), (5, 16), (10, 512), (11, 600), (2000, 600)]
)
def test_the_wait_doubles_to_ten_minutes_and_chance_takes_up_to_a_quarter(attempts, longest):
    assert notifying.wait_after(attempts, 0) == timedelta(seconds=longest)
    assert notifying.wait_after(attempts, 1) == timedelta(seconds=longest * 0.75)
