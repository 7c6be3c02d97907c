"""`/p/`: the preference page: a pause, fewer letters, topics, the language, or none at all.

A GET shows what is set now and changes nothing. What is posted is set as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, QueryDict

from warmline.flows.hits import note
from warmline.flows.links import PATHS, Purpose, read_token
from warmline.flows.preferences import PAUSES, SPACES, topics, wish, wishes
from warmline.flows.track import unsubscribe
from warmline.store.models import Message
from warmline.store.statuses import HitKind
from warmline.web.catalogue import languages
from warmline.web.reader import message_of, not_allowed, page, posted, visit
from warmline.web.site import runtime as the_runtime

_PATH = PATHS[Purpose.PREFERENCES]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the form holds, where it holds what the page offers."""

    months: int | None
    days_between: int
    topics_on: tuple[str, ...] | None
    language: str


def preferences(request: HttpRequest, token: str) -> HttpResponse:
    runtime = the_runtime()
    try:
        message = message_of(read_token(Purpose.PREFERENCES, token, runtime.now()))
        if message is None:
            return page(request, "preferences", "invalid", status=404)
        if request.method == "POST":
            return _posted(request, message)
        if request.method not in ("GET", "HEAD"):
            return not_allowed("GET", "HEAD", "POST")
        note(runtime, message.pk, HitKind.PAGE, visit(request), url=_PATH)
        return _shown(request, message, "ask")
    except DatabaseError:
        return page(request, "preferences", "later", status=503)


def _posted(request: HttpRequest, message: Message) -> HttpResponse:
    runtime = the_runtime()
    form = posted(request)
    if form is not None and form.get("act") == "stop":
        unsubscribe(runtime, message.pk, how="page")
        _acted(request, message, "unsubscribed: page")
        return _shown(request, message, "stopped")
    asked = _read(form, topics(runtime)) if form is not None else None
    if asked is None:
        return _shown(request, message, "wrong", status=400)
    wish(
        runtime,
        message.pk,
        months=asked.months,
        days_between=asked.days_between,
        topics_on=asked.topics_on,
        language=asked.language,
    )
    _acted(request, message, f"asked for {asked}")
    return _shown(request, message, "saved")


def _acted(request: HttpRequest, message: Message, why: str) -> None:
    note(the_runtime(), message.pk, HitKind.ACT, visit(request), url=_PATH, why=why)


def _read(form: QueryDict, offered: list[str]) -> _Asked | None:
    """None for what the page does not offer: then nothing is set, not even the rest."""
    pause, days = form.get("pause", "as_is"), form.get("days", "")
    language, on = form.get("language", ""), tuple(form.getlist("topic"))
    months = {"as_is": None, "none": 0} | {str(n): n for n in PAUSES}
    spaces = {str(n): n for n in SPACES}
    codes = {"", *(code for code, _ in languages())}
    if form.get("act") != "save" or pause not in months or days not in spaces:
        return None
    if language not in codes or not set(on) <= set(offered):
        return None
    return _Asked(months[pause], spaces[days], on if offered else None, language)


def _shown(
    request: HttpRequest, message: Message, state: str, *, status: int = 200
) -> HttpResponse:
    runtime = the_runtime()
    now = wishes(message, runtime.now())
    more = {
        "now": now,
        "pauses": PAUSES,
        "spaces": SPACES,
        "topics": [(topic, topic not in now.topics_off) for topic in topics(runtime)],
        "languages": languages(),
    }
    if now.stopped:
        state = "stopped"
    return page(request, "preferences", state, message=message, more=more, status=status)
