"""Small state that processes share through Redis, by one script per question; never raises.

While Redis is away there is no answer (`None`), and whoever asked goes by what it knows itself.
"""

import hashlib
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import redis
import structlog
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from exchange.per_process import PerProcess

log = structlog.get_logger()

CONNECT_WITHIN: Final = 0.05
ANSWER_WITHIN: Final = 0.1
TRY_AGAIN_AFTER: Final = 1.0
TRY_AGAIN_IN_A_HURRY_AFTER: Final = 10.0
"""An exit need not be the one that waits for a Redis that is away."""


class Script:
    """A Lua script and the name Redis knows it by."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Shared:
    """One Redis, asked within a tenth of a second or left alone for one."""

    def __init__(self, url: str) -> None:
        self._client = PerProcess(partial(_connect, url))
        self._failed_at: float | None = None

    @property
    def is_away(self) -> bool:
        """Whether the last question went unanswered."""
        return self._failed_at is not None

    def run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Any], *, urgent: bool = False
    ) -> Any:
        """Return what the script answers, or `None` while Redis is away."""
        failed_at = self._failed_at
        if failed_at is not None:
            pause = TRY_AGAIN_IN_A_HURRY_AFTER if urgent else TRY_AGAIN_AFTER
            if time.monotonic() - failed_at < pause:
                return None
            self._failed_at = time.monotonic()  # one thread tries, the others need not wait too
        try:
            answer = self._evaluate(script, keys, arguments)
        except (redis.RedisError, OSError) as error:
            self._failed_at = time.monotonic()
            if failed_at is None:
                log.warning("shared_state_away", error=type(error).__name__)
            return None
        if failed_at is not None:
            self._failed_at = None
            log.info("shared_state_back")
        return answer

    def _evaluate(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        client = self._client.get()
        try:
            return client.evalsha(script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return client.eval(script.text, len(keys), *keys, *arguments)


def _connect(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_WITHIN,
        socket_timeout=ANSWER_WITHIN,
        retry=Retry(NoBackoff(), 0),
    )
