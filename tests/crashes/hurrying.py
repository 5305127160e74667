"""Hurrying: every wait of the system is 25 times shorter, so that a kill costs a second, not a minute.

Waits for something that takes time at the venue, in the network or in a dead process keep their
order: a post of a dead process (at most 0.3 s in a scenario) arrives before it counts as over.
"""

from datetime import timedelta
from functools import partial

from minting import following, postponing, resolving, submitting
from orders import balances, hand_trades, listing, planning, reconciling, starting, waits
from strategy import managing, rules, seeing

FASTER = 25

_WAITS = {
    waits: ("LOOK_AGAIN", "UNDER_WAY_FOR", "DOUBT_FOR", "RESTING"),
    reconciling: ("IN_FLIGHT", "SETTLING"),
    planning: ("FIRST_RETRY", "LONGEST_RETRY", "WAIT_FOR_SHARES"),
    listing: ("EVERY",),
    balances: ("EVERY", "QUIET_FOR", "CACHE_IS_BEHIND"),
    hand_trades: ("LISTED_BY_THEN",),
    managing: ("ABANDONED",),
    submitting: ("LOOK_AGAIN",),
    following: ("LOOK_AGAIN", "DOUBT_FOR", "STUCK_AFTER", "LONGEST_PAUSE"),
    postponing: ("FIRST_DELAY", "LONGEST_DELAY"),
    resolving: ("CHECKED_FOR", "ENDED_CHECKED_FOR"),
}


def hurry() -> None:
    """Shorten the waits of this process for good."""
    for module, names in _WAITS.items():
        for name in names:
            setattr(module, name, getattr(module, name) / FASTER)
    managing.SCHEDULE = tuple(wait / FASTER for wait in managing.SCHEDULE[:2])
    starting.TRY_AGAIN_AFTER /= FASTER
    seeing.Limits = partial(rules.Limits, **_limits())


def _limits() -> dict[str, timedelta]:
    usual = rules.Limits()
    names = ("wait_for_shares", "settling", "in_flight", "first_retry", "longest_retry")
    return {name: getattr(usual, name) / FASTER for name in names}
