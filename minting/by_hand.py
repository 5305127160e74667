"""Jobs that a person asks for: what is wrong in the request is refused, what is wrong in the world waits."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings

from exchange.errors import Rejected
from minting.models import KINDS
from orders import balances, instruments
from orders.ledger import BASE_UNIT
from orders.models import Instrument
from orders.venues import venue_name
from polytrader.fields import Body
from polytrader.numbers import plain


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked request."""

    instrument: Instrument
    kind: str
    quantity: Decimal
    asked_at: datetime | None


def read_request(data: Any) -> Asked:
    """Check a body of `POST /strategy/mint-queue`; stores what the venue says of an unknown token.

    Raises `ApiError` 400 with every wrong field named, `Unavailable` when the venue is
    needed and does not answer. Whether the market is open, resolved or paid for is not asked.
    """
    body = Body(data)
    kind = body.choice("kind", KINDS, default="split")
    symbol = body.text("assetId", required=True)
    size = body.decimal("size", required=kind != "redeem")
    asked_at = body.moment("createdAt")
    if size is not None:
        _check_size(body, kind, size)
    instrument = None if body.problems else _read_instrument(body, symbol)
    if instrument is not None and size is None:
        size = _held_of(body, instrument)
    body.check()
    assert instrument is not None
    assert size is not None
    return Asked(instrument, kind, size, asked_at)


def _check_size(body: Body, kind: str, size: Decimal) -> None:
    most = settings.CONFIGURATION.minting.most
    if size % BASE_UNIT:
        body.complain("size", "expected at most six decimals")
    elif kind != "redeem" and size > most:
        body.complain("size", f"expected at most {plain(most)} (MINT_MAX_PER_SPLIT)")


def _read_instrument(body: Body, symbol: str) -> Instrument | None:
    try:
        if venue_name(symbol) == "polymarket":
            return instruments.known_even_closed(symbol)
        body.complain("assetId", "only outcome tokens are minted; expected a token id")
    except Rejected as refusal:
        body.complain("assetId", str(refusal))
    return None


def _held_of(body: Body, instrument: Instrument) -> Decimal | None:
    """What is held of both outcomes: a redemption takes all of it."""
    tokens = (instrument.base_asset, instrument.complement)
    positions = [balances.opened(token, instrument.venue) for token in tokens if token]
    held = sum((position.settled for position in positions), start=Decimal(0))
    if held > 0:
        return held
    body.complain("size", "nothing is held of this market; give a size to have it tried anyway")
    return None
