"""Misbehaviour on demand: what the next calls of an endpoint, or events of the WebSocket, do wrong.

Of a call: `timeout_before_accept` and `timeout_after_accept` close the connection without an answer,
before or after doing what was asked; `http_500`, `http_425`, `http_429` answer that and do nothing;
`http_500_after_accept` does it and answers 500; `reject:<code>` refuses in the venue's words;
`slow:<ms>` takes longer; `settlement_slow` settles after 60 s, `settlement_fails` goes MATCHED, MINED,
RETRYING, FAILED, `settlement_retries` goes MATCHED, RETRYING, MINED, CONFIRMED.

Of a posted order only: `delayed` takes the order and matches it some seconds later;
`lie:other_id` takes it and answers another order's id, `lie:empty_id` an empty one, `lie:garbage` no
JSON; `lie:success_with_error` does not take it and answers success beside an error and an empty id.

Of a call to the chain only (`POST /rpc`): `lie:chain_id` names another chain, `lie:no_receipt` knows of no
receipt, `lie:nonsense` answers `0xnonsense` to everything, `lie:garbage` no JSON. `split` is the relayer's
submit or a call that sends a raw transaction; `lie:garbage` there takes it and answers no JSON.

Of an event of the WebSocket (`on` is `ws`, or `ws/user` or `ws/market` for one channel alone): `slow:<ms>`
sends it later, `duplicate` three times, `shuffle` together with its neighbours in the wrong order; `times`
counts events. On the market channel only, a frame of nonsense comes before it: `garbage:text` is no JSON,
`garbage:type` of an unknown type, `garbage:token` about an unknown token, `garbage:price` names a price above
1, `garbage:huge` is 10 MB long.

What happens to an order or its trades (`delayed`, settlement_*, reject:, lie:) uses one time per row of
a batch, everything else one per call. Kinds joined with `+` happen together, as in
`timeout_after_accept+delayed`, and use one time per call.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from paper import money
from paper.errors import PostOnlyMode, Refused

FATES = frozenset({"settlement_fails", "settlement_slow", "settlement_retries"})
LIES = frozenset({"lie:other_id", "lie:success_with_error", "lie:empty_id", "lie:garbage"})
RPC_LIES = frozenset({"lie:chain_id", "lie:no_receipt", "lie:nonsense", "lie:garbage"})
CALL_KINDS = frozenset(
    {
        "timeout_after_accept", "timeout_before_accept", "http_500_after_accept", "http_500",
        "http_425", "http_429",
    }
)  # fmt: skip
EVENT_KINDS = frozenset({"duplicate", "shuffle"})
GARBAGE = frozenset(f"garbage:{kind}" for kind in ("text", "type", "token", "price", "huge"))
USER_CHANNEL, MARKET_CHANNEL = "ws/user", "ws/market"
CHANNELS = ("ws", USER_CHANNEL, MARKET_CHANNEL)
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


Outcome = Literal["settles", "fails", "retries"]


@dataclass(slots=True)
class Fault:
    """One arranged misbehaviour and how often it still happens."""

    on: str
    kind: str
    left: int

    @property
    def parts(self) -> list[str]:
        """List the kinds that happen together; a refusal's words may hold any character."""
        return _parts(self.kind)

    def has(self, part: str) -> bool:
        """Say whether a kind is among those that happen."""
        return part in self.parts

    @property
    def code(self) -> str | None:
        """Give the code of `reject:<code>`."""
        return _after(self.parts, "reject:")

    @property
    def lie(self) -> str | None:
        """Give what `lie:<how>` says."""
        return _after(self.parts, "lie:")

    @property
    def garbage(self) -> str | None:
        """Give what `garbage:<what>` says."""
        return _after(self.parts, "garbage:")

    @property
    def slow_ms(self) -> int:
        """Give the milliseconds of `slow:<ms>`, else 0."""
        return int(_after(self.parts, "slow:") or 0)

    @property
    def is_of_rows(self) -> bool:
        """Say whether all of it is about an order, so that each row of a batch uses it up."""
        return all(
            part in FATES or part == "delayed" or part.startswith(("reject:", "lie:"))
            for part in self.parts
        )


@dataclass(frozen=True, slots=True)
class Fate:
    """How an order matches, and how its trades or a transaction settle."""

    settle: Literal["normal", "slow"] = "normal"
    outcome: Outcome = "settles"
    delayed: bool = False

    @property
    def fails(self) -> bool:
        """Say whether nothing settles in the end."""
        return self.outcome == "fails"


