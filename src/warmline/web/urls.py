"""Every address of Warmline's web server."""

from django.urls import path

from warmline.web import dashboard, inlet, public

urlpatterns = [
    path("in/<str:connection>", inlet.webhook),
    path("u/<str:token>", public.unsubscribe),
    path("healthz", dashboard.healthz),
    path("", dashboard.overview),
    path("explain", dashboard.explain),
]

handler404 = "warmline.web.dashboard.not_found"
handler500 = "warmline.web.dashboard.server_error"
