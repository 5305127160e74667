"""Polygon's JSON-RPC: questions to a node that may be away, lag, lie or answer in HTML.

Free nodes take few questions at once, so a batch is small. A node's address often holds a
key: it is never repeated in a message.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, unquote_plus, urlsplit

from exchange.errors import Unavailable
from exchange.polymarket.connections import Connection
from exchange.polymarket.failures import Trouble

LARGEST_BATCH = 3
"""What drpc.org, the official client's node and so our default, takes without an account."""
SHORTEST_SECRET = 4
"""Characters; whatever is shorter would also stand in the words that a user needs."""
NODE = "the Polygon node (POLYGON_RPC_URL)"
SOON = 2
"""Seconds; a block of Polygon."""

Question = tuple[str, Sequence[Any]]


class NodeError(Exception):
    """The node's answer is an error: its code, its words and its data (a revert's reason)."""

    def __init__(self, code: int, message: str, data: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class Rpc:
    """A node, asked over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ids = itertools.count(1)
        self._secrets = _secrets_of(connection.base_url)

    def ask(self, method: str, *params: Any) -> Any:
        """Return what the node answers, which may be `None`; raises `Unavailable`."""
        return self.ask_many([(method, params)])[0]

    def ask_many(self, questions: Sequence[Question]) -> list[Any]:
        """Return the answers in the questions' order; raises `Unavailable` if any is missing."""
        answers: list[Any] = []
        try:
            for start in range(0, len(questions), LARGEST_BATCH):
                answers += self._batch(questions[start : start + LARGEST_BATCH])
        except Trouble as trouble:
            raise self.unavailable(trouble) from None
        except NodeError as error:
            raise Unavailable(f"{NODE} answers: {self.shown(error)}") from None
        return answers

    def attempt(self, method: str, *params: Any) -> Any:
        """Return what the node answers; raises `NodeError` or `Trouble`, to be judged by the caller."""
        return self._one((method, params))

    def unavailable(self, trouble: Trouble) -> Unavailable:
        """Return a read's trouble in words for the user."""
        status = "no answer" if trouble.status is None else f"status {trouble.status}"
        return Unavailable(
            f"{NODE}: {status}: {self.shown(trouble)}", retry_after=trouble.retry_after
        )

    def shown(self, error: Exception) -> str:
        """Return an error's words without any part of the node's address that may be a key."""
        return self._secrets.sub("…", str(error))

    def _batch(self, questions: Sequence[Question]) -> list[Any]:
        if len(questions) == 1:
            return [self._one(questions[0])]
        bodies = [self._body(question) for question in questions]
        rows = self._connection.post("", bodies)
        if not isinstance(rows, list):  # a node that takes no batches
            return [self._one(question) for question in questions]
        by_id = {row.get("id"): row for row in rows if isinstance(row, dict)}
        return [_result(by_id.get(body["id"]), body["id"]) for body in bodies]

    def _one(self, question: Question) -> Any:
        body = self._body(question)
        return _result(self._connection.post("", body), body["id"])

    def _body(self, question: Question) -> dict[str, Any]:
        method, params = question
        return {
            "jsonrpc": "2.0",
            "id": next(self._ids),
            "method": method,
            "params": list(params),
        }


def _secrets_of(url: str) -> re.Pattern[str]:
    """Return what must not be shown of a node's address: all of it that may be a password or key.

    Providers put keys into the path, the query, or a label of the host before its domain.
    """
    parts = urlsplit(url)
    told = [parts.username, parts.password, *(parts.hostname or "").split(".")[:-2]]
    told += [*parts.path.split("/"), *re.split("[&=]", parts.query)]
    written = {part for part in told if part}
    plain = {unquote_plus(part) for part in written} | {unquote(part) for part in written}
    words = {word for part in written | plain for word in (part, *re.split(r"[^\w-]", part))}
    secrets = sorted((word for word in words if len(word) >= SHORTEST_SECRET), key=len)
    return re.compile("|".join(map(re.escape, reversed(secrets))) or r"(?!)", re.IGNORECASE)


def _result(row: Any, expected_id: int) -> Any:
    if not isinstance(row, dict):
        raise Trouble("the answer is no JSON-RPC", status=200)
    if row.get("error") is not None:
        raise _node_error(row["error"])
    if row.get("id") != expected_id or "result" not in row:
        raise Trouble("the answer is to another question", status=200)
    return row["result"]


def _node_error(error: Any) -> NodeError:
    if not isinstance(error, dict):
        return NodeError(0, str(error))
    code, data = error.get("code"), error.get("data")
    return NodeError(
        code if isinstance(code, int) else 0,
        str(error.get("message") or "an error without words"),
        data if isinstance(data, str) else "",
    )


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Make an answer that is not what was asked for `Unavailable`."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError):
        raise Unavailable(f"{NODE} answers unreadably about {what}") from None


def number(value: Any) -> int:
    """Return a quantity such as 0x1b4; raises `ValueError` for anything else."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError(f"expected a quantity, found {value!r}")
    return int(value, 16)
