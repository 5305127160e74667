"""Alerts: what a person should know, open ones first."""

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from unfold.decorators import display

from operations.admin.cells import NOTHING, counted, moment
from operations.admin.looking import Looking
from polytrader.alerts import CRITICAL, resolve
from polytrader.models import Alert


@admin.register(Alert)
class AlertAdmin(Looking):
    """What was raised, how often, whether it is over and whether the webhook was told."""

    list_display = (
        "id",
        "shown_kind",
        "subject",
        "text",
        "count",
        "raised_at",
        "resolved_at",
        "delivered",
    )
    fields = (
        ("id", "shown_kind"),
        ("subject", "count"),
        "text",
        "details",
        ("raised_at", "last_at"),
        ("resolved_at", "resolution"),
        ("delivered_at", "resolved_delivered_at"),
        ("attempts", "next_attempt_at"),
        "last_error",
    )
    list_filter = ("kind", ("resolved_at", admin.EmptyFieldListFilter))
    search_fields = ("subject", "text")
    actions = ("mark_as_resolved",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        """Open ones first, the youngest on top."""
        rows: QuerySet[Alert] = super().get_queryset(request)
        return rows.order_by(F("resolved_at").desc(nulls_first=True), "-raised_at")

    @display(description="kind", ordering="kind")
    def shown_kind(self, alert: Alert) -> str:
        """The kind: red or amber while it is open."""
        colour = "danger" if alert.kind in CRITICAL else "warning"
        told = {
            "type": colour if alert.resolved_at is None else "default",
            "text": alert.kind.replace("_", " "),
            "label_title": "open" if alert.resolved_at is None else "resolved",
        }
        return render_to_string("unfold/helpers/label.html", told)

    @display(description="delivered")
    def delivered(self, alert: Alert) -> str:
        """When the webhook took the last of it, or why not."""
        last = alert.resolved_delivered_at or alert.delivered_at
        if alert.last_error:
            return alert.last_error
        return NOTHING if last is None else moment(last)

    @admin.action(description="Mark the selected alerts as resolved")
    def mark_as_resolved(self, request: HttpRequest, rows: QuerySet[Alert]) -> None:
        """Close those that are open; what still holds is raised again."""
        count = resolve(Alert.objects.filter(pk__in=rows.values("pk")), f"by {request.user}")
        messages.success(request, f"{counted(count, 'alert')} marked as resolved")
