"""The bodies of the HTTP API as the OpenAPI schema tells them; nothing here checks or answers.

Requests are checked in `trailing/requests.py`; stops are shown by `trailing/showing.py`, numbers
by `operations/status.py` and `minting/status.py`.
"""

from copy import deepcopy
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema_field,
    inline_serializer,
)
from rest_framework import serializers
from rest_framework.fields import (
    BooleanField,
    CharField,
    ChoiceField,
    DateTimeField,
    DictField,
    IntegerField,
    ListField,
)

SIDES = ("sell", "buy")
REFERENCES = ("bid", "ask", "mid", "last", "executable")
GAP_POLICIES = ("fire_if_still_breached", "fire", "rearm", "ask")
STOP_STATES = ("pending_activation", "active", "triggered", "error", "cancelled")


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """`Authorization: Bearer <token>`."""

    target_class = "polytrader.tokens.BearerAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Describe the header."""
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of `manage.py create_token NAME --scope read|trade|admin`.",
        }


@extend_schema_field({"type": "string", "format": "decimal", "example": "0.48"})
class Plain(serializers.Field[Any, Any, Any, Any]):
    """A price, quantity or amount as it is answered: a plain decimal string."""


@extend_schema_field({"oneOf": [{"type": "number"}, {"type": "string"}], "example": "0.48"})
class Given(serializers.Field[Any, Any, Any, Any]):
    """A price, quantity or amount as it is accepted: a JSON number or a string."""


@extend_schema_field({"type": "number", "example": 0.48})
class PlainNumber(serializers.Field[Any, Any, Any, Any]):
    """A price in one of the bodies that answer numbers."""


def given(text: str = "") -> Given:
    """A number that may be left out."""
    return Given(required=False, help_text=text or None)


def absent(field: type[serializers.Field[Any, Any, Any, Any]]) -> Any:
    """A field that may be null."""
    return field(allow_null=True)


ERROR = inline_serializer(
    "Error",
    {
        "error": inline_serializer(
            "ErrorDetail",
            {
                "code": CharField(help_text="for programs, such as `invalid` or `conflict`"),
                "message": CharField(help_text="for people: what was expected and what was found"),
                "fields": DictField(child=CharField(), help_text="what is wrong, by field"),
            },
        )
    },
)
REFUSALS = {
    400: "Something in the request is wrong; nothing was stored.",
    401: "There is no token, or it is not known.",
    403: "The token's scope does not allow it.",
    404: "There is nothing by that name.",
    409: "The state does not allow it.",
    422: "The `Idempotency-Key` was used with another request.",
    429: "Too many requests.",
    503: "The venue or the database does not answer; nothing was done.",
}


def answers(success: int, body: Any, *refusals: int) -> dict[int, Any]:
    """What an endpoint answers when it works, and its refusals, all of the one shape."""
    codes = sorted({401, 403, 503, *refusals})
    return {success: body, **{code: OpenApiResponse(ERROR, REFUSALS[code]) for code in codes}}


def many(row: Any) -> Any:
    """A list of bodies; a copy of the one, since a list takes its child for itself."""
    return ListField(child=deepcopy(row))


def page_of(name: str, row: Any) -> Any:
    """A page of a list."""
    return inline_serializer(
        name,
        {
            "count": IntegerField(),
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": many(row),
        },
    )


def query(name: str, text: str, **options: Any) -> OpenApiParameter:
    """A parameter of the address."""
    return OpenApiParameter(name, OpenApiTypes.STR, description=text, **options)


PAGES = [
    OpenApiParameter("page", OpenApiTypes.INT, description="from 1"),
    OpenApiParameter("pageSize", OpenApiTypes.INT, description="50 unless given, at most 500"),
]
STOP_FILTERS = [
    query("status", "stops of one state", enum=STOP_STATES),
    query("symbol", "stops of one token id or spot symbol"),
    query("strategy", "stops of one strategy"),
]
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key and body get the same answer for 24 hours; 1 to 200 characters.",
)

