"""What is generated at the first start, and kept where only its owner reads it."""

from __future__ import annotations

import json
import os
import secrets as randomness
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from polytrader.variables import CURVE_ORDER, ConfigurationError

SECRETS_FILE = "secrets.json"


@dataclass(frozen=True)
class Secrets:
    """What was generated at the first start; kept in `$POLYTRADER_HOME/secrets.json`."""

    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    admin_password: str = field(repr=False)
    flower_password: str = field(repr=False)
    private_key: str = field(repr=False)
    owner: str
    """The address of `private_key`, kept so that nobody needs a curve library to know it."""
    relayer_key: str = field(repr=False)
    binance_api_key: str = field(repr=False)
    binance_api_secret: str = field(repr=False)
    postgres_password: str = field(repr=False)
    redis_password: str = field(repr=False)


def load_secrets(home: Path) -> Secrets | None:
    """Read the generated secrets; None before the first start. Raises ConfigurationError."""
    stored = _read_secrets(home / SECRETS_FILE)
    if stored is None or any(item.name not in stored for item in fields(Secrets)):
        return None
    return Secrets(**{item.name: str(stored[item.name]) for item in fields(Secrets)})


def ensure_secrets(home: Path) -> Secrets:
    """Read the generated secrets, making those that are missing. Raises ConfigurationError."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Passing through stays allowed where it was: Postgres may need it (launch/identity.py).
        home.chmod(home.stat().st_mode & 0o711)
        known = load_secrets(home)
        if known is None:
            known = _generate(_read_secrets(home / SECRETS_FILE) or {})
            write_private_json(home / SECRETS_FILE, asdict(known))
        (home / SECRETS_FILE).chmod(0o600)
    except OSError as error:
        raise ConfigurationError(
            f"POLYTRADER_HOME: found {str(home)!r} where secrets cannot be kept "
            f"({error.strerror}), expected a directory that can be written"
        ) from error
    return known


def write_private_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a 0600 file at once: a reader sees the old content or the new, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read_secrets(path: Path) -> dict[str, Any] | None:
    try:
        stored = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        stored = None
    if not isinstance(stored, dict):
        raise ConfigurationError(
            f"POLYTRADER_HOME: found {str(path)!r} that cannot be read, expected the generated "
            "secrets as JSON; restore it, or move it away to have new ones made"
        )
    return stored


def _generate(known: Mapping[str, Any]) -> Secrets:
    from eth_account import Account  # a second to import, once in an installation's life

    key = str(known.get("private_key") or f"0x{randomness.randbelow(CURVE_ORDER - 1) + 1:064x}")
    fresh = {
        item.name: known.get(item.name) or randomness.token_urlsafe(24) for item in fields(Secrets)
    }
    owner = str(Account.from_key(key).address)
    return Secrets(**fresh | {"private_key": key, "owner": owner})
