"""What is under way while something goes wrong: exits, signals, a resting order, mints; and its end."""

from __future__ import annotations

import time
import uuid
from decimal import Decimal
from typing import Any

import httpx

from tests.system.installation import Installation, eventually
from tests.system.test_faults import Exit
from tests.system.truth import (
    assert_books_agree,
    assert_nothing_came_from_outside,
    described,
    last_entry,
    sold,
)


class Signal:
    """A signal of one leg, asked for with the same key until it is answered."""

    def __init__(
        self,
        system: Installation,
        market: int,
        side: str,
        size: str,
        price: str,
        order_type: str = "FAK",
        **leg: Any,
    ) -> None:
        self.system = system
        self.token = system.markets()[market]["tokenIds"][0]
        self.size = size
        self.unanswered: list[str] = []
        self.told: dict[str, Any] = {}
        self._key = uuid.uuid4().hex
        self._body = {
            "strategy": "chaos",
            "mintAfterSell": side == "sell",
            "maxSlippage": "0.05",
            "legs": [
                {
                    "assetId": self.token,
                    "side": side,
                    "size": size,
                    "price": price,
                    "orderType": order_type,
                    **leg,
                }
            ],
        }

    def post(self) -> Signal:
        """Ask until there is an answer; 201 is the only one, but for a clear `nothing was done`."""
        eventually("the signal is answered", self._ask, 60)
        return self

    def _ask(self) -> bool:
        try:
            answer = self.system.web.post(
                "/strategy/signals", json=self._body, headers={"Idempotency-Key": self._key}
            )
        except httpx.HTTPError as error:
            self.unanswered.append(type(error).__name__)
            return False
        if answer.status_code == 503:
            self.unanswered.append(answer.text)
            return False
        assert answer.status_code == 201, f"{answer.status_code} {answer.text}"
        self.told = answer.json()
        return True

    @property
    def trade(self) -> int:
        """The number of its trade."""
        return int(self.told["trade"]["id"])

    def leg(self) -> dict[str, Any]:
        """Its leg as it is shown now."""
        return dict(self.system.get(f"/strategy/trades/{self.trade}")["legs"][0])

    def until(self, what: str, **wanted: str) -> dict[str, Any]:
        """Wait until its leg is shown so."""
        seen: dict[str, Any] = {}

        def look() -> bool:
            try:
                seen.update(self.leg())
            except (AssertionError, httpx.HTTPError):
                return False  # the database or the web process is away
            return all(seen[name] == value for name, value in wanted.items())

        try:
            eventually(what, look, 90)
        except AssertionError as failure:
            raise AssertionError(f"{failure}; the leg is {seen}") from None
        return seen


class Traffic:
    """Two exits, a resting sale and two signals that take, on five markets; each wants to be once."""

    def __init__(self, system: Installation) -> None:
        self.system = system
        self.entry_before = last_entry(system)
        self.exits = [Exit(system, 0, "11"), Exit(system, 1, "12.5")]
        self.resting = Signal(system, 2, "sell", "13", "0.6", "GTC")
        self.taking = [
            Signal(system, 3, "sell", "14", "0.47"),
            Signal(system, 4, "buy", "15", "0.5"),
        ]
        for signal in (self.resting, *self.taking):
            system.put_book(signal.token, "0.48", "0.5")
        self.resting.post().until("it rests", status="open")

    @property
    def signals(self) -> list[Signal]:
        """All three."""
        return [self.resting, *self.taking]

    def fire(self) -> None:
        """Let the prices reach the stops and the resting order."""
        for exit_ in self.exits:
            exit_.fire()
        self.system.put_book(self.resting.token, "0.62", "0.64")

    def take(self) -> None:
        """Post the signals that take what is there."""
        for signal in self.taking:
            signal.post()

    def assert_each_once(self, seconds: float = 90) -> dict[str, Any]:
        """Wait for the end of all of it; each exit and each signal was one order at the venue."""
        stops = []
        for exit_ in self.exits:
            wanted = f"{exit_.quantity.normalize():f}"
            stops.append(
                self.system.until_stop(
                    exit_.key, "sold", lambda s, w=wanted: s["settledQuantity"] == w, seconds
                )
            )
        for signal in self.signals:
            signal.until("done", phase="done", settledQuantity=signal.size)
        ledger = assert_books_agree(self.system, seconds)
        assert_nothing_came_from_outside(self.system, self.entry_before)
        there = {order["id"] for order in ledger["orders"]}
        for exit_, stop in zip(self.exits, stops, strict=True):
            assert sold(ledger, stop) == exit_.quantity, described(ledger)
        for one in (*stops, *(signal.leg() for signal in self.signals)):
            accepted = [order["orderId"] for order in one["orders"] if order["orderId"] in there]
            assert len(accepted) == 1, one
        return ledger


def seconds_to_the_venue(exit_: Exit) -> float:
    """Let the price reach a stop; how long until the venue has its order."""
    known = _orders_of(exit_)
    began = time.monotonic()
    exit_.fire()
    eventually("the venue has the exit", lambda: _orders_of(exit_) > known, 60)
    return time.monotonic() - began


def _orders_of(exit_: Exit) -> int:
    orders = exit_.system.ledger()["orders"]
    return sum(order["assetId"] == exit_.token and order["side"] == "SELL" for order in orders)


def total_sold(exits: list[Exit], ledger: dict[str, Any]) -> Decimal:
    """What was really sold for these stops."""
    stops = [exit_.system.stop_of(exit_.key) for exit_ in exits]
    return sum((sold(ledger, stop) for stop in stops), start=Decimal(0))
