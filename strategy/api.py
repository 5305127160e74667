"""The HTTP face of signals and trades."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from minting.models import Mint
from minting.showing import show_job as show_mint
from minting.showing import whole_jobs
from orders.models import Trade
from polytrader import parameters
from polytrader import schema as common
from polytrader.errors import ApiError
from polytrader.idempotency import once_and_then
from polytrader.paging import page_of
from strategy import schema, signals
from strategy.models import PositionJob, Signal
from strategy.showing import (
    TRADE_STATES,
    decisions_of,
    show_job,
    show_signal,
    show_trade,
    with_legs,
    with_state,
    with_trades,
)


class Signals(APIView):
    """`GET` lists signals, newest first; `POST` takes one and sends its orders."""

    @extend_schema(
        operation_id="list_signals",
        parameters=[*schema.SIGNAL_FILTERS, *common.PAGES],
        responses=common.answers(200, schema.SIGNALS, 400),
    )
    def get(self, request: Request) -> Response:
        """List signals with their trades, filtered by `strategy`."""
        rows = with_trades(Signal.objects.order_by("-pk"))
        if strategy := parameters.text(request, "strategy"):
            rows = rows.filter(strategy=strategy)
        return page_of(request, rows, show_signal)

    @extend_schema(
        operation_id="create_signal",
        parameters=[common.IDEMPOTENCY_KEY],
        request=schema.NEW_SIGNAL,
        responses=common.answers(201, schema.SIGNAL, 400, 409, 422),
    )
    def post(self, request: Request) -> Response:
        """Check everything, make the trade, send it, answer 201 with the state reached."""
        return once_and_then(
            request, _create, lambda: signals.read_request(request.data), _send_and_show
        )


def _create(wanted: signals.SignalRequest) -> Response:
    signal = signals.create(wanted)
    return Response(show_signal(find_signal(signal.pk)), status=201)


def _send_and_show(told: Mapping[str, Any]) -> Response:
    signals.send(find_signal(told["id"]))
    return Response(show_signal(find_signal(told["id"])), status=201)


class OneSignal(APIView):
    """One signal by its number."""

    @extend_schema(operation_id="show_signal", responses=common.answers(200, schema.SIGNAL, 404))
    def get(self, request: Request, signal_id: str) -> Response:
        """Show the signal as it stands now."""
        return Response(show_signal(find_signal(parameters.as_row_id(signal_id) or 0)))


class Trades(APIView):
    """What was wanted: the trades of signals and of stops."""

    @extend_schema(
        operation_id="list_trades",
        parameters=[*schema.TRADE_FILTERS, *common.PAGES],
        responses=common.answers(200, schema.TRADES, 400),
    )
    def get(self, request: Request) -> Response:
        """List trades, newest first, filtered by `status`, `strategy` and `purpose`."""
        return page_of(request, with_legs(_wanted(request)), show_trade)


def _wanted(request: Request) -> QuerySet[Trade]:
    rows = Trade.objects.order_by("-pk")
    if status := parameters.choice(request, "status", TRADE_STATES):
        rows = with_state(rows).filter(state=status)
    if purpose := parameters.choice(request, "purpose", schema.PURPOSES):
        rows = rows.filter(purpose=purpose)
    if strategy := parameters.text(request, "strategy"):
        rows = rows.filter(strategy=strategy)
    return rows


class OneTrade(APIView):
    """One trade with every decision about its legs, and its jobs."""

    @extend_schema(
        operation_id="show_trade", responses=common.answers(200, schema.WHOLE_TRADE, 404)
    )
    def get(self, request: Request, trade_id: str) -> Response:
        """Show the trade, its decisions, its jobs and what was minted for it, oldest first."""
        rows = Trade.objects.filter(pk=parameters.as_row_id(trade_id) or 0)
        trade = with_legs(rows).first()
        if trade is None:
            raise ApiError(404, "not_found", f"there is no trade {trade_id[:80]}")
        jobs = PositionJob.objects.filter(trade=trade).order_by("pk")
        mints = whole_jobs(Mint.objects.filter(fill__order__leg__trade=trade).order_by("pk"))
        return Response(
            {
                **show_trade(trade),
                "decisions": decisions_of(trade),
                "jobs": [show_job(job) for job in jobs],
                "mints": [show_mint(mint) for mint in mints],
            }
        )


def find_signal(pk: int) -> Signal:
    """The signal of a number; 404 otherwise."""
    signal = with_trades(Signal.objects.filter(pk=pk)).first()
    if signal is None:
        raise ApiError(404, "not_found", "there is no such signal")
    return signal
