"""What the system needs goes away, dies or is stopped, and comes back; nothing is lost or doubled."""

import os
import signal

import pytest

from tests.system.installation import eventually
from tests.system.test_faults import Exit

pytestmark = pytest.mark.timeout(240)


def is_ready(system):
    return system.readiness()[0] == 200


@pytest.mark.parametrize("how", ["frozen", pytest.param("held_down", marks=pytest.mark.slow)])
def test_without_redis_stops_are_accepted_watched_and_sold(system, how):
    with getattr(system, how)("redis"):
        eventually("503 with the reason", lambda: "broker" in system.readiness()[1], 15)
        assert system.readiness()[0] == 503
        caught = Exit(system, 0)  # its POST answers 201
        caught.fire()
        system.until_stop(caught.key, "sold", lambda s: s["filledQuantity"] == "10", 30)
        assert not is_ready(system)
    eventually("ready again by itself", lambda: is_ready(system), 40)
    caught.assert_sold_and_minted_once()
    again = Exit(system, 1, quantity="6")
    again.fire()
    again.assert_sold_and_minted_once()


def test_a_killed_postgres_is_503_and_loses_nothing(system):
    armed = Exit(system, 2)
    token = system.markets()[3]["tokenIds"][0]
    system.put_book(token, "0.48", "0.5")
    data = system.home / "postgres" / "data" / "postmaster.pid"
    os.kill(int(data.read_text().split()[0]), signal.SIGKILL)
    accepted, refused = [], []
    body = {"symbol": token, "quantity": 6, "trailingTicks": 3, "entryPrice": "0.48"}

    def ask() -> bool:
        answer = system.web.post("/api/trailing-stops", json=body)
        if answer.status_code == 201:
            accepted.append(answer.json()["stateKey"])
        else:
            refused.append((answer.status_code, answer.text, *system.readiness()))
        return bool(accepted)

    eventually("a stop is accepted again", ask, 40)
    assert refused, "it came back before anybody noticed"
    assert {status for status, *_ in refused} == {503}, refused
    assert any(ready == 503 and "database" in said for *_, ready, said in refused), refused
    eventually("ready again by itself", lambda: is_ready(system), 40)
    kept = system.rows("SELECT state_key FROM trailing_trailingstop")
    assert {armed.key, *accepted} <= {row["state_key"] for row in kept}
    (count,) = system.rows(
        "SELECT count(*) FROM trailing_trailingstop s JOIN orders_instrument i"
        " ON i.id = s.instrument_id WHERE i.symbol = %s AND s.status = 'active'",
        token,
    )
    assert count["count"] == len(accepted)
    for key in accepted:
        system.web.post(f"/api/trailing-stops/{key}/cancel")
    said = len(system.said)
    moments = {beat["at"] for beat in _sweeps(system)}

    def five_more() -> bool:
        moments.update(beat["at"] for beat in _sweeps(system))
        return len(moments) > 5

    eventually("five more sweeps", five_more, 40)
    failed = [line for line in system.said[said:] if "raised unexpected" in line]
    assert failed == []  # every process has connected again, not only the watchdog
    armed.fire()
    armed.assert_sold_and_minted_once()


def _sweeps(system):
    return system.rows("SELECT at FROM polytrader_heartbeat WHERE role = 'monitor'")


@pytest.mark.slow
def test_a_stop_stays_armed_while_the_exchange_is_away_and_fires_after(system):
    armed = Exit(system, 3)
    with system.held_down("paper"):
        away = system.until_stop(armed.key, "not protected", lambda s: not s["protected"], 40)
        assert away["status"] == "active"
        assert away["phase"] == "suspended"
        assert "no fresh price" in away["protectedReason"]
        eventually("503 with the reason", lambda: "no fresh price" in system.readiness()[1], 40)
        done = system.manage("check_system")
        assert done.returncode != 0
        (line,) = [text for text in done.stderr.splitlines() if text.strip()]
        assert "FAILED" in line
        assert "the paper exchange" in line
        assert "does not answer" in line

    system.until_stop(armed.key, "protected again", lambda s: s["protected"], 40)
    eventually("ready again by itself", lambda: is_ready(system), 20)
    armed.fire()
    armed.assert_sold_and_minted_once()


def test_a_stopped_system_goes_on_where_it_was(system):
    caught = Exit(system, 4)
    waiting = Exit(system, 5)
    system.fault("POST /order", "slow:2000")
    caught.fire()
    caught.until_sent()
    assert system.stop() == 0
    assert not (system.home / "running.json").exists()
    system.start()
    caught.assert_sold_and_minted_once()
    assert system.stop_of(waiting.key)["status"] == "active"
    waiting.fire()
    waiting.assert_sold_and_minted_once()


@pytest.mark.slow
def test_a_killed_supervisor_loses_nothing_either(system):
    caught = Exit(system, 0)
    waiting = Exit(system, 1)
    system.fault("POST /order", "slow:1500")
    caught.fire()
    caught.until_sent()
    system.kill()
    system.start()
    caught.assert_sold_and_minted_once()
    waiting.fire()
    waiting.assert_sold_and_minted_once()
