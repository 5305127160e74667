"""Reading the parameters of an address; a wrong one is 400, by its name."""

from collections.abc import Sequence

from rest_framework.request import Request

from polytrader.errors import ApiError
from polytrader.fields import LARGEST_ID


def text(request: Request, name: str) -> str | None:
    """A text without control characters; `None` when it is left out or empty."""
    value = request.query_params.get(name) or None
    if value is not None and not value.isprintable():
        raise _wrong(name, "expected printable text")
    return value


def choice(request: Request, name: str, options: Sequence[str]) -> str | None:
    """One of a few words; `None` when it is left out."""
    value = request.query_params.get(name)
    if value is not None and value not in options:
        raise _wrong(name, f"expected one of {', '.join(options)}")
    return value


def row_id(request: Request, name: str) -> int | None:
    """The number of a row; `None` when it is left out."""
    value = request.query_params.get(name)
    if value is None:
        return None
    number = as_row_id(value)
    if number is None:
        raise _wrong(name, "expected the number of a row")
    return number


def as_row_id(text: str) -> int | None:
    """A row's number in a part of an address; `None` for anything else."""
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        return None
    number = int(text)
    return number if 0 < number <= LARGEST_ID else None


def _wrong(name: str, expected: str) -> ApiError:
    return ApiError(400, "invalid", f"{name}: {expected}", {name: expected})
