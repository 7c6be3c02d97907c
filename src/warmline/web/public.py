"""The unsubscribe address: a GET shows and changes nothing, a POST unsubscribes (RFC 8058)."""

from __future__ import annotations

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from warmline.flows.hits import note
from warmline.flows.links import PATHS, Purpose, read_unsubscribe_token
from warmline.flows.track import unsubscribe as unsubscribe_message
from warmline.store.statuses import HitKind
from warmline.web.reader import known, not_allowed, page, posted, visit
from warmline.web.site import runtime as the_runtime

_PATH = PATHS[Purpose.UNSUBSCRIBE]


def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """The token is the whole authority: no cookie, no CSRF token, no redirect. Mail programs post
    `List-Unsubscribe=One-Click`, as a form or as multipart; our own page posts the same address
    from its button. Scanners that follow links with GET or HEAD change nothing (I9)."""
    runtime = the_runtime()
    message_id = read_unsubscribe_token(token, runtime.now())
    if message_id is None:
        return page(request, "unsubscribe", "invalid", status=404)
    if request.method in ("GET", "HEAD"):
        note(runtime, message_id, HitKind.PAGE, visit(request), url=_PATH)
        return page(request, "unsubscribe", "ask", message=known(message_id))
    if request.method != "POST":
        return not_allowed("GET", "HEAD", "POST")
    how = "one-click" if _one_click(request) else "page"
    try:
        was_there = unsubscribe_message(runtime, message_id, how=how)
    except DatabaseError:
        return page(request, "unsubscribe", "later", status=503)
    if not was_there:
        return page(request, "unsubscribe", "invalid", status=404)
    note(runtime, message_id, HitKind.ACT, visit(request), url=_PATH, why=f"unsubscribed: {how}")
    return page(request, "unsubscribe", "done", message=known(message_id))


def _one_click(request: HttpRequest) -> bool:
    """Django reads both encodings that RFC 8058 allows; a body that is neither is our own page's
    or a stray client's, and unsubscribes just the same. So does one that cannot be read."""
    form = posted(request)
    return form is not None and form.get("List-Unsubscribe", "").lower() == "one-click"
