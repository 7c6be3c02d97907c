"""What the pages for candidates share: who comes, in which language they read, and the answer.

A page needs no script and no cookie. The token in its address is the whole authority: there is no
session that a stranger's form could borrow, so no CSRF token either.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import datetime

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, QueryDict, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.template.loader import render_to_string
from django.utils import translation

from warmline.flows.hits import Visit, network
from warmline.flows.links import Purpose, address
from warmline.flows.own_events import find, standing
from warmline.store.models import Message, Preference
from warmline.web.catalogue import ENGLISH, chosen, load
from warmline.web.site import runtime as the_runtime

# Browsers and mail programs that fetch in advance say so in one of these.
_PREFETCH = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
_UNREADABLE = (BadRequest, SuspiciousOperation, MultiPartParserError, UnreadablePostError)


def visit(request: HttpRequest) -> Visit:
    said = " ".join(request.headers.get(name, "") for name in _PREFETCH).lower()
    return Visit(
        method=request.method or "",
        agent=request.headers.get("User-Agent", ""),
        network=network(_peer(request)),
        prefetch="prefetch" in said or "preview" in said,
    )


def _peer(request: HttpRequest) -> str:
    """Where the request came from. What a proxy says of it counts only from a proxy of ours, one
    on this machine or its own network; the last address of the list is the one it saw itself."""
    peer = str(request.META.get("REMOTE_ADDR", ""))
    told = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    try:
        return told if told and ipaddress.ip_address(peer).is_private else peer
    except ValueError:
        return peer


def posted(request: HttpRequest) -> QueryDict | None:
    """The form, in either encoding; None where it cannot be read: in another charset, cut off, or
    too long."""
    try:
        return request.POST
    except _UNREADABLE:
        return None


def not_allowed(*methods: str) -> HttpResponse:
    return HttpResponse(status=405, headers={"Allow": ", ".join(methods)})


def message_of(message_id: int | None) -> Message | None:
    """The message that a token names; None where there is none, or the person was erased. A ledger
    that cannot be read says nothing of that, and raises."""
    message = find(message_id) if message_id is not None else None
    return None if message is None or standing(message).erased_at is not None else message


def known(message_id: int) -> Message | None:
    """The same for a page that is shown whatever the ledger says: None where it says nothing."""
    try:
        return message_of(message_id)
    except DatabaseError:
        return None


def page(
    request: HttpRequest,
    template: str,
    state: str,
    *,
    message: Message | None = None,
    status: int = 200,
    more: Mapping[str, object] | None = None,
) -> HttpResponse:
    """The page in the reader's language: the one they asked for, else their browser's."""
    runtime = the_runtime()
    language = language_of(request, message)
    load(language)
    context = {
        "company": runtime.project.file.company,
        "nonce": request.META["warmline.nonce"],
        "state": state,
        "language": language,
        **(more or {}),
    }
    if message is not None:
        context["preferences"] = _path(Purpose.PREFERENCES, message, runtime.now())
        context["unsubscribe"] = _path(Purpose.UNSUBSCRIBE, message, runtime.now())
    with translation.override(language):
        body = render_to_string(f"warmline/{template}.html", context)
    headers = {"Content-Language": language, "Vary": "Accept-Language"}
    return HttpResponse(body, status=status, headers=headers)


def _path(purpose: Purpose, message: Message, now: datetime) -> str:
    return address("", purpose, message.pk, now)


def language_of(request: HttpRequest, message: Message | None) -> str:
    asked = ""
    if message is not None:
        try:
            row = Preference.objects.filter(candidate=standing(message)).first()
        except DatabaseError:
            row = None
        asked = row.language if row else ""
    return chosen(asked, request.headers.get("Accept-Language", "")) or ENGLISH
