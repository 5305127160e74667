"""The breaker: five failures open it, one probe after a minute, and never for an exit."""

import os
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from exchange.binance.client import Trouble as BinanceTrouble
from exchange.breaker import Breaker, is_rate_limit, verdict_on
from exchange.errors import OtherOrderId, OutcomeUnknown, Rejected, Unavailable
from exchange.polymarket.failures import Trouble, refusal
from exchange.sharing import Shared
from exchange.types import RejectionCode

AWAY = "redis://127.0.0.1:1/0"
LATER = 1000.5
"""When what was seen at 1000 is no longer believed unseen."""


@pytest.fixture(params=["redis", "away"])
def breaker(request):
    url = os.environ["REDIS_URL"] if request.param == "redis" else AWAY
    return Breaker(Shared(url), f"test:{uuid.uuid4()}:", "polymarket")


@pytest.fixture
def two():
    """The breaker as two processes see it."""
    prefix = f"test:{uuid.uuid4()}:"
    return [Breaker(Shared(os.environ["REDIS_URL"]), prefix, "polymarket") for _ in range(2)]


def fail(breaker: Breaker, times: int, now: float = 1000.0) -> None:
    for _ in range(times):
        breaker.note("failure", now=now)


def is_open(breaker: Breaker, now: float) -> bool:
    try:
        breaker.check(now=now)
    except Unavailable:
        return True
    return False


def test_four_failures_leave_it_closed_and_the_fifth_opens_it(breaker):
    fail(breaker, 4)
    breaker.check(now=LATER)
    fail(breaker, 1)
    with pytest.raises(Unavailable) as caught:
        breaker.check(now=1019.0)
    told = "the breaker of Polymarket is open after 5 failures; next try in 41 s"
    assert str(caught.value) == told
    assert caught.value.retry_after == 41
    assert breaker.look(1019.0).state(1019.0) == "open"


def test_a_success_between_failures_starts_the_count_anew(breaker):
    fail(breaker, 4)
    breaker.note("success", now=LATER)
    fail(breaker, 4, now=1001.0)
    breaker.check(now=1002.0)


def test_what_says_neither_changes_nothing(breaker):
    fail(breaker, 4)
    breaker.note("neither", now=LATER)
    fail(breaker, 1, now=LATER)
    assert is_open(breaker, LATER)


def test_an_exit_always_passes_and_its_success_closes(breaker):
    fail(breaker, 5)
    breaker.check(urgent=True, now=LATER)
    breaker.note("success", now=LATER)
    breaker.check(now=LATER)
    assert breaker.look(1002.0).state(1002.0) == "closed"


def test_exits_that_fail_while_it_is_open_do_not_put_the_probe_off(breaker):
    fail(breaker, 5)
    fail(breaker, 20, now=1050.0)
    assert is_open(breaker, 1059.0)
    breaker.check(now=1060.5)


def test_after_a_minute_one_may_probe_and_its_failure_opens_it_again(breaker):
    fail(breaker, 5)
    breaker.check(now=1061.0)
    assert breaker.look(1061.5).state(1061.5) == "half-open"
    assert is_open(breaker, 1062.0)
    fail(breaker, 1, now=1063.0)
    assert breaker.look(1064.0).state(1064.0) == "open"
    assert is_open(breaker, 1122.0)
    breaker.check(now=1124.0)


def test_a_probe_that_succeeds_closes_it(breaker):
    fail(breaker, 5)
    breaker.check(now=1061.0)
    breaker.note("success", now=1061.0)
    breaker.check(now=1062.0)
    fail(breaker, 4, now=1062.0)
    breaker.check(now=1063.0)


def test_a_probe_that_is_never_heard_of_again_is_followed_by_another(breaker):
    fail(breaker, 5)
    breaker.check(now=1061.0)
    assert is_open(breaker, 1120.0)
    breaker.check(now=1122.0)


