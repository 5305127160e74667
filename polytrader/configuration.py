"""What the installation was told: environment, `.env`, a running instance, generated secrets.

Pure Python, no Django, so that the supervisor, the settings and the tests read the same values.
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import json
import os
import re
import secrets as randomness
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
DOTENV = ROOT / ".env"
SECRETS_FILE = "secrets.json"
RUNNING_FILE = "running.json"
SIGNING_ROLES = frozenset({"web", "worker", "monitor", "minter", "stream"})
TELLING_ROLE = "worker"
"""Whoever delivers alerts."""
SHORTEST_WEBHOOK_SECRET = 16

_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_WORDS = {"1": True, "true": True, "yes": True, "on": True} | dict.fromkeys(
    ("0", "false", "no", "off"), False
)


class ConfigurationError(ValueError):
    """One line for the user: the variable, what was found (never a secret), what is expected."""


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
    values = _Values(environ, _read_dotenv(_dotenv_path(environ, dotenv)))
    home = _home(values)
    instance = (running_instance(home) or {}) if running else {}
    role = values.text("POLYTRADER_ROLE")
    configuration = _resolve(values, home, instance, load_secrets(home), signs=_signs(role))
    return _withhold(configuration, role)


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


class _Values:
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
            raise _wrong(name, repr(text), "a port number from 1 to 65535")
        return int(text)

    def whole(self, name: str, default: int, *, highest: int) -> int:
        text = self.text(name)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= highest:
            raise _wrong(name, repr(text), f"a whole number from 1 to {highest}")
        return int(text)

    def fraction(self, name: str, default: str) -> Decimal:
        text = self.text(name) or default
        if not re.fullmatch(r"0?\.[0-9]{1,6}|0", text):
            raise _wrong(name, repr(text), "a number from 0 to below 1, such as 0.02")
        return Decimal(text)

    def flag(self, name: str) -> bool:
        text = self.text(name) or "off"
        if text.lower() not in _WORDS:
            raise _wrong(name, repr(text), "on or off")
        return _WORDS[text.lower()]

    def address(self, name: str) -> str | None:
        """Return an account's address; mixed case must carry a right checksum."""
        text = self.text(name)
        if text is None:
            return None
        if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
            raise _wrong(name, _shape(text), "an address, 0x and 40 hexadecimal digits")
        digits = text[2:]
        if digits not in (digits.lower(), digits.upper()):
            from eth_utils.address import is_checksum_address  # slow to import, seldom needed

            if not is_checksum_address(text):
                raise _wrong(name, repr(text), "an address whose checksum (its capitals) is right")
        return text

    def key(self, name: str) -> str | None:
        """Return a private key as 0x and 64 lower-case digits."""
        text = self.text(name)
        if text is None:
            return None
        digits = text.lower().removeprefix("0x")
        if not re.fullmatch(r"[0-9a-f]{64}", digits) or not 0 < int(digits, 16) < _CURVE_ORDER:
            raise _wrong(name, _shape(text), "a private key, 0x and 64 hexadecimal digits")
        return "0x" + digits

    def web_address(self, name: str) -> str | None:
        text = self.text(name)
        if text is not None and not re.match(r"https?://[^\s/]+", text):
            raise _wrong(name, _shape(text), "a URL, https://host/path")
        return text


def _webhook(values: _Values) -> tuple[str | None, str | None]:
    """Return where alerts go and the secret they are signed with; neither is ever shown."""
    url, secret = values.web_address("WEBHOOK_URL"), values.text("WEBHOOK_SECRET")
    if url is None:
        return None, None
    _check_url("WEBHOOK_URL", url, ("http", "https"), "https://host/path")
    if not re.fullmatch(r"[!-~]+", url):
        raise _wrong("WEBHOOK_URL", "a space or a special character in it", "https://host/path")
    if secret is None or len(secret) < SHORTEST_WEBHOOK_SECRET:
        found = "nothing, though WEBHOOK_URL is set" if secret is None else _shape(secret)
        expected = f"the secret that signs alerts, {SHORTEST_WEBHOOK_SECRET} characters or more"
        raise _wrong("WEBHOOK_SECRET", found, expected)
    return url, secret


def _wrong(name: str, found: str, expected: str) -> ConfigurationError:
    return ConfigurationError(f"{name}: found {found}, expected {expected}")


def _shape(text: str) -> str:
    return f"{len(text)} characters that are something else (not shown)"


def _signs(role: str | None) -> bool:
    return role is None or role in SIGNING_ROLES


def _dotenv_path(environ: Mapping[str, str], dotenv: Path | None) -> Path | None:
    if dotenv is not None:
        return dotenv
    chosen = environ.get("POLYTRADER_DOTENV")
    if chosen is None:
        return DOTENV
    return Path(chosen) if chosen else None


def _read_dotenv(path: Path | None) -> dict[str, str]:
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


def _home(values: _Values) -> Path:
    given = Path(values.text("POLYTRADER_HOME") or ".polytrader").expanduser()
    home = Path(os.path.normpath(ROOT / given))
    if home.exists() and not home.is_dir():
        raise _wrong("POLYTRADER_HOME", f"the file {str(home)!r}", "a directory")
    return home