class Faults:
    """The list of what is arranged."""

    def __init__(self) -> None:
        self.arranged: list[Fault] = []

    def arrange(self, on: object, kind: object, times: object) -> None:
        """Arrange a fault, or remove it when `times` is 0; raises ValueError saying what is wrong."""
        place = _place(on)
        if not isinstance(kind, str):
            raise ValueError(f"kind: expected text, got {kind!r}")  # noqa: TRY004 - one error
        parts = _parts(kind)
        if place in CHANNELS and len(parts) > 1:
            raise ValueError(f"kind: expected one kind on {place}, got {kind!r}")
        for part in parts:
            _check_kind(place, part)
        if isinstance(times, bool) or not isinstance(times, int) or not 0 <= times <= money.UNIT:
            raise ValueError(
                f"times: expected a whole number from 0 to {money.UNIT}, got {times!r}"
            )
        self.arranged = [f for f in self.arranged if (f.on, f.kind) != (place, kind)]
        if times:
            self.arranged.append(Fault(place, kind, times))

    def take(self, method: str, path: str, splits: bool = False) -> Fault | None:
        """Use up one time of the first fault that is arranged for a call.

        `splits` says that the call submits a transaction, to the relayer or to the chain.
        """
        return self._use(
            lambda fault: splits if fault.on == "split" else _is_on(fault.on, method, path)
        )

    def take_for_row(self, path: str) -> Fault | None:
        """Use up one time of the first fault of a posted order, when each row has its own."""
        fault = next((f for f in self.arranged if _is_on(f.on, "POST", path)), None)
        if fault is None or not fault.is_of_rows:
            return None
        return self._use(lambda other: other is fault)

    def take_for_event(self, channel: str) -> Fault | None:
        """Use up one time of the first fault that is arranged for a channel of the WebSocket."""
        return self._use(
            lambda fault: (
                fault.on in ("ws", channel) and (channel == MARKET_CHANNEL or fault.garbage is None)
            )
        )

    def _use(self, wanted: Callable[[Fault], bool]) -> Fault | None:
        for fault in self.arranged:
            if wanted(fault):
                fault.left -= 1
                if fault.left <= 0:
                    self.arranged.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        """Behave again."""
        self.arranged.clear()


def fate_of(fault: Fault | None) -> Fate:
    """Say how the order and the trades of a call with this fault fare."""
    if fault is None:
        return Fate()
    outcome: Outcome = "settles"
    if fault.has("settlement_fails"):
        outcome = "fails"
    elif fault.has("settlement_retries"):
        outcome = "retries"
    return Fate("slow" if fault.has("settlement_slow") else "normal", outcome, fault.has("delayed"))


def refusal(code: str) -> Refused:
    """Give the venue's refusal by its short code; any other text is taken as the venue's words."""
    return PostOnlyMode(2) if code == "post_only_mode" else Refused(400, TEXTS.get(code, code))


def _parts(kind: str) -> list[str]:
    """Split kinds joined with `+`; the words of a refusal, which come last, may hold one."""
    before, reject, words = kind.partition("reject:")
    return [part for part in before.split("+") if part or not reject] + (
        [reject + words] if reject else []
    )


def _after(parts: list[str], prefix: str) -> str | None:
    return next((part.removeprefix(prefix) for part in parts if part.startswith(prefix)), None)


def _place(on: object) -> str:
    if on == "split" or on in CHANNELS:
        return str(on)
    if not isinstance(on, str) or not _ENDPOINT.fullmatch(on):
        raise ValueError(
            f'on: expected "METHOD /path" such as "POST /order", or "split", or one of {", ".join(CHANNELS)}, got {on!r}'
        )
    return on


def _check_kind(place: str, kind: str) -> None:
    """Raise ValueError when a kind is none, or makes no sense at that place."""
    coded = _CODED.fullmatch(kind)
    if coded is not None and coded[1] == "slow":
        if not (coded[2].isascii() and coded[2].isdecimal()) or int(coded[2]) > 600_000:
            raise ValueError(f"kind: expected slow:<ms> of at most 600000 ms, got {kind!r}")
        return
    if place in CHANNELS:
        known, more = EVENT_KINDS | (GARBAGE if place != USER_CHANNEL else set()), ["slow:<ms>"]
    elif place in ("POST /order", "POST /orders"):
        known, more = CALL_KINDS | FATES | LIES | {"delayed"}, ["reject:<code>", "slow:<ms>"]
    else:
        lies = {"split": frozenset({"lie:garbage"}), "POST /rpc": RPC_LIES}.get(place, frozenset())
        known = CALL_KINDS | (FATES - {"settlement_retries"}) | lies
        more = ["reject:<code>", "slow:<ms>"]
    if kind not in known and (coded is None or place in CHANNELS):
        expected = ", ".join([*sorted(known), *more])
        raise ValueError(f"unknown kind {kind!r} on {place}: expected one of {expected}")


def _is_on(on: str, method: str, path: str) -> bool:
    if on == "split" or on in CHANNELS:
        return False
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
