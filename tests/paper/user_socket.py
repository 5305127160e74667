"""A plain WebSocket on the user channel, which collects what it is sent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from polymarket import SecureClient
from websockets.sync.client import ClientConnection, connect


class UserSocket:
    """A subscribed connection; `events` in the order they came, `frames` as they were."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.events: list[dict] = []
        self.frames: list[object] = []

    def send(self, body: object) -> None:
        """Send JSON, or text as it is."""
        self.connection.send(body if isinstance(body, str) else json.dumps(body))

    def read(self, seconds: float = 5) -> str:
        """Read one frame; events are collected."""
        text = str(self.connection.recv(timeout=seconds))
        if text[:1] in "[{":
            frame = json.loads(text)
            self.frames.append(frame)
            self.events += frame if isinstance(frame, list) else [frame]
        return text

    def ping(self) -> None:
        """Send a PING and read until its PONG: everything sent before it has arrived."""
        self.send("PING")
        while self.read() != "PONG":
            pass

    def until(self, wanted, seconds: float = 5) -> list[dict]:
        """Read until `wanted(events)` is true and give the events."""
        end = time.monotonic() + seconds
        while not wanted(self.events):
            self.read(max(end - time.monotonic(), 0.01))
        return self.events

    def said(self) -> list[tuple[str, str]]:
        """List (type, status) of what came; a trade's type is TRADE."""
        return [(event["type"], event["status"]) for event in self.events]


def subscription(client: SecureClient, *conditions: str) -> dict:
    """Build the subscription of a client's key."""
    creds = client.credentials
    auth = {"apiKey": creds.key, "secret": creds.secret, "passphrase": creds.passphrase}
    return {"auth": auth, "type": "user"} | ({"markets": list(conditions)} if conditions else {})


def ws_url(url: str) -> str:
    """Give the user channel's address."""
    return url.replace("http://", "ws://") + "/ws/user"


@contextmanager
def listening(url: str, client: SecureClient, *conditions: str) -> Iterator[UserSocket]:
    """Listen to a client's own events for the length of a `with` block."""
    with connect(ws_url(url), open_timeout=5, close_timeout=1) as connection:
        socket = UserSocket(connection)
        socket.send(subscription(client, *conditions))
        socket.ping()
        yield socket
