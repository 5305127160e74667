"""Plain statements for what every request and every stop needs: building the query costs more than running it."""

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Field, GeneratedField, Model

AnyModel = TypeVar("AnyModel", bound=Model)


def fetch(model: type[AnyModel], rest: str, parameters: Sequence[Any]) -> list[AnyModel]:
    """The rows of `SELECT <all columns of t> FROM table t <rest>`."""
    with connection.cursor() as cursor:
        cursor.execute(f"{_select(model)} {rest}", parameters)
        return [model.from_db("default", _names(model), row) for row in cursor.fetchall()]


def insert(rows: Sequence[Model]) -> None:
    """Insert rows of one model as they stand, in one statement, and give them their ids.

    As `bulk_create`, without preparing every value: they must be of the columns' own types,
    and related rows must have been saved.
    """
    if not rows:
        return
    model = type(rows[0])
    values = [[getattr(row, field.attname) for row in rows] for field in _written(model)]
    with connection.cursor() as cursor:
        if len(rows) == 1:
            cursor.execute(_insert_one(model), [value for (value,) in values])
        else:
            cursor.execute(_insert(model), values)
        for row, (pk,) in zip(rows, cursor.fetchall(), strict=True):
            row.pk, row._state.adding, row._state.db = pk, False, "default"


@cache
def _names(model: type[Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


@cache
def _select(model: type[Model]) -> str:
    columns = ", ".join(f't."{field.column}"' for field in model._meta.concrete_fields)
    return f'SELECT {columns} FROM "{model._meta.db_table}" t'  # noqa: S608 - names, never values


@cache
def _written(model: type[Model]) -> list["Field[Any, Any]"]:
    fields = model._meta.concrete_fields
    return [f for f in fields if not f.primary_key and not isinstance(f, GeneratedField)]


@cache
def _into(model: type[Model]) -> str:
    columns = ", ".join(f'"{field.column}"' for field in _written(model))
    return f'INSERT INTO "{model._meta.db_table}" ({columns})'


@cache
def _insert(model: type[Model]) -> str:
    arrays = ", ".join(f"%s::{field.db_type(connection)}[]" for field in _written(model))
    return f"{_into(model)} SELECT * FROM unnest({arrays}) RETURNING id"  # noqa: S608 - names only


@cache
def _insert_one(model: type[Model]) -> str:
    """Arrays of one value each would cost the planner more than the row."""
    values = ", ".join("%s" for _ in _written(model))
    return f"{_into(model)} VALUES ({values}) RETURNING id"
