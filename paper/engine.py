"""The matching engine's restarts: a moment without order endpoints, then only post-only orders.

docs.polymarket.com matching-engine page: 425 while it restarts, then two minutes of post-only mode.
"""

from __future__ import annotations

from paper.agenda import now_ms
from paper.errors import PostOnlyMode, Refused


class Engine:
    """Until when it is away, and until when it takes post-only orders alone; epoch milliseconds."""

    def __init__(self) -> None:
        self._down_until = 0
        self._post_only_until = 0

    def restart(self, down_ms: int, post_only_ms: int) -> None:
        """Be away for a while, then in post-only mode for a while; both 0 ends either at once."""
        self._down_until = now_ms() + down_ms
        self._post_only_until = self._down_until + post_only_ms

    def check_up(self) -> None:
        """Raise Refused 425 while the engine is away."""
        if self._down_until and now_ms() < self._down_until:
            raise Refused(425, "service not ready")

    def check_takes(self, post_only: bool) -> None:
        """Raise PostOnlyMode for any other order in post-only mode."""
        if self._post_only_until and not post_only:
            left = self._post_only_until - now_ms()
            if left > 0:
                raise PostOnlyMode(-(-left // 1000))
