"""The bodies of signals, trades, orders and the manage-position queue, as the OpenAPI schema tells them.

Requests are checked in `signals.py` and `jobs.py`; rows are shown by `showing.py`.
"""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers
from rest_framework.fields import (
    BooleanField,
    CharField,
    ChoiceField,
    DateTimeField,
    IntegerField,
    ListField,
)

from minting.schema import JOB as MINT
from polytrader.schema import FILL, SIDES, Given, Plain, absent, given, many, page_of, query

ORDER_STATES = ("planned", "sent", "open", "filled", "cancelled", "rejected")
ORDER_TYPES = ("GTC", "GTD", "FOK", "FAK")
LEG_STATES = ("working", "done", "cancelled", "failed")
ROLES = ("wanted", "hedge", "unwind")
PURPOSES = ("exit", "signal")
JOB_STATES = ("waiting", "active", "delayed", "completed", "failed")

MOMENT = "ISO 8601 with its time zone, or milliseconds since 1970"

NEW_SIGNAL = inline_serializer(
    "NewSignal",
    {
        "strategy": CharField(required=False, max_length=80),
        "legs": ListField(
            child=inline_serializer(
                "NewLeg",
                {
                    "assetId": CharField(help_text="a Polymarket token id, or a spot symbol"),
                    "side": ChoiceField(SIDES),
                    "size": Given(help_text="shares or units"),
                    "price": Given(help_text="the limit, on the market's tick"),
                    "orderType": ChoiceField(ORDER_TYPES, default="GTC"),
                    "postOnly": BooleanField(default=False, help_text="GTC and GTD only"),
                    "expiresAt": CharField(
                        required=False,
                        help_text=f"of a GTD order, at least 125 s ahead; {MOMENT}",
                    ),
                },
            ),
            min_length=1,
            max_length=15,
        ),
        "createdAt": CharField(required=False, help_text=f"when it was made; {MOMENT}"),
        "maxAgeSeconds": given("an older one is refused, and nothing of it is sent later"),
        "mintAfterSell": BooleanField(default=False, help_text="mint again what was sold"),
        "maxSlippage": given(
            "how far a retry's price may move from a leg's own, in price units; 0 for one leg, "
            "0.02 for more, unless given"
        ),
        "dryRun": BooleanField(default=False, help_text="check everything, send nothing"),
    },
)
# Copied wherever they are used: a serializer takes its fields out of the dictionary.
WHOLE_ORDER_FIELDS = {
    "id": IntegerField(),
    "orderId": absent(CharField),
    "status": ChoiceField(ORDER_STATES),
    "side": ChoiceField(SIDES),
    "quantity": Plain(),
    "price": Plain(),
    "matchedQuantity": Plain(),
    "orderType": CharField(),
    "reason": CharField(),
    "createdAt": DateTimeField(),
    "sentAt": absent(DateTimeField),
    "fills": many(FILL),
    "assetId": CharField(),
    "tradeId": IntegerField(),
    "legId": IntegerField(),
    "role": ChoiceField(ROLES),
    "postOnly": BooleanField(),
    "expiresAt": absent(DateTimeField),
    "averagePrice": absent(Plain),
    "venueStatus": CharField(help_text="the venue's own word, last seen"),
    "refusal": CharField(help_text="why the venue refused it, as a code"),
    "cancelRequestedAt": absent(DateTimeField),
    "acknowledgedAt": absent(DateTimeField),
    "closedAt": absent(DateTimeField),
    "posts": IntegerField(help_text="how often it was sent, always with the same bytes"),
}
LEG_ORDER = inline_serializer("LegOrder", {**WHOLE_ORDER_FIELDS})
WHOLE_ORDER = inline_serializer(
    "BookOrder",
    {
        **WHOLE_ORDER_FIELDS,
        "purpose": ChoiceField(PURPOSES),
        "strategy": CharField(),
        "question": CharField(),
        "outcome": CharField(),
    },
)
ORDERS = page_of("BookOrders", WHOLE_ORDER)
ORDER_FILTERS = [
    query("status", "orders of one state", enum=ORDER_STATES),
    query("assetId", "orders of one token id or spot symbol"),
    OpenApiParameter("tradeId", OpenApiTypes.INT, description="orders of one trade"),
]
CANCELLED = inline_serializer(
    "CancelledOrders",
    {
        "cancelled": IntegerField(help_text="how many orders were asked to be cancelled"),
        "message": CharField(),
    },
)
FOREIGN_ORDER = inline_serializer(
    "ForeignOrder",
    {
        **{name: CharField() for name in ("orderId", "venue", "assetId")},
        "side": ChoiceField(SIDES),
        **{name: Plain() for name in ("size", "price", "matchedQuantity", "reserved")},
        "reservedAsset": CharField(),
        "seenAt": DateTimeField(),
        "createdAt": DateTimeField(),
        "closedAt": absent(DateTimeField),
    },
)
FOREIGN_ORDERS = page_of("ForeignOrders", FOREIGN_ORDER)

