"""The HTTP face of the book: orders, positions, alerts."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from operations import asking, book, schema
from orders import cancelling
from orders.models import ForeignOrder, Leg, Order, Position
from polytrader import alerts, parameters
from polytrader import schema as common
from polytrader.errors import ApiError, conflict
from polytrader.fields import Body
from polytrader.idempotency import once, once_and_then
from polytrader.models import Alert
from polytrader.paging import Pages, page_of
from strategy import schema as trading
from strategy.showing import show_foreign_order, show_whole_order, whole_orders

WAIT_FOR_CANCEL = 2.0
"""Seconds that a cancel waits for the venue; it is asked for in any case."""


class Orders(APIView):
    """Every order, of signals and of stops."""

    @extend_schema(
        operation_id="list_orders",
        parameters=[*trading.ORDER_FILTERS, *common.PAGES],
        responses=common.answers(200, trading.ORDERS, 400),
    )
    def get(self, request: Request) -> Response:
        """List orders, newest first, filtered by `status`, `assetId` and `tradeId`."""
        rows = Order.objects.order_by("-pk")
        if status := parameters.choice(request, "status", Order.STATES):
            rows = rows.filter(status=status)
        if symbol := parameters.text(request, "assetId"):
            rows = rows.filter(instrument__symbol=symbol)
        if trade := parameters.row_id(request, "tradeId"):
            rows = rows.filter(leg__trade=trade)
        return page_of(request, whole_orders(rows), show_whole_order)


class OneOrder(APIView):
    """One order by our number or by the venue's id."""

    @extend_schema(
        operation_id="show_order", responses=common.answers(200, trading.WHOLE_ORDER, 404)
    )
    def get(self, request: Request, order_id: str) -> Response:
        """Show the order with its fills."""
        return Response(show_whole_order(find_order(order_id)))


class CancelOrder(APIView):
    """`POST` withdraws an order that rests or is about to."""

    @extend_schema(
        operation_id="cancel_order",
        parameters=[common.IDEMPOTENCY_KEY],
        request=None,
        responses=common.answers(200, trading.WHOLE_ORDER, 404, 409, 422),
    )
    def post(self, request: Request, order_id: str) -> Response:
        """Note the wish, ask the venue, answer with the order; 409 once it has ended, and for exits."""

        def act(order: Order) -> Response:
            try:
                cancelling.request(order)
            except cancelling.NotCancellable as why:
                raise conflict(str(why)) from None
            return Response(show_whole_order(find_order(str(order.pk))))

        return once_and_then(request, act, lambda: find_order(order_id), _ask_and_show)


def _ask_and_show(told: Mapping[str, Any]) -> Response:
    asking.look_for_a_moment(find_order(str(told["id"])), WAIT_FOR_CANCEL)
    return Response(show_whole_order(find_order(str(told["id"]))))


class CancelAllOrders(APIView):
    """`POST` withdraws everything that rests or is about to, but for the exits of stops."""

    @extend_schema(
        operation_id="cancel_all_orders",
        parameters=[common.IDEMPOTENCY_KEY],
        request=None,
        responses=common.answers(200, trading.CANCELLED, 422),
    )
    def post(self, request: Request) -> Response:
        """Note the wish for each; the venue is asked by the workers, at once."""
        return once(request, lambda _: _cancel_all(), lambda: None)


def _cancel_all() -> Response:
    count = cancelling.request_all()
    exits = Leg.objects.filter(price=None, status="working").count()
    left = f"; {exits} exits of stops were left alone" if exits else ""
    text = f"the cancellation of {count} orders was asked for{left}"
    return Response({"cancelled": count, "message": text})


class ForeignOrders(APIView):
    """Orders of the wallet that were placed elsewhere, by hand for example."""

    @extend_schema(
        operation_id="list_foreign_orders",
        parameters=[*schema.FOREIGN_FILTERS, *common.PAGES],
        responses=common.answers(200, trading.FOREIGN_ORDERS, 400),
    )
    def get(self, request: Request) -> Response:
        """List them, newest first; `open` chooses those that rest, or those that do no more."""
        rows = ForeignOrder.objects.order_by("-pk")
        is_open = parameters.choice(request, "open", ("true", "false"))
        if is_open is not None:
            rows = rows.filter(closed_at__isnull=is_open == "true")
        return page_of(request, rows, show_foreign_order)


