"""The one error of this package."""


class LaunchError(RuntimeError):
    """The start cannot go on; the message is what the user reads, without a traceback."""
