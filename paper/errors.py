"""How a call is refused; the outermost handler turns these into answers."""

from __future__ import annotations

NOT_TAKEN = -32000
"""A node's usual code for what it will not do."""


class Refused(Exception):
    """The venue says no: an HTTP status and the venue's own words, answered as `{"error": text}`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text

    @property
    def body(self) -> dict[str, object]:
        """Give the answer's body."""
        return {"error": self.text}

    @property
    def headers(self) -> dict[str, str]:
        """Give the answer's additional headers."""
        return {}


class PostOnlyMode(Refused):
    """After an engine restart only post-only orders and cancels are taken; seconds until it ends.

    In a batch the row comes with `success` true, these words and no order id.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(503, "post-only mode: only post-only orders and cancels are allowed")
        self.seconds = seconds

    @property
    def body(self) -> dict[str, object]:
        """Give the answer's body."""
        return {
            "error": self.text, "code": "post_only_mode", "retry_after_seconds": self.seconds,
        }  # fmt: skip

    @property
    def headers(self) -> dict[str, str]:
        """Give the answer's additional headers."""
        return {"Retry-After": str(self.seconds)}


class TooMany(Refused):
    """Too many calls in a short time; seconds until the next is taken."""

    def __init__(self, seconds: int) -> None:
        super().__init__(429, "Too Many Requests")
        self.seconds = seconds

    @property
    def headers(self) -> dict[str, str]:
        """Give the answer's additional headers."""
        return {"Retry-After": str(self.seconds)}


class SpotRefused(Exception):
    """The spot venue says no, in Binance's shape `{"code", "msg"}`."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text


class RpcError(Exception):
    """A JSON-RPC error: its code, message and data."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data

    @property
    def body(self) -> dict[str, object]:
        """Give the answer's `error`."""
        shown: dict[str, object] = {"code": self.code, "message": str(self)}
        return shown if self.data is None else shown | {"data": self.data}
