"""Prepared statements on Django's connection, for the few paths where milliseconds count.

The ORM composes each statement anew and has Postgres plan it anew; here it is planned once per
connection, and several that do not need each other's answers go out in one round trip. They are
part of whatever transaction Django is in.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from itertools import islice
from typing import Any, Generic, TypeVar, cast

from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from psycopg import Connection, Cursor

Statement = tuple[str, Mapping[str, object]]
"""SQL with named places, and what goes there."""

M = TypeVar("M", bound=models.Model)


def run(*statements: Statement) -> list[list[tuple[Any, ...]]]:
    """Run statements in order, in one round trip; the rows that each has returned.

    Raises Django's database errors.
    """
    ours = connections[DEFAULT_DB_ALIAS]
    ours.close_if_health_check_failed()  # as a cursor of Django's does
    ours.ensure_connection()
    raw = cast("Connection[Any]", ours.connection)
    raw.prepare_threshold = raw.prepare_threshold or 0
    with ours.wrap_database_errors:
        cursors = [Cursor(raw) for _ in statements]
        with (
            raw.pipeline() if len(statements) > 1 else nullcontext()
        ):  # which costs more than it saves
            for cursor, (sql, arguments) in zip(cursors, statements, strict=True):
                cursor.execute(sql.encode(), arguments, prepare=True)
        return [cursor.fetchall() if _has_rows(cursor) else [] for cursor in cursors]


def _has_rows(cursor: Cursor[Any]) -> bool:
    return cursor.pgresult is not None and cursor.pgresult.nfields > 0


def array(values: Iterable[object]) -> str:
    """An array of numbers or ISO moments as Postgres reads it; quicker than a list."""
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"


class Columns(Generic[M]):
    """The columns of a model in a statement of ours, and how a row of them becomes an object."""

    def __init__(self, model: type[M], alias: str) -> None:
        self._model = model
        self._names = [field.attname for field in model._meta.concrete_fields]
        columns = [str(field.column) for field in model._meta.concrete_fields]
        self.sql = ", ".join(f"{alias}.{column}" for column in columns)

    def read(self, values: Iterable[Any]) -> M:
        """The object of a row, which may go on with other columns (an iterator goes on there)."""
        return self._model.from_db("default", self._names, list(islice(values, len(self._names))))


def fetch(model: type[M], rest: str, arguments: Mapping[str, object]) -> list[M]:
    """The rows of `SELECT <all columns of t> FROM table t <rest>`."""
    columns = _columns(model)
    (rows,) = run((f"SELECT {columns.sql} FROM {model._meta.db_table} t {rest}", arguments))  # noqa: S608
    return [columns.read(row) for row in rows]


@cache
def _columns(model: type[M]) -> Columns[M]:
    return Columns(model, "t")


def number(row: models.Model, pk: int) -> None:
    """Give a row its id, and take it for stored from now on."""
    row.pk, row._state.adding, row._state.db = pk, False, "default"


def insertion(rows: Sequence[models.Model]) -> Statement:
    """The statement that inserts new rows of one model; they bring their ids, or get them unseen.

    Related rows must have been saved, or be inserted before; values are of the columns' own types.
    """
    one = rows[0] if len(rows) == 1 else None
    sql, fields = _insertion(type(rows[0]), rows[0].pk is not None, one is not None)
    if one is not None:
        return sql, {column: getattr(one, name) for column, name in fields}
    return sql, {column: [getattr(row, name) for row in rows] for column, name in fields}


@cache
def _insertion(
    model: type[models.Model], with_id: bool, is_single: bool
) -> tuple[str, list[tuple[str, str]]]:
    """The statement, and which attribute goes where; one row's go as they are, not as arrays of one."""
    fields = [
        field
        for field in model._meta.concrete_fields
        if not field.generated and (with_id or not field.primary_key)
    ]
    columns = [str(field.column) for field in fields]
    names, many = ", ".join(columns), "" if is_single else "[]"
    places = ", ".join(
        f"%({column})s::{_type(field)}{many}" for column, field in zip(columns, fields, strict=True)
    )
    values = f"VALUES ({places})" if is_single else f"SELECT * FROM unnest({places})"  # noqa: S608
    sql = f"INSERT INTO {model._meta.db_table} ({names}) {values}"
    return sql, list(zip(columns, [field.attname for field in fields], strict=True))


def _type(field: Any) -> str:
    """The type without its length: a cast would cut a text that is too long, the column refuses it."""
    return re.sub(r"\(.*\)", "", cast(str, field.db_type(connection)))


def next_ids(*each_of: type[models.Model]) -> str:
    """The statement that takes as many new ids of each model as `count` says, a column for each."""
    taken = ", ".join(map(next_id, each_of))
    return f"SELECT {taken} FROM generate_series(1, %(count)s)"  # noqa: S608


def next_id(model: type[models.Model]) -> str:
    """The expression that takes a new id of a model."""
    return f"nextval(pg_get_serial_sequence('{model._meta.db_table}', 'id'))"
