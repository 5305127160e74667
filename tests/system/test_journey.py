"""The whole way of a stop through the running system, against the paper exchange's ledger."""

from decimal import Decimal

import pytest

from tests.system.installation import eventually
from tests.system.truth import (
    assert_books_agree,
    assert_nothing_came_from_outside,
    minted_of,
    sold,
    sold_of,
)

pytestmark = pytest.mark.timeout(180)


def test_the_system_is_ready(system):
    status, said = system.readiness()
    assert status == 200, said


def test_stops_follow_sell_settle_and_mint_again_in_every_kind_of_market(system):
    """Standard, neg-risk, tick 0.001 and with a fee; all at once, each sold exactly once."""
    markets = system.markets()[2:6]
    assert {m["negRisk"] for m in markets} == {True, False}
    assert {m["tickSize"] for m in markets} == {"0.01", "0.001"}
    keys = {}
    before = system.ledger()
    for number, market in enumerate(markets):
        token = market["tokenIds"][number % 2]
        system.put_book(token, "0.48", "0.5")
        keys[token] = system.create_stop(
            token,
            f"{10 + number}.37",
            trailingPercent=5,
            entryPrice="0.48",
            activationPrice="0.51",
            mintAfterSell=True,
            strategy="journey",
        )
        first = system.stop_of(keys[token])
        assert (first["status"], first["triggerPrice"]) == ("pending_activation", "0.456")
    for token in keys:
        system.put_book(token, "0.52", "0.54")
    for key in keys.values():
        system.until_stop(key, "active from 0.52", lambda s: s["watermarkPrice"] == "0.52")
        assert system.stop_of(key)["status"] == "active"
    for token in keys:
        system.put_book(token, "0.6", "0.62")
    for key in keys.values():
        followed = system.until_stop(key, "it follows", lambda s: s["watermarkPrice"] == "0.6")
        assert followed["triggerPrice"] == "0.57"
        assert followed["protected"] is True
    for token in keys:
        system.put_book(token, "0.55", "0.58")
    for number, (token, key) in enumerate(keys.items()):
        quantity = f"{10 + number}.37"
        stop = system.until_stop(
            key, "sold and settled", lambda s, q=quantity: s["settledQuantity"] == q
        )
        assert stop["status"] == "triggered"
        assert (stop["watermarkPrice"], stop["triggerPrice"]) == ("0.6", "0.57")
        assert stop["averageExitPrice"] == "0.55"
        assert stop["symbol"] == token
    ledger = assert_books_agree(system)
    for number, (market, key) in enumerate(zip(markets, keys.values(), strict=True)):
        stop = system.stop_of(key)
        quantity = Decimal(f"{10 + number}.37")
        assert (stop["phase"], len(stop["orders"])) == ("exited", 1)
        (order,) = [o for o in ledger["orders"] if o["id"] == stop["orders"][0]["orderId"]]
        assert order["posts"] == 1
        assert sold(ledger, stop) == quantity
        assert sold_of(ledger, stop["symbol"]) - sold_of(before, stop["symbol"]) == quantity
        minted = minted_of(before, market["conditionId"])
        assert minted_of(ledger, market["conditionId"]) == [*minted, quantity]
        events = system.get(f"/api/trailing-stops/{key}/events")["results"]
        told = [(e["kind"], e["price"]) for e in events]
        assert told[0][0] == "created"
        assert told[1:] == [("activated", "0.52"), ("breached", "0.55"), ("triggered", "0.55")]
    (fee,) = system.rows("SELECT sum(fee) AS paid FROM orders_fill WHERE fee > 0")
    assert fee["paid"] > 0
    assert_nothing_came_from_outside(system)


def test_the_contracts_own_example_sells_bitcoin_on_the_spot_side(system):
    system.tell("PUT", "/paper/prices/BTCUSDT", {"price": "50000"})
    before = system.ledger()
    body = {
        "symbol": "BTCUSDT",
        "quantity": 0.001,
        "trailingPercent": 2,
        "entryPrice": 50000,
        "side": "sell",
        "useActivationPrice": True,
        "activationPrice": 51000,
    }
    answer = system.web.post("/api/trailing-stops", json=body)
    assert answer.status_code == 201
    made = answer.json()
    key = made.pop("stateKey")
    assert key.startswith("trailing_stop_")
    assert key.removeprefix("trailing_stop_").isdigit()
    assert made == {
        "message": "Trailing stop simulation started for BTCUSDT",
        "status": "pending_activation",
        "entryPrice": 50000,
        "triggerPrice": 49000,
        "system": "Celery",
    }
    system.tell("PUT", "/paper/prices/BTCUSDT", {"price": "51000"})
    active = system.until_stop(key, "active", lambda s: s["status"] == "active")
    assert (active["watermarkPrice"], active["triggerPrice"]) == ("51000", "49980")
    system.tell("PUT", "/paper/prices/BTCUSDT", {"price": "49980"})
    sold_stop = system.until_stop(key, "sold", lambda s: s["settledQuantity"] == "0.001")
    assert sold_stop["averageExitPrice"] == "49980"
    ledger = assert_books_agree(system)
    (trade,) = [t for t in ledger["trades"] if t not in before["trades"]]
    assert (trade["assetId"], trade["side"], trade["size"]) == ("BTCUSDT", "SELL", "0.001")
    (had,), (has,) = before["balances"].values(), ledger["balances"].values()
    assert Decimal(has["BTC"]) - Decimal(had["BTC"]) == Decimal("-0.001")
    assert Decimal(has["USDT"]) - Decimal(had["USDT"]) == Decimal("49.98")


