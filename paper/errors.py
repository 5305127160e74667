"""How a call is refused; the outermost handler turns these into answers."""

from __future__ import annotations


class Refused(Exception):
    """The venue says no: an HTTP status and the venue's own words, answered as `{"error": text}`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class SpotRefused(Exception):
    """The spot venue says no, in Binance's shape `{"code", "msg"}`."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text
