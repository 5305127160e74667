"""Whether a connection is alive is seen without a round trip."""

import threading
from collections.abc import Callable
from contextlib import suppress
from unittest.mock import Mock, patch

import pytest
from django.db import DataError, connection
from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper

pytestmark = pytest.mark.django_db(transaction=True)


def elsewhere(act: Callable[[], object]) -> None:
    """On a connection of its own."""

    def run() -> None:
        act()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def execute(sql: str, *told: object) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, told)
        return cursor.fetchall() if cursor.description else []


def test_a_quiet_connection_is_not_asked():
    connection.ensure_connection()
    with patch.object(PostgresWrapper, "is_usable", Mock(side_effect=AssertionError)):
        assert connection.is_usable()


def test_one_that_the_server_has_ended_is_found_out():
    [(pid,)] = execute("SELECT pg_backend_pid()")
    elsewhere(lambda: execute("SELECT pg_terminate_backend(%s, 5000)", pid))
    assert not connection.is_usable()
    connection.close()


def test_one_that_was_closed_is_not_usable():
    connection.ensure_connection()
    connection.connection.close()
    assert not connection.is_usable()
    connection.close()


def test_one_that_has_been_told_something_is_asked_and_stays():
    execute("LISTEN somebody")
    elsewhere(lambda: execute("NOTIFY somebody"))
    assert connection.is_usable()
    with patch.object(PostgresWrapper, "is_usable", Mock(side_effect=AssertionError)):
        assert connection.is_usable()


def test_one_that_is_left_in_a_failed_transaction_is_not_usable():
    connection.ensure_connection()
    for sql in ("BEGIN", "SELECT 1 / 0"):
        with suppress(DataError):
            execute(sql)
    assert not connection.is_usable()
    connection.close()
