"""Whom the relayer serves, and how often: its key, and so many submissions a minute."""

from __future__ import annotations

import time

from paper.errors import TooMany
from paper.state import Paper

WINDOW = 60.0
"""Seconds over which submissions are counted; the venue's limit is 25 in that time."""


def expected_key(paper: Paper) -> str:
    """Give the key that callers must have; empty: any."""
    arranged = paper.store.arranged("relayer_key")
    return paper.settings.relayer_key if arranged is None else arranged


def count_submit(paper: Paper) -> None:
    """Count a submission, taken or not; raises TooMany 429 above the limit that was set."""
    limit, recent, now = int(paper.store.arranged("submits") or 0), paper.submits, time.monotonic()
    while recent and recent[0] <= now - WINDOW:
        recent.popleft()
    if limit and len(recent) >= limit:
        raise TooMany(int(recent[0] + WINDOW - now) + 1)
    recent.append(now)
