"""The HTTP face of trailing stops."""

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orders import sending
from polytrader import schema
from polytrader.errors import ApiError, conflict
from polytrader.fields import Body
from polytrader.idempotency import once
from polytrader.paging import page_of
from trailing import amending, bulk, creating, ending, history, requests
from trailing.models import TrailingStop
from trailing.showing import show_event, show_point, show_stop, with_exits


class TrailingStops(APIView):
    """`GET` lists stops, newest first; `POST` makes one."""

    @extend_schema(
        operation_id="list_trailing_stops",
        parameters=[*schema.STOP_FILTERS, *schema.PAGES],
        responses=schema.answers(200, schema.STOPS, 400),
    )
    def get(self, request: Request) -> Response:
        """List stops, filtered by `status`, `symbol` and `strategy`."""
        rows = with_exits(TrailingStop.objects.order_by("-created_at", "-pk"))
        status = request.query_params.get("status")
        if status is not None and status not in TrailingStop.STATES:
            raise ApiError(
                400, "invalid", f"status: expected one of {', '.join(TrailingStop.STATES)}"
            )
        if status is not None:
            rows = rows.filter(status=status)
        _check_printable(request)
        if symbol := request.query_params.get("symbol"):
            rows = rows.filter(instrument__symbol=symbol)
        if strategy := request.query_params.get("strategy"):
            rows = rows.filter(strategy=strategy)
        now = timezone.now()
        return page_of(request, rows, lambda stop: show_stop(stop, now))

    @extend_schema(
        operation_id="create_trailing_stop",
        parameters=[schema.IDEMPOTENCY_KEY],
        request=schema.NEW_STOP,
        responses=schema.answers(201, schema.STOP_STARTED, 400, 422),
    )
    def post(self, request: Request) -> Response:
        """Check the body, make the stop, answer 201 with its key."""
        return once(request, _create, lambda: requests.read_request(request.data))


def _create(wanted: requests.StopRequest) -> Response:
    stop = creating.create(wanted)
    simulation = "" if settings.CONFIGURATION.exchange == "live" else " simulation"
    body = {
        "message": f"Trailing stop{simulation} started for {stop.instrument.symbol}",
        **bulk.show_made(stop, wanted),
        "system": "Celery",
    }
    return Response(body, status=201)


class TrailingStopsInBulk(APIView):
    """`POST` makes many stops at once."""

    @extend_schema(
        operation_id="create_trailing_stops",
        parameters=[schema.IDEMPOTENCY_KEY],
        request=schema.NEW_STOPS,
        responses=schema.answers(201, schema.STOPS_STARTED, 400, 422),
    )
    def post(self, request: Request) -> Response:
        """Make up to 1,000 stops, each row answered by its key or its error; 400 when none can be made."""
        return once(request, bulk.make, lambda: bulk.read_all(request.data))


def _check_printable(request: Request) -> None:
    for name in ("symbol", "strategy"):
        if not request.query_params.get(name, "").isprintable():
            raise ApiError(400, "invalid", f"{name}: expected printable text")


class OneTrailingStop(APIView):
    """One stop by its key."""

    @extend_schema(
        operation_id="show_trailing_stop", responses=schema.answers(200, schema.STOP, 404)
    )
    def get(self, request: Request, state_key: str) -> Response:
        """Show the stop with its exit orders."""
        return Response(show_stop(find(state_key), timezone.now()))

    @extend_schema(
        operation_id="amend_trailing_stop",
        request=schema.CHANGED_STOP,
        responses=schema.answers(200, schema.STOP, 400, 404, 409),
    )
    def patch(self, request: Request, state_key: str) -> Response:
        """Change a stop that has not triggered; loosening only with `allowLoosening`."""
        stop, wanted = find(state_key), amending.read_amendment(request.data)
        amending.amend(stop, wanted)
        return Response(show_stop(find(state_key), timezone.now()))


class ResumeTrailingStop(APIView):
    """`POST` goes on with a stop: a new one for one in `error`, a decision for one that asks."""

    @extend_schema(
        operation_id="resume_trailing_stop",
        parameters=[schema.IDEMPOTENCY_KEY],
        request=schema.RESUMED_STOP,
        responses=schema.answers(200, schema.STOP, 400, 404, 409, 422),
    )
    def post(self, request: Request, state_key: str) -> Response:
        """Resume; answer 200 with the stop that goes on."""
        body = Body(request.data or {})
        how = body.choice("how", amending.ANSWERS, default="watch")
        body.check()

        def act(stop: TrailingStop) -> Response:
            if stop.asking_since is None:
                return _shown(amending.resume(stop))
            fired = amending.answer(stop, how)
            transaction.on_commit(lambda: sending.send_at_once(fired.orders))
            return _shown(stop)

        return once(request, act, lambda: find(state_key))


def _shown(stop: TrailingStop) -> Response:
    return Response(show_stop(find(stop.state_key), timezone.now()))


class CancelTrailingStop(APIView):
    """`POST` cancels a stop that has not triggered."""

    @extend_schema(
        operation_id="cancel_trailing_stop",
        parameters=[schema.IDEMPOTENCY_KEY],
        request=None,
        responses=schema.answers(200, schema.STOP, 404, 409, 422),
    )
    def post(self, request: Request, state_key: str) -> Response:
        """Cancel; 409 once it has triggered or ended."""

        def act(stop: TrailingStop) -> Response:
            if not ending.cancel(stop):
                raise conflict(f"the stop is {stop.status} and can no longer be cancelled")
            return Response(show_stop(find(state_key), timezone.now()))

        return once(request, act, lambda: find(state_key))


class TrailingStopEvents(APIView):
    """Every decision about one stop, with the price that caused it."""

    @extend_schema(
        operation_id="list_trailing_stop_events",
        parameters=schema.PAGES,
        responses=schema.answers(200, schema.EVENTS, 404),
    )
    def get(self, request: Request, state_key: str) -> Response:
        """List the events, oldest first."""
        return page_of(request, find(state_key).events.order_by("id"), show_event)


class TrailingStopHistory(APIView):
    """Where best price and trigger of one stop stood, by the minute."""

    @extend_schema(
        operation_id="list_trailing_stop_history",
        parameters=schema.PAGES,
        responses=schema.answers(200, schema.HISTORY, 404),
    )
    def get(self, request: Request, state_key: str) -> Response:
        """List the changes, oldest first; the last one is its end, or now."""
        return page_of(request, history.points(find(state_key), timezone.now()), show_point)


def find(state_key: str) -> TrailingStop:
    """The stop of a key; 404 otherwise."""
    if not state_key.isprintable():
        raise ApiError(404, "not_found", "there is no such trailing stop")
    stop = with_exits(TrailingStop.objects.filter(state_key=state_key)).first()
    if stop is None:
        raise ApiError(404, "not_found", f"there is no trailing stop {state_key[:80]}")
    return stop
