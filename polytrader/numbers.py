"""Decimals as people and JSON read them."""

from decimal import Decimal


def plain(value: Decimal) -> str:
    """Write a decimal without exponent and without trailing zeros: `"50"`, `"0.001"`."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def plain_or_none(value: Decimal | None) -> str | None:
    """`plain`, with absent kept absent: zero is a value."""
    return None if value is None else plain(value)
