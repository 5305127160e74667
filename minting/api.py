"""The HTTP face of the mint queue."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from minting import by_hand, pausing, requesting, schema
from minting.models import WAITING, Mint
from minting.requesting import QUEUE
from minting.showing import show_job, whole_jobs
from minting.status import queue_status
from polytrader import parameters
from polytrader import schema as common
from polytrader.bells import ring
from polytrader.errors import ApiError
from polytrader.idempotency import once
from polytrader.paging import page_of


class MintQueue(APIView):
    """`POST` has something minted, merged or redeemed."""

    @extend_schema(
        operation_id="enqueue_mint",
        parameters=[common.IDEMPOTENCY_KEY],
        request=schema.NEW_JOB,
        responses=common.answers(202, schema.JOB, 400, 422),
    )
    def post(self, request: Request) -> Response:
        """Check the body and answer 202 with the job; what the world has against it, the queue says."""
        return once(request, _enqueue, lambda: by_hand.read_request(request.data))


def _enqueue(asked: by_hand.Asked) -> Response:
    job = requesting.request_by_hand(asked.instrument, asked.kind, asked.quantity, asked.asked_at)
    return Response(show_job(job), status=202)


class MintQueueStats(APIView):
    """Counts of the mint queue, from rows."""

    @extend_schema(responses=common.answers(200, common.MINT_QUEUE))
    def get(self, request: Request) -> Response:
        """Answer the counts."""
        return Response(queue_status())


class WaitingMints(APIView):
    """Jobs that wait, with the reason and the next attempt."""

    @extend_schema(
        operation_id="list_waiting_mints",
        parameters=common.PAGES,
        responses=common.answers(200, schema.JOBS),
    )
    def get(self, request: Request) -> Response:
        """List them, those due first."""
        rows = Mint.objects.filter(status__in=WAITING)
        return _page(request, rows.order_by("next_attempt_at", "pk"))


class FailedMints(APIView):
    """Jobs that were given up, with the reason."""

    @extend_schema(
        operation_id="list_failed_mints",
        parameters=common.PAGES,
        responses=common.answers(200, schema.JOBS),
    )
    def get(self, request: Request) -> Response:
        """List them, the latest failure first."""
        return _page(request, Mint.objects.filter(status="failed").order_by("-closed_at", "-pk"))


def _page(request: Request, jobs: QuerySet[Mint]) -> Response:
    return page_of(request, whole_jobs(jobs), show_job)


class OneMint(APIView):
    """One job by its number."""

    @extend_schema(operation_id="show_mint", responses=common.answers(200, schema.JOB, 404))
    def get(self, request: Request, job_id: str) -> Response:
        """Show the job as it stands now."""
        job = whole_jobs(Mint.objects.filter(pk=parameters.as_row_id(job_id) or 0)).first()
        if job is None:
            raise ApiError(404, "not_found", f"there is no job {job_id[:80]} of the mint queue")
        return Response(show_job(job))


class PauseMintQueue(APIView):
    """`POST` pauses or resumes the queue; what is under way is looked after in any case."""

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
        pausing.set_paused(QUEUE, self.is_paused)
        ring(QUEUE, queue=QUEUE)
        return Response(queue_status())


class RetryFailedMints(APIView):
    """`POST` has what was given up tried again."""

    @extend_schema(
        operation_id="retry_failed_mints",
        parameters=[common.IDEMPOTENCY_KEY],
        request=None,
        responses=common.answers(200, common.RETRIED, 422),
    )
    def post(self, request: Request) -> Response:
        """Have failed jobs wait again, with a fresh expiry."""
        return once(
            request, lambda _: Response({"retried": requesting.retry_failed()}), lambda: None
        )
