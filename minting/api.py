"""The HTTP face of the mint queue."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from minting.status import queue_status
from polytrader import schema


class MintQueueStats(APIView):
    """Counts of the mint queue, from rows."""

    @extend_schema(responses=schema.answers(200, schema.MINT_QUEUE))
    def get(self, request: Request) -> Response:
        """Answer the counts."""
        return Response(queue_status())
