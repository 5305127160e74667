"""Pages of a list: `count`, `next`, `previous`, `results`."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.db.models import QuerySet
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response

RowType = TypeVar("RowType")


class Pages(PageNumberPagination):
    """Fifty to a page unless asked otherwise, five hundred at most."""

    page_size_query_param = "pageSize"
    max_page_size = 500


def page_of(
    request: Request,
    rows: QuerySet[Any] | Sequence[RowType],
    show: Callable[[RowType], dict[str, Any]],
) -> Response:
    """Answer the page of these rows that was asked for, each shown by `show`."""
    pages = Pages()
    found = pages.paginate_queryset(rows, request) or []
    return pages.get_paginated_response([show(row) for row in found])
