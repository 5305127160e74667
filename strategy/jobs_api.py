"""The HTTP face of the queue `manage-position`."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from minting import pausing
from orders.models import Trade
from polytrader import schema as common
from polytrader.bells import ring
from polytrader.fields import Body
from polytrader.idempotency import once
from polytrader.paging import page_of
from strategy import jobs, schema
from strategy.models import PositionJob
from strategy.showing import show_job


class ManagePosition(APIView):
    """`POST` has one trade looked after now."""

    @extend_schema(
        operation_id="enqueue_manage_position",
        parameters=[common.IDEMPOTENCY_KEY],
        request=schema.NEW_JOB,
        responses=common.answers(202, schema.JOB, 400, 422),
    )
    def post(self, request: Request) -> Response:
        """Check the body and answer 202 with the job; while it is open, the same one again."""
        return once(request, _enqueue, lambda: _read(request.data))


def _read(data: Any) -> tuple[Trade, list[Any]]:
    body = Body(data)
    trade_id = body.row_id("tradeId")
    rows = body.rows("originalOrders", jobs.MOST_ORDERS)
    body.moment("createdAt")
    trade = Trade.objects.filter(pk=trade_id or 0).first()
    if trade is None and trade_id is not None:
        body.complain("tradeId", f"there is no trade {trade_id}")
    if trade is not None:
        for name, text in jobs.check_orders(trade, rows).items():
            body.complain(name, text)
    body.check()
    assert trade is not None
    return trade, jobs.as_kept(rows)


def _enqueue(asked: tuple[Trade, list[Any]]) -> Response:
    job = jobs.enqueue(*asked)
    ring("strategy.sweep", queue=jobs.QUEUE)
    return Response(show_job(job), status=202)


class ManagePositionStats(APIView):
    """Counts of the queue, from rows."""

    @extend_schema(responses=common.answers(200, common.MINT_QUEUE))
    def get(self, request: Request) -> Response:
        """Answer the counts."""
        return Response(jobs.status())


class JobList(APIView):
    """Jobs in some states, those due first."""

    states: tuple[str, ...] = ()

    @extend_schema(parameters=common.PAGES, responses=common.answers(200, schema.JOBS))
    def get(self, request: Request) -> Response:
        """List them."""
        return page_of(request, self.rows(), show_job)

    def rows(self) -> QuerySet[PositionJob]:
        """The jobs of this list."""
        return PositionJob.objects.filter(status__in=self.states).order_by("next_run_at", "pk")


class WaitingJobs(JobList):
    """Jobs that wait, to be taken up at once or when they are due again."""

    states = ("waiting", "delayed")


class FailedJobs(JobList):
    """Jobs of trades with a leg that was given up."""

    states = ("failed",)


class PauseManagePosition(APIView):
    """`POST` pauses or resumes the queue; orders in flight are looked after in any case."""

    is_paused = True

    @extend_schema(
        parameters=[common.IDEMPOTENCY_KEY],
        request=None,
        responses=common.answers(200, common.MINT_QUEUE, 422),
    )
    def post(self, request: Request) -> Response:
        """Pause or resume; answer the counts."""
        return once(request, lambda _: self._set(), lambda: None)

    def _set(self) -> Response:
        pausing.set_paused(jobs.QUEUE, self.is_paused)
        ring("strategy.sweep", queue=jobs.QUEUE)
        return Response(jobs.status())


class RetryFailedJobs(APIView):
    """`POST` has what was given up tried again."""

    @extend_schema(
        operation_id="retry_failed_manage_position",
        parameters=[common.IDEMPOTENCY_KEY],
        request=None,
        responses=common.answers(200, common.RETRIED, 422),
    )
    def post(self, request: Request) -> Response:
        """Have failed jobs wait again, with the legs of signals that may be tried again."""
        return once(request, lambda _: Response({"retried": jobs.retry_failed()}), lambda: None)
