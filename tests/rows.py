"""Rows and requests that tests build in sight."""

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import Mock, patch

from django.test import Client
from django.utils import timezone

from orders import planning
from orders.models import Instrument, Order, Position, Trade
from orders.planning import ExitRequest
from polytrader import prepared, tokens
from trailing.executable import Depth
from trailing.maths import Trail
from trailing.models import TrailingStop, Watermark
from trailing.tick import Observation

_numbers = itertools.count(1)


class Api:
    """The HTTP API, in this process, with a token of one scope."""

    def __init__(self, scope: str) -> None:
        self.token = tokens.create(f"test {scope}", scope)
        self.client = Client(headers={"Authorization": f"Bearer {self.token}"})

    def get(self, path: str, **params: Any) -> Any:
        return self.client.get(path, params)

    def post(self, path: str, body: Any = None, raw: str | None = None, **headers: str) -> Any:
        content = raw if raw is not None else json.dumps({} if body is None else body)
        return self.client.post(path, content, content_type="application/json", headers=headers)


def an_instrument(
    symbol: str | None = None, held: str = "10000", collateral: str = "100000", **changes: Any
) -> Instrument:
    """An outcome token with tick 0.01 and minimum 5, of which some is held."""
    symbol = symbol or f"9{next(_numbers):020d}"
    columns: dict[str, Any] = {
        "symbol": symbol,
        "venue": "polymarket",
        "base_asset": symbol,
        "quote_asset": "collateral",
        "tick_size": Decimal("0.01"),
        "min_quantity": Decimal(5),
        "quantity_step": Decimal("0.01"),
        "condition_id": "0x" + "ab" * 32,
        "complement": f"8{symbol[1:]}",
        **changes,
    }
    instrument = Instrument.objects.create(**columns)
    for asset, amount in ((instrument.base_asset, held), (instrument.quote_asset, collateral)):
        Position.objects.get_or_create(
            asset=asset,
            defaults={
                "venue": instrument.venue,
                "matched": Decimal(amount),
                "settled": Decimal(amount),
                "compared_at": timezone.now(),
            },
        )
    return instrument


def a_stop(
    instrument: Instrument,
    trail: Trail,
    entry: str,
    *,
    side: str = "sell",
    activation: str | None = None,
    quantity: str | None = "10",
    watermark: Watermark | None = None,
    reference: str | None = None,
    **changes: Any,
) -> TrailingStop:
    """A stop as creating leaves it, with its watermark at the entry price unless one is shared."""
    reference = reference or ("bid" if side == "sell" else "ask")
    if activation is None and watermark is None:
        watermark = a_watermark(instrument, side, entry, reference)
    return TrailingStop.objects.create(
        state_key=f"trailing_stop_{next(_numbers):016d}",
        instrument=instrument,
        side=side,
        status="active" if activation is None else "pending_activation",
        quantity=None if quantity is None else Decimal(quantity),
        trail_fraction=trail.fraction,
        trail_amount=trail.amount,
        entry_price=Decimal(entry),
        activation_price=None if activation is None else Decimal(activation),
        watermark=watermark,
        reference=reference,
        **changes,
    )


def a_watermark(
    instrument: Instrument, side: str, price: str | Decimal, reference: str | None = None
) -> Watermark:
    """A best price for stops to share."""
    return Watermark.objects.create(
        instrument=instrument,
        side=side,
        reference=reference or ("bid" if side == "sell" else "ask"),
        price=Decimal(price),
    )


def seen(
    instrument: Instrument,
    price: Decimal | str | None,
    at: datetime | None = None,
    *,
    ask: Decimal | str | None = None,
    last: Decimal | str | None = None,
    depth: Depth | None = None,
) -> Observation:
    """An observation with this price on both sides unless an ask is given."""
    bid = None if price is None else Decimal(price)
    return Observation(
        instrument.pk,
        bid,
        bid if ask is None else Decimal(ask),
        at or timezone.now(),
        None if last is None else Decimal(last),
        depth,
    )


def moments(count: int) -> list[datetime]:
    """So many moments, a tenth of a second apart, the last one now."""
    now = timezone.now()
    return [now - timedelta(milliseconds=100 * (count - 1 - index)) for index in range(count)]


def open_exits(requests: Sequence[ExitRequest]) -> list[tuple[Trade, Order | None]]:
    """Plan exits and save them, as a tick does; each trade with its first order."""
    exits = planning.plan_exits(requests)
    prepared.run(*exits.insertions())
    return list(zip(exits.trades, exits.orders, strict=True))


@contextmanager
def counted_runs() -> Iterator[Mock]:
    """What `prepared.run` is called for meanwhile: Django's log of queries knows nothing of it."""
    with patch.object(prepared, "run", wraps=prepared.run) as runs:
        yield runs
