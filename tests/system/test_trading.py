"""A venue with moods and an owner with hands: streams, settlements, engine restarts, hand trades.

After each: every fill booked once, every intent done once, our book equal to the exchange's.
"""

from contextlib import contextmanager
from decimal import Decimal

import pytest

from tests.system.installation import eventually
from tests.system.test_faults import Exit
from tests.system.traffic import Signal, Traffic
from tests.system.truth import (
    assert_books_agree,
    assert_nothing_came_from_outside,
    described,
    last_entry,
    minted_of,
    sold,
)

pytestmark = pytest.mark.timeout(300)


# What the user stream does


@contextmanager
def feed(system, state):
    """Have the WebSocket silent, or broken, for a while."""
    system.tell("POST", "/paper/feed", {"state": state})
    try:
        yield
    finally:
        system.tell("POST", "/paper/feed", {"state": "live"})


def test_fills_are_booked_once_whatever_the_user_stream_does(system):
    eventually("somebody listens", lambda: connected(system), 60)
    with feed(system, "frozen"):  # polls are the sure source
        silent = Traffic(system)
        silent.fire()
        silent.take()
        silent.assert_each_once()
    for kind in ("duplicate", "shuffle", "slow:500"):
        system.fault("ws", kind, 10)
    odd = Traffic(system)
    odd.fire()
    odd.take()
    odd.assert_each_once()
    met = system.paper.get("/paper/faults").json()["faults"]
    assert sum(fault["times"] for fault in met) < 20, "the events did not reach anybody"
    with feed(system, "dropped"):
        torn = Traffic(system)
        torn.fire()
    torn.take()
    torn.assert_each_once()
    system.no_faults()


def connected(system):
    return system.rows("SELECT 1 FROM polytrader_heartbeat WHERE role = 'listener'")


# What the venue does


def test_settlements_that_fail_retry_or_come_late_are_booked_as_they_end(system):
    entry = last_entry(system)
    kinds = ("settlement_retries", "delayed", "settlement_fails")
    exits = [Exit(system, number, f"{20 + number}") for number in range(len(kinds))]
    signal = Signal(system, 3, "sell", "14", "0.47")
    system.put_book(signal.token, "0.48", "0.5")
    for kind, exit_ in zip(kinds, exits, strict=True):
        meet(system, kind, exit_.fire)
    for exit_ in exits:
        wanted = f"{exit_.quantity:f}"
        system.until_stop(exit_.key, "sold", lambda s, w=wanted: s["settledQuantity"] == w, 60)
    meet(system, "settlement_fails", signal.post)  # after the repeated sale, which would meet it
    leg = signal.until("done", phase="done", settledQuantity="14")
    ledger = assert_books_agree(system, 60)
    assert_nothing_came_from_outside(system, entry)
    for kind, exit_ in zip(kinds, exits, strict=True):
        stop = system.stop_of(exit_.key)
        assert stop["phase"] == "exited"
        assert sold(ledger, stop) == exit_.quantity, described(ledger)
        assert endings(ledger, stop) == (
            ["FAILED", "CONFIRMED"] if kind == "settlement_fails" else ["CONFIRMED"]
        )
        assert minted_of(ledger, exit_.condition) == [*exit_.minted_before, exit_.quantity]
    assert endings(ledger, leg) == ["FAILED", "CONFIRMED"]
    failed = [t["id"] for t in ledger["trades"] if t["status"] == "FAILED"]
    told = {a["subject"] for a in system.get("/api/alerts", kind="settlement_failed")["results"]}
    assert {f"trade {trade}" for trade in failed} <= told


def meet(system, kind, cause):
    """Have the next posted order fare so."""
    system.fault("POST /order", kind)
    cause()
    eventually(
        f"{kind} was met",
        lambda: (
            not any(
                fault["on"] == "POST /order"
                for fault in system.paper.get("/paper/faults").json()["faults"]
            )
        ),
    )


def endings(ledger, shown):
    """How the trades of a stop's or a leg's orders ended, in order."""
    ids = [order["orderId"] for order in shown["orders"]]
    return [trade["status"] for trade in ledger["trades"] if trade["orderId"] in ids]


