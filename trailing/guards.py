"""What may hold back a trigger, never a ratchet: confirmation, the spread, what happened unwatched. Pure.

A stop in breach is judged at every observation, and by a timer, since a quiet book sends no
message.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

GapPolicy = Literal["fire_if_still_breached", "fire", "rearm", "ask"]
GAP_POLICIES: tuple[GapPolicy, ...] = ("fire_if_still_breached", "fire", "rearm", "ask")

LONGEST_HOLD = timedelta(seconds=10)
"""How long a wide spread alone can hold a trigger back (BEHAVIOUR 1.6)."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a stop wants to see before it fires: so many updates or so much time, a narrow spread.

    Without updates and time one observation is enough.
    """

    updates: int | None = None
    time: timedelta | None = None
    max_spread: Decimal | None = None
    gap_policy: GapPolicy = "fire_if_still_breached"


@dataclass(frozen=True, slots=True)
class Breach:
    """Since when a price has been beyond the trigger, and in how many distinct book states."""

    since: datetime
    updates: int = 1


@dataclass(frozen=True, slots=True)
class Sight:
    """What an observation says beside its price."""

    at: datetime
    spread: Decimal | None
    """`None` when a side is empty: as wide as can be."""
    is_new_state: bool = True
    """Whether the book differs from the one seen before."""
    is_after_gap: bool = False
    """Whether nobody had watched for so long that the trigger may have been passed unseen."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a stop whose trigger is reached, and why, in words."""

    act: Literal["fire", "hold", "rearm", "ask"]
    reason: str
    breach: Breach


def judge(guard: Guard, breach: Breach | None, sight: Sight) -> Verdict:
    """Say what a stop does whose price is at or beyond its trigger."""
    now = _counted(breach, sight)
    if sight.is_after_gap and guard.gap_policy != "fire_if_still_breached":
        return _after_gap(guard, now)
    if not _is_confirmed(guard, now, sight.at):
        return Verdict("hold", _waits_for(guard, now), now)
    if _is_too_wide(guard, sight) and sight.at - now.since < LONGEST_HOLD:
        return Verdict("hold", "the spread is too wide to trust the price alone", now)
    return Verdict("fire", "the price reached the trigger; the exit is planned", now)


def _counted(breach: Breach | None, sight: Sight) -> Breach:
    if breach is None:
        return Breach(sight.at)
    return replace(breach, updates=breach.updates + sight.is_new_state)


def _after_gap(guard: Guard, breach: Breach) -> Verdict:
    said = "the price passed the trigger while nobody watched"
    if guard.gap_policy == "rearm":
        return Verdict("rearm", f"{said}; it follows the price from here", breach)
    if guard.gap_policy == "ask":
        return Verdict("ask", f"{said}; it waits for your decision", breach)
    return Verdict("fire", f"{said}; the exit is planned", breach)


def _is_confirmed(guard: Guard, breach: Breach, at: datetime) -> bool:
    if guard.updates is None and guard.time is None:
        return True
    enough = guard.updates is not None and breach.updates >= guard.updates
    long_enough = guard.time is not None and at - breach.since >= guard.time
    return enough or long_enough


def _is_too_wide(guard: Guard, sight: Sight) -> bool:
    if guard.max_spread is None:
        return False
    return sight.spread is None or sight.spread > guard.max_spread


def _waits_for(guard: Guard, breach: Breach) -> str:
    wanted = []
    if guard.updates is not None:
        wanted.append(f"{guard.updates} updates ({breach.updates} seen)")
    if guard.time is not None:
        wanted.append(f"{guard.time.total_seconds():g} s")
    return f"the price is beyond the trigger; waits for {' or '.join(wanted)} to confirm it"
