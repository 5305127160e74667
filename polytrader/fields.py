"""Reading request bodies: each field checked by name, all complaints in one answer."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from polytrader.errors import ApiError, bad_fields

MOST_INTEGER_DIGITS = 15
MOST_DECIMALS = 12
_MISSING = object()


class Body:
    """A JSON object being read; collects what is wrong until `check()` answers 400."""

    def __init__(self, data: Any) -> None:
        if not isinstance(data, Mapping):
            raise ApiError(400, "invalid", "expected a JSON object")
        self._data = data
        self._read: set[str] = set()
        self.problems: dict[str, str] = {}

    def has(self, name: str) -> bool:
        """Whether the field was given."""
        return name in self._data

    def complain(self, name: str, text: str) -> None:
        """Note what is wrong with a field; the first complaint stands."""
        self.problems.setdefault(name, text)

    def check(self) -> None:
        """Raise 400 when anything was wrong, or a field is not known at all."""
        for name in self._data:
            if name not in self._read:
                self.complain(_shown(name), "this field is not known here")
        if self.problems:
            raise bad_fields(self.problems)

    def _take(self, name: str, *, required: bool) -> Any:
        self._read.add(name)
        value = self._data.get(name, _MISSING)
        if value is _MISSING:
            if required:
                self.complain(name, "is required")
            return _MISSING
        if value is None:
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

    def choice(self, name: str, options: tuple[str, ...], *, default: str) -> str:
        """One of a few words."""
        value = self._take(name, required=False)
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

    def whole(self, name: str) -> int | None:
        """A positive whole number."""
        number = self.decimal(name)
        if number is None:
            return None
        if number != int(number) or number > 1_000_000:
            self.complain(name, "expected a whole number from 1 to 1000000")
            return None
        return int(number)

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
