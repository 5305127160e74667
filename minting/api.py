"""The HTTP face of the mint queue."""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from minting.status import queue_status


class MintQueueStats(APIView):
    """Counts of the mint queue, from rows."""

    def get(self, request: Request) -> Response:
        """Answer the counts."""
        return Response(queue_status())
