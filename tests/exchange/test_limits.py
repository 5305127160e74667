"""The limiter: the venue's limits, shared by processes through Redis, by one's own count without."""

import multiprocessing
import os
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.guarded import Guarded
from exchange.limits import Bucket, Charge, Limiter, binance, polymarket, window
from exchange.sharing import Shared

AWAY = "redis://127.0.0.1:1/0"
SIGNER = Bucket("signer", 40, 60)
ONE = {"post": (Charge(SIGNER, 0, 1),)}


def a_prefix() -> str:
    return f"test:{uuid.uuid4()}:"


@pytest.fixture(params=["redis", "away"])
def shared(request):
    return Shared(os.environ["REDIS_URL"] if request.param == "redis" else AWAY)


def test_the_burst_passes_at_once_and_the_next_waits_for_one_to_leak(shared):
    limiter = Limiter(shared, a_prefix(), ONE)
    assert [limiter.take("post", now=100.0) for _ in range(60)] == [0] * 60
    wait = limiter.take("post", now=100.0)
    assert wait == pytest.approx(1 / 40)
    assert limiter.take("post", now=100 + wait) == 0
    assert limiter.take("post", now=100 + wait) > 0


def test_a_batch_costs_its_size_and_takes_nothing_when_it_must_wait(shared):
    limiter = Limiter(shared, a_prefix(), ONE)
    assert limiter.take("post", 50, now=100.0) == 0
    assert limiter.take("post", 15, now=100.0) == pytest.approx(5 / 40)
    assert limiter.take("post", 10, now=100.0) == 0


def test_a_batch_larger_than_the_burst_passes_when_the_bucket_is_empty(shared):
    limiter = Limiter(shared, a_prefix(), ONE)
    assert limiter.take("post", 80, now=100.0) == 0
    assert limiter.take("post", 1, now=100.0) == pytest.approx(21 / 40)


def test_an_urgent_call_is_granted_and_makes_the_others_wait_but_not_for_ever(shared):
    limiter = Limiter(shared, a_prefix(), ONE)
    for _ in range(500):
        assert limiter.take("post", urgent=True, now=100.0) == 0
    assert limiter.take("post", now=100.0) == pytest.approx(61 / 40)


def test_a_call_that_waits_for_one_bucket_takes_from_none(shared):
    narrow, wide = Bucket("narrow", 1, 1), Bucket("wide", 1, 5)
    operations = {
        "both": (Charge(wide, 1), Charge(narrow, 1)),
        "wide": (Charge(wide, 0, 1),),
    }
    limiter = Limiter(shared, a_prefix(), operations)
    assert limiter.take("both", now=100.0) == 0
    assert limiter.take("both", now=100.0) == pytest.approx(1)
    assert limiter.take("wide", 4, now=100.0) == 0


def test_after_a_429_only_the_urgent_pass_until_the_time_is_up(shared):
    limiter = Limiter(shared, a_prefix(), polymarket(40, 60))
    limiter.hold("post", 7, now=100.0)
    assert limiter.take("post", now=100.0) == pytest.approx(7)
    assert limiter.take("post", urgent=True, now=100.0) == 0
    assert limiter.take("post", now=104.0) > 3
    assert limiter.take("find_order", now=104.0) == 0
    assert limiter.take("post", now=108.0) == 0


def test_a_shorter_hold_does_not_end_a_longer_one(shared):
    limiter = Limiter(shared, a_prefix(), ONE)
    limiter.hold("post", 10, now=100.0)
    limiter.hold("post", 1, now=100.0)
    assert limiter.take("post", now=100.0) == pytest.approx(10)


def test_a_clock_that_is_set_back_does_not_empty_or_fill_a_bucket(shared):
    limiter = Limiter(shared, a_prefix(), ONE)
    limiter.take("post", 60, now=100.0)
    assert limiter.take("post", now=50.0) == pytest.approx(1 / 40)


