"""The bodies of positions and alerts, as the OpenAPI schema tells them; rows are shown by `book*.py`."""

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers
from rest_framework.fields import BooleanField, CharField, DateTimeField, IntegerField, ListField

from polytrader.alerts import KINDS
from polytrader.schema import Plain, absent, page_of, query

POSITION_FIELDS = {
    "assetId": CharField(help_text="a token id, `collateral`, or a spot asset"),
    "venue": CharField(),
    "question": CharField(),
    "outcome": CharField(),
    "matched": Plain(help_text="every match counts"),
    "settled": Plain(help_text="only what is confirmed counts"),
    "reserved": Plain(help_text="what open orders and the chain may still take"),
    "sellable": Plain(help_text="min(matched, settled) - reserved, never below 0"),
    "pairs": Plain(
        allow_null=True,
        help_text="pairs of both outcomes that are free; null for what is no outcome token",
    ),
    "surplus": Plain(
        allow_null=True, help_text="of those, what no armed stop needs and MERGE_KEEP_PAIRS leaves"
    ),
    "venueBalance": absent(Plain),
    "comparedAt": absent(DateTimeField),
}
POSITIONS = page_of("Positions", inline_serializer("Position", {**POSITION_FIELDS}))
WHOLE_POSITION = inline_serializer(
    "WholePosition",
    {
        **POSITION_FIELDS,
        "entries": ListField(
            child=inline_serializer(
                "Entry",
                {
                    "at": DateTimeField(),
                    "kind": CharField(),
                    "reference": CharField(help_text="what caused it"),
                    "matchedChange": Plain(),
                    "settledChange": Plain(),
                },
            )
        ),
    },
)
FOREIGN_FILTERS = [
    query("open", "those that rest, or those that do no more", enum=("true", "false"))
]
ALERT_FILTERS = [
    query("open", "those that are open, or those that are resolved", enum=("true", "false")),
    query("kind", "alerts of one kind", enum=KINDS),
]
RESOLUTION = inline_serializer(
    "Resolution",
    {"text": CharField(required=False, max_length=2000, help_text="what was found or done")},
)
ALERT = inline_serializer(
    "Alert",
    {
        "id": IntegerField(),
        "kind": CharField(help_text=f"one of {', '.join(KINDS)}"),
        "critical": BooleanField(help_text="something is not protected, or cannot be believed"),
        "subject": CharField(),
        "text": CharField(),
        "details": serializers.JSONField(),
        "open": BooleanField(),
        "count": IntegerField(help_text="how often it was raised while it was open"),
        "raisedAt": DateTimeField(),
        "lastAt": DateTimeField(),
        "resolvedAt": absent(DateTimeField),
        "resolution": CharField(),
        "deliveredAt": absent(DateTimeField),
    },
)
ALERTS = page_of("Alerts", ALERT)
