"""API tokens with scopes: `read` < `trade` < `admin`. Only a digest is stored."""

import hashlib
import secrets
from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from polytrader.models import ApiToken
from polytrader.prepared import fetch

if TYPE_CHECKING:
    from rest_framework.views import APIView


def digest_of(token: str) -> str:
    """What is stored of a token: its SHA-256, enough for 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def create(name: str, scope: str, token: str | None = None) -> str:
    """Make (or replace) the token of a name and return it; it cannot be read again later."""
    token = token or f"pt_{secrets.token_urlsafe(32)}"
    ApiToken.objects.update_or_create(
        name=name, defaults={"scope": scope, "digest": digest_of(token)}
    )
    return token


def _found(digest: str) -> ApiToken | None:
    return next(iter(fetch(ApiToken, "WHERE digest = %(digest)s", {"digest": digest})), None)


class TokenUser(AnonymousUser):
    """Whoever holds a token; it is nobody in the admin."""

    def __init__(self, token: ApiToken) -> None:
        super().__init__()
        self.token = token

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]
        return True


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`."""

    def authenticate(self, request: Request) -> tuple[TokenUser, ApiToken] | None:
        """Find the token's row, or say nothing when there is no such header."""
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != b"bearer":
            return None
        if len(parts) != 2:
            raise AuthenticationFailed("expected: Authorization: Bearer <token>")
        token = _found(digest_of(parts[1].decode("latin-1")))
        if token is None:
            raise AuthenticationFailed("this token is not known; make one with create_token")
        return TokenUser(token), token

    def authenticate_header(self, request: Request) -> str:
        """Ask for a bearer token, so that the answer is 401 and not 403."""
        return "Bearer"


class HasScope(BasePermission):
    """`read` for safe methods, `trade` for the others, or what the view's `scopes` say per method."""

    message = "this token's scope does not allow that"

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Compare the token's scope with what the method needs."""
        if not isinstance(request.auth, ApiToken):
            return False
        scopes = getattr(view, "scopes", {})
        default = "read" if request.method in ("GET", "HEAD", "OPTIONS") else "trade"
        return request.auth.allows(scopes.get(request.method, default))


class HasScopeOrIsStaff(HasScope):
    """Pages for people: whoever is logged in to the admin may read them too."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """A token's scope, or the session of a member of staff."""
        return bool(getattr(request.user, "is_staff", False)) or super().has_permission(
            request, view
        )
