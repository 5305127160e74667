"""Many stops in one request: each row is read and answered by itself, the good ones are made together."""

from collections.abc import Sequence
from typing import Any

from rest_framework.response import Response

from exchange.errors import ExchangeError
from polytrader.errors import ApiError, bad_fields, handle
from polytrader.fields import Body
from polytrader.json import Number
from trailing import creating
from trailing.lookups import Lookups
from trailing.models import TrailingStop
from trailing.requests import StopRequest, read_request

MOST = 1000

Refusal = dict[str, Any]
"""The error of one row, in the shape of every error."""


def read_all(data: Any) -> list[StopRequest | Refusal]:
    """Read a body of `POST /api/trailing-stops/bulk`: what is wanted, or what is wrong with it, per row.

    Raises `ApiError` 400 when the body is no list of rows, or not one of them can be made.
    """
    body = Body(data)
    rows = body.rows("stops", MOST)
    body.check()
    if not rows:
        raise bad_fields({"stops": f"expected a list of 1 to {MOST} objects"})
    known = Lookups(_symbols(rows))
    read = [_read(row, known) for row in rows]
    if not any(isinstance(row, StopRequest) for row in read):
        text = f"nothing was stored: none of the {len(read)} stops can be made, see fields"
        raise ApiError(400, "invalid", text, _all_problems(read))
    return read


def make(rows: Sequence[StopRequest | Refusal]) -> Response:
    """Make what can be made; answer the rows in their order. Call inside a transaction."""
    wanted = [row for row in rows if isinstance(row, StopRequest)]
    stops = iter(creating.create_many(wanted))
    results = [show_made(next(stops), row) if isinstance(row, StopRequest) else row for row in rows]
    made, refused = len(wanted), len(rows) - len(wanted)
    return Response({"created": made, "refused": refused, "results": results}, status=201)


def show_made(stop: TrailingStop, wanted: StopRequest) -> dict[str, Any]:
    """What is answered of a stop that was just made."""
    told: dict[str, Any] = {
        "stateKey": stop.state_key,
        "status": stop.status,
        "entryPrice": Number(stop.entry_price),
        "triggerPrice": Number(stop.current_trigger_price),
    }
    return told | ({"warnings": list(wanted.warnings)} if wanted.warnings else {})


def _read(row: Any, known: Lookups) -> StopRequest | Refusal:
    try:
        return read_request(row, known)
    except (ApiError, ExchangeError) as error:
        answer = handle(error, {})
        assert answer is not None
        refusal: Refusal = answer.data
        return refusal


def _symbols(rows: Sequence[Any]) -> list[str]:
    """What can be a symbol at all; the rest is refused row by row."""
    told = [row.get("symbol") for row in rows if isinstance(row, dict)]
    return [symbol for symbol in told if isinstance(symbol, str) and symbol.isprintable()]


def _all_problems(refusals: Sequence[Any]) -> dict[str, str]:
    return {
        f"stops[{place}]" + (f".{name}" if name else ""): text
        for place, refusal in enumerate(refusals)
        for name, text in (refusal["error"]["fields"] or {"": refusal["error"]["message"]}).items()
    }
