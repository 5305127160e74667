"""What every page of the admin shares: it can be looked at, and links lead on."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin

from operations.admin.cells import cell_of, column, link

MOST_ROWS = 200


@dataclass(frozen=True)
class Table:
    """Rows that belong to the one on the page."""

    title: str
    headings: list[str]
    rows: list[list[str]]
    note: str = ""


def table(title: str, model: type[Model], rows: QuerySet[Any], *names: Any) -> Table:
    """Show these fields of some rows; the first column leads to the row's page, if it has one."""
    cells = [cell_of(model, name) for name in names]
    if admin.site.is_registered(model):
        cells.insert(0, column("id", lambda row: link(row, str(row.pk))))
    some = list(rows[: MOST_ROWS + 1])
    return Table(
        title,
        [cell.short_description for cell in cells],
        [[cell(row) for cell in cells] for row in some[:MOST_ROWS]],
        f"only the first {MOST_ROWS} are shown" if len(some) > MOST_ROWS else "",
    )


class Looking(ModelAdmin):
    """Look, do not touch: rows change by their own moves only.

    Columns and fields are named as in the model and shown by their type (`cells.py`);
    a page shows every field unless `fields` says which, and below them `tables`.
    """

    compressed_fields = True
    list_fullwidth = True
    list_per_page = 50
    hidden: tuple[str, ...] = ("payload", "digest")
    list_before_template: Any = "operations/list_style.html"
    change_form_outer_after_template: Any = "operations/tables.html"

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Rows are made by the system."""
        return False

    def has_delete_permission(self, request: HttpRequest, *_: Any) -> bool:
        """The record stays."""
        return False

    def has_change_permission(self, request: HttpRequest, *_: Any) -> bool:
        """No field can be edited."""
        return False

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The columns, each shown by its type."""
        return [cell_of(self.model, name) for name in self.list_display]

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        """The fields of a page, each shown by its type; those in brackets share a line."""
        names = self.fields or [field.name for field in self.model._meta.concrete_fields]
        return [self._shown(name) for name in names if name not in self.hidden]

    def _shown(self, name: Any) -> Any:
        if isinstance(name, tuple):
            return tuple(self._shown(one) for one in name)
        return cell_of(self.model, name, on_page=True)

    def tables(self, row: Any) -> list[Table]:
        """The rows that belong to this one."""
        return []

    def context_of(self, row: Any) -> dict[str, Any]:
        """What the templates of its page need."""
        return {"tables": [one for one in self.tables(row) if one.rows]}

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one row with what belongs to it."""
        row = self.get_object(request, object_id)
        more = {} if row is None else self.context_of(row)
        answer: HttpResponse = super().change_view(
            request, object_id, form_url, {**more, **(extra_context or {})}
        )
        return answer
