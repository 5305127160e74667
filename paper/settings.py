"""What the process reads from its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paper.encoding import checksum
from paper.wallets import beacon_wallet


class SettingsError(Exception):
    """A variable of the environment is missing or wrong; the text says which and what was expected."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One installation's settings; times in milliseconds or seconds as named."""

    port: int
    home: Path
    owner: str
    wallet: str
    relayer_key: str
    binance_key: str
    binance_secret: str
    settle_ms: int
    delay_ms: int
    gtd_seconds: int
    hold_seconds: float
    generator: bool
    seed: int


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raises SettingsError with one clear line when a value is wrong."""
    owner = _address(environ, "PAPER_OWNER", None)
    return Settings(
        port=int(_number(environ, "PAPER_PORT", "8016", 65535)),
        home=Path(environ.get("POLYTRADER_HOME") or ".polytrader") / "paper",
        owner=owner,
        wallet=_address(environ, "PAPER_WALLET", beacon_wallet(owner)),
        relayer_key=environ.get("PAPER_RELAYER_KEY", ""),
        binance_key=environ.get("BINANCE_API_KEY") or "paper-key",
        binance_secret=environ.get("BINANCE_API_SECRET") or "paper-secret",
        settle_ms=int(_number(environ, "PAPER_SETTLE_SECONDS", "2", 3600) * 1000),
        delay_ms=int(_number(environ, "PAPER_DELAY_SECONDS", "3", 3600) * 1000),
        gtd_seconds=int(_number(environ, "PAPER_GTD_SECONDS", "180", 3600)),
        hold_seconds=_number(environ, "PAPER_TIMEOUT_SECONDS", "15", 3600),
        generator=environ.get("PAPER_GENERATOR", "1") != "0",
        seed=int(_number(environ, "PAPER_SEED", "1", 2**53)),
    )


def _number(environ: Mapping[str, str], name: str, default: str, most: int) -> float:
    given = environ.get(name) or default
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise SettingsError(f"{name}: expected a number from 0 to {most}, got {given!r}")
    return value


def _address(environ: Mapping[str, str], name: str, default: str | None) -> str:
    given = environ.get(name) or default
    if given is None:
        raise SettingsError(f"{name}: expected the address that owns the wallet, 0x and 40 digits")
    try:
        return checksum(given)
    except ValueError:
        raise SettingsError(
            f"{name}: expected an address, 0x and 40 digits, got {given!r}"
        ) from None
