"""The unsubscribe address: a GET shows and changes nothing, a POST unsubscribes (RFC 8058)."""

from __future__ import annotations

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render

from warmline.flows.links import read_unsubscribe_token
from warmline.flows.track import unsubscribe as unsubscribe_message
from warmline.web.site import runtime as the_runtime


def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """The token is the whole authority: no cookie, no CSRF token, no redirect. Mail programs post
    `List-Unsubscribe=One-Click`, as a form or as multipart; our own page posts the same address
    from its button. Scanners that follow links with GET or HEAD change nothing (I9)."""
    runtime = the_runtime()
    message_id = read_unsubscribe_token(token, runtime.now())
    context = {
        "company": runtime.project.file.company,
        "nonce": request.META["warmline.nonce"],
    }
    if message_id is None:
        context["state"] = "invalid"
        return render(request, "warmline/unsubscribe.html", context, status=404)
    if request.method in ("GET", "HEAD"):
        context["state"] = "ask"
        return render(request, "warmline/unsubscribe.html", context)
    if request.method != "POST":
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD, POST"})
    how = "one-click" if _one_click(request) else "page"
    try:
        known = unsubscribe_message(runtime, message_id, how=how)
    except DatabaseError:
        context["state"] = "later"
        return render(
            request,
            "warmline/unsubscribe.html",
            context,
            status=503,
        )
    context["state"] = "done" if known else "invalid"
    return render(request, "warmline/unsubscribe.html", context, status=200 if known else 404)


def _one_click(request: HttpRequest) -> bool:
    """Django reads both encodings that RFC 8058 allows; a body that is neither is our own page's
    or a stray client's, and unsubscribes just the same. So does one that cannot be read: in another
    charset, cut off, or too long."""
    try:
        return request.POST.get("List-Unsubscribe", "").lower() == "one-click"
    except (BadRequest, SuspiciousOperation, MultiPartParserError, UnreadablePostError):
        return False
