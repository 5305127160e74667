"""Jobs that do not go out: put off with the reason and the next attempt, or failed with it."""

import random
from collections.abc import Iterable
from datetime import timedelta

import structlog
from django.utils import timezone

from minting.models import Mint
from polytrader.alerts import raise_alert

log = structlog.get_logger()

FIRST_DELAY = timedelta(seconds=5)
LONGEST_DELAY = timedelta(seconds=60)


def put_off(jobs: Iterable[Mint], reason: str) -> None:
    """Have these waiting jobs looked at again later, the later the more often it happened."""
    for job in jobs:
        changes = {
            "reason": reason,
            "next_attempt_at": timezone.now() + delay_after(job.put_off),
            "put_off": job.put_off + 1,
        }
        if job.status == "delayed":
            job.note(**changes)
        elif job.move("delayed", **changes):
            log.info("mint_delayed", mint=job.pk, reason=reason)


def give_up(jobs: Iterable[Mint], reason: str) -> None:
    """Fail these jobs; a person sees why and may have them tried again."""
    for job in jobs:
        if job.move("failed", reason=reason, sent_quantity=0, closed_at=timezone.now()):
            tell_of_failure(job)


def tell_of_failure(job: Mint) -> None:
    """Alert of a failed job, unless it was only an offer of our own."""
    log.warning("mint_failed", mint=job.pk, reason=job.reason)
    if job.cause != "surplus":
        raise_alert("mint_failed", f"mint {job.pk}", f"{job.kind}: {job.reason}")


def delay_after(times: int) -> timedelta:
    """Five seconds, doubled with every time up to a minute, with jitter."""
    delay: timedelta = min(FIRST_DELAY * 2 ** min(times, 10), LONGEST_DELAY)
    return delay * random.uniform(0.8, 1.2)  # noqa: S311