@pytest.mark.slow
def test_a_settlement_of_a_minute_is_waited_for(system):
    exit_ = Exit(system, 1)
    meet(system, "settlement_slow", exit_.fire)
    system.until_stop(exit_.key, "sold", lambda s: s["filledQuantity"] == "10")
    position = system.get(f"/api/positions/{exit_.token}")
    assert Decimal(position["settled"]) == Decimal(position["matched"]) + 10
    assert system.stop_of(exit_.key)["settledQuantity"] == "0"
    system.until_stop(exit_.key, "settled", lambda s: s["settledQuantity"] == "10", 90)
    exit_.assert_sold_and_minted_once()


def test_what_an_engine_restart_puts_off_is_sent_when_it_may_be(system):
    exit_ = Exit(system, 0, "17")
    quiet = Signal(system, 3, "sell", "9", "0.6", "GTC", postOnly=True)
    taking = Signal(system, 4, "sell", "8", "0.47")
    for signal in (quiet, taking):
        system.put_book(signal.token, "0.48", "0.5")
    system.tell("POST", "/paper/restart-engine", {"downSeconds": 1, "postOnlySeconds": 120})
    exit_.fire()
    system.until_stop(exit_.key, "it waits", lambda s: s["phase"] == "retrying")
    taking.post()  # 201, and then it waits
    quiet.post().until("it rests, for it may", status="open")
    stop = system.stop_of(exit_.key)
    assert (stop["status"], stop["filledQuantity"]) == ("triggered", "0")
    assert stop["errorMessage"]
    assert taking.leg()["filledQuantity"] == "0"
    system.tell("POST", "/paper/restart-engine", {"downSeconds": 0, "postOnlySeconds": 0})
    taking.until("done", phase="done", settledQuantity="8")
    system.put_book(quiet.token, "0.62", "0.64")
    quiet.until("done", phase="done", settledQuantity="9")
    exit_.assert_sold_and_minted_once()
    assert system.get("/api/queue-status")["breakers"]["polymarket"]["state"] == "closed"


# What the owner does


def test_a_stop_sells_no_more_than_the_owners_hand_has_left(system):
    """30 are held and armed; by hand 12 are sold, and 8 offered: 10 are free, then 18."""
    assert_books_agree(system)
    market = system.markets()[5]
    token = market["tokenIds"][0]
    system.put_book(token, "0.48", "0.5")
    system.tell("POST", "/paper/balances", {"asset": token, "amount": "30"})
    key = system.create_stop(token, "30", trailingTicks=3, entryPrice="0.48")
    system.by_hand_at_the_venue("hand-trade", token, "SELL", "12", "0.48")
    order = system.by_hand_at_the_venue("hand-order", token, "SELL", "8", "0.9")
    shown = eventually("both are booked", lambda: position_if(system, token, "18", "10"), 60)
    assert (shown["settled"], shown["reserved"]) == ("18", "8")
    kinds = {alert["kind"] for alert in alerts_about(system, order["orderId"])}
    assert kinds == {"unknown_order"}
    system.put_book(token, "0.44", "0.46")
    system.until_stop(key, "what is free is sold", lambda s: s["settledQuantity"] == "10", 60)
    assert system.stop_of(key)["phase"] != "exited"
    system.tell("POST", "/paper/expire", {"orderId": order["orderId"]})
    stop = system.until_stop(key, "all that is left is sold", lambda s: s["phase"] == "exited", 60)
    assert stop["settledQuantity"] == "18"
    ledger = assert_books_agree(system)
    assert sold(ledger, stop) == 18
    eventually("told that it no longer rests", lambda: not alerts_about(system, order["orderId"]))
    eventually("nothing is held", lambda: position_if(system, token, "0", "0"))
    (by_hand,) = system.rows(
        "SELECT * FROM orders_entry e JOIN orders_position p ON p.id = e.position_id"
        " WHERE e.kind = 'hand' AND e.account = 'wallet' AND p.asset = %s",
        token,
    )
    assert by_hand["settled_change"] == -12


def position_if(system, token, matched, sellable):
    shown = system.get(f"/api/positions/{token}")
    return shown if (shown["matched"], shown["sellable"]) == (matched, sellable) else None


def alerts_about(system, words):
    found = system.get("/api/alerts", open="true", pageSize=500)["results"]
    return [alert for alert in found if words in alert["subject"]]
