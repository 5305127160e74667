"""The backend that Django loads for `ENGINE = "polytrader.database"`."""

import select

from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper
from psycopg.pq import TransactionStatus


class DatabaseWrapper(PostgresWrapper):
    """Postgres by psycopg."""

    def init_connection_state(self) -> None:
        """Have each prepared statement planned once (`polytrader/prepared.py`; Django has none).

        Planning anew each time took twice as long as the tick of one instrument itself.
        """
        super().init_connection_state()
        with self.cursor() as cursor:
            cursor.execute("SET plan_cache_mode = force_generic_plan")

    def is_usable(self) -> bool:
        """Whether the connection is alive; asked before the first query of a request or task.

        A server says nothing unasked but that it goes away, and closes the connection then:
        only one that has something to read, or stopped halfway, is asked, as Django asks them
        all. A host that vanishes without a word is noticed by the first statement instead.
        """
        raw = self.connection
        is_idle = raw.info.transaction_status == TransactionStatus.IDLE
        return (is_idle and not _has_something(raw.fileno())) or super().is_usable()


def _has_something(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
