"""Driving a running system from outside, over its own HTTP and the paper exchange's control API."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
from django.conf import settings

Found = TypeVar("Found")


class DriveError(Exception):
    """A step did not happen; the text says which and what was seen."""


class Web:
    """The web process of this installation."""

    name = "the web process"

    def __init__(self, token: str) -> None:
        configuration = settings.CONFIGURATION
        self._client = httpx.Client(
            base_url=f"http://{configuration.host}:{configuration.port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=20,
        )

    def get(self, path: str, **params: Any) -> Any:
        """GET a JSON answer."""
        return _ask(self, "GET", path, params=params)

    def post(self, path: str, body: Any) -> Any:
        """POST a JSON body and read the answer."""
        return _ask(self, "POST", path, json=body)


class Paper:
    """The control API of the paper exchange."""

    name = "the paper exchange"

    def __init__(self) -> None:
        base = f"http://127.0.0.1:{settings.CONFIGURATION.paper_port}"
        self._client = httpx.Client(base_url=base, timeout=60)

    def get(self, path: str) -> Any:
        """GET a JSON answer."""
        return _ask(self, "GET", path)

    def put(self, path: str, body: Any) -> Any:
        """PUT a JSON body."""
        return _ask(self, "PUT", path, json=body)

    def post(self, path: str, body: Any) -> Any:
        """POST a JSON body."""
        return _ask(self, "POST", path, json=body)

    def put_book(self, token_id: str, bid: str, ask: str, size: str = "1000") -> None:
        """Make a book of one level on either side."""
        self.put(f"/paper/books/{token_id}", {"bids": [[bid, size]], "asks": [[ask, size]]})


def _ask(who: Web | Paper, method: str, path: str, **said: Any) -> Any:
    try:
        answer = who._client.request(method, path, **said)
    except httpx.HTTPError as error:
        where = who._client.base_url
        raise DriveError(f"{who.name} at {where} does not answer: {error}") from error
    if answer.status_code >= 400:
        raise DriveError(f"{answer.request.url.path} answered {answer.status_code}: {answer.text}")
    return answer.json() if answer.content else None


def wait_for(what: str, look: Callable[[], Found | None], seconds: float) -> Found:
    """Look until something is there; raise `DriveError` naming what was waited for."""
    ends_at = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > ends_at:
            raise DriveError(f"waited {seconds:.0f} s in vain for: {what}")
        time.sleep(0.05)
