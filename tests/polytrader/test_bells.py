"""Bells: rung with our broker from any process; a broker that is away costs next to nothing."""

import time

import pytest
from celery.exceptions import OperationalError

from celery_app import app
from polytrader import bells


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bells, "_silent_until", 0.0)


def test_a_bell_goes_to_our_broker(monkeypatch: pytest.MonkeyPatch):
    with app.connection_for_write() as connection:
        queue = connection.SimpleQueue("test-bells")
        bells._ring("orders.sweep", "test-bells")
        message = queue.get(timeout=5)
        assert message.headers["task"] == "orders.sweep"
        message.ack()


def test_after_a_failed_ring_there_is_silence_for_a_moment(monkeypatch: pytest.MonkeyPatch):
    rung: list[str] = []

    def fail(task: str, **_: object) -> None:
        rung.append(task)
        raise OperationalError

    monkeypatch.setattr(app, "send_task", fail)
    for _ in range(3):
        bells._ring("orders.sweep", "orders")
    assert rung == ["orders.sweep"]
    monkeypatch.setattr(bells, "_silent_until", time.monotonic() - 1)
    bells._ring("orders.sweep", "orders")
    assert len(rung) == 2


def test_a_ring_without_a_broker_does_not_try_again_and_again():
    """Kombu's own intervals are 2 and 4 seconds, on the way of an order."""
    options = app.conf.broker_transport_options
    assert (options["max_retries"], options["interval_start"]) == (0, 0)
