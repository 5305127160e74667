"""A Postgres, a Redis and a paper exchange of a benchmark's own, durable as in production.

Import it first: `with installation() as paper:` sets the environment, then Django up.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
OWNER_KEY = "0x" + "42" * 32


@contextmanager
def installation(**paper_settings: str) -> Iterator[Any]:
    """Start the servers, migrate, hand out the paper exchange; stops and deletes all in the end."""
    from launch.postgres import EmbeddedPostgres
    from launch.redis import EmbeddedRedis

    home = Path(tempfile.mkdtemp(prefix="polytrader-bench-"))
    postgres = EmbeddedPostgres(home / "postgres", password="bench")
    redis = EmbeddedRedis(home / "redis", password="bench")
    try:
        os.environ |= {
            "DATABASE_URL": postgres.start(),
            "REDIS_URL": redis.start(),
            "EXCHANGE": "paper",
            "POLYTRADER_HOME": str(home),
            "POLYTRADER_DOTENV": "",
            "POLY_PRIVATE_KEY": OWNER_KEY,
            "POLY_RELAYER_KEY": "paper",
            "POLY_ORDERS_PER_SECOND": "10000",  # our own speed, not the venue's limit
            "POLY_ORDERS_BURST": "10000",
            "BINANCE_API_KEY": "paper-key",
            "BINANCE_API_SECRET": "paper-secret",
            "DJANGO_SETTINGS_MODULE": "polytrader.settings",
        }
        with _paper(home, paper_settings) as paper:
            os.environ["PAPER_PORT"] = paper.url.rsplit(":", 1)[1]
            _set_up()
            yield paper
    finally:
        redis.stop()
        postgres.stop()
        shutil.rmtree(home, ignore_errors=True)


def _paper(home: Path, settings: dict[str, str]) -> Any:
    from exchange.polymarket.wallets import address_of
    from tests.paper_process import running_paper

    told = {"PAPER_GENERATOR": "0", "PAPER_SETTLE_SECONDS": "0.3"} | settings
    return running_paper(home / "paper", address_of(OWNER_KEY), **told)


def _set_up() -> None:
    import logging

    import django
    import structlog

    django.setup()
    from django.core.management import call_command

    import celery_app  # noqa: F401 - bells

    call_command("migrate", verbosity=0)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        cache_logger_on_first_use=False,
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def row(*cells: object) -> None:
    """Print one line of a table, the first column wide."""
    first, *rest = cells
    print(f"{first!s:<52}" + "".join(f"{cell!s:>12}" for cell in rest), flush=True)
