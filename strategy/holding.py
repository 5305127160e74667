"""An exit that holds at its slippage limit: told to a person once, until it goes on or has ended."""

from decimal import Decimal

from orders.models import Leg
from orders.reasons import HELD_AT_LIMIT
from polytrader.alerts import raise_alert, resolve_alert
from trailing.models import StopEvent, TrailingStop


def is_at_limit(reason: str) -> bool:
    """Whether that is why an exit waits."""
    return reason.startswith(HELD_AT_LIMIT)


def tell(leg: Leg, price: Decimal | None, reason: str) -> None:
    """Alert when the hold begins, at that price; call before the leg takes the reason over."""
    if is_at_limit(leg.reason):
        return
    raise_alert("exit_at_limit", _subject(leg), reason, leg=leg.pk, trade=leg.trade_id)
    stop = _stop_of(leg)
    if stop is not None:
        StopEvent.objects.create(
            stop=stop,
            kind="held",
            price=price,
            trigger_price=stop.final_trigger_price,
            text=reason,
        )


def is_over(leg: Leg, text: str) -> None:
    """Resolve the alert, if there is one."""
    if leg.worst_price is not None:
        resolve_alert("exit_at_limit", _subject(leg), text)


def _subject(leg: Leg) -> str:
    stop = _stop_of(leg)
    return f"leg {leg.pk}" if stop is None else f"stop {stop.state_key}"


def _stop_of(leg: Leg) -> TrailingStop | None:
    return TrailingStop.objects.filter(trade=leg.trade_id).first()
