"""Idempotency keys: the same key and body get the same answer, also when they race."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import structlog
from django.db import Error, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from polytrader.errors import ApiError
from polytrader.json import Encoded, encode
from polytrader.models import KEPT_FOR, LONGEST_KEY, ApiToken, IdempotentAnswer

log = structlog.get_logger()

LONGEST_TURN = "15s"
"""How long a duplicate waits for the first; then its thread is needed for others."""

_TAKE_TURN = "SET lock_timeout = %s; SELECT pg_advisory_lock(%s); SET lock_timeout = 0"

_CLAIM = """
INSERT INTO polytrader_idempotentanswer AS a (token_id, key, path, digest, created_at)
VALUES (%(token)s, %(key)s, %(path)s, %(digest)s, %(now)s)
ON CONFLICT (token_id, key) DO UPDATE
   SET path = excluded.path, digest = excluded.digest, status_code = NULL, body = NULL,
       created_at = excluded.created_at
 WHERE a.created_at < %(forgotten)s
RETURNING *
"""
"""A key is new, or so old that it counts for new; otherwise nothing is returned."""

Prepared = TypeVar("Prepared")
Act = Callable[[Prepared], Response]
Finish = Callable[[Mapping[str, Any]], Response]


def once(request: Request, act: Act[Prepared], prepare: Callable[[], Prepared]) -> Response:
    """Do `act` in one transaction, at most once per `Idempotency-Key` of a token.

    `prepare` runs before, outside of any transaction: whatever asks a venue
    belongs there, so that no lock is held while it answers. A concurrent
    duplicate waits for the first and gets its answer; a key reused with another
    body or path is 422. Without the header, `act` simply happens. A refusal (4xx)
    rolls everything back and is not remembered: nothing was done.
    """
    key = _key_of(request)
    if key is None:
        return _acted(act, prepare())
    with _turn(request, key):
        answer = _known(request, key)
        if answer is None:
            answer = _act(request, key, act, prepare(), keep=_remember)
    return _remembered(answer)


def once_and_then(
    request: Request, act: Act[Prepared], prepare: Callable[[], Prepared], finish: Finish
) -> Response:
    """The same, and then `finish` after the commit: it makes the answer, out of any transaction.

    `finish` is given what `act` answered, read from JSON again after a crash: whoever
    asks with the same key then has it done by another call, so it must do nothing
    twice. A duplicate waits for it too. Should the database go away during it, the
    answer is the one of `act`, for that much is done.
    """
    key = _key_of(request)
    if key is None:
        told = _acted(act, prepare())
        return _finished(finish, told, keep=lambda response: None)
    with _turn(request, key):
        answer = _known(request, key)
        if answer is None:
            answer = _act(request, key, act, prepare(), keep=_promise)
        if answer.status_code is None:
            said = json.loads(bytes(answer.body or b""))
            told = Response(said["data"], status=said["status"])
            return _finished(finish, told, keep=partial(_remember, answer))
    return _remembered(answer)


def _key_of(request: Request) -> str | None:
    _ = request.data  # a body that is not JSON is refused before anything happens
    key = request.headers.get("Idempotency-Key")
    if key is not None and (not 0 < len(key) <= LONGEST_KEY or not key.isprintable()):
        raise ApiError(400, "bad_idempotency_key", f"expected 1 to {LONGEST_KEY} characters")
    return key


def _acted(act: Act[Prepared], prepared: Prepared) -> Response:
    with transaction.atomic():
        return act(prepared)


def _finished(finish: Finish, told: Response, keep: Callable[[Response], None]) -> Response:
    response = told
    try:
        response = finish(told.data)
        keep(response)
    except (OperationalError, InterfaceError) as error:  # asked again, it is finished again
        log.error("answered_as_committed", error=type(error).__name__)
    return response


@contextmanager
def _turn(request: Request, key: str) -> Iterator[None]:
    """Hold the key: a duplicate waits here, before it asks anybody anything.

    The lock is the session's, since it outlives transactions; a connection that
    breaks lets go of it, and `_act` is safe without it.
    """
    name = f"{_token(request).pk}/{key}".encode()
    number = int.from_bytes(hashlib.sha256(name).digest()[:8], signed=True)
    try:
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_TURN, [LONGEST_TURN, number])
    except OperationalError:
        connection.close()  # with its lock_timeout
        raise ApiError(
            503, "still_busy", "the first request with this Idempotency-Key is not done; ask again"
        ) from None
    try:
        yield
    finally:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [number])
        except Error:
            connection.close()


def _known(request: Request, key: str) -> IdempotentAnswer | None:
    """What this key has been given or promised already."""
    answer = IdempotentAnswer.objects.filter(
        token=_token(request), key=key, created_at__gte=timezone.now() - KEPT_FOR
    ).first()
    if answer is not None:
        _check_same(answer, request)
    return answer


def _act(
    request: Request,
    key: str,
    act: Act[Prepared],
    prepared: Prepared,
    *,
    keep: Callable[[IdempotentAnswer, Response], None],
) -> IdempotentAnswer:
    with transaction.atomic():
        answer = _claim(request, key)
        if answer.body is None:
            keep(answer, act(prepared))
    return answer


def _promise(answer: IdempotentAnswer, response: Response) -> None:
    """Keep what `act` said: an answer without a status has still to be finished."""
    answer.body = encode({"status": response.status_code, "data": response.data})
    answer.save(update_fields=["body"])


def _remember(answer: IdempotentAnswer, response: Response) -> None:
    answer.status_code = response.status_code
    answer.body = encode(response.data)
    answer.save(update_fields=["status_code", "body"])


def _token(request: Request) -> ApiToken:
    if not isinstance(request.auth, ApiToken):
        raise ApiError(401, "not_authenticated", "an Idempotency-Key needs a token")
    return request.auth


def _digest(request: Request) -> str:
    body: bytes = getattr(request, "raw_body", b"")
    return hashlib.sha256(request.path.encode() + b"\0" + body).hexdigest()


def _check_same(answer: IdempotentAnswer, request: Request) -> None:
    if answer.digest != _digest(request):
        raise ApiError(
            status.HTTP_422_UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "this Idempotency-Key was used with another request; use a new key",
        )


def _claim(request: Request, key: str) -> IdempotentAnswer:
    token, now = _token(request), timezone.now()
    told = {"token": token.pk, "key": key, "path": request.path, "digest": _digest(request)}
    times = {"now": now, "forgotten": now - KEPT_FOR}
    for answer in IdempotentAnswer.objects.raw(_CLAIM, {**told, **times}):
        return answer
    answer = IdempotentAnswer.objects.select_for_update().get(token=token, key=key)
    _check_same(answer, request)
    return answer


def _remembered(answer: IdempotentAnswer) -> Response:
    return Response(Encoded(bytes(answer.body or b"")), status=answer.status_code)
