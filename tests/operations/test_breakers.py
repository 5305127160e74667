"""The breakers in the queue status: what all processes share, or this one's own."""

import dataclasses
import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from exchange.guarded import breaker_of, namespace
from exchange.sharing import Shared
from operations.status import BREAKERS
from tests.rows import Api

AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture
def prefix(settings: Any) -> str:
    """What this test's installation calls its breakers."""
    port = random.randint(100_000, 10**9)
    settings.CONFIGURATION = dataclasses.replace(settings.CONFIGURATION, paper_port=port)
    return namespace("paper", port)


def told(api: Api) -> Any:
    return api.get("/api/queue-status").json()["breakers"]


def test_breakers_that_never_failed_are_closed(api: Api, prefix: str):
    closed = {"state": "closed", "failures": 0, "openUntil": None, "source": "redis"}
    assert told(api) == dict.fromkeys(BREAKERS, closed)


def test_what_another_process_counted_is_shown(api: Api, prefix: str, settings: Any):
    from exchange.breaker import Breaker

    other = Breaker(Shared(settings.REDIS_URL), f"{prefix}polymarket:", "polymarket")
    for _ in range(6):
        other.note("failure")
    shown = told(api)["polymarket"]
    assert (shown["state"], shown["failures"], shown["source"]) == ("open", 6, "redis")
    until = datetime.fromisoformat(shown["openUntil"]) - timezone.now()
    assert timedelta(seconds=30) < until <= timedelta(seconds=61)
    assert told(api)["binance"]["state"] == "closed"


def test_without_redis_it_is_this_processs_own_and_says_so(api: Api, prefix: str, settings: Any):
    settings.REDIS_URL = AWAY
    for _ in range(5):
        breaker_of("polymarket", AWAY, prefix).note("failure")
    shown = told(api)["polymarket"]
    assert (shown["state"], shown["failures"], shown["source"]) == ("open", 5, "this process")
