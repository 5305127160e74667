"""What the log leaves out."""

import logging


class WithoutExpected(logging.Filter):
    """Drop Django's line for a 503: whoever answers one has said why."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep everything else."""
        return getattr(record, "status_code", None) != 503
