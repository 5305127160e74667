"""Reading request bodies: each field checked by name, all complaints in one answer."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from polytrader.errors import ApiError, bad_fields

MOST_INTEGER_DIGITS = 15
MOST_DECIMALS = 12
LARGEST_WHOLE = 1_000_000
LARGEST_ID = 2**63 - 1
NOT_BEFORE = datetime(2015, 1, 1, tzinfo=UTC)
"""Earlier moments are seconds that were taken for milliseconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MISSING = object()


class Body:
    """A JSON object being read; collects what is wrong until `check()` answers 400.

    The objects of a list in it (`items`) are read by bodies of their own, whose
    complaints are kept here under names such as `legs[1].price`.
    """

    def __init__(self, data: Any) -> None:
        if not isinstance(data, Mapping):
            raise ApiError(400, "invalid", "expected a JSON object")
        self._data = data
        self._read: set[str] = set()
        self._place = ""
        self._items: list[Body] = []
        self._nullable: set[str] = set()
        self.problems: dict[str, str] = {}

    def has(self, name: str) -> bool:
        """Whether the field was given."""
        return name in self._data

    def allow_null(self, name: str) -> None:
        """Let a field be null, which reads as left out: `has` tells the two apart."""
        self._nullable.add(name)

    def complain(self, name: str, text: str) -> None:
        """Note what is wrong with a field; the first complaint stands."""
        self.problems.setdefault(self._place + name, text)

    def is_wrong(self, name: str) -> bool:
        """Whether something is wrong with a field."""
        return self._place + name in self.problems

    def check(self) -> None:
        """Raise 400 when anything was wrong, or a field is not known at all."""
        for body in (self, *self._items):
            for name in body._data:
                if name not in body._read:
                    body.complain(_shown(name), "this field is not known here")
        if self.problems:
            raise bad_fields(self.problems)

    def items(self, name: str, most: int) -> list["Body"]:
        """The objects of a list of 1 to `most`, each to be read for itself."""
        value = self._take(name, required=True)
        if value is _MISSING:
            return []
        if not isinstance(value, list) or not 0 < len(value) <= most:
            count = f", found {len(value)}" if isinstance(value, list) else ""
            self.complain(name, f"expected a list of 1 to {most} objects{count}")
            return []
        found = []
        for index, data in enumerate(value):
            if isinstance(data, Mapping):
                item = Body(data)
                item._place, item.problems = f"{self._place}{name}[{index}].", self.problems
                found.append(item)
            else:
                self.complain(f"{name}[{index}]", "expected an object")
        self._items += found
        return found

    def rows(self, name: str, most: int) -> list[Any]:
        """A list of whatever the caller reads himself; empty when it is left out."""
        value = self._take(name, required=False)
        if value is _MISSING:
            return []
        if isinstance(value, list) and len(value) <= most:
            return value
        self.complain(name, f"expected a list of at most {most}")
        return []

    def _take(self, name: str, *, required: bool) -> Any:
        self._read.add(name)
        value = self._data.get(name, _MISSING)
        if value is _MISSING:
            if required:
                self.complain(name, "is required")
            return _MISSING
        if value is None:
            if name not in self._nullable:
                self.complain(name, "must not be null; leave it out instead")
            return _MISSING
        return value

    def text(
        self, name: str, *, required: bool = False, longest: int = 80, default: str = ""
    ) -> str:
        """A string without control characters."""
        value = self._take(name, required=required)
        if value is _MISSING:
            return default
        if not isinstance(value, str) or not value.isprintable():
            self.complain(name, "expected a string")
        elif not 0 < len(value) <= longest:
            self.complain(name, f"expected 1 to {longest} characters")
        else:
            return value
        return default

    def choice(
        self, name: str, options: tuple[str, ...], *, default: str, required: bool = False
    ) -> str:
        """One of a few words."""
        value = self._take(name, required=required)
        if value is _MISSING:
            return default
        if isinstance(value, str) and value in options:
            return value
        self.complain(name, f"expected one of: {', '.join(options)}")
        return default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """true or false."""
        value = self._take(name, required=False)
        if value is _MISSING:
            return default
        if not isinstance(value, bool):
            self.complain(name, "expected true or false")
            return default
        return value

    def decimal(self, name: str, *, required: bool = False) -> Decimal | None:
        """A positive number, as a JSON number or a string, exactly as written."""
        value = self._take(name, required=required)
        if value is _MISSING:
            return None
        number = _to_decimal(value)
        if number is None:
            self.complain(name, "expected a number")
        elif number <= 0:
            self.complain(name, "expected a number above 0")
        elif not _fits(number):
            self.complain(
                name,
                f"expected at most {MOST_INTEGER_DIGITS} digits before the point "
                f"and {MOST_DECIMALS} after it",
            )
        else:
            return number
        return None

    def whole(self, name: str, *, largest: int = LARGEST_WHOLE) -> int | None:
        """A positive whole number."""
        number = self.decimal(name)
        if number is None:
            return None
        if number != int(number) or number > largest:
            self.complain(name, f"expected a whole number from 1 to {largest}")
            return None
        return int(number)

    def row_id(self, name: str) -> int | None:
        """The number of a row, which must be given."""
        value = self._take(name, required=True)
        if value is _MISSING:
            return None
        number = _to_decimal(value)
        if number is None or number != number.to_integral_value() or not 0 < number <= LARGEST_ID:
            self.complain(name, "expected the number of a row")
            return None
        return int(number)

    def part(self, name: str) -> Decimal | None:
        """A number from 0 up to 1, without 1 itself."""
        value = self._take(name, required=False)
        number = None if value is _MISSING else _to_decimal(value)
        if value is _MISSING:
            return None
        if number is None or not 0 <= number < 1 or (number and not _fits(number)):
            self.complain(name, "expected a number of at least 0 and below 1")
            return None
        return number

    def moment(self, name: str) -> datetime | None:
        """A moment: ISO 8601 with its time zone, or milliseconds since 1970."""
        value = self._take(name, required=False)
        if value is _MISSING:
            return None
        found = _to_moment(value)
        if found is None:
            self.complain(
                name,
                "expected a moment with its time zone, such as 2026-01-15T10:30:00Z,"
                " or milliseconds since 1970",
            )
        elif found < NOT_BEFORE:
            self.complain(name, f"{found:%Y-%m-%d} is too long ago; milliseconds are expected")
            return None
        return found

    def decimal_or_word(self, name: str, word: str) -> Decimal | str | None:
        """A positive number, or one fixed word."""
        if self._data.get(name) == word and isinstance(self._data.get(name), str):
            self._read.add(name)
            return word
        return self.decimal(name, required=True)

    def refuse(self, names: tuple[str, ...], text: str) -> None:
        """Refuse fields that a later version will know: silence would promise protection."""
        for name in names:
            self._read.add(name)
            if name in self._data:
                self.complain(name, text)


def _shown(name: object) -> str:
    return str(name)[:80].encode("ascii", "replace").decode()


def _to_decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    if isinstance(value, str) and (
        len(value) > 60 or not value.isascii() or set(value) & set("_ ")
    ):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _fits(number: Decimal) -> bool:
    if not -20 < number.adjusted() < MOST_INTEGER_DIGITS:
        return False
    exponent = number.normalize().as_tuple().exponent
    return isinstance(exponent, int) and -exponent <= MOST_DECIMALS


def _to_moment(value: Any) -> datetime | None:
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value) if len(value) <= 40 else None
            return None if found is None or found.tzinfo is None else found.astimezone(UTC)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            return None
        return _EPOCH + timedelta(milliseconds=float(value))
    except (ValueError, OverflowError):
        return None
