"""Choosing what goes out next: the waiting jobs of one condition, and how much of each. Pure but for `batches`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Min
from django.utils import timezone

from minting.models import WAITING, Mint
from orders.models import Instrument
from polytrader.minting_rules import MintingRules
from polytrader.numbers import plain

MOST_JOBS = 1000
"""Of one transaction."""


@dataclass(frozen=True)
class Batch:
    """The waiting jobs of one kind and condition, oldest first: one transaction, if it goes well."""

    kind: str
    jobs: Sequence[Mint]

    @property
    def instrument(self) -> Instrument:
        """One of the condition's two tokens."""
        return self.jobs[0].instrument


@dataclass(frozen=True)
class Parts:
    """How much of each job goes out now, and why others do not."""

    taken: Sequence[tuple[Mint, Decimal]]
    short: Sequence[tuple[Mint, str]] = ()

    @property
    def total(self) -> Decimal:
        """Of each outcome."""
        return sum((quantity for _, quantity in self.taken), start=Decimal(0))


def batches() -> Iterator[Batch]:
    """Every condition with a job that is due, the one due longest first, with all its waiting jobs."""
    waiting = Mint.objects.filter(status__in=WAITING)
    due = (
        waiting.values("kind", "instrument__condition_id")
        .annotate(since=Min("next_attempt_at"))
        .filter(since__lte=timezone.now())
        .order_by("since")
    )
    for row in list(due):
        mine = waiting.filter(
            kind=row["kind"], instrument__condition_id=row["instrument__condition_id"]
        )
        jobs = list(mine.select_related("instrument").order_by("pk")[:MOST_JOBS])
        if jobs:
            yield Batch(row["kind"], jobs)


def parts_of(jobs: Sequence[Mint], rules: MintingRules, why_not: Callable[[Decimal], str]) -> Parts:
    """The jobs that can go out together, oldest first, up to the maximum of one transaction.

    `why_not` says, for a total, why it cannot (empty: it can); a job that is too large holds
    none of the others back. A job above the maximum goes out in parts; what does not fit
    any more waits for the next transaction.
    """
    taken: list[tuple[Mint, Decimal]] = []
    short: list[tuple[Mint, str]] = []
    total = Decimal(0)
    for job in jobs:
        quantity = min(job.left, rules.most)
        if taken and total + quantity > rules.most:
            continue
        if reason := why_not(total + quantity):
            short.append((job, reason))
        else:
            taken.append((job, quantity))
            total += quantity
    return Parts(taken, short)


def too_little_collateral(free: Decimal, total: Decimal, rules: MintingRules) -> str:
    """Why a split of so much cannot go out; empty when it can."""
    needed = total * rules.reserve_factor
    if needed <= free:
        return ""
    return (
        f"{plain(free)} collateral is free, {plain(needed)} needed: "
        f"{plain(rules.reserve_factor)} times {plain(total)} (MINT_RESERVE_FACTOR)"
    )


def too_few_pairs(pairs: Decimal, total: Decimal) -> str:
    """Why a merge of so many cannot go out; empty when it can."""
    return "" if total <= pairs else f"{plain(pairs)} pairs are free, {plain(total)} needed"
