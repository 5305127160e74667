"""The options of a stop, and what became of it, in words for a person."""

from datetime import datetime

from polytrader.numbers import plain
from trailing.models import TrailingStop
from trailing.showing import trouble_of

REFERENCES = {
    "bid": "the best bid",
    "ask": "the best ask",
    "mid": "the middle of bid and ask",
    "last": "the last trade",
    "executable": "what its quantity would get",
}
GAP_POLICIES = {
    "fire_if_still_breached": "fire once confirmed",
    "fire": "fire at once",
    "rearm": "follow the price from there",
    "ask": "ask a person",
}
CAUSES = {
    "trail": "the trail",
    "floor": "the hard floor",
    "take_profit": "the take-profit",
    "person": "a person",
}


def confirmation(stop: TrailingStop) -> str:
    """What it wants to see before it fires."""
    wanted = []
    if stop.confirm_updates is not None:
        wanted.append(f"{stop.confirm_updates} book states")
    if stop.confirm_ms is not None:
        wanted.append(f"{stop.confirm_ms / 1000:g} s")
    return " or ".join(wanted) or "none"


def options(stop: TrailingStop) -> str:
    """What it has besides its trail; what every stop has by default is not said."""
    said = []
    if stop.reference not in ("bid", "ask"):
        said.append(f"by {stop.reference}")
    for name, price in (
        ("floor", stop.stop_price),
        ("profit", stop.take_profit_price),
        ("spread", stop.max_spread),
        ("slippage", stop.max_slippage),
    ):
        if price is not None:
            said.append(f"{name} {plain(price)}")
    if stop.gap_policy != "fire_if_still_breached":
        said.append(f"gap: {stop.gap_policy}")
    if stop.expires_at is not None and stop.is_watched:
        said.append("expires")
    return ", ".join(said)


def state(stop: TrailingStop, now: datetime) -> str:
    """Its phase, and what it waits for or what went wrong."""
    phase, why = stop.phase(now), _why(stop, now)
    return why if why.startswith(phase) else f"{phase}: {why}" if why else phase


def _why(stop: TrailingStop, now: datetime) -> str:
    if stop.is_watched:
        return stop.protection(now)[1]
    return stop.error_message or trouble_of(stop)
