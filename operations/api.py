"""The HTTP face of operation: queue status and health."""

from django.http import HttpRequest, JsonResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from operations import health, status
from polytrader import schema
from polytrader.bells import ring
from polytrader.errors import ApiError
from polytrader.idempotency import once


class QueueStatus(APIView):
    """`GET` counts everything; `POST {"action": "reinitialize"}` re-arms what should be running."""

    scopes = {"POST": "admin"}

    @extend_schema(operation_id="queue_status", responses=schema.answers(200, schema.QUEUE_STATUS))
    def get(self, request: Request) -> Response:
        """Answer the numbers."""
        return Response(status.report())

    @extend_schema(
        operation_id="reinitialize_queues",
        parameters=[schema.IDEMPOTENCY_KEY],
        request=schema.REINITIALIZE,
        responses=schema.answers(200, schema.REARMED, 400, 422),
    )
    def post(self, request: Request) -> Response:
        """Re-arm; any other action is 400."""
        data = request.data
        if not isinstance(data, dict) or data.get("action") != "reinitialize":
            raise ApiError(
                400,
                "invalid",
                'expected {"action": "reinitialize"}',
                {"action": "expected reinitialize"},
            )
        return once(request, self._reinitialize, lambda: None)

    def _reinitialize(self, _: None) -> Response:
        rearmed = status.rearm()
        ring("trailing.sweep", queue="trailing")
        ring("orders.sweep", queue="orders")
        ring("strategy.sweep", queue="manage-position")
        ring("mint-queue", queue="mint-queue")
        return Response(
            {"success": True, "message": "re-armed; nothing was deleted", "rearmed": rearmed}
        )


def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Database, broker, stops being evaluated; 503 with the reason otherwise."""
    problems = health.problems()
    if problems:
        return JsonResponse({"status": "not ready", "problems": problems}, status=503)
    return JsonResponse({"status": "ready"})
