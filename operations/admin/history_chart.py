"""How best price and trigger of a stop moved over time, as a drawing; times run to the right."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.utils import timezone

from polytrader.numbers import plain
from trailing.history import Point, points
from trailing.models import StopEvent, TrailingStop

LEFT, RIGHT, TOP, BOTTOM = 70, 980, 30, 210
LEVELS = (("floor", "#7c2d12"), ("take-profit", "#0f766e"))
MARKS = {
    "activated": "#9333ea",
    "breached": "#d97706",
    "recovered": "#16a34a",
    "rearmed": "#9333ea",
    "asked": "#d97706",
    "decided": "#9333ea",
    "triggered": "#2563eb",
    "held": "#dc2626",
}
"""Events that are drawn where they happened, at their price."""

MOST_MARKS = 60


@dataclass(frozen=True)
class Mark:
    """An event at its moment and price."""

    x: int
    y: int
    colour: str
    said: str


@dataclass(frozen=True)
class Level:
    """A price that stays the same, with its name; or a line of the grid, without one."""

    y: int
    price: str
    name: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Chart:
    """Steps as points of an SVG polyline, marks, levels, and the moments at both ends."""

    title: str
    best: str
    trigger: str
    marks: list[Mark]
    grid: list[Level]
    levels: list[Level]
    from_: str
    until: str


@dataclass(frozen=True)
class _Frame:
    """Where moments and prices lie on the drawing."""

    began_at: datetime
    ended_at: datetime
    lowest: Decimal
    highest: Decimal

    def x(self, at: datetime) -> int:
        whole = max(self.ended_at - self.began_at, timedelta(seconds=1))
        part = min(max((at - self.began_at) / whole, 0.0), 1.0)
        return LEFT + round(part * (RIGHT - LEFT))

    def y(self, price: Decimal) -> int:
        whole = self.highest - self.lowest
        part = (price - self.lowest) / whole if whole else Decimal("0.5")
        return BOTTOM - round(part * (BOTTOM - TOP))


def chart_of(stop: TrailingStop) -> Chart | None:
    """Draw the history of a stop; `None` where there is none yet."""
    steps = points(stop, timezone.now())
    if not steps:
        return None
    drawn = stop.events.filter(kind__in=MARKS, price__isnull=False)
    events = list(drawn.order_by("-id")[:MOST_MARKS])
    named = zip(LEVELS, (stop.stop_price, stop.take_profit_price), strict=True)
    levels = [(name, colour, price) for (name, colour), price in named if price is not None]
    return draw(steps, events, levels)


def draw(
    steps: Sequence[Point],
    events: Sequence[StopEvent] = (),
    levels: Sequence[tuple[str, str, Decimal]] = (),
) -> Chart:
    """Lay steps, events and levels out in one frame that holds them all."""
    frame = _frame(steps, events, levels)
    last = steps[-1]
    return Chart(
        f"best price {plain(last.watermark)}, trigger {plain(last.trigger)},"
        f" {len(steps)} points since {_moment(frame.began_at)}",
        _polyline(frame, [(step.at, step.watermark) for step in steps]),
        _polyline(frame, [(step.at, step.trigger) for step in steps]),
        [_mark(frame, event) for event in events],
        [Level(frame.y(price), plain(price)) for price in _grid(frame)],
        [Level(frame.y(price), plain(price), name, colour) for name, colour, price in levels],
        _moment(frame.began_at),
        _moment(frame.ended_at),
    )


def _frame(
    steps: Sequence[Point],
    events: Iterable[StopEvent],
    levels: Iterable[tuple[str, str, Decimal]],
) -> _Frame:
    prices = [price for step in steps for price in (step.watermark, step.trigger)]
    prices += [event.price for event in events if event.price is not None]
    prices += [price for _, _, price in levels]
    ended_at = max([steps[-1].at, *(event.at for event in events)])
    return _Frame(steps[0].at, ended_at, min(prices), max(prices))


def _grid(frame: _Frame) -> list[Decimal]:
    middle = (frame.lowest + frame.highest) / 2
    found = (frame.lowest, middle, frame.highest)
    return sorted({Decimal(f"{price:.8g}") for price in found})


def _polyline(frame: _Frame, steps: Sequence[tuple[datetime, Decimal]]) -> str:
    """A price stands until the next one: each step goes to the right first, then up or down."""
    corners: list[tuple[int, int]] = []
    for at, price in steps:
        x, y = frame.x(at), frame.y(price)
        if corners and corners[-1][1] != y:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return " ".join(f"{x},{y}" for x, y in corners)


def _mark(frame: _Frame, event: StopEvent) -> Mark:
    price = event.price if event.price is not None else frame.lowest
    said = f"{_moment(event.at)} {event.kind} at {plain(price)}: {event.text}"
    return Mark(frame.x(event.at), frame.y(price), MARKS[event.kind], said)


def _moment(at: datetime) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}"
