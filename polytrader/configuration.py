"""What the installation was told: environment, `.env`, a running instance, generated secrets.

Pure Python, no Django, so that the supervisor, the settings and the tests read the same values.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets as randomness
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from polytrader.addresses import allowed_hosts, database_url, host_of, redis_url, webhook
from polytrader.generated import Secrets, load_secrets
from polytrader.minting_rules import MintingRules, read_minting_rules
from polytrader.variables import ROOT, Values, dotenv_path, read_dotenv, wrong

RUNNING_FILE = "running.json"
SIGNING_ROLES = frozenset({"web", "worker", "monitor", "minter", "stream"})
TELLING_ROLE = "worker"
"""Whoever delivers alerts."""


@dataclass(frozen=True)
class Configuration:
    """The installation's settings, checked. `None` means: not set, and nothing to fall back on."""

    exchange: str
    host: str
    port: int
    paper_port: int
    flower_port: int
    debug: bool
    allowed_hosts: tuple[str, ...]
    home: Path
    wallet: str | None
    relayer_address: str | None
    orders_per_second: int
    orders_burst: int
    max_slippage: Decimal
    minting: MintingRules
    flower_user: str
    database_url: str | None = field(repr=False)
    redis_url: str | None = field(repr=False)
    rpc_url: str | None = field(repr=False)
    webhook_url: str | None = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)
    admin_password: str | None = field(repr=False)
    private_key: str | None = field(repr=False)
    api_key: str | None = field(repr=False)
    api_secret: str | None = field(repr=False)
    api_passphrase: str | None = field(repr=False)
    relayer_key: str | None = field(repr=False)
    webhook_secret: str | None = field(repr=False)
    binance_api_key: str | None = field(repr=False)
    binance_api_secret: str | None = field(repr=False)
    flower_password: str | None = field(repr=False)


def load(
    environ: Mapping[str, str] | None = None,
    *,
    dotenv: Path | None = None,
    running: bool = True,
) -> Configuration:
    """Read the configuration: environment, `.env`, running instance, generated secrets, defaults.

    `dotenv` defaults to `POLYTRADER_DOTENV` (empty: none), then to `.env` at the repository root.
    `running=False` leaves a running instance's addresses out, which the supervisor needs.
    A process whose `POLYTRADER_ROLE` does not sign is handed no key, wherever one is stored.
    Raises ConfigurationError.
    """
    environ = os.environ if environ is None else environ
    values = Values(environ, read_dotenv(dotenv_path(environ, dotenv)))
    home = _home(values)
    instance = (running_instance(home) or {}) if running else {}
    role = values.text("POLYTRADER_ROLE")
    configuration = _resolve(values, home, instance, load_secrets(home), signs=_signs(role))
    return _withhold(configuration, role)


