"""Pages of a list: `count`, `next`, `previous`, `results`."""

from rest_framework.pagination import PageNumberPagination


class Pages(PageNumberPagination):
    """Fifty to a page unless asked otherwise, five hundred at most."""

    page_size_query_param = "pageSize"
    max_page_size = 500
