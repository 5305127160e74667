"""Every address of the web process."""

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.urls import path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from minting import api as minting
from operations import book_api as book
from operations.api import QueueStatus, healthz, readyz
from strategy import api as strategy
from strategy import jobs_api as jobs
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
    path("api/trailing-stops/bulk", trailing.TrailingStopsInBulk.as_view()),
    path("api/trailing-stops/<str:state_key>", trailing.OneTrailingStop.as_view()),
    path("api/trailing-stops/<str:state_key>/cancel", trailing.CancelTrailingStop.as_view()),
    path("api/trailing-stops/<str:state_key>/resume", trailing.ResumeTrailingStop.as_view()),
    path("api/trailing-stops/<str:state_key>/events", trailing.TrailingStopEvents.as_view()),
    path("api/trailing-stops/<str:state_key>/history", trailing.TrailingStopHistory.as_view()),
    path("api/orders", book.Orders.as_view()),
    path("api/orders/cancel-all", book.CancelAllOrders.as_view()),
    path("api/orders/foreign", book.ForeignOrders.as_view()),
    path("api/orders/<str:order_id>", book.OneOrder.as_view()),
    path("api/orders/<str:order_id>/cancel", book.CancelOrder.as_view()),
    path("api/positions", book.Positions.as_view()),
    path("api/positions/<str:asset_id>", book.OnePosition.as_view()),
    path("api/alerts", book.Alerts.as_view()),
    path("api/alerts/<str:alert_id>/resolve", book.ResolveAlert.as_view()),
    path("api/queue-status", QueueStatus.as_view()),
    path("strategy/signals", strategy.Signals.as_view()),
    path("strategy/signals/<str:signal_id>", strategy.OneSignal.as_view()),
    path("strategy/trades", strategy.Trades.as_view()),
    path("strategy/trades/<str:trade_id>", strategy.OneTrade.as_view()),
    path("strategy/manage-position", jobs.ManagePosition.as_view()),
    path("strategy/manage-position/stats", jobs.ManagePositionStats.as_view()),
    path("strategy/manage-position/status", jobs.ManagePositionStats.as_view()),
    path("strategy/manage-position/waiting", jobs.WaitingJobs.as_view()),
    path("strategy/manage-position/failed", jobs.FailedJobs.as_view()),
    path("strategy/manage-position/pause", jobs.PauseManagePosition.as_view()),
    path("strategy/manage-position/resume", jobs.PauseManagePosition.as_view(is_paused=False)),
    path("strategy/manage-position/retry-failed", jobs.RetryFailedJobs.as_view()),
    path("strategy/mint-queue", minting.MintQueue.as_view()),
    path("strategy/mint-queue/stats", minting.MintQueueStats.as_view()),
    path("strategy/mint-queue/status", minting.MintQueueStats.as_view()),
    path("strategy/mint-queue/waiting", minting.WaitingMints.as_view()),
    path("strategy/mint-queue/failed", minting.FailedMints.as_view()),
    path("strategy/mint-queue/pause", minting.PauseMintQueue.as_view()),
    path("strategy/mint-queue/resume", minting.PauseMintQueue.as_view(is_paused=False)),
    path("strategy/mint-queue/retry-failed", minting.RetryFailedMints.as_view()),
    path("strategy/mint-queue/<str:job_id>", minting.OneMint.as_view()),
]
