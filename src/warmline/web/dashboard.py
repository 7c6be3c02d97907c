"""The operator's pages: the overview and one candidate explained. Read-only."""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from warmline.core.metrics import FIRST_TOUCH_AIM_S
from warmline.flows import explain as explained
from warmline.flows.report import overview as overview_of
from warmline.web.site import runtime as the_runtime

# What "lately" means on the overview, for the time to first touch.
DAYS = 30


def overview(request: HttpRequest) -> HttpResponse:
    runtime = the_runtime()
    o = overview_of(runtime, days=DAYS)
    inlets = runtime.connections_that("receives_webhooks")
    return render(
        request,
        "warmline/overview.html",
        {
            "project": runtime.project.file,
            "o": o,
            "arrived": sum(o.deliveries.values()),
            "inlets": [(name, f"{runtime.project.public_url}/in/{name}") for name in inlets],
            "days": DAYS,
            "aim_s": FIRST_TOUCH_AIM_S,
            "nonce": request.META["warmline.nonce"],
        },
    )


def explain(request: HttpRequest) -> HttpResponse:
    """`?q=`: a candidate's number here, an e-mail address, or an id of the ATS or CRM."""
    runtime = the_runtime()
    query = request.GET.get("q", "").strip()
    found = explained.find(query) if query else []
    context = {
        "project": runtime.project.file,
        "query": query,
        "candidates": found,
        "e": explained.explain(runtime, found[0]) if len(found) == 1 else None,
        "nonce": request.META["warmline.nonce"],
    }
    status = 404 if query and not found else 200
    return render(request, "warmline/explain.html", context, status=status)


def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the ledger answers; 503 where it does not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"ledger": "unreachable"}, status=503)
    return JsonResponse({"ledger": "ok"})


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse(
        "There is nothing at this address.\n", status=404, content_type="text/plain"
    )


def server_error(request: HttpRequest) -> HttpResponse:
    return HttpResponse(
        "Something failed on our side; the log has the details.\n",
        status=500,
        content_type="text/plain",
    )