@given(st.lists(st.tuples(st.floats(0, 4), st.integers(1, 20)), max_size=60))
def test_no_window_ever_sees_more_than_its_limit(calls):
    limiter = Limiter(Shared(AWAY), "", {"ask": (Charge(window("books", 100, 10), 0, 1),)})
    now, granted = 0.0, []
    for pause, cost in calls:
        now += pause
        if limiter.take("ask", cost, now=now) == 0:
            granted.append((now, cost))
    for end, _ in granted:
        assert sum(cost for at, cost in granted if end - 10 < at <= end) <= 100


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 40), st.booleans()), max_size=30))
def test_both_counts_say_the_same(calls):
    own = Limiter(Shared(AWAY), "", ONE)
    ours = Limiter(Shared(os.environ["REDIS_URL"]), a_prefix(), ONE)
    now = 1_700_000_000.0
    for pause, cost, urgent in calls:
        now += pause
        expected = own.take("post", cost, urgent=urgent, now=now)
        found = ours.take("post", cost, urgent=urgent, now=now)
        assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("operations", [polymarket(40, 60), binance()])
def test_a_bucket_of_one_name_is_the_same_everywhere_and_admits_a_single_call(operations):
    named: dict[str, Bucket] = {}
    for charges in operations.values():
        for charge in charges:
            assert named.setdefault(charge.bucket.name, charge.bucket) == charge.bucket
            assert charge.fixed + charge.each <= charge.bucket.burst


def test_orders_of_one_signer_count_alone_and_in_batches():
    limiter = Limiter(Shared(AWAY), "", polymarket(40, 60))
    assert limiter.take("post_many", 15, now=100.0) == 0
    assert limiter.take("post_many", 15, now=100.0) == 0
    assert sum(limiter.take("post", now=100.0) == 0 for _ in range(50)) == 30
    assert limiter.take("cancel_many", 120, now=100.0) == 0
    assert limiter.take("cancel", now=100.0) == pytest.approx(1 / 80)


def test_threads_share_the_bucket_to_the_last_drop(shared):
    limiter = Limiter(shared, a_prefix(), ONE)
    start = threading.Barrier(8)

    def ask(_: int) -> int:
        start.wait()
        return sum(limiter.take("post", now=100.0) == 0 for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 60


def _take_many(prefix: str, granted: object) -> None:
    limiter = Limiter(Shared(os.environ["REDIS_URL"]), prefix, ONE)
    granted.put(sum(limiter.take("post", now=100.0) == 0 for _ in range(40)))


def test_processes_share_the_bucket_to_the_last_drop():
    context = multiprocessing.get_context("fork")
    granted, prefix = context.Queue(), a_prefix()
    processes = [context.Process(target=_take_many, args=(prefix, granted)) for _ in range(4)]
    for process in processes:
        process.start()
    assert sum(granted.get(timeout=60) for _ in processes) == 60
    for process in processes:
        process.join()


def test_when_redis_goes_away_what_this_process_took_still_counts():
    shared = Shared(os.environ["REDIS_URL"])
    limiter = Limiter(shared, a_prefix(), ONE)
    assert sum(limiter.take("post") == 0 for _ in range(55)) == 55
    shared._client = Shared(AWAY)._client
    assert limiter.take("post", 40) > 0
    assert shared.is_away


def test_a_redis_that_is_away_is_left_alone_for_a_moment():
    shared = Shared(AWAY)
    limiter = Limiter(shared, a_prefix(), ONE)
    limiter.take("post")
    shared._client = Shared(os.environ["REDIS_URL"])._client
    limiter.take("post")
    assert shared.is_away
    assert shared._failed_at is not None
    shared._failed_at -= 2
    limiter.take("post", urgent=True)
    assert shared.is_away
    limiter.take("post")
    assert not shared.is_away


def test_a_redis_that_has_forgotten_the_script_is_told_it_again():
    shared, prefix = Shared(os.environ["REDIS_URL"]), a_prefix()
    limiter = Limiter(shared, prefix, ONE)
    limiter.take("post", 60, now=100.0)
    shared._client.get().script_flush()
    assert limiter.take("post", now=100.0) > 0
    assert not shared.is_away


@pytest.mark.parametrize("operations", [polymarket(40, 60), binance()])
def test_every_call_that_a_guarded_venue_admits_has_its_cost(operations):
    uncounted = {"sign", "log_in"}
    calls = {name for name in vars(Guarded) if not name.startswith("_")} - {"largest_batch"}
    assert calls - uncounted == set(operations)
