"""A breaker per venue: after five failures in a row nobody but the urgent asks it for a minute.

Shared through Redis; while Redis is away each process goes on from what it saw last. An exit
never waits for a breaker: urgent calls pass, and are the probes that close it.
"""

import math
import threading
import time
from dataclasses import dataclass, replace
from typing import Final, Literal

from exchange.errors import ExchangeError, OtherOrderId, OutcomeUnknown, Rejected, Unavailable
from exchange.sharing import Script, Shared
from exchange.types import RejectionCode

FAILURES: Final = 5
OPEN_FOR: Final = 60.0
BELIEVED_FOR: Final = 0.2
"""Seconds; the state is read no more often, so that asking costs nothing on the way of an order."""

Verdict = Literal["success", "failure", "neither"]
State = Literal["closed", "open", "half-open"]

_TOO_OFTEN = (
    *("status 429", "too many requests", "rate limit"),
    *("binance: 418", "binance: 429", "binance: -1003", "binance: -1015"),
)
_NOT_NOW = (
    *("status 425", "post-only mode", "cancel-only", "match delayed"),
    *("trading is currently disabled", "not ready", "not yet ready", "binance: -1021"),
)


def verdict_on(error: ExchangeError) -> Verdict:
    """Say what an error tells of the venue's health.

    A refusal is an answer, so the venue is well, except `not_allowed`, which often is our own
    word before anything was asked. What the venue puts off itself says neither: a rate
    limit, an engine that restarts (425, then two minutes of post-only mode), a clock that is
    off. It is up then, names its own time to wait, and one minute more would only cost us.
    """
    if isinstance(error, Rejected):
        return "neither" if error.code == RejectionCode.NOT_ALLOWED else "success"
    if isinstance(error, OtherOrderId):
        return "neither"
    if isinstance(error, Unavailable) and error.retry_after is not None:
        return "neither"
    lowered = str(error).lower()
    if any(words in lowered for words in _TOO_OFTEN + _NOT_NOW):
        return "neither"
    return "failure" if isinstance(error, Unavailable | OutcomeUnknown) else "neither"


def is_rate_limit(error: ExchangeError) -> bool:
    """Whether the venue says that it was asked too often."""
    lowered = str(error).lower()
    return isinstance(error, Unavailable) and any(words in lowered for words in _TOO_OFTEN)


@dataclass(frozen=True, slots=True)
class Seen:
    """The breaker at a moment (`time.time()`); `open_until` is past when somebody may probe."""

    failures: int = 0
    open_until: float = 0
    is_probing: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether everybody may ask."""
        return self.failures < FAILURES

    def state(self, now: float) -> State:
        """Name the state; it is half-open while a probe is out or may go."""
        if self.is_closed:
            return "closed"
        return "half-open" if self.is_probing or self.open_until <= now else "open"

    def failed(self, now: float) -> "Seen":
        """Count a failure; it opens at the fifth, and again when a probe has failed."""
        failures = self.failures + 1
        if failures < FAILURES or (self.open_until > now and not self.is_probing):
            return replace(self, failures=failures)
        return Seen(failures, now + OPEN_FOR)

    def claimed(self, now: float) -> "Seen":
        """Let one probe go; whoever probes and is never heard of again keeps nobody for ever."""
        return replace(self, open_until=now + OPEN_FOR, is_probing=True)


# As `Seen` does it. ARGV: the verb, failures, seconds open, the time or ''.
# Answers failures, milliseconds it stays open, 1 while probing, 1 if the probe is ours.
_TELL = Script("""
local now = tonumber(ARGV[4])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1e6
end
now = math.floor(now * 1000)
local verb, most, open_for = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]) * 1000
local held = redis.call('HMGET', KEYS[1], 'failures', 'open_until', 'probing')
local failures, open_until = tonumber(held[1] or 0), tonumber(held[2] or 0)
local probing, ours = tonumber(held[3] or 0), 0
if verb == 'succeed' then
  redis.call('DEL', KEYS[1])
  return {0, 0, 0, 0}
elseif verb == 'fail' then
  failures = failures + 1
  if failures >= most and (open_until <= now or probing == 1) then
    open_until, probing = now + open_for, 0
  end
elseif verb == 'claim' and failures >= most and open_until <= now then
  open_until, probing, ours = now + open_for, 1, 1
end
if verb ~= 'look' then
  redis.call('HSET', KEYS[1], 'failures', failures, 'open_until', open_until, 'probing', probing)
  redis.call('PEXPIRE', KEYS[1], 3600000)
end
return {failures, math.max(open_until - now, 0), probing, ours}
""")


class Breaker:
    """One venue's breaker, as this process sees it."""

    def __init__(self, shared: Shared, prefix: str, venue: str) -> None:
        self.venue = venue
        self._shared = shared
        self._key = f"{prefix}breaker"
        self._lock = threading.Lock()
        self._seen = Seen()
        self._seen_at = -math.inf

    def check(self, *, urgent: bool = False, now: float | None = None) -> None:
        """Return when the venue may be asked, raise `Unavailable` otherwise.

        When the time is up, one caller of all processes is let through as the probe.
        """
        if urgent:
            return
        seen = self.look(now)
        at = time.time() if now is None else now
        if seen.is_closed or (seen.open_until <= at and self._claim(now)):
            return
        seen = self._seen
        wait = max(math.ceil(seen.open_until - at), 1)
        raise Unavailable(
            f"the breaker of {self.venue.capitalize()} is open after {seen.failures} failures; "
            f"next try in {wait} s",
            retry_after=wait,
        )

    def note(self, verdict: Verdict, *, now: float | None = None) -> None:
        """Tell the others what became of a call; when all is well and was, that costs nothing."""
        if verdict == "neither":
            return
        if verdict == "failure":
            if self._tell("fail", now) is None:
                with self._lock:
                    self._seen = self._seen.failed(time.time() if now is None else now)
        elif self.look(now) != Seen():
            self._tell("succeed", now)
            self._seen = Seen()

    def look(self, now: float | None = None) -> Seen:
        """The breaker now, at most a fifth of a second old."""
        at = time.time() if now is None else now
        if not 0 <= at - self._seen_at < BELIEVED_FOR:
            self._seen_at = at
            self._tell("look", now)
        return self._seen

    @property
    def is_shared(self) -> bool:
        """Whether the state is that of all processes, not only of this one."""
        return not self._shared.is_away

    def _claim(self, now: float | None) -> bool:
        ours = self._tell("claim", now)
        if ours is not None:
            return ours
        at = time.time() if now is None else now
        with self._lock:
            if self._seen.open_until > at:
                return False
            self._seen = self._seen.claimed(at)
            return True

    def _tell(self, verb: str, now: float | None) -> bool | None:
        """Ask Redis and see what it says; whether the probe is ours, `None` without an answer."""
        told = [verb, FAILURES, OPEN_FOR, "" if now is None else now]
        answer = self._shared.run(_TELL, [self._key], told)
        if answer is None:
            return None
        failures, open_for_ms, probing, ours = (int(number) for number in answer)
        at = time.time() if now is None else now
        open_until = at + open_for_ms / 1000 if open_for_ms else 0
        self._seen, self._seen_at = Seen(failures, open_until, bool(probing)), at
        return bool(ours)
