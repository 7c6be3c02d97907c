"""`POST /in/<connection>`: webhooks. Verify, commit the raw bytes, poke a lane, answer."""

from __future__ import annotations

import logging

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError

from warmline.core.errors import BadSignature, WarmlineError
from warmline.flows.intake import BODY_BYTES_MAX, receive, turned_away
from warmline.flows.runtime import Runtime
from warmline.ports import Channel, Received
from warmline.web.site import runtime as the_runtime

log = logging.getLogger("warmline.inlet")


def webhook(request: HttpRequest, connection: str) -> HttpResponse:
    runtime = the_runtime()
    if connection not in runtime.connections_that("receives_webhooks"):
        return _no(404, f"no connection {connection!r} receives webhooks here")
    if request.method != "POST":
        answer = _no(405, "expected POST")
        answer.headers["Allow"] = "POST"
        return answer
    try:
        body = request.body
    except RequestDataTooBig:
        return _too_big(runtime, connection)
    except UnreadablePostError:
        return _no(400, "the body ended early")
    received = Received(
        channel=Channel.WEBHOOK,
        body=body,
        received_at=runtime.now(),
        headers={name.lower(): value for name, value in request.headers.items()},
        method=request.method,
        url=runtime.project.public_url + request.get_full_path(),
    )
    try:
        wrong = receive(runtime, connection, received)
    except BadSignature as error:
        return _no(401, error.reason, error.hint)
    except DatabaseError as error:
        return _not_committed(error)
    except WarmlineError as error:
        return _no(500, error.reason, error.hint)
    if wrong:
        return _no(400, wrong, "the bytes are kept, as malformed")
    return HttpResponse(b'{"accepted": true}', content_type="application/json")


def _no(status: int, error: str, hint: str = "") -> JsonResponse:
    return JsonResponse({"error": error} | ({"hint": hint} if hint else {}), status=status)


def _too_big(runtime: Runtime, connection: str) -> JsonResponse:
    reason = f"a body of over {BODY_BYTES_MAX} bytes was turned away"
    try:
        turned_away(
            runtime,
            connection,
            "too-big",
            reason,
            hint="no documented webhook is this large; a poll will bring what it told",
        )
    except DatabaseError as error:
        return _not_committed(error)
    return _no(413, f"expected at most {BODY_BYTES_MAX} bytes")


def _not_committed(error: DatabaseError) -> JsonResponse:
    """The ledger cannot be written (a full disk, for one): the sender keeps the event and comes
    again, which a 2xx would have told it not to do (I1)."""
    log.error("action=not_committed error=%s", error)
    answer = _no(503, "the ledger cannot be written just now: send it again later")
    answer.headers["Retry-After"] = "60"
    return answer
