"""What lies underneath is killed, emptied, doubled or away while everything is under way.

After each: no intent lost, no order twice, our book equal to the exchange's to the last unit.
"""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
import redis

from tests.system.installation import eventually
from tests.system.test_faults import Exit
from tests.system.traffic import Signal, Traffic, seconds_to_the_venue, total_sold
from tests.system.truth import assert_books_agree, assert_nothing_came_from_outside, last_entry

pytestmark = pytest.mark.timeout(300)

AT_THE_VENUE_WITHIN = 10.0
"""Seconds from a price to its exit with Redis away: 5 are promised, on a machine that has time."""


def is_ready(system):
    return system.readiness()[0] == 200


@pytest.mark.parametrize(
    ("how", "seconds"),
    [
        ("held_down", 12),
        pytest.param("held_down", 60, marks=pytest.mark.slow),
        pytest.param("frozen", 60, marks=pytest.mark.slow),
    ],
)
def test_with_redis_away_exits_are_at_the_venue_within_seconds(
    system, how, seconds, record_property
):
    entry = last_entry(system)
    exits = [Exit(system, number) for number in range(3 if seconds < 60 else 5)]
    every = seconds / len(exits)
    bought = Signal(system, 5, "buy", "20", "0.5")
    system.put_book(bought.token, "0.48", "0.5")
    took = []
    with getattr(system, how)("redis"):
        began = time.monotonic()
        eventually("503 with the reason", lambda: "broker" in system.readiness()[1], 15)
        bought.post()  # 201, and at the venue
        assert bought.leg()["orders"][0]["acknowledgedAt"]
        late = Exit(system, 5)  # 201
        for number, exit_ in enumerate([*exits, late]):
            time.sleep(max(0.0, began + number * every - time.monotonic()))
            took.append(seconds_to_the_venue(exit_))
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        status, said = system.readiness()
        assert (status, "broker" in said) == (503, True), said
    told = ", ".join(f"{wait:.1f}" for wait in took)
    print(f"\nredis {how} for {seconds} s: exits at the venue {told} s after the price")
    record_property("seconds_to_the_venue", told)
    assert max(took) < AT_THE_VENUE_WITHIN
    eventually("ready again by itself", lambda: is_ready(system), 60)
    for exit_ in (*exits, late):
        system.until_stop(exit_.key, "sold", lambda s: s["settledQuantity"] == "10", 60)
    bought.until("done", phase="done", settledQuantity="20")
    ledger = assert_books_agree(system, 60)
    assert total_sold([*exits, late], ledger) == 10 * len(took)
    assert_nothing_came_from_outside(system, entry)


@pytest.mark.slow
def test_a_broker_that_forgets_all_the_time_and_dies_loses_nothing(system):
    traffic = Traffic(system)
    with forgetting(system):
        traffic.fire()
        traffic.take()
        system.kill_and_see_it_return("redis")
    traffic.assert_each_once()
    for role in ("worker", "monitor", "minter"):  # by its bells, not only by what needs none
        last = beats(system, role)
        eventually(f"the {role} is rung", lambda r=role, a=last: beats(system, r) > a, 40)


@contextmanager
def forgetting(system):
    """FLUSHALL, again and again."""
    over = threading.Event()

    def flush():
        while not over.wait(0.05):
            with suppress(redis.RedisError, OSError):
                system.redis().flushall()

    with ThreadPoolExecutor(1) as pool:
        flushing = pool.submit(flush)
        try:
            yield
        finally:
            over.set()
        flushing.result()


def beats(system, role):
    statement = "SELECT max(at) AS at FROM polytrader_heartbeat WHERE role = %s"
    return system.rows(statement, role)[0]["at"]


def test_every_message_three_times_to_two_of_each_process_does_everything_once(system):
    with system.beside("beat", "worker", "monitor", "minter") as second:
        for pid in (second[role] for role in ("worker", "monitor", "minter")):
            eventually("the second one works", lambda p=pid: works(system, p), 90)
        traffic = Traffic(system)
        with three_times(system, [traffic.resting.trade]):
            traffic.fire()
            traffic.take()
            eventually("everything was sent", lambda: all_sent(traffic), 60)
        with three_times(system, [one.trade for one in traffic.signals]):
            ledger = traffic.assert_each_once()
    posts = {order["id"]: order["posts"] for order in ledger["orders"]}
    for exit_ in traffic.exits:
        (order,) = system.stop_of(exit_.key)["orders"]
        assert posts[order["orderId"]] == 1
    for one in traffic.signals:
        jobs = system.get(f"/strategy/trades/{one.trade}")["jobs"]
        assert len([job for job in jobs if not job["byHand"]]) <= 1
        eventually(
            "its jobs end",
            lambda t=one.trade: (
                {job["status"] for job in system.get(f"/strategy/trades/{t}")["jobs"]}
                == {"completed"}
            ),
            90,
        )


def works(system, pid):
    statement = "SELECT 1 FROM polytrader_heartbeat WHERE process LIKE %s"
    return system.rows(statement, f"%:{pid}")


def all_sent(traffic):
    stops = [traffic.system.stop_of(exit_.key) for exit_ in traffic.exits]
    return all(stop["orders"] for stop in stops)


@contextmanager
def three_times(system, trades):
    """Send every task there is three times, and those of these trades, in bursts."""
    from celery import Celery

    from celery_app import app as ours

    ours.loader.import_default_modules()
    names = sorted(name for name in ours.tasks if not name.startswith("celery."))
    assert {"manage-position", "mint-queue", "orders.sweep", "trailing.sweep"} <= set(names)
    asking = Celery("asking", broker=system.running()["redis_url"])
    asking.conf.task_routes = ours.conf.task_routes
    over = threading.Event()

    def burst():
        for name in names:
            each = [{"tradeId": t} for t in trades] if name == "manage-position" else [{}]
            for words in each * 3:
                asking.send_task(name, kwargs=words, ignore_result=True)

    def send():
        burst()
        while not over.wait(1.0):
            burst()

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        try:
            yield
        finally:
            over.set()
        sending.result()


def test_postgres_restarted_while_everything_is_under_way_loses_and_doubles_nothing(system):
    traffic = Traffic(system)
    system.fault("POST /order", "slow:1000", 2)
    traffic.fire()
    for exit_ in traffic.exits:
        eventually(
            "it has triggered",
            lambda e=exit_: system.stop_of(e.key)["status"] == "triggered",
        )
    system.kill_database(signal.SIGINT)
    traffic.take()
    traffic.assert_each_once()
    assert is_ready(system)


@pytest.mark.slow
def test_processes_killed_while_everything_is_under_way_lose_and_double_nothing(system):
    traffic = Traffic(system)
    system.fault("POST /order", "slow:700", 8)
    with ThreadPoolExecutor(1) as pool:
        taking = pool.submit(traffic.take)
        traffic.fire()
        eventually("something is sent", lambda: sent(system))
        old = {name: system.kill_child(name) for name in ("web", "monitor", "worker", "minter")}
        taking.result()
    for name, pid in old.items():
        eventually(f"another {name}", lambda n=name, p=pid: system.pid(n) not in (None, p), 30)
    traffic.assert_each_once()
    assert any(one.unanswered for one in traffic.taking)
    system.no_faults()


def sent(system):
    return system.rows("SELECT 1 FROM orders_order WHERE status = 'sent'")
