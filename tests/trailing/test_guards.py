"""Guards: what holds a trigger back, for how long, and what never does."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trailing.guards import LONGEST_HOLD, Breach, Guard, Sight, judge

T0 = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TIGHT, WIDE = Decimal("0.01"), Decimal("0.20")
DEFAULT = Guard(2, SECOND)


def at(seconds: float, **changes: object) -> Sight:
    return Sight(T0 + timedelta(seconds=seconds), TIGHT, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("guard", "breach", "sight", "act"),
    [
        (Guard(), None, at(0), "fire"),
        (Guard(updates=1), None, at(0), "fire"),
        (DEFAULT, None, at(0), "hold"),
        (DEFAULT, Breach(T0), at(0.1), "fire"),
        (DEFAULT, Breach(T0), at(0.1, is_new_state=False), "hold"),
        (DEFAULT, Breach(T0), at(1, is_new_state=False), "fire"),
        (Guard(updates=3), Breach(T0, 1), at(9), "hold"),
        (Guard(updates=3), Breach(T0, 2), at(9), "fire"),
        (Guard(time=SECOND), Breach(T0, 99), at(0.9), "hold"),
        (Guard(time=SECOND), Breach(T0), at(1), "fire"),
    ],
)
def test_confirmation_counts_distinct_books_or_time(guard, breach, sight, act):
    assert judge(guard, breach, sight).act == act


def test_a_wide_spread_cannot_trigger_alone_but_not_for_ever():
    guard = Guard(max_spread=Decimal("0.05"))
    wide = Sight(T0, WIDE)
    assert judge(guard, None, wide).act == "hold"
    later = Sight(T0 + LONGEST_HOLD, WIDE, is_new_state=False)
    assert judge(guard, Breach(T0), later).act == "fire"
    assert judge(guard, Breach(T0), Sight(T0 + SECOND, TIGHT)).act == "fire"
    assert judge(guard, None, Sight(T0, None)).act == "hold"  # an empty side is as wide as can be


@pytest.mark.parametrize(
    ("policy", "act"),
    [("fire_if_still_breached", "hold"), ("fire", "fire"), ("rearm", "rearm"), ("ask", "ask")],
)
def test_a_breach_first_seen_after_a_gap_is_for_the_gap_policy(policy, act):
    guard = Guard(2, SECOND, gap_policy=policy)
    assert judge(guard, None, at(0, is_after_gap=True)).act == act
    assert judge(guard, None, at(0)).act == "hold"


@given(
    st.integers(1, 5) | st.none(),
    st.integers(0, 5000) | st.none(),
    st.sampled_from([None, Decimal("0.05")]),
)
def test_a_held_stop_fires_in_the_end_though_nothing_moves(updates, milliseconds, width):
    time = None if milliseconds is None else timedelta(milliseconds=milliseconds)
    guard = Guard(updates, time, width)
    breach = judge(guard, None, Sight(T0, WIDE)).breach
    later = Sight(T0 + max(LONGEST_HOLD, 5 * SECOND), WIDE, is_new_state=False)
    waits_for_updates = updates is not None and updates > 1 and time is None
    assert judge(guard, breach, later).act == ("hold" if waits_for_updates else "fire")
