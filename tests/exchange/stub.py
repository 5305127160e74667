"""A scripted HTTP server: real sockets, answers given in the test."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    body: object = None
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class Silence:
    """Take the request and never answer (until the stub is closed)."""


class Reset:
    """Take the request and reset the connection."""


Reply = Answer | type[Silence] | type[Reset] | Callable[[Asked], Any]


class Stub:
    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.replies: dict[tuple[str, str], Reply] = {}
        self.closed = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def on(self, method: str, path: str, reply: object, status: int = 200) -> None:
        """Answer `method path` with JSON, an `Answer`, `Silence`, `Reset` or what a function says."""
        is_reply = isinstance(reply, Answer) or callable(reply)
        self.replies[method, path] = reply if is_reply else Answer(reply, status)  # type: ignore[assignment]

    def of(self, method: str, path: str) -> list[Asked]:
        return [one for one in self.asked if (one.method, one.path) == (method, path)]

    def _handler(stub) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                asked = Asked(
                    self.command,
                    parts.path,
                    {key: values[0] for key, values in parse_qs(parts.query).items()},
                    dict(self.headers.items()),
                    self.rfile.read(length),
                )
                stub.asked.append(asked)
                reply: Any = stub.replies.get(
                    (asked.method, asked.path), Answer({"error": "not found"}, 404)
                )
                if callable(reply) and not isinstance(reply, type):
                    reply = reply(asked)
                if reply is Silence:
                    stub.closed.wait(20)
                    self.close_connection = True
                    return
                if reply is Reset:
                    self.connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
                    self.close_connection = True
                    self.connection.close()
                    return
                if not isinstance(reply, Answer):
                    reply = Answer(reply)
                self._send(reply)

            do_POST = do_DELETE = do_GET  # noqa: N815 - named by http.server

            def _send(self, reply: Answer) -> None:
                body = (
                    reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                )
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(body)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

            def finish(self) -> None:
                with suppress(OSError, ValueError):
                    super().finish()

        return Handler


@contextmanager
def serving() -> Iterator[Stub]:
    stub = Stub()
    thread = threading.Thread(target=stub.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.closed.set()
        stub.server.shutdown()
        stub.server.server_close()