def running_instance(home: Path) -> dict[str, Any] | None:
    """What the supervisor of a running instance noted about it; None when it is dead."""
    try:
        noted = dict(json.loads((home / RUNNING_FILE).read_text()))
        pid = int(noted["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return noted if is_alive(pid) else None


def is_alive(pid: int) -> bool:
    """Say whether a process of this number runs, whoever owns it.

    A dead one that its parent has not asked about yet does not count: the first process of many
    containers never asks.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def _signs(role: str | None) -> bool:
    return role is None or role in SIGNING_ROLES


def _home(values: Values) -> Path:
    given = Path(values.text("POLYTRADER_HOME") or ".polytrader").expanduser()
    home = Path(os.path.normpath(ROOT / given))
    if home.exists() and not home.is_dir():
        raise wrong("POLYTRADER_HOME", f"the file {str(home)!r}", "a directory")
    return home


def _resolve(
    values: Values,
    home: Path,
    instance: Mapping[str, Any],
    generated: Secrets | None,
    *,
    signs: bool,
) -> Configuration:
    exchange = values.text("EXCHANGE") or "paper"
    if exchange not in ("paper", "live"):
        raise wrong("EXCHANGE", repr(exchange), "'paper' or 'live'")
    kept: dict[str, str] = asdict(generated) if generated else {}
    account = _account(values, kept if exchange == "paper" else {})
    if exchange == "live" and signs and account["private_key"] is None:
        raise wrong("POLY_PRIVATE_KEY", "nothing", "the signing key, since EXCHANGE is 'live'")
    host = host_of(values)
    webhook_url, webhook_secret = webhook(values)
    configuration = Configuration(
        exchange=exchange,
        host=host,
        port=values.port("PORT", int(instance.get("port") or 8015)),
        paper_port=values.port("PAPER_PORT", int(instance.get("paper_port") or 8016)),
        flower_port=values.port("FLOWER_PORT", int(instance.get("flower_port") or 5555)),
        debug=values.flag("DEBUG"),
        allowed_hosts=allowed_hosts(values, host),
        home=home,
        database_url=database_url(values) or instance.get("database_url"),
        redis_url=redis_url(values) or instance.get("redis_url"),
        webhook_url=webhook_url,
        webhook_secret=webhook_secret,
        orders_per_second=values.whole("POLY_ORDERS_PER_SECOND", 40, highest=10_000),
        orders_burst=values.whole("POLY_ORDERS_BURST", 60, highest=10_000),
        max_slippage=values.fraction("MAX_SLIPPAGE", "0.02"),
        minting=read_minting_rules(values),
        # Without a home a key of the moment will do: nothing was signed with another one.
        secret_key=values.text("SECRET_KEY")
        or kept.get("secret_key")
        or randomness.token_urlsafe(50),
        token=values.text("POLYTRADER_TOKEN") or kept.get("token"),
        admin_password=values.text("ADMIN_PASSWORD") or kept.get("admin_password"),
        flower_user=values.text("FLOWER_USER") or "flower",
        flower_password=values.text("FLOWER_PASSWORD") or kept.get("flower_password"),
        **account,
    )
    _check_ports(configuration)
    return configuration


def _account(values: Values, kept: Mapping[str, str]) -> dict[str, str | None]:
    """What the venues are spoken to with; `kept` is empty when trading live."""
    return {
        "private_key": values.key("POLY_PRIVATE_KEY") or kept.get("private_key"),
        "wallet": values.address("POLY_WALLET"),
        "api_key": values.text("POLY_API_KEY"),
        "api_secret": values.text("POLY_API_SECRET"),
        "api_passphrase": values.text("POLY_API_PASSPHRASE"),
        "relayer_key": values.text("POLY_RELAYER_KEY") or kept.get("relayer_key"),
        "relayer_address": values.address("POLY_RELAYER_ADDRESS"),
        "rpc_url": values.web_address("POLYGON_RPC_URL"),
        "binance_api_key": values.text("BINANCE_API_KEY") or kept.get("binance_api_key"),
        "binance_api_secret": values.text("BINANCE_API_SECRET") or kept.get("binance_api_secret"),
    }


def _withhold(configuration: Configuration, role: str | None) -> Configuration:
    """Leave out what a process of this role has no business with."""
    if not _signs(role):
        configuration = replace(
            configuration,
            private_key=None,
            api_key=None,
            api_secret=None,
            api_passphrase=None,
            relayer_key=None,
            binance_api_key=None,
            binance_api_secret=None,
        )
    if role not in (None, "release"):
        configuration = replace(configuration, token=None, admin_password=None)
    if role not in (None, "flower"):
        configuration = replace(configuration, flower_password=None)
    if role not in (None, TELLING_ROLE):
        configuration = replace(configuration, webhook_url=None, webhook_secret=None)
    return configuration


def _check_ports(configuration: Configuration) -> None:
    named = {"PORT": configuration.port, "FLOWER_PORT": configuration.flower_port}
    if configuration.exchange == "paper":
        named["PAPER_PORT"] = configuration.paper_port
    taken: dict[int, str] = {}
    for name, port in named.items():
        if port in taken:
            raise wrong(name, f"{port}, which is also {taken[port]}", "a port of its own")
        taken[port] = name
