"""Where things listen and where the servers are, put together from variables."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import Any
from urllib.parse import quote, urlsplit

from polytrader.variables import Values, shape, wrong

SHORTEST_WEBHOOK_SECRET = 16


def webhook(values: Values) -> tuple[str | None, str | None]:
    """Return where alerts go and the secret they are signed with; neither is ever shown."""
    url, secret = values.web_address("WEBHOOK_URL"), values.text("WEBHOOK_SECRET")
    if url is None:
        return None, None
    check_url("WEBHOOK_URL", url, ("http", "https"), "https://host/path")
    if not re.fullmatch(r"[!-~]+", url):
        raise wrong("WEBHOOK_URL", "a space or a special character in it", "https://host/path")
    if secret is None or len(secret) < SHORTEST_WEBHOOK_SECRET:
        found = "nothing, though WEBHOOK_URL is set" if secret is None else shape(secret)
        expected = f"the secret that signs alerts, {SHORTEST_WEBHOOK_SECRET} characters or more"
        raise wrong("WEBHOOK_SECRET", found, expected)
    return url, secret


def host_of(values: Values) -> str:
    host = (values.text("HOST") or "127.0.0.1").removeprefix("[").removesuffix("]")
    if not is_host(host):
        raise wrong("HOST", repr(host), "an address or host name without a port")
    return host


def is_host(text: str) -> bool:
    if ":" not in text:
        return re.fullmatch(r"[0-9A-Za-z._-]+", text) is not None
    with contextlib.suppress(ValueError):
        return bool(ipaddress.IPv6Address(text))
    return False


def allowed_hosts(values: Values, host: str) -> tuple[str, ...]:
    given = values.text("ALLOWED_HOSTS")
    if given is not None:
        return tuple(name.strip() for name in given.split(",") if name.strip())
    local = ["localhost", "127.0.0.1", "[::1]"]
    if host not in ("0.0.0.0", "::", "::1", *local):  # noqa: S104 - compared, not bound
        local.append(f"[{host}]" if ":" in host else host)
    return tuple(local)


def database_url(values: Values) -> str | None:
    def composed() -> str:
        user = values.text("DB_USERNAME") or "polytrader"
        return _compose(values, "postgres", "DB", 5432, user) + (
            "/" + quote(values.text("DB_DATABASE") or "polytrader", safe="")
        )

    url = _choose(values, "DATABASE_URL", "DB_HOST", composed)
    if url is None:
        for name in ("DB_PORT", "DB_USERNAME", "DB_PASSWORD", "DB_DATABASE"):
            if values.text(name):
                raise wrong("DB_HOST", f"nothing, though {name} is set", "the database's host")
        return None
    expected = "postgres://user:password@host:5432/database"
    parts = check_url("DATABASE_URL", url, ("postgres", "postgresql"), expected)
    if not parts.path.strip("/"):
        raise wrong("DATABASE_URL", "no database name in it", expected)
    return url


def redis_url(values: Values) -> str | None:
    def composed() -> str:
        return _compose(values, "redis", "REDIS", 6379, "") + "/0"

    url = _choose(values, "REDIS_URL", "REDIS_HOST", composed)
    if url is None:
        for name in ("REDIS_PORT", "REDIS_PASSWORD"):
            if values.text(name):
                raise wrong("REDIS_HOST", f"nothing, though {name} is set", "the Redis host")
        return None
    check_url("REDIS_URL", url, ("redis", "rediss"), "redis://:password@host:6379/0")
    return url


def _choose(values: Values, whole: str, host: str, composed: Any) -> str | None:
    """Take the URL or its parts, whichever the stronger source names."""
    for source in (values.environ, values.dotenv):
        if whole in source:
            return source[whole]
        if host in source:
            return str(composed())
    return None


def _compose(values: Values, scheme: str, prefix: str, port: int, user: str) -> str:
    host = values.text(f"{prefix}_HOST") or ""
    host = host.removeprefix("[").removesuffix("]")
    if not is_host(host):
        raise wrong(f"{prefix}_HOST", shape(host), "a host name or address")
    host = f"[{host}]" if ":" in host else host
    password = values.text(f"{prefix}_PASSWORD")
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    at = f"{login}@" if login else ""
    return f"{scheme}://{at}{host}:{values.port(f'{prefix}_PORT', port)}"


def check_url(name: str, url: str, schemes: tuple[str, ...], expected: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise wrong(name, "a port or host in it that is none", expected) from None
    if "://" not in url or parts.scheme not in schemes:
        raise wrong(name, "another kind of address (not shown)", expected)
    if not parts.hostname:
        raise wrong(name, "no host in it", expected)
    return parts
