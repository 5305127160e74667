"""Where the prices of a stop lie relative to one another, as marks on a line."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

from polytrader.numbers import plain
from trailing.models import TrailingStop

LEFT, RIGHT = 90, 910
LABEL_WIDTH = 190
COLOURS = {
    "entry": "#6b7280",
    "activation": "#9333ea",
    "best": "#16a34a",
    "trigger": "#dc2626",
    "last": "#2563eb",
    "triggered by": "#2563eb",
}


@dataclass(frozen=True)
class Mark:
    """A price at its place; its label stands above or below, moved aside where two would meet."""

    name: str
    price: str
    x: int
    label_x: int
    above: bool
    colour: str


@dataclass(frozen=True)
class Line:
    """Marks from the lowest price to the highest; `danger` lies between last price and trigger."""

    title: str
    marks: list[Mark]
    danger: tuple[int, int] | None


def prices_of(stop: TrailingStop) -> dict[str, Decimal]:
    """The prices of a stop that are known, by what they are to it."""
    found = {
        "entry": stop.entry_price,
        "activation": stop.activation_price if stop.status == "pending_activation" else None,
        "best": stop.watermark_price,
        "trigger": stop.current_trigger_price,
        "last": stop.last_price if stop.is_watched else None,
        "triggered by": stop.triggered_by_price,
    }
    return {name: price for name, price in found.items() if price is not None}


def draw(prices: dict[str, Decimal]) -> Line:
    """Put prices on a line, equal ones under one mark; labels alternate above and below it."""
    names: dict[Decimal, list[str]] = defaultdict(list)
    for name, price in prices.items():
        names[price].append(name)
    ordered = sorted(names)
    places = [_place(price, ordered[0], ordered[-1]) for price in ordered]
    aside = [0] * len(places)
    for first in (0, 1):
        aside[first::2] = _apart(places[first::2])
    marks = [
        Mark(
            ", ".join(names[price]),
            plain(price),
            places[i],
            aside[i],
            i % 2 == 0,
            COLOURS[names[price][-1]],
        )
        for i, price in enumerate(ordered)
    ]
    return Line(
        ", ".join(f"{mark.name} {mark.price}" for mark in marks),
        marks,
        _danger(prices, dict(zip(ordered, places, strict=True))),
    )


def _place(price: Decimal, lowest: Decimal, highest: Decimal) -> int:
    if highest == lowest:
        return (LEFT + RIGHT) // 2
    return LEFT + int((price - lowest) / (highest - lowest) * (RIGHT - LEFT))


def _apart(places: list[int]) -> list[int]:
    """Move labels of one side to the right where they would meet, then back from the edge."""
    moved: list[int] = []
    for place in places:
        moved.append(max(place, moved[-1] + LABEL_WIDTH) if moved else place)
    for i in reversed(range(len(moved))):
        limit = RIGHT if i == len(moved) - 1 else moved[i + 1] - LABEL_WIDTH
        moved[i] = min(moved[i], limit)
    return moved


def _danger(prices: dict[str, Decimal], places: dict[Decimal, int]) -> tuple[int, int] | None:
    if "last" not in prices:
        return None
    return places[prices["last"]], places[prices["trigger"]]
