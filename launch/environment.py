"""What each process is told: everybody the addresses, only those that sign the keys."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from polytrader.configuration import SIGNING_ROLES, TELLING_ROLE, Configuration
from polytrader.generated import Secrets

# Taken out of the caller's environment and given back to those that need them.
PRIVATE = frozenset(
    {
        *("POLY_PRIVATE_KEY", "POLY_API_KEY", "POLY_API_SECRET", "POLY_API_PASSPHRASE"),
        *("POLY_RELAYER_KEY", "POLY_RELAYER_ADDRESS", "BINANCE_API_KEY", "BINANCE_API_SECRET"),
        *("POLYTRADER_TOKEN", "ADMIN_PASSWORD", "POLYTRADER_ROLE"),
        *("FLOWER_USER", "FLOWER_PASSWORD", "FLOWER_BASIC_AUTH"),
        *("WEBHOOK_URL", "WEBHOOK_SECRET"),
        *("DB_HOST", "DB_PORT", "DB_USERNAME", "DB_PASSWORD", "DB_DATABASE"),
        *("REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"),
        *("PAPER_OWNER", "PAPER_WALLET", "PAPER_RELAYER_KEY"),
        *("MAKEFLAGS", "MAKELEVEL", "MFLAGS"),
    }
)


NEEDS_NO_DATABASE = frozenset({"beat", "flower", "paper"})


def of_process(
    role: str,
    configuration: Configuration,
    base: Mapping[str, str] | None = None,
    *,
    owner: str | None = None,
) -> dict[str, str]:
    """Return the environment of a process type.

    `configuration` has the addresses of the databases in it; `owner` is the address of the paper
    wallet's key, all that the paper exchange is told of it.
    """
    base = os.environ if base is None else base
    told: dict[str, str | None] = {
        name: value for name, value in base.items() if name not in PRIVATE
    }
    told |= _common(role, configuration, base.get("PATH", os.defpath))
    if role in NEEDS_NO_DATABASE:
        for name in ("DATABASE_URL", "SECRET_KEY"):
            told.pop(name, None)
    if role == TELLING_ROLE:
        told |= {
            "WEBHOOK_URL": configuration.webhook_url,
            "WEBHOOK_SECRET": configuration.webhook_secret,
        }
    if role in SIGNING_ROLES:
        told |= _keys(configuration)
    elif role == "release":
        told |= {
            "POLYTRADER_TOKEN": configuration.token,
            "ADMIN_PASSWORD": configuration.admin_password,
        }
    elif role == "flower":
        login = f"{configuration.flower_user}:{configuration.flower_password}"
        told["FLOWER_BASIC_AUTH"] = login
    elif role == "paper":
        told |= _paper(configuration, owner)
    return {name: value for name, value in told.items() if value}


def _common(role: str, configuration: Configuration, path: str) -> dict[str, str | None]:
    host = configuration.host
    return {
        "POLYTRADER_ROLE": role,
        "POLYTRADER_HOME": str(configuration.home),
        "DJANGO_SETTINGS_MODULE": "polytrader.settings",
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",  # threads otherwise keep an arena each, tens of MiB in all
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}",
        "EXCHANGE": configuration.exchange,
        "HOST": f"[{host}]" if ":" in host else host,
        "PORT": str(configuration.port),
        "PAPER_PORT": str(configuration.paper_port),
        "FLOWER_PORT": str(configuration.flower_port),
        "SECRET_KEY": configuration.secret_key,
        "DATABASE_URL": configuration.database_url,
        "REDIS_URL": configuration.redis_url,
    }


def _keys(configuration: Configuration) -> dict[str, str | None]:
    return {
        "POLY_PRIVATE_KEY": configuration.private_key,
        "POLY_API_KEY": configuration.api_key,
        "POLY_API_SECRET": configuration.api_secret,
        "POLY_API_PASSPHRASE": configuration.api_passphrase,
        "POLY_RELAYER_KEY": configuration.relayer_key,
        "POLY_RELAYER_ADDRESS": configuration.relayer_address,
        "BINANCE_API_KEY": configuration.binance_api_key,
        "BINANCE_API_SECRET": configuration.binance_api_secret,
    }


def _paper(configuration: Configuration, owner: str | None) -> dict[str, str | None]:
    return {
        "PAPER_OWNER": owner,
        "PAPER_WALLET": configuration.wallet,
        "PAPER_RELAYER_KEY": configuration.relayer_key,
        "BINANCE_API_KEY": configuration.binance_api_key,
        "BINANCE_API_SECRET": configuration.binance_api_secret,
    }


def owner_of(configuration: Configuration, secrets: Secrets) -> str:
    """Return the address of the key in use; only a key of the user's own costs a curve library."""
    if configuration.private_key in (None, secrets.private_key):
        return secrets.owner
    from eth_account import Account

    return str(Account.from_key(configuration.private_key).address)
