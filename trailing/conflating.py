"""Conflating: while a tick runs, what comes in is reduced to its turning points, in order. Pure.

Stops compare prices with thresholds that follow the best price, so between two local
extremes nothing but the extremes themselves matters. A stop that waits for several book states
counts those beyond its threshold: the neighbours of each extreme, as many as it may wait
for, keep that count right.
"""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from trailing.tick import Observation

Key = Callable[[Observation], Decimal | None]


def _middle(seen: Observation) -> Decimal | None:
    return None if seen.bid is None or seen.ask is None else seen.bid + seen.ask


REFERENCES: tuple[Key, ...] = (
    lambda seen: seen.bid,
    lambda seen: seen.ask,
    _middle,
    lambda seen: seen.last,
    lambda seen: seen.spread,
)
"""The prices that stops refer to, and the spread that holds them back."""


def turning_points(
    seen: Sequence[Observation], updates: int = 1, before: Observation | None = None
) -> list[Observation]:
    """Keep the local extremes of each price, their neighbours, and the last observation.

    `updates` is the largest number of book states that a stop waits for; `before` is what was
    evaluated last, without which the first observation counts as an extreme. What depends
    on the depth cannot be told by the best prices, so observations with a depth stay.
    """
    if len(seen) <= 1 or seen[-1].depth is not None:
        return list(seen)
    line = _distinct([before, *seen] if before is not None else seen)
    kept: set[int] = set()
    for key in REFERENCES:
        kept |= _extremes([key(each) for each in line], updates - 1)
    points = [line[at] for at in sorted(kept) if line[at] is not before]
    if not points or points[-1] is not seen[-1]:
        points.append(seen[-1])
    return points


def bounded(seen: Sequence[Observation], most: int) -> list[Observation]:
    """Keep no more than so many: of every other pair that lies within its neighbours, none.

    For the case that nobody takes them (the database is away): what is old by then
    is refused by the tick anyway, so the younger half stays and the older is halved.
    """
    kept = list(seen)
    while len(kept) > most:
        half = len(kept) // 2
        kept = _hull(kept[:half]) + kept[half:]
    return kept


def rounds(queues: Sequence[Sequence[Observation]]) -> Iterator[list[Observation]]:
    """Give the first observation of every instrument, then the second ones: one tick each."""
    for at in range(max(map(len, queues), default=0)):
        yield [queue[at] for queue in queues if at < len(queue)]


def _distinct(seen: Sequence[Observation]) -> list[Observation]:
    """Leave out what says the same as the one before."""
    return [each for at, each in enumerate(seen) if at == 0 or _state(each) != _state(seen[at - 1])]


def _state(seen: Observation) -> tuple[Decimal | None, ...]:
    return seen.bid, seen.ask, seen.last


def _extremes(prices: Sequence[Decimal | None], neighbours: int) -> set[int]:
    """Where a series turns, its ends, and so many neighbours; gaps in it do not count."""
    known = [(at, price) for at, price in enumerate(prices) if price is not None]
    turns = {0, len(known) - 1} if known else set()
    rising: bool | None = None
    for at in range(1, len(known)):
        here, there = known[at][1], known[at - 1][1]
        if here == there:
            continue
        if rising is not None and rising != (here > there):
            turns.add(_first_of_plateau(known, at - 1))
        rising = here > there
    return {
        known[at][0]
        for turn in turns
        for at in range(max(turn - neighbours, 0), min(turn + neighbours + 1, len(known)))
    }


def _first_of_plateau(known: Sequence[tuple[int, Decimal]], at: int) -> int:
    while at > 0 and known[at - 1][1] == known[at][1]:
        at -= 1
    return at


def _hull(seen: Sequence[Observation]) -> list[Observation]:
    """The highest and the lowest of each price, in order."""
    kept: set[int] = set()
    for key in REFERENCES:
        known = [(price, at) for at, each in enumerate(seen) if (price := key(each)) is not None]
        if known:
            kept |= {min(known)[1], max(known)[1]}
    return [seen[at] for at in sorted(kept)]