def test_a_buy_stop_follows_the_ask_down_and_buys(system):
    token = system.markets()[0]["tokenIds"][0]
    system.put_book(token, "0.5", "0.52")
    before = Decimal(next(iter(system.ledger()["balances"].values()))[token])
    key = system.create_stop(token, "20", side="buy", trailingTicks=3, entryPrice="0.52")
    system.put_book(token, "0.4", "0.42")
    system.until_stop(key, "it follows down", lambda s: s["triggerPrice"] == "0.45")
    system.put_book(token, "0.45", "0.46")
    stop = system.until_stop(key, "bought", lambda s: s["phase"] == "exited")
    ledger = assert_books_agree(system)
    after = Decimal(next(iter(ledger["balances"].values()))[token])
    # A FAK buy spends at most floor(size x limit, 2): it may bring more or fewer shares.
    assert after - before == Decimal(stop["settledQuantity"]) == sold(ledger, stop)
    assert after - before >= Decimal(stop["quantity"]) - Decimal("0.1")


def test_a_cancelled_stop_sells_nothing(system):
    token = system.markets()[1]["tokenIds"][0]
    system.put_book(token, "0.48", "0.5")
    key = system.create_stop(token, "10", trailingTicks=3, entryPrice="0.48")
    assert system.web.post(f"/api/trailing-stops/{key}/cancel").status_code == 200
    before = system.ledger()["orders"]
    other = system.create_stop(token, "6", trailingTicks=3, entryPrice="0.48")
    system.put_book(token, "0.4", "0.44")
    system.until_stop(other, "the other one sold", lambda s: s["phase"] == "exited")
    assert system.stop_of(key)["status"] == "cancelled"
    assert system.web.post(f"/api/trailing-stops/{other}/cancel").status_code == 409
    assert len(system.ledger()["orders"]) == len(before) + 1
    assert_books_agree(system)


def test_each_queue_has_its_consumer_and_web_has_none(system):
    from celery import Celery

    from celery_app import app as ours

    asking = Celery("asking", broker=system.running()["redis_url"])
    found = {}
    for _ in range(5):
        answer = asking.control.inspect(timeout=2, limit=None).active_queues() or {}
        found = {
            name.partition("@")[0]: sorted(queue["name"] for queue in queues)
            for name, queues in answer.items()
        }
        if len(found) >= 3:
            break
    assert found == {
        "worker": ["manage-position", "orders"],
        "monitor": ["trailing"],
        "minter": ["mint-queue"],
    }
    consumed = {queue for queues in found.values() for queue in queues}
    routed = {route["queue"] for route in ours.conf.task_routes.values()}
    assert routed == consumed
    clients = system.redis().client_list()
    web = {system.pid("web")} | children_of(system.pid("web"))
    ports = ports_of(web)
    blocking = [c for c in clients if c["cmd"] in ("brpop", "bzpopmin", "blpop")]
    assert len(blocking) >= 3
    assert [c for c in blocking if int(c["addr"].rpartition(":")[2]) in ports] == []


def children_of(pid):
    from pathlib import Path

    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found |= {child} | children_of(child)
    return found


def ports_of(pids):
    """The local ports of these processes' sockets."""
    import os
    from contextlib import suppress
    from pathlib import Path

    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                inodes.add(os.readlink(link))
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {
        int(line.split()[1].rpartition(":")[2], 16)
        for line in lines
        if f"socket:[{line.split()[9]}]" in inodes
    }


def test_flower_shows_exactly_the_three_consumers(system):
    import json

    import httpx

    secrets = json.loads((system.home / "secrets.json").read_text())
    wanted = {
        "worker": ["manage-position", "orders"],
        "monitor": ["trailing"],
        "minter": ["mint-queue"],
    }

    def shown() -> dict[str, list[str]]:
        try:
            answer = httpx.get(
                f"http://127.0.0.1:{system.ports['FLOWER_PORT']}/api/workers?refresh=1",
                auth=("flower", secrets["flower_password"]),
                timeout=20,
            )
        except httpx.ConnectError:  # `polytrader ready` does not wait for who only looks
            return {}
        assert answer.status_code == 200, answer.text
        return {
            name.partition("@")[0]: sorted(q["name"] for q in worker.get("active_queues", []))
            for name, worker in answer.json().items()
        }

    eventually("all three, whose answers Flower waits 1 s for", lambda: shown() == wanted)


def test_an_outside_deposit_can_be_sold_at_once(system):
    token = system.markets()[-1]["tokenIds"][1]  # no other test's: all of it is sold
    system.put_book(token, "0.48", "0.5")
    assert_books_agree(system)
    (balances,) = system.ledger()["balances"].values()
    held = Decimal(balances[token])
    more = held + 500
    refused = system.web.post(
        "/api/trailing-stops",
        json={"symbol": token, "quantity": str(more), "trailingTicks": 3, "entryPrice": "0.48"},
    )
    assert refused.status_code == 400
    assert "held" in refused.text
    system.tell("POST", "/paper/balances", {"asset": token, "amount": str(more)})
    key = system.create_stop(token, str(more), trailingTicks=3, entryPrice="0.48")
    system.put_book(token, "0.4", "0.44", size="20000")
    system.until_stop(key, "all of it sold", lambda s: s["settledQuantity"] == f"{more:f}")
    assert_books_agree(system)
    (outside,) = system.rows(
        "SELECT * FROM orders_entry WHERE kind = 'outside' AND account = 'wallet'"
    )
    assert outside["settled_change"] == 500


def test_check_system_drives_the_system_and_exits_0(system):
    done = system.manage("check_system")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "minted again" in done.stdout
    assert_books_agree(system)