class Positions(APIView):
    """What the wallet holds by our own book."""

    @extend_schema(
        operation_id="list_positions",
        parameters=common.PAGES,
        responses=common.answers(200, schema.POSITIONS),
    )
    def get(self, request: Request) -> Response:
        """List positions by asset."""
        pages = Pages()
        page = pages.paginate_queryset(Position.objects.order_by("asset"), request)
        return pages.get_paginated_response(book.show_positions(page or []))


class OnePosition(APIView):
    """One position by its asset."""

    @extend_schema(
        operation_id="show_position", responses=common.answers(200, schema.WHOLE_POSITION, 404)
    )
    def get(self, request: Request, asset_id: str) -> Response:
        """Show it with its latest entries."""
        found = Position.objects.filter(asset=asset_id) if asset_id.isprintable() else None
        position = None if found is None else found.first()
        if position is None:
            raise ApiError(404, "not_found", "there is no position of this asset")
        [shown] = book.show_positions([position])
        return Response({**shown, "entries": book.show_entries(position)})


class Alerts(APIView):
    """What a person should know."""

    @extend_schema(
        operation_id="list_alerts",
        parameters=[*schema.ALERT_FILTERS, *common.PAGES],
        responses=common.answers(200, schema.ALERTS, 400),
    )
    def get(self, request: Request) -> Response:
        """List alerts, newest first, filtered by `open` and `kind`."""
        return page_of(request, _alerts(request), show_alert)


def _alerts(request: Request) -> QuerySet[Alert]:
    rows = Alert.objects.order_by("-pk")
    is_open = parameters.choice(request, "open", ("true", "false"))
    if is_open is not None:
        rows = rows.filter(resolved_at__isnull=is_open == "true")
    if kind := parameters.choice(request, "kind", alerts.KINDS):
        rows = rows.filter(kind=kind)
    return rows


class ResolveAlert(APIView):
    """`POST` closes an alert that somebody has looked into."""

    @extend_schema(
        operation_id="resolve_alert",
        parameters=[common.IDEMPOTENCY_KEY],
        request=schema.RESOLUTION,
        responses=common.answers(200, schema.ALERT, 400, 404, 409, 422),
    )
    def post(self, request: Request, alert_id: str) -> Response:
        """Close it, with what was found in `text`; 409 when it is closed already."""

        def read() -> tuple[Alert, str]:
            body = Body(request.data)
            text = body.text("text", longest=alerts.LONGEST_TEXT, default="resolved by request")
            body.check()
            return _find_alert(alert_id), text

        return once(request, _resolve, read)


def _resolve(asked: tuple[Alert, str]) -> Response:
    alert, text = asked
    if not alerts.resolve(Alert.objects.filter(pk=alert.pk), text):
        raise conflict("the alert is resolved already")
    alert.refresh_from_db()
    return Response(show_alert(alert))


def _find_alert(alert_id: str) -> Alert:
    alert = Alert.objects.filter(pk=parameters.as_row_id(alert_id) or 0).first()
    if alert is None:
        raise ApiError(404, "not_found", f"there is no alert {alert_id[:80]}")
    return alert


def show_alert(alert: Alert) -> dict[str, Any]:
    """An alert: what it is about, how often it was raised, whether the webhook told of it."""
    return {
        "id": alert.pk,
        "kind": alert.kind,
        "critical": alert.kind in alerts.CRITICAL,
        "subject": alert.subject,
        "text": alert.text,
        "details": alert.details,
        "open": alert.resolved_at is None,
        "count": alert.count,
        "raisedAt": alert.raised_at,
        "lastAt": alert.last_at,
        "resolvedAt": alert.resolved_at,
        "resolution": alert.resolution,
        "deliveredAt": alert.delivered_at,
    }


def find_order(order_id: str) -> Order:
    """The order of our number or of the venue's id; 404 otherwise."""
    number = parameters.as_row_id(order_id)
    mine = {"order_id": order_id.lower() if order_id.startswith("0X") else order_id}
    rows = Order.objects.filter(pk=number) if number else Order.objects.filter(**mine)
    order = whole_orders(rows).first() if order_id.isprintable() else None
    if order is None:
        raise ApiError(404, "not_found", f"there is no order {order_id[:100]}")
    return order
