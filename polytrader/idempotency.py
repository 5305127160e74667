"""Idempotency keys: the same key and body get the same answer, also when they race."""

import hashlib
from collections.abc import Callable
from typing import TypeVar

from django.db import transaction
from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from polytrader.errors import ApiError
from polytrader.json import Encoded, encode
from polytrader.models import KEPT_FOR, LONGEST_KEY, ApiToken, IdempotentAnswer

Prepared = TypeVar("Prepared")


def once(
    request: Request,
    act: Callable[[Prepared], Response],
    prepare: Callable[[], Prepared],
) -> Response:
    """Do `act` in one transaction, at most once per `Idempotency-Key` of a token.

    `prepare` runs before, outside of any transaction: whatever asks a venue
    belongs there, so that no lock is held while it answers. A concurrent
    duplicate waits for the first and gets its answer; a key reused with another
    body or path is 422. Without the header, `act` simply happens. A refusal (4xx)
    rolls everything back and is not remembered: nothing was done.
    """
    _ = request.data  # a body that is not JSON is refused before anything happens
    key = request.headers.get("Idempotency-Key")
    if key is None:
        prepared = prepare()
        with transaction.atomic():
            return act(prepared)
    if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
        raise ApiError(400, "bad_idempotency_key", f"expected 1 to {LONGEST_KEY} characters")
    known = _known(request, key)
    if known is not None:
        return known
    prepared = prepare()
    with transaction.atomic():
        answer = _claim(request, key)
        if answer.status_code is not None:
            return _remembered(answer)
        response = act(prepared)
        answer.status_code = response.status_code
        answer.body = encode(response.data)
        answer.save(update_fields=["status_code", "body"])
        return response


def _known(request: Request, key: str) -> Response | None:
    """The answer this key has already, before anything is asked of anybody."""
    token = _token(request)
    answer = IdempotentAnswer.objects.filter(
        token=token, key=key, created_at__gte=timezone.now() - KEPT_FOR
    ).first()
    if answer is None or answer.status_code is None:
        return None
    _check_same(answer, request)
    return _remembered(answer)


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
    token, digest = _token(request), _digest(request)
    IdempotentAnswer.objects.filter(
        token=token, key=key, created_at__lt=timezone.now() - KEPT_FOR
    ).delete()
    IdempotentAnswer.objects.bulk_create(
        [IdempotentAnswer(token=token, key=key, path=request.path, digest=digest)],
        ignore_conflicts=True,
    )
    answer = IdempotentAnswer.objects.select_for_update().get(token=token, key=key)
    _check_same(answer, request)
    return answer


def _remembered(answer: IdempotentAnswer) -> Response:
    return Response(Encoded(bytes(answer.body or b"")), status=answer.status_code)
