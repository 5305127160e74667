"""JSON in and out: numbers are read as `Decimal`, never as float, and written plainly."""

import json as standard
from collections.abc import Mapping
from decimal import Decimal
from typing import IO, Any

import orjson
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from polytrader.numbers import plain

LONGEST_NUMBER = 60
LARGEST_BODY = 1_000_000


class Number:
    """A decimal that is answered as a JSON number, where the contract fixes one."""

    __slots__ = ("value",)

    def __init__(self, value: Decimal) -> None:
        self.value = value


class Encoded:
    """JSON that is encoded already."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content


def _fallback(value: object) -> object:
    if isinstance(value, Number):
        return orjson.Fragment(plain(value.value).encode())
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def encode(data: Any) -> bytes:
    """Write JSON: decimals as plain strings, moments as ISO 8601."""
    if isinstance(data, Encoded):
        return data.content
    return orjson.dumps(data, default=_fallback, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


class JsonRenderer(BaseRenderer):
    """Answer JSON, camelCase as given."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Encode, with nothing for an empty answer."""
        return b"" if data is None else encode(data)


class JsonParser(BaseParser):
    """Read JSON objects strictly: no NaN, no infinities, no numbers of absurd length."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Read a body; anything but JSON is a `ParseError` that says where."""
        raw = stream.read(LARGEST_BODY + 1)
        if len(raw) > LARGEST_BODY:
            raise ParseError("the body is too long")
        request = (parser_context or {}).get("request")
        if request is not None:
            request.raw_body = raw
        try:
            return standard.loads(
                raw, parse_float=_decimal, parse_int=_integer, parse_constant=_no_constant
            )
        except (ValueError, RecursionError) as error:
            raise ParseError(f"the body is not JSON: {error}") from error


def _decimal(text: str) -> Decimal:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a number has more than {LONGEST_NUMBER} characters")
    try:
        return Decimal(text)
    except ArithmeticError as error:
        raise ValueError("a number is out of any range") from error


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER + 20:
        raise ValueError(f"a number has more than {LONGEST_NUMBER} digits")
    return int(text)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")
