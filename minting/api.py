"""The HTTP face of the mint queue."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from minting import pausing
from minting.requesting import QUEUE
from minting.status import queue_status
from polytrader import schema
from polytrader.bells import ring
from polytrader.idempotency import once


class MintQueueStats(APIView):
    """Counts of the mint queue, from rows."""

    @extend_schema(responses=schema.answers(200, schema.MINT_QUEUE))
    def get(self, request: Request) -> Response:
        """Answer the counts."""
        return Response(queue_status())


class PauseMintQueue(APIView):
    """`POST` pauses or resumes the queue; a split under way is looked after in any case."""

    is_paused = True

    @extend_schema(
        parameters=[schema.IDEMPOTENCY_KEY],
        request=None,
        responses=schema.answers(200, schema.MINT_QUEUE, 422),
    )
    def post(self, request: Request) -> Response:
        """Pause or resume; answer the counts."""
        return once(request, lambda _: self._set(), lambda: None)

    def _set(self) -> Response:
        pausing.set_paused(QUEUE, self.is_paused)
        ring(QUEUE, queue=QUEUE)
        return Response(queue_status())
