"""What the user sees once everything runs."""

from __future__ import annotations

from urllib.parse import urlsplit

from polytrader.configuration import Configuration
from polytrader.generated import SECRETS_FILE


def address(configuration: Configuration) -> str:
    """Return the web process's URL."""
    host = configuration.host
    return f"http://{f'[{host}]' if ':' in host else host}:{configuration.port}/"


def banner(configuration: Configuration) -> list[str]:
    """Return its lines; the last is the one that others wait for. Secrets only when playing."""
    kept = configuration.home / SECRETS_FILE
    web = address(configuration)
    if configuration.exchange == "paper":
        admin = f"admin / {configuration.admin_password}"
        token = f"{configuration.token}"
        flower = f"{configuration.flower_user} / {configuration.flower_password}"
    else:
        admin = f"admin / ADMIN_PASSWORD, or admin_password in {kept}"
        token = f"POLYTRADER_TOKEN, or token in {kept}"
        flower = f"{configuration.flower_user} / FLOWER_PASSWORD, or flower_password in {kept}"
    rows = [
        ("Admin", f"{web}admin/  ({admin})"),
        ("API docs", f"{web}api/docs  (log in to the admin first)"),
        ("API token", token),
        ("Flower", f"http://127.0.0.1:{configuration.flower_port}/  ({flower})"),
    ]
    if configuration.exchange == "paper":
        paper = f"http://127.0.0.1:{configuration.paper_port}/"
        rows.append(("Paper exchange", f"{paper}  (control API: {paper}paper/markets)"))
    else:
        rows.append(("Exchange", "Polymarket, LIVE: orders are real"))
    rows += [
        ("Database", without_password(configuration.database_url)),
        ("Redis", without_password(configuration.redis_url)),
        ("Logs", str(configuration.home / "logs")),
    ]
    lines = [f"  {name:<15} {value}" for name, value in rows]
    return ["", *lines, "", f"polytrader ready {web}"]


def without_password(url: str | None) -> str:
    """Return the address as it may be shown."""
    if url is None:
        return "none"
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{user}{host}{port}{parts.path}"
