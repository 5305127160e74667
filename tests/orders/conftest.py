"""Fixtures of this folder."""

from tests.orders.fixtures import impatient, tokens

__all__ = ["impatient", "tokens"]
