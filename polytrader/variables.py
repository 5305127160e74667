"""Reading variables: the environment, `.env`, and what a value must look like.

A wrong one raises `ConfigurationError`, one line for the user.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOTENV = ROOT / ".env"
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_WORDS = {"1": True, "true": True, "yes": True, "on": True} | dict.fromkeys(
    ("0", "false", "no", "off"), False
)


class ConfigurationError(ValueError):
    """One line for the user: the variable, what was found (never a secret), what is expected."""


class Values:
    """Text values by name; the environment wins over `.env`, and empty means not set."""

    def __init__(self, environ: Mapping[str, str], dotenv: Mapping[str, str]) -> None:
        self.environ = {name: text.strip() for name, text in environ.items() if text.strip()}
        self.dotenv = {name: text.strip() for name, text in dotenv.items() if text.strip()}
        self.merged = self.dotenv | self.environ

    def text(self, name: str) -> str | None:
        return self.merged.get(name)

    def port(self, name: str, default: int) -> int:
        text = self.text(name)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
            raise wrong(name, repr(text), "a port number from 1 to 65535")
        return int(text)

    def whole(self, name: str, default: int, *, highest: int) -> int:
        text = self.text(name)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= highest:
            raise wrong(name, repr(text), f"a whole number from 1 to {highest}")
        return int(text)

    def fraction(self, name: str, default: str) -> Decimal:
        text = self.text(name) or default
        if not re.fullmatch(r"0?\.[0-9]{1,6}|0", text):
            raise wrong(name, repr(text), "a number from 0 to below 1, such as 0.02")
        return Decimal(text)

    def decimal(self, name: str, default: str) -> Decimal:
        """Return an amount of at most six decimals, 0 or more."""
        text = self.text(name) or default
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", text):
            raise wrong(name, repr(text), "a number of at most six decimals, such as 0.5")
        return Decimal(text)

    def flag(self, name: str, default: str = "off") -> bool:
        text = self.text(name) or default
        if text.lower() not in _WORDS:
            raise wrong(name, repr(text), "on or off")
        return _WORDS[text.lower()]

    def address(self, name: str) -> str | None:
        """Return an account's address; mixed case must carry a right checksum."""
        text = self.text(name)
        if text is None:
            return None
        if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
            raise wrong(name, shape(text), "an address, 0x and 40 hexadecimal digits")
        digits = text[2:]
        if digits not in (digits.lower(), digits.upper()):
            from eth_utils.address import is_checksum_address  # slow to import, seldom needed

            if not is_checksum_address(text):
                raise wrong(name, repr(text), "an address whose checksum (its capitals) is right")
        return text

    def key(self, name: str) -> str | None:
        """Return a private key as 0x and 64 lower-case digits."""
        text = self.text(name)
        if text is None:
            return None
        digits = text.lower().removeprefix("0x")
        if not re.fullmatch(r"[0-9a-f]{64}", digits) or not 0 < int(digits, 16) < CURVE_ORDER:
            raise wrong(name, shape(text), "a private key, 0x and 64 hexadecimal digits")
        return "0x" + digits

    def web_address(self, name: str) -> str | None:
        text = self.text(name)
        if text is not None and not re.match(r"https?://[^\s/]+", text):
            raise wrong(name, shape(text), "a URL, https://host/path")
        return text


def wrong(name: str, found: str, expected: str) -> ConfigurationError:
    return ConfigurationError(f"{name}: found {found}, expected {expected}")


def shape(text: str) -> str:
    return f"{len(text)} characters that are something else (not shown)"


def dotenv_path(environ: Mapping[str, str], dotenv: Path | None) -> Path | None:
    if dotenv is not None:
        return dotenv
    chosen = environ.get("POLYTRADER_DOTENV")
    if chosen is None:
        return DOTENV
    return Path(chosen) if chosen else None


def read_dotenv(path: Path | None) -> dict[str, str]:
    if path is None or not path.is_file():
        return {}
    try:
        text = path.read_text()
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"{path.name}: found a file that cannot be read, expected lines NAME=value"
        ) from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not re.match(r"\s*#|(export )?[A-Za-z_0-9]+=", line):
            raise ConfigurationError(
                f"{path.name}: found something else in line {number}, expected NAME=value"
            )
    import environ  # slow to import, and only of use to who has such a file

    values: dict[str, str] = {}
    reader: Any = type("Reader", (environ.Env,), {"ENVIRON": values})
    reader.read_env(io.StringIO(text), parse_comments=True)
    return values