LEG = inline_serializer(
    "Leg",
    {
        "id": absent(IntegerField),
        "assetId": CharField(),
        "question": CharField(),
        "outcome": CharField(),
        "side": ChoiceField(SIDES),
        "size": Plain(),
        "price": serializers.CharField(allow_null=True, help_text="its limit; none for an exit"),
        "orderType": CharField(),
        "postOnly": BooleanField(),
        "expiresAt": absent(DateTimeField),
        "role": ChoiceField(ROLES),
        "status": ChoiceField(ORDER_STATES, allow_null=True, help_text="of its latest order"),
        "phase": ChoiceField(LEG_STATES, allow_null=True, help_text="its own state"),
        "filledQuantity": Plain(help_text="matched less failed"),
        "settledQuantity": Plain(help_text="confirmed on the chain"),
        "averagePrice": absent(Plain),
        "reason": CharField(),
        "orderId": absent(CharField),
        "order": inline_serializer(
            "LatestOrder", {**WHOLE_ORDER_FIELDS}, allow_null=True, help_text="its latest order"
        ),
        "orders": many(LEG_ORDER),
    },
)
TRADE_FIELDS = {
    "id": IntegerField(),
    "purpose": ChoiceField(PURPOSES),
    "strategy": CharField(),
    "status": ChoiceField(LEG_STATES, help_text="the first of working, failed, cancelled, done"),
    "mintAfterSell": BooleanField(),
    "maxSlippage": absent(Plain),
    "validUntil": absent(DateTimeField),
    "createdAt": DateTimeField(),
    "legs": many(LEG),
}
TRADES = page_of("Trades", inline_serializer("Trade", {**TRADE_FIELDS}))
TRADE_FILTERS = [
    query("status", "trades of one state", enum=LEG_STATES),
    query("strategy", "trades of one strategy"),
    query("purpose", "exits of stops, or signals", enum=PURPOSES),
]
SIGNAL = inline_serializer(
    "Signal",
    {
        "id": IntegerField(),
        "strategy": CharField(),
        "dryRun": BooleanField(),
        "createdAt": DateTimeField(),
        "trade": inline_serializer(
            "SignalTrade", {**TRADE_FIELDS}, allow_null=True, help_text="none of a dry run"
        ),
        "legs": many(LEG),
    },
)
SIGNALS = page_of("Signals", SIGNAL)
SIGNAL_FILTERS = [query("strategy", "signals of one strategy")]

JOB = inline_serializer(
    "PositionJob",
    {
        "id": IntegerField(),
        "tradeId": IntegerField(),
        "status": ChoiceField(JOB_STATES),
        "byHand": BooleanField(),
        "originalOrders": ListField(child=serializers.JSONField()),
        "runs": IntegerField(),
        "nextRunAt": absent(DateTimeField),
        "reason": CharField(),
        "createdAt": DateTimeField(),
        "updatedAt": DateTimeField(),
        "closedAt": absent(DateTimeField),
    },
)
JOBS = page_of("PositionJobs", JOB)
NEW_JOB = inline_serializer(
    "NewPositionJob",
    {
        "tradeId": IntegerField(),
        "originalOrders": ListField(
            child=serializers.JSONField(),
            required=False,
            help_text="order ids, or objects with `orderId` and, to be checked, `assetId`, "
            "`side`, `size`, `price`",
        ),
        "createdAt": CharField(required=False, help_text=MOMENT),
    },
)
DECISION = inline_serializer(
    "Decision",
    {
        "legId": IntegerField(),
        "kind": CharField(),
        "reason": CharField(),
        "count": IntegerField(help_text="how often it was taken in a row"),
        "at": DateTimeField(),
        "lastAt": DateTimeField(),
        "inputs": serializers.JSONField(help_text="all that it was taken from"),
        "outcome": serializers.JSONField(help_text="quantity, price, wait in seconds"),
    },
)
WHOLE_TRADE = inline_serializer(
    "WholeTrade",
    {
        **TRADE_FIELDS,
        "decisions": many(DECISION),
        "jobs": many(JOB),
        "mints": many(MINT),
    },
)
