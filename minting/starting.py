"""Starting: whether the wallet can convert anything at all is known before the first job."""

import threading

import structlog
from django.db import close_old_connections

from exchange.errors import ExchangeError, Rejected
from orders.venues import minter
from polytrader.alerts import raise_alert, resolve_alert

log = structlog.get_logger()


def check(after: float) -> None:
    """Check the chain and its contracts in the background, some seconds from now."""
    timer = threading.Timer(after, _check)
    timer.daemon = True
    timer.start()


def _check() -> None:
    try:
        minter().check()
        resolve_alert("minting_held", "the start", "chain and contracts are as expected")
        log.info("contracts_checked")
    except Rejected as refusal:
        raise_alert("minting_held", "the start", str(refusal))
    except ExchangeError as error:
        log.warning("contracts_not_checked", error=str(error))
    except Exception:
        log.exception("contracts_not_checked")
    finally:
        close_old_connections()
