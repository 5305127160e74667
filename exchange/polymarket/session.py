"""An authenticated session with the CLOB: credentials derived once per process, then kept."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from exchange.per_process import PerProcess
from exchange.polymarket.connections import Connection
from exchange.polymarket.failures import Trouble
from exchange.polymarket.settings import Account, Credentials

if TYPE_CHECKING:
    from exchange.polymarket.internals import Transport

log = structlog.get_logger(__name__)


class Session:
    """Sends requests signed with the account's API key.

    A key the venue no longer knows (401) is derived again once, unless it was given:
    a 401 proves that the request itself had no effect.
    """

    def __init__(self, connection: Connection, account: Account) -> None:
        self._connection = connection
        self._account = account
        self._logins = PerProcess(_Login)

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """Return the JSON answer of an authenticated read; raises `Trouble` or our errors."""
        return self._request(lambda transport, key: transport.get(path, params))

    def post(self, path: str, body_for: Callable[[str], object]) -> Any:
        """Post what `body_for` makes of the API key (the order's `owner`)."""
        return self._request(lambda transport, key: transport.post(path, body_for(key)))

    def delete(self, path: str, body: object) -> Any:
        """Return the JSON answer of an authenticated DELETE."""
        return self._request(lambda transport, key: transport.delete(path, body))

    def credentials(self) -> Credentials:
        """Return the API credentials, derived on first use; the streams need them in full."""
        if self._account.credentials is not None:
            return self._account.credentials
        return self._logins.get().login_for(self._connection, self._account).credentials

    def forget_credentials(self) -> None:
        """Derive the credentials again when they are next needed, unless they were given."""
        self._logins.get().forget()

    def log_in(self) -> None:
        """Load the client and the credentials now, so that the first order does not wait for it."""
        self._logins.get().login_for(self._connection, self._account)

    def _request(self, send: Callable[["Transport", str], Any]) -> Any:
        login = self._logins.get()
        current = login.login_for(self._connection, self._account)
        try:
            return send(current.transport, current.credentials.key)
        except Trouble as trouble:
            if trouble.status != 401 or self._account.credentials is not None:
                raise
        login.forget(current)
        current = login.login_for(self._connection, self._account)
        return send(current.transport, current.credentials.key)


@dataclass(frozen=True, slots=True)
class _Current:
    transport: "Transport"
    credentials: Credentials


class _Login:
    """One process's transport and API key; made under a lock, since deriving takes two requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: _Current | None = None

    def login_for(self, connection: Connection, account: Account) -> _Current:
        if (current := self._current) is not None:
            return current
        with self._lock:
            if self._current is None:
                from exchange.polymarket import internals

                credentials = account.credentials or _derive(connection, account.private_key)
                transport = internals.clob_transport(connection, account.private_key, credentials)
                self._current = _Current(transport, credentials)
            return self._current

    def forget(self, refused: _Current | None = None) -> None:
        with self._lock:
            if refused is None or self._current is refused:
                self._current = None


def _derive(connection: Connection, private_key: str) -> Credentials:
    from exchange.polymarket import internals

    try:
        credentials = internals.derive_credentials(connection, private_key, int(time.time()))
    except Trouble as trouble:
        raise trouble.of_asking_aside() from None
    log.info("polymarket_credentials_derived")
    return credentials
