"""Every address of the web process."""

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.urls import path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from minting.api import MintQueueStats
from operations.api import QueueStatus, healthz, readyz
from trailing import api as trailing

handler400 = "polytrader.errors.bad_request"
handler404 = "polytrader.errors.not_found"
handler500 = "polytrader.errors.server_error"

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/", permanent=False)),
    path("healthz", healthz),
    path("readyz", readyz),
    path("admin/", admin.site.urls),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", staff_member_required(SpectacularSwaggerView.as_view(url_name="schema"))),
    path("api/trailing-stops", trailing.TrailingStops.as_view()),
    path("api/trailing-stops/<str:state_key>", trailing.OneTrailingStop.as_view()),
    path("api/trailing-stops/<str:state_key>/cancel", trailing.CancelTrailingStop.as_view()),
    path("api/trailing-stops/<str:state_key>/events", trailing.TrailingStopEvents.as_view()),
    path("api/queue-status", QueueStatus.as_view()),
    path("strategy/mint-queue/stats", MintQueueStats.as_view()),
    path("strategy/mint-queue/status", MintQueueStats.as_view()),
]
