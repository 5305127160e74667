"""Telling what replayed stops did: a row of cells for each, and a few lines for all of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median

from polytrader.numbers import plain
from trailing.recorded import RecordedMarket
from trailing.replaying import Outcome

HEADINGS = ("made", "ideal", "at", "fired", "by", "got", "ticks", "reaction", "false")
NONE = "-"
FINE, COARSE = Decimal("0.00001"), Decimal("0.01")


def cells(market: RecordedMarket, outcome: Outcome) -> Sequence[str]:
    """One stop: the ideal exit and when, the real one and why, slippage in ticks, the reaction."""
    ideal, decision = outcome.ideal, outcome.decision
    return (
        f"{outcome.stop.at:%d %H:%M:%S}",
        NONE if ideal is None else _price(ideal.trigger),
        _moment(None if ideal is None else ideal.at),
        _moment(None if decision is None else decision.at),
        NONE if decision is None else decision.cause.replace("take_", ""),
        _price(outcome.got) + ("" if outcome.done_at or outcome.got is None else "*"),
        NONE if outcome.slippage is None else f"{outcome.slippage / market.tick:.1f}",
        _seconds(outcome.done_after),
        "yes" if outcome.is_false else "",
    )


def summary(outcomes: Sequence[tuple[RecordedMarket, Outcome]]) -> str:
    """All stops in words."""
    stops = [outcome for _, outcome in outcomes]
    fired = [one for one in stops if one.decision is not None]
    unsold = sum(one.done_at is None for one in fired)
    missed = sum(one.ideal is not None and one.decision is None for one in stops)
    said = [
        f"{len(fired)} of {len(stops)} stops fired, {sum(one.is_false for one in fired)} of them falsely"
        " (the best price came back beyond the trigger, by a margin, within 10 s)."
    ]
    if missed:
        said.append(f"{missed} did not fire although the best price reached the trigger.")
    if unsold:
        said.append(f"{unsold} exits were not done when the recording ended (*).")
    slippage = [one.slippage / market.tick for market, one in outcomes if one.slippage is not None]
    if slippage:
        middle, worst = median(slippage), max(slippage)
        said.append(f"Slippage in ticks: {middle:.1f} in the middle, {worst:.1f} at worst.")
    reactions = sorted(one.done_after for one in stops if one.done_after is not None)
    if reactions:
        said.append(
            "From the first touch of the trigger to the fill:"
            f" {_seconds(reactions[len(reactions) // 2])} in the middle,"
            f" {_seconds(reactions[-1])} at worst."
        )
    return "\n".join(said)


def _price(price: Decimal | None) -> str:
    return NONE if price is None else plain(price.quantize(FINE if price < 1 else COARSE))


def _moment(at: datetime | None) -> str:
    return NONE if at is None else f"{at:%H:%M:%S}.{at.microsecond // 100_000}"


def _seconds(lasted: timedelta | None) -> str:
    return NONE if lasted is None else f"{lasted.total_seconds():.2f} s"
