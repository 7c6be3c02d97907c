"""Every address of Warmline's web server."""

from django.urls import path

from warmline.web import dashboard, follow, inlet, keep_posted, preferences, public

urlpatterns = [
    path("in/<str:connection>", inlet.webhook),
    path("u/<str:token>", public.unsubscribe),
    path("c/<str:token>", follow.click),
    path("o/<str:token>.gif", follow.opened),
    path("v/<str:token>", follow.view),
    path("p/<str:token>", preferences.preferences),
    path("k/<str:token>", keep_posted.keep),
    path("healthz", dashboard.healthz),
    path("", dashboard.overview),
    path("explain", dashboard.explain),
]

handler404 = "warmline.web.dashboard.not_found"
handler500 = "warmline.web.dashboard.server_error"
