"""`/k/`: "yes, keep me posted", and "yes, you may write to me".

One click of a person is a yes, and a scanner's is none: so the GET of a letter's link is noted and
judged (`flows.judge`), and the page says so. Its button is a yes at once, and another takes it
back (ADR 0026). A consent wants a proof: it is given by the button only.
"""

from __future__ import annotations

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from warmline.flows.hits import note
from warmline.flows.links import Purpose, read_token
from warmline.flows.preferences import wishes
from warmline.flows.track import KEEP_POSTED, TAKEN_BACK, keep_posted, opt_in, take_back
from warmline.store.models import Message
from warmline.store.statuses import HitKind
from warmline.web.reader import language_of, message_of, not_allowed, page, posted, visit
from warmline.web.site import runtime as the_runtime

OPT_IN = f"{KEEP_POSTED} opt-in"  # in `Hit.url`: its GET is shown and judged, and moves nobody


def keep(request: HttpRequest, token: str) -> HttpResponse:
    runtime = the_runtime()
    now = runtime.now()
    yes = read_token(Purpose.KEEP_POSTED, token, now)
    asked_only = yes is None
    try:
        message = message_of(read_token(Purpose.OPT_IN, token, now) if asked_only else yes)
        if message is None:
            return page(request, "keep_posted", "invalid", status=404)
        more = {"stopped": wishes(message, now).stopped}
        if request.method == "POST":
            return _pressed(request, message, more, asked_only=asked_only)
    except DatabaseError:
        # The button again, where the page can still be shown.
        return page(request, "keep_posted", "later", status=503)
    if request.method not in ("GET", "HEAD"):
        return not_allowed("GET", "HEAD", "POST")
    url = OPT_IN if asked_only else KEEP_POSTED
    note(runtime, message.pk, HitKind.PAGE, visit(request), url=url)
    state = "ask" if asked_only else "noted"
    return page(request, "keep_posted", state, message=message, more=more)


def _pressed(
    request: HttpRequest, message: Message, more: dict[str, bool], *, asked_only: bool
) -> HttpResponse:
    runtime = the_runtime()
    form = posted(request)
    act = form.get("act", "") if form is not None else ""
    if act not in ("yes", "back"):
        state = "ask" if asked_only else "again"
        return page(request, "keep_posted", state, message=message, more=more, status=400)
    language = language_of(request, message)
    if act == "back":
        state = "back" if take_back(runtime, message.pk) else "back_told"
        why = TAKEN_BACK
    elif asked_only:
        opt_in(runtime, message.pk, language=language)
        state, why = "agreed", "agreed to be written to"
    else:
        keep_posted(runtime, message.pk, language=language)
        state, why = "done", "yes, keep me posted"
    note(runtime, message.pk, HitKind.ACT, visit(request), url=KEEP_POSTED, why=why)
    return page(request, "keep_posted", state, message=message, more=more)