def test_what_one_process_counts_the_other_obeys(two):
    one, other = two
    fail(one, 3)
    fail(other, 2)
    assert is_open(one, LATER)
    assert is_open(other, LATER)
    other.note("success", now=LATER)
    one.check(now=1001.0)


def test_one_success_anywhere_ends_the_row_of_failures(two):
    one, other = two
    other.check(now=999.0)
    fail(one, 4)
    other.note("success", now=LATER)
    fail(one, 1, now=1001.0)
    one.check(now=1002.0)


def test_many_at_once_send_one_probe():
    prefix = f"test:{uuid.uuid4()}:"
    url = os.environ["REDIS_URL"]
    breakers = [Breaker(Shared(url), prefix, "polymarket") for _ in range(8)]
    fail(breakers[0], 5)
    start = threading.Barrier(8)

    def probe(breaker: Breaker) -> bool:
        start.wait()
        return not is_open(breaker, 1061.0)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(probe, breakers)) == 1


def test_threads_without_redis_send_one_probe():
    breaker = Breaker(Shared(AWAY), "", "polymarket")
    fail(breaker, 5)
    start = threading.Barrier(8)

    def probe(_: int) -> bool:
        start.wait()
        return not is_open(breaker, 1061.0)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(probe, range(8))) == 1


def test_when_redis_goes_away_an_open_breaker_stays_open_and_a_success_closes_it():
    shared = Shared(os.environ["REDIS_URL"])
    breaker = Breaker(shared, f"test:{uuid.uuid4()}:", "polymarket")
    fail(breaker, 5)
    shared._client = Shared(AWAY)._client
    assert is_open(breaker, LATER)
    assert not breaker.is_shared
    breaker.note("success", now=LATER)
    breaker.check(now=1001.0)


def test_success_after_success_asks_redis_nothing():
    shared = Shared(os.environ["REDIS_URL"])
    breaker = Breaker(shared, f"test:{uuid.uuid4()}:", "polymarket")
    breaker.note("success", now=1000.0)
    shared._client = Shared(AWAY)._client
    breaker.check(now=1000.1)
    breaker.note("success", now=1000.1)
    assert breaker.is_shared


VERDICTS = [
    (Rejected(RejectionCode.UNMATCHED, "x"), "success"),
    (Rejected(RejectionCode.NOT_ALLOWED, "no key"), "neither"),
    (Unavailable("Polymarket: status 502: bad gateway"), "failure"),
    (Unavailable("Polymarket: no answer: ConnectError"), "failure"),
    (OutcomeUnknown("Polymarket: no answer: ReadTimeout"), "failure"),
    (OtherOrderId("0x1", "0x2"), "neither"),
    (Unavailable("x", retry_after=79), "neither"),
    (Trouble("service not ready", status=425).of_writing(), "neither"),
    (Trouble("slow down", status=429, is_json=True).of_writing(), "neither"),
    (Trouble("<html>", status=429).of_reading(), "neither"),
    (Trouble("<html>", status=503).of_writing(), "failure"),
    (refusal("post-only mode: only post-only orders and cancels are allowed"), "neither"),
    (refusal("order match delayed due to market conditions"), "neither"),
    (BinanceTrouble("too many", status=429, code=-1003).of_reading(), "neither"),
    (BinanceTrouble("timestamp", status=400, code=-1021).of_writing(), "neither"),
    (BinanceTrouble("no answer").of_reading(), "failure"),
]


@pytest.mark.parametrize(("error", "verdict"), VERDICTS, ids=lambda value: str(value)[:40])
def test_what_an_error_says_of_the_venue(error, verdict):
    assert verdict_on(error) == verdict


def test_only_the_venues_too_many_is_a_rate_limit():
    assert is_rate_limit(Trouble("slow down", status=429).of_writing())
    assert is_rate_limit(BinanceTrouble("banned", status=418).of_writing())
    assert not is_rate_limit(Unavailable("post-only mode", retry_after=79))
    assert not is_rate_limit(Trouble("x", status=502).of_reading())