_STOP_OPTIONS = {
    "stopPrice": given("hard floor (of a sale), active from the start"),
    "takeProfitPrice": given("sells (or buys) there; one cancels the other"),
    "confirmUpdates": IntegerField(required=False, help_text="book states beyond the trigger"),
    "confirmMs": IntegerField(required=False, help_text="or so long beyond it"),
    "maxSpread": given("a wider quote cannot trigger alone"),
    "maxSlippage": given("how far from the trigger an exit may go; there it holds and alarms"),
    "gapPolicy": ChoiceField(GAP_POLICIES, required=False),
    "expiresAt": DateTimeField(required=False),
}
_TRAILS = {
    "trailingPercent": given("of the best price; give exactly one of the three trails"),
    "trailingAmount": given("in units of price"),
    "trailingTicks": IntegerField(required=False, help_text="turned into an amount at once"),
}
NEW_STOP = inline_serializer(
    "NewTrailingStop",
    {
        "symbol": CharField(help_text="a Polymarket token id, or a spot symbol such as BTCUSDT"),
        "quantity": Given(help_text='shares or units; `"all"` that is held, for a sale'),
        "side": ChoiceField(SIDES, default="sell"),
        "triggerBy": ChoiceField(REFERENCES, required=False, help_text="bid for sales, else ask"),
        **_TRAILS,
        "entryPrice": given("the current price unless given"),
        "useActivationPrice": BooleanField(required=False),
        "activationPrice": given("the stop waits until this price is seen"),
        "strategy": CharField(required=False, max_length=80),
        "mintAfterSell": BooleanField(default=False, help_text="mint again what was sold"),
        **_STOP_OPTIONS,
    },
)
CHANGED_STOP = inline_serializer(
    "ChangedTrailingStop",
    {
        "quantity": given('shares or units; `"all"` that is held, for a sale'),
        **_TRAILS,
        **_STOP_OPTIONS,
        "allowLoosening": BooleanField(default=False, help_text="let it protect less than now"),
    },
)
RESUMED_STOP = inline_serializer(
    "ResumedTrailingStop",
    {
        "how": ChoiceField(
            ("watch", "rearm", "fire"),
            default="watch",
            help_text="of a stop that asks: watch on, follow the price from here, or sell now",
        )
    },
)
STOP_STARTED = inline_serializer(
    "TrailingStopStarted",
    {
        "message": CharField(),
        "stateKey": CharField(),
        "status": ChoiceField(STOP_STATES),
        "entryPrice": PlainNumber(),
        "triggerPrice": PlainNumber(),
        "system": CharField(),
        "warnings": ListField(child=CharField(), required=False),
    },
)
NEW_STOPS = inline_serializer(
    "NewTrailingStops",
    {"stops": ListField(child=deepcopy(NEW_STOP), min_length=1, max_length=1000)},
)
STOPS_STARTED = inline_serializer(
    "TrailingStopsStarted",
    {
        "created": IntegerField(),
        "refused": IntegerField(),
        "results": ListField(
            child=inline_serializer(
                "TrailingStopMade",
                {
                    "stateKey": CharField(required=False),
                    "status": ChoiceField(STOP_STATES, required=False),
                    "entryPrice": PlainNumber(required=False),
                    "triggerPrice": PlainNumber(required=False),
                    "warnings": ListField(child=CharField(), required=False),
                    "error": inline_serializer(
                        "TrailingStopRefused",
                        {
                            "code": CharField(),
                            "message": CharField(),
                            "fields": DictField(child=CharField()),
                        },
                        required=False,
                    ),
                },
            ),
            help_text="one per stop asked for, in their order: what was made, or `error`",
        ),
    },
)
FILL = inline_serializer(
    "Fill",
    {
        "tradeId": CharField(),
        "quantity": Plain(),
        "price": Plain(),
        "fee": Plain(),
        "status": ChoiceField(("matched", "confirmed", "failed")),
        "matchedAt": DateTimeField(),
        "settledAt": absent(DateTimeField),
        "transactionHash": CharField(),
    },
)
ORDER = inline_serializer(
    "Order",
    {
        "id": IntegerField(),
        "orderId": absent(CharField),
        "status": ChoiceField(("planned", "sent", "open", "filled", "cancelled", "rejected")),
        "side": ChoiceField(SIDES),
        "quantity": Plain(),
        "price": Plain(),
        "matchedQuantity": Plain(),
        "orderType": CharField(),
        "reason": CharField(),
        "createdAt": DateTimeField(),
        "sentAt": absent(DateTimeField),
        "fills": many(FILL),
    },
)
STOP = inline_serializer(
    "TrailingStop",
    {
        "stateKey": CharField(),
        "symbol": CharField(),
        "question": CharField(),
        "outcome": CharField(),
        "side": ChoiceField(SIDES),
        "status": ChoiceField(STOP_STATES),
        "phase": CharField(help_text="refines the status: watching, suspended, exiting, ..."),
        "quantity": Plain(help_text="or `all`"),
        "filledQuantity": Plain(help_text="matched less failed"),
        "settledQuantity": Plain(help_text="confirmed on the chain"),
        "trailingPercent": absent(Plain),
        "trailingAmount": absent(Plain),
        "trailingTicks": absent(IntegerField),
        "entryPrice": Plain(),
        "activationPrice": absent(Plain),
        "watermarkPrice": Plain(help_text="the best price seen"),
        "triggerPrice": Plain(),
        "lastPrice": absent(Plain),
        "lastEvaluatedAt": absent(DateTimeField),
        "protected": BooleanField(),
        "protectedReason": CharField(help_text="why not, in words"),
        "triggeredAt": absent(DateTimeField),
        "averageExitPrice": absent(Plain),
        "orders": many(ORDER),
        "errorMessage": CharField(help_text="also while it is still retrying"),
        "strategy": CharField(),
        "triggerBy": ChoiceField(REFERENCES),
        "stopPrice": absent(Plain),
        "takeProfitPrice": absent(Plain),
        "confirmUpdates": absent(IntegerField),
        "confirmMs": absent(IntegerField),
        "maxSpread": absent(Plain),
        "maxSlippage": absent(Plain),
        "gapPolicy": ChoiceField(GAP_POLICIES),
        "expiresAt": absent(DateTimeField),
        "triggeredBy": CharField(help_text="trail, floor, take_profit or person; else empty"),
        "resumes": absent(CharField),
        "mintAfterSell": BooleanField(),
        "createdAt": DateTimeField(),
        "updatedAt": DateTimeField(),
    },
)
EVENT = inline_serializer(
    "TrailingStopEvent",
    {
        "at": DateTimeField(),
        "kind": CharField(),
        "price": absent(Plain),
        "triggerPrice": absent(Plain),
        "text": CharField(),
    },
)
POINT = inline_serializer(
    "TrailingStopPoint",
    {"at": DateTimeField(), "watermarkPrice": Plain(), "triggerPrice": Plain()},
)
STOPS = page_of("TrailingStops", STOP)
EVENTS = page_of("TrailingStopEvents", EVENT)
HISTORY = page_of("TrailingStopHistory", POINT)

