"""Misbehaviour on demand: what the next calls of an endpoint should do wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from paper import money

KINDS = frozenset(
    {
        "timeout_after_accept", "timeout_before_accept", "http_500_after_accept", "http_500",
        "http_425", "http_429", "settlement_fails", "settlement_slow",
    }
)  # fmt: skip
SLOW_SETTLEMENT_MS = 60_000

_CODED = re.compile(r"(reject|slow):(.{1,200})", re.DOTALL)
_ENDPOINT = re.compile(r"(GET|POST|PUT|DELETE) (/[^\s?]*)")
_FAK = (
    "no orders found to match with FAK order."
    " FAK orders are partially filled or killed if no match is found."
)
_FOK = "order couldn't be fully filled. FOK orders are fully filled or killed."
TEXTS = {
    "not_enough_balance": "not enough balance / allowance: the balance is not enough"
    " -> balance: 0, order amount: 5000000",
    "min_size": "Size (1) lower than the minimum: 5",
    "tick_size": "Price (0.505) breaks minimum tick size rule: 0.01",
    "duplicated": "order 0x00 is invalid. Duplicated.",
    "fak_not_filled": _FAK,
    "fok_not_filled": _FOK,
    "market_not_ready": "the market is not yet ready to process new orders",
    "invalid_signature": "invalid signature",
    "invalid_expiration": "invalid expiration",
    "invalid_nonce": "invalid nonce",
    "post_only_would_cross": "invalid post-only order: order crosses book",
    "banned": "'0x0000000000000000000000000000000000000000' address banned",
    "closed_only": "address in closed only mode",
    "maker_not_allowed": "maker address not allowed, please use the deposit wallet flow",
    "order_version_mismatch": "order_version_mismatch",
    "delayed": "order match delayed due to market conditions",
}
"""The venue's words for a refusal, by a short code; docs.polymarket.com error codes, section 2.5."""


@dataclass(slots=True)
class Fault:
    """One arranged misbehaviour and how often it still happens."""

    on: str
    kind: str
    left: int

    @property
    def code(self) -> str | None:
        """Give the code of `reject:<code>`."""
        return self.kind.partition(":")[2] if self.kind.startswith("reject:") else None

    @property
    def slow_ms(self) -> int:
        """Give the milliseconds of `slow:<ms>`, else 0."""
        return int(self.kind[5:]) if self.kind.startswith("slow:") else 0


@dataclass(frozen=True, slots=True)
class Fate:
    """How the trades or the transaction of one call will settle."""

    settle: Literal["normal", "slow"] = "normal"
    fails: bool = False


class Faults:
    """The list of what is arranged."""

    def __init__(self) -> None:
        self.arranged: list[Fault] = []

    def arrange(self, on: object, kind: object, times: object) -> None:
        """Arrange a fault, or remove it when `times` is 0; raises ValueError saying what is wrong."""
        place = _place(on)
        if not isinstance(kind, str) or not _is_kind(kind):
            raise ValueError(f"unknown kind {kind!r}: expected one of {', '.join(sorted(KINDS))},"
                             " reject:<code> or slow:<ms>")  # fmt: skip
        if isinstance(times, bool) or not isinstance(times, int) or not 0 <= times <= money.UNIT:
            raise ValueError(
                f"times: expected a whole number from 0 to {money.UNIT}, got {times!r}"
            )
        self.arranged = [f for f in self.arranged if (f.on, f.kind) != (place, kind)]
        if times:
            self.arranged.append(Fault(place, kind, times))

    def take(self, method: str, path: str) -> Fault | None:
        """Use up one time of the first fault that is arranged for a call."""
        for fault in self.arranged:
            if _is_on(fault.on, method, path):
                fault.left -= 1
                if fault.left <= 0:
                    self.arranged.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        """Behave again."""
        self.arranged.clear()


def fate_of(fault: Fault | None) -> Fate:
    """Say how the trades of a call with this fault settle."""
    if fault is None:
        return Fate()
    return Fate(
        "slow" if fault.kind == "settlement_slow" else "normal", fault.kind == "settlement_fails"
    )


def _place(on: object) -> str:
    if on == "split":
        return "split"
    if not isinstance(on, str) or not _ENDPOINT.fullmatch(on):
        raise ValueError(
            f'on: expected "METHOD /path" such as "POST /order", or "split", got {on!r}'
        )
    return on


def _is_kind(kind: str) -> bool:
    coded = _CODED.fullmatch(kind)
    if coded is None:
        return kind in KINDS
    return coded[1] == "reject" or (coded[2].isdecimal() and int(coded[2]) <= 600_000)


def _is_on(on: str, method: str, path: str) -> bool:
    if on == "split":
        return (method, path) == ("POST", "/submit")
    wanted_method, wanted = on.split(" ", 1)
    if wanted_method != method:
        return False
    if wanted == path or (on == "POST /order" and path == "/orders"):
        return True
    parts, given = wanted.split("/"), path.split("/")
    return len(parts) == len(given) and all(
        part == have or (part.startswith("{") and part.endswith("}"))
        for part, have in zip(parts, given, strict=True)
    )
