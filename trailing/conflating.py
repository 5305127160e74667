"""Conflating: while a tick runs, what comes in is reduced to its turning points, in order. Pure.

Stops compare prices with thresholds that follow the best price, so between two local
extremes nothing but the extremes themselves matters. A stop that waits for several book states
counts those beyond its threshold: the neighbours of each extreme, as many as it may wait
for, keep that count right.

A stop with a largest spread fires by a price beyond its threshold that is quoted narrowly enough:
the extremes of the narrow quotes alone are such witnesses, and the states before each, as many
as it may wait for, let it be confirmed there. A stop by `executable` has a price series
of its own for its quantity, which turns elsewhere than the best prices.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from trailing.executable import executable_price
from trailing.maths import Side
from trailing.tick import Observation

Key = Callable[[Observation], Decimal | None]
Prices = Sequence[Decimal | None]

SPACING = timedelta(milliseconds=100)
"""No longer is left out: what stops confirm by time differs by no more than this."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What the stops of one instrument tell apart in what is seen.

    `updates` is the largest number of book states that one waits for, `spreads` are the
    largest spreads they trust, `quantities` what they would sell or buy at once. `None`: too
    many different ones to follow each, so every state stays.
    """

    updates: int = 1
    spreads: Sequence[Decimal] | None = ()
    quantities: Sequence[tuple[Side, Decimal]] | None = ()


def _middle(seen: Observation) -> Decimal | None:
    return None if seen.bid is None or seen.ask is None else seen.bid + seen.ask


def _spread(seen: Observation) -> Decimal | None:
    return seen.spread


REFERENCES: tuple[Key, ...] = (
    lambda seen: seen.bid,
    lambda seen: seen.ask,
    _middle,
    lambda seen: seen.last,
)
"""The prices that stops refer to, beside those by their own quantity."""

PLAIN = Needs()


def turning_points(
    seen: Sequence[Observation], needs: Needs = PLAIN, before: Observation | None = None
) -> list[Observation]:
    """Keep the local extremes of each price, their neighbours, and the last observation.

    `before` is what was evaluated last, without which the first observation counts as an
    extreme.
    """
    if len(seen) <= 1:
        return list(seen)
    line, series = _distinct([before, *seen] if before is not None else seen, needs)
    if needs.spreads is None or (needs.quantities is None and seen[-1].depth is not None):
        kept = set(range(len(line)))
    else:
        kept = _kept(line, series, needs)
    points = [line[at] for at in sorted(kept) if line[at] is not before]
    if not points or points[-1] is not seen[-1]:
        points.append(seen[-1])
    return points


def _kept(line: Sequence[Observation], series: Sequence[Prices], needs: Needs) -> set[int]:
    narrow = [
        [at for at, each in enumerate(line) if each.spread is not None and each.spread <= most]
        for most in needs.spreads or ()
    ]
    kept: set[int] = set()
    for prices in series:
        known = [at for at, price in enumerate(prices) if price is not None]
        kept |= _extremes(prices, known, needs.updates - 1)
        for places in narrow:
            trusted = [at for at in places if prices[at] is not None]
            witnesses = _extremes(prices, trusted, needs.updates - 1)
            kept |= _with_those_before(known, witnesses, needs.updates - 1)
            kept |= _spaced(line, trusted)
    return kept | _spaced(line, range(len(line)))


def bounded(seen: Sequence[Observation], most: int) -> list[Observation]:
    """Keep no more than so many: of every other pair that lies within its neighbours, none.

    For the case that nobody takes them (the database is away): what is old by then
    is refused by the tick anyway, so the younger half stays and the older is halved.
    """
    kept = list(seen)
    while len(kept) > most:
        half = len(kept) // 2
        older = _hull(kept[:half])
        kept = (older if len(older) < half else older[1:]) + kept[half:]
    return kept


def rounds(queues: Sequence[Sequence[Observation]]) -> Iterator[list[Observation]]:
    """Give the first observation of every instrument, then the second ones: one tick each."""
    for at in range(max(map(len, queues), default=0)):
        yield [queue[at] for queue in queues if at < len(queue)]


def _distinct(seen: Sequence[Observation], needs: Needs) -> tuple[list[Observation], list[Prices]]:
    """Leave out what says the same as the one before; the price series of what is left."""
    keys = (*REFERENCES, *(_executable(*each) for each in needs.quantities or ()))
    states = [tuple(key(each) for key in keys) for each in seen]
    if needs.quantities is None:
        told: list[object] = [(state, each.depth) for state, each in zip(states, seen, strict=True)]
    else:
        told = [*states]
    places = [at for at in range(len(seen)) if at == 0 or told[at] != told[at - 1]]
    columns = zip(*(states[at] for at in places), strict=True)
    return [seen[at] for at in places], [list(column) for column in columns]


def _executable(side: Side, quantity: Decimal) -> Key:
    def price(seen: Observation) -> Decimal | None:
        if seen.depth is None:
            return None
        return executable_price(seen.depth.bids if side == "sell" else seen.depth.asks, quantity)

    return price


def _extremes(prices: Prices, places: Sequence[int], neighbours: int) -> set[int]:
    """Where the prices of these places turn, the first and the last, and so many neighbours."""
    known = [(at, price) for at in places if (price := prices[at]) is not None]
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


def _with_those_before(known: Sequence[int], places: set[int], count: int) -> set[int]:
    """These places, and so many of the known ones before each."""
    return {
        known[near]
        for at, place in enumerate(known)
        if place in places
        for near in range(max(at - count, 0), at + 1)
    }


def _spaced(line: Sequence[Observation], places: Iterable[int]) -> set[int]:
    """Of places that are far apart in time as many as leave no long gap."""
    kept: set[int] = set()
    latest = line[0].received_at
    if line[-1].received_at - latest < SPACING:
        return kept
    for at in places:
        if line[at].received_at - latest >= SPACING:
            kept.add(at)
            latest = line[at].received_at
    return kept


def _first_of_plateau(known: Sequence[tuple[int, Decimal]], at: int) -> int:
    while at > 0 and known[at - 1][1] == known[at][1]:
        at -= 1
    return at


def _hull(seen: Sequence[Observation]) -> list[Observation]:
    """The highest and the lowest of each price, in order."""
    kept: set[int] = set()
    for key in (*REFERENCES, _spread):
        known = [(price, at) for at, each in enumerate(seen) if (price := key(each)) is not None]
        if known:
            kept |= {min(known)[1], max(known)[1]}
    return [seen[at] for at in sorted(kept)]
