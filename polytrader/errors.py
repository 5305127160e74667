"""Errors as HTTP: one shape, with a code for programs and a message that says what to do next."""

from typing import Any

import structlog
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from exchange.errors import OutcomeUnknown, Rejected, Unavailable
from exchange.types import RejectionCode

log = structlog.get_logger()


class ApiError(exceptions.APIException):
    """An answer other than success: status, code, message, and the fields that are wrong."""

    def __init__(
        self, status: int, code: str, message: str, fields: dict[str, str] | None = None
    ) -> None:
        super().__init__(message, code)
        self.status_code = status
        self.code = code
        self.message = message
        self.fields = fields or {}


def bad_fields(fields: dict[str, str]) -> ApiError:
    """400 with what is wrong in each field; nothing was stored."""
    listed = "; ".join(f"{name}: {text}" for name, text in fields.items())
    return ApiError(400, "invalid", f"nothing was stored: {listed}", fields)


def conflict(message: str) -> ApiError:
    """409: the state does not allow it."""
    return ApiError(409, "conflict", message)


def body_of(code: str, message: str, fields: dict[str, str] | None = None) -> dict[str, Any]:
    """The one shape of every error."""
    return {"error": {"code": code, "message": message, "fields": fields or {}}}


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception of a view into the contract's error answer."""
    if isinstance(error, ApiError):
        return _answer(error.status_code, error.code, error.message, error.fields)
    if isinstance(error, Rejected) and error.code == RejectionCode.NOT_ALLOWED:
        return _answer(503, "venue_refuses_us", f"the venue refuses our own key: {error}")
    if isinstance(error, Rejected):
        return _answer(400, error.code, str(error))
    if isinstance(error, DataError):
        return _answer(400, "invalid", "a value is of no form that can be stored")
    if isinstance(error, Unavailable | OutcomeUnknown):
        return _answer(503, "venue_unavailable", f"the venue does not answer: {error}; try again")
    if isinstance(error, OperationalError | InterfaceError):
        log.error("database_unavailable", error=type(error).__name__)
        return _answer(503, "database_unavailable", "the database does not answer; try again")
    if isinstance(error, Http404 | exceptions.NotFound):
        return _answer(404, "not_found", "there is nothing here by that name")
    answer = exception_handler(error, context)
    if answer is None:
        return None
    assert isinstance(error, exceptions.APIException)
    code = str(error.default_code if isinstance(error.detail, list | dict) else error.detail.code)
    plain = _answer(answer.status_code, code, _text(error.detail))
    for header, value in answer.items():
        plain[header] = value
    return plain


def _text(detail: Any) -> str:
    if isinstance(detail, dict):
        return "; ".join(f"{name}: {_text(text)}" for name, text in detail.items())
    if isinstance(detail, list):
        return "; ".join(_text(item) for item in detail)
    return str(detail)


def _answer(status: int, code: str, message: str, fields: dict[str, str] | None = None) -> Response:
    return Response(body_of(code, message, fields), status=status)


def not_found(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """404 in the contract's shape, for addresses that no view has."""
    return JsonResponse(body_of("not_found", "there is nothing at this address"), status=404)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """400 in the contract's shape, for example for a Host that is not allowed."""
    message = "the request is malformed; is its Host one of ALLOWED_HOSTS?"
    return JsonResponse(body_of("bad_request", message), status=400)


def server_error(request: HttpRequest) -> JsonResponse:
    """500 in the contract's shape; the log has the rest."""
    message = "something went wrong here; it is in the log, and nothing was half done"
    return JsonResponse(body_of("internal", message), status=500)