MINT_QUEUE = inline_serializer(
    "MintQueue",
    {
        **{
            name: IntegerField() for name in ("waiting", "active", "completed", "failed", "delayed")
        },
        "isPaused": BooleanField(),
        "oldestWaitingSeconds": IntegerField(),
    },
)
QUEUE = inline_serializer(
    "Queue",
    {name: IntegerField() for name in ("waiting", "active", "completed", "failed", "total")},
)
HEARTBEAT = inline_serializer(
    "Process",
    {
        **{name: CharField() for name in ("role", "process", "did", "version")},
        "at": DateTimeField(),
    },
)
QUEUE_STATUS = inline_serializer(
    "QueueStatus",
    {
        "success": BooleanField(),
        "queueStats": QUEUE,
        "databaseStats": DictField(child=IntegerField(), help_text="stops by state"),
        "systemHealth": inline_serializer(
            "SystemHealth",
            {
                "queueInitialized": BooleanField(),
                "timestamp": DateTimeField(),
                "uptime": IntegerField(help_text="of the web process, in seconds"),
                "memoryUsage": DictField(child=IntegerField(), help_text="in bytes"),
            },
        ),
        "queues": DictField(child=QUEUE),
        "processes": many(HEARTBEAT),
        "breakers": DictField(child=serializers.JSONField()),
        "venues": DictField(
            child=inline_serializer(
                "Venue",
                {
                    "reconciledAt": absent(DateTimeField),
                    "clockOffsetMs": absent(IntegerField),
                    "reason": CharField(help_text="why it could not be reconciled, in words"),
                },
            )
        ),
        "feed": inline_serializer(
            "Feed",
            {
                "instruments": IntegerField(),
                "fresh": IntegerField(),
                "lastPriceAt": absent(DateTimeField),
            },
        ),
    },
)
REINITIALIZE = inline_serializer("QueueAction", {"action": ChoiceField(("reinitialize",))})
REARMED = inline_serializer(
    "Rearmed",
    {
        "success": BooleanField(),
        "message": CharField(),
        "rearmed": DictField(child=IntegerField(), help_text="how many, by what they are"),
    },
)
RETRIED = inline_serializer(
    "Retried", {"retried": IntegerField(help_text="how many jobs wait again")}
)
