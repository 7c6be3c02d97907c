"""Links of a letter: `/c/` leads where its token says, `/o/` is a picture, `/v/` the letter again.

Each notes a hit and acts on nothing. What cannot be noted is lost, and the reader sees nothing of
it: the token alone says where a link leads.
"""

from __future__ import annotations

import base64

from django.http import HttpRequest, HttpResponse
from django.utils.encoding import iri_to_uri

from warmline.flows.compose import again
from warmline.flows.hits import note
from warmline.flows.links import PATHS, TRAP, Purpose, read_click_token, read_token
from warmline.store.statuses import HitKind
from warmline.web.reader import message_of, not_allowed, page, visit
from warmline.web.site import runtime as the_runtime

# One transparent pixel.
_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
# A letter has styles in its elements and may have pictures; it runs nothing, posts nothing, and is
# of no origin: what an operator wrote into it cannot reach our pages.
_LETTER_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
)


def click(request: HttpRequest, token: str) -> HttpResponse:
    runtime = the_runtime()
    found = read_click_token(token, runtime.now())
    if found is None:
        return page(request, "link", "invalid", status=404)
    if request.method not in ("GET", "HEAD"):
        return not_allowed("GET", "HEAD")
    kind = HitKind.TRAP if found.link == TRAP else HitKind.CLICK
    url = "" if kind is HitKind.TRAP else found.target
    note(runtime, found.message_id, kind, visit(request), link=found.link, url=url)
    return HttpResponse(status=302, headers={"Location": iri_to_uri(found.target)})


def opened(request: HttpRequest, token: str) -> HttpResponse:
    runtime = the_runtime()
    if request.method not in ("GET", "HEAD"):
        return not_allowed("GET", "HEAD")
    message_id = read_token(Purpose.OPEN, token, runtime.now())
    if message_id is not None:
        note(runtime, message_id, HitKind.OPEN, visit(request), url=PATHS[Purpose.OPEN])
    # The picture in any case: a broken one in an old letter helps nobody.
    return HttpResponse(_GIF, content_type="image/gif", status=200 if message_id else 404)


def view(request: HttpRequest, token: str) -> HttpResponse:
    runtime = the_runtime()
    message_id = read_token(Purpose.VIEW, token, runtime.now())
    if message_id is None:
        return page(request, "link", "invalid", status=404)
    if request.method not in ("GET", "HEAD"):
        return not_allowed("GET", "HEAD")
    note(runtime, message_id, HitKind.VIEW, visit(request), url=PATHS[Purpose.VIEW])
    message = message_of(message_id)
    if message is None:
        return page(request, "link", "gone", status=404)
    try:
        letter = again(runtime.project, message, runtime.now())
    except LookupError:
        return page(request, "link", "gone", message=message, status=404)
    return HttpResponse(letter, headers={"Content-Security-Policy": _LETTER_POLICY})
