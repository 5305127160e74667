"""The three errors of the outside world, named by what the caller does next."""


class ExchangeError(Exception):
    """Base of everything a venue can do to us; the text may be shown to a user."""


class Unavailable(ExchangeError):
    """Nothing happened at the venue: try again later.

    Raised when the request provably had no effect (connection refused, engine
    restarting, rate limit, venue closed for orders, any failed read).
    `retry_after` is the venue's own wish in seconds, where it said one.
    """

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(ExchangeError):
    """The venue's final no. `code` is one of `exchange.types.RejectionCode`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class OutcomeUnknown(ExchangeError):
    """The venue may or may not have done it: look it up by id before anything else.

    Raised when a request that changes something got no answer, a 5xx, or one
    that does not parse.
    """


class OtherOrderId(OutcomeUnknown):
    """The venue calls our order by another id than we computed: stop all sending and alarm."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"the venue answered order id {found}, expected {expected}")
        self.expected = expected
        self.found = found