def _resolve(
    values: _Values,
    home: Path,
    instance: Mapping[str, Any],
    generated: Secrets | None,
    *,
    signs: bool,
) -> Configuration:
    exchange = values.text("EXCHANGE") or "paper"
    if exchange not in ("paper", "live"):
        raise _wrong("EXCHANGE", repr(exchange), "'paper' or 'live'")
    kept: dict[str, str] = asdict(generated) if generated else {}
    account = _account(values, kept if exchange == "paper" else {})
    if exchange == "live" and signs and account["private_key"] is None:
        raise _wrong("POLY_PRIVATE_KEY", "nothing", "the signing key, since EXCHANGE is 'live'")
    host = _host(values)
    webhook_url, webhook_secret = _webhook(values)
    configuration = Configuration(
        exchange=exchange,
        host=host,
        port=values.port("PORT", int(instance.get("port") or 8015)),
        paper_port=values.port("PAPER_PORT", int(instance.get("paper_port") or 8016)),
        flower_port=values.port("FLOWER_PORT", int(instance.get("flower_port") or 5555)),
        debug=values.flag("DEBUG"),
        allowed_hosts=_allowed_hosts(values, host),
        home=home,
        database_url=_database_url(values) or instance.get("database_url"),
        redis_url=_redis_url(values) or instance.get("redis_url"),
        webhook_url=webhook_url,
        webhook_secret=webhook_secret,
        orders_per_second=values.whole("POLY_ORDERS_PER_SECOND", 40, highest=10_000),
        orders_burst=values.whole("POLY_ORDERS_BURST", 60, highest=10_000),
        max_slippage=values.fraction("MAX_SLIPPAGE", "0.02"),
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


def _account(values: _Values, kept: Mapping[str, str]) -> dict[str, str | None]:
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
            raise _wrong(name, f"{port}, which is also {taken[port]}", "a port of its own")
        taken[port] = name


def _host(values: _Values) -> str:
    host = (values.text("HOST") or "127.0.0.1").removeprefix("[").removesuffix("]")
    if not _is_host(host):
        raise _wrong("HOST", repr(host), "an address or host name without a port")
    return host


def _is_host(text: str) -> bool:
    if ":" not in text:
        return re.fullmatch(r"[0-9A-Za-z._-]+", text) is not None
    with contextlib.suppress(ValueError):
        return bool(ipaddress.IPv6Address(text))
    return False


def _allowed_hosts(values: _Values, host: str) -> tuple[str, ...]:
    given = values.text("ALLOWED_HOSTS")
    if given is not None:
        return tuple(name.strip() for name in given.split(",") if name.strip())
    local = ["localhost", "127.0.0.1", "[::1]"]
    if host not in ("0.0.0.0", "::", "::1", *local):  # noqa: S104 - compared, not bound
        local.append(f"[{host}]" if ":" in host else host)
    return tuple(local)


def _database_url(values: _Values) -> str | None:
    def composed() -> str:
        user = values.text("DB_USERNAME") or "polytrader"
        return _compose(values, "postgres", "DB", 5432, user) + (
            "/" + quote(values.text("DB_DATABASE") or "polytrader", safe="")
        )

    url = _choose(values, "DATABASE_URL", "DB_HOST", composed)
    if url is None:
        for name in ("DB_PORT", "DB_USERNAME", "DB_PASSWORD", "DB_DATABASE"):
            if values.text(name):
                raise _wrong("DB_HOST", f"nothing, though {name} is set", "the database's host")
        return None
    expected = "postgres://user:password@host:5432/database"
    parts = _check_url("DATABASE_URL", url, ("postgres", "postgresql"), expected)
    if not parts.path.strip("/"):
        raise _wrong("DATABASE_URL", "no database name in it", expected)
    return url


def _redis_url(values: _Values) -> str | None:
    def composed() -> str:
        return _compose(values, "redis", "REDIS", 6379, "") + "/0"

    url = _choose(values, "REDIS_URL", "REDIS_HOST", composed)
    if url is None:
        for name in ("REDIS_PORT", "REDIS_PASSWORD"):
            if values.text(name):
                raise _wrong("REDIS_HOST", f"nothing, though {name} is set", "the Redis host")
        return None
    _check_url("REDIS_URL", url, ("redis", "rediss"), "redis://:password@host:6379/0")
    return url


def _choose(values: _Values, whole: str, host: str, composed: Any) -> str | None:
    """Take the URL or its parts, whichever the stronger source names."""
    for source in (values.environ, values.dotenv):
        if whole in source:
            return source[whole]
        if host in source:
            return str(composed())
    return None


def _compose(values: _Values, scheme: str, prefix: str, port: int, user: str) -> str:
    host = values.text(f"{prefix}_HOST") or ""
    host = host.removeprefix("[").removesuffix("]")
    if not _is_host(host):
        raise _wrong(f"{prefix}_HOST", _shape(host), "a host name or address")
    host = f"[{host}]" if ":" in host else host
    password = values.text(f"{prefix}_PASSWORD")
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    at = f"{login}@" if login else ""
    return f"{scheme}://{at}{host}:{values.port(f'{prefix}_PORT', port)}"


def _check_url(name: str, url: str, schemes: tuple[str, ...], expected: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise _wrong(name, "a port or host in it that is none", expected) from None
    if "://" not in url or parts.scheme not in schemes:
        raise _wrong(name, "another kind of address (not shown)", expected)
    if not parts.hostname:
        raise _wrong(name, "no host in it", expected)
    return parts


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

    key = str(known.get("private_key") or f"0x{randomness.randbelow(_CURVE_ORDER - 1) + 1:064x}")
    fresh = {
        item.name: known.get(item.name) or randomness.token_urlsafe(24) for item in fields(Secrets)
    }
    owner = str(Account.from_key(key).address)
    return Secrets(**fresh | {"private_key": key, "owner": owner})
