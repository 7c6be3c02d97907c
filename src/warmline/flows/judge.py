"""Hits into acts: who fetched an address of a mail, once all that came with it can be seen.

The web request only notes a hit; the tick judges it a minute later (`core.humans`). What a machine
did stays a row. What a person did is an event, and only that moves anybody (I9).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import InterfaceError, OperationalError

from warmline.core.errors import WarmlineError
from warmline.core.humans import Confidence
from warmline.flows.evidence import judged
from warmline.flows.incidents import open_incident
from warmline.flows.own_events import find
from warmline.flows.runtime import Lane, Runtime
from warmline.flows.track import KEEP_POSTED, TAKEN_BACK, clicked, opened, reengaged
from warmline.store.db import writing
from warmline.store.models import Event, Hit, Message
from warmline.store.queries import lock_candidate
from warmline.store.statuses import HitKind

log = logging.getLogger("warmline.judge")

# Mails whose hits one tick judges.
MESSAGES = 50


def tick(runtime: Runtime) -> set[Lane]:
    """Judge the hits that are due. Returns the lanes to poke."""
    due = Hit.objects.filter(judge_at__lte=runtime.now()).order_by("judge_at")
    messages = list(dict.fromkeys(due.values_list("message", flat=True)[: MESSAGES * 4]))[:MESSAGES]
    lanes: set[Lane] = set()
    for message_id in messages:
        try:
            with writing():
                lanes |= _judge(runtime, message_id)
        except (OperationalError, InterfaceError):
            raise  # the ledger is away, or too busy: they wait
        except Exception as error:  # one mail's hits must not stop everybody else's
            _set_aside(runtime, message_id, error)
    return lanes


def _judge(runtime: Runtime, message_id: int) -> set[Lane]:
    """The hits of one mail that are due, each in the light of all of them."""
    now = runtime.now()
    message = find(message_id)
    if message is None:
        raise WarmlineError("a hit of a mail that is not there")
    lock_candidate(message.candidate_id)
    hits = list(Hit.objects.filter(message=message).order_by("at", "id"))
    lanes: set[Lane] = set()
    for hit in hits:
        if hit.judge_at is None or hit.judge_at > now:
            continue
        confidence, why = judged(message, hit, hits)
        mine = Hit.objects.filter(pk=hit.pk, judge_at__isnull=False)
        if not mine.update(judge_at=None, confidence=confidence, why=why):
            continue
        event, more = _consequence(runtime, message, hit, hits, confidence)
        if event is not None:
            Hit.objects.filter(pk=hit.pk).update(event=event)
        lanes |= more
    return lanes


def _consequence(
    runtime: Runtime, message: Message, hit: Hit, hits: Sequence[Hit], confidence: Confidence
) -> tuple[Event | None, set[Lane]]:
    nothing: tuple[Event | None, set[Lane]] = (None, set())
    if confidence is Confidence.MACHINE or message.candidate.erased_at is not None:
        return nothing
    if hit.kind == HitKind.CLICK:
        return clicked(runtime, message, hit, confidence)
    if hit.kind == HitKind.OPEN:
        return opened(runtime, message, hit)
    asked = hit.kind == HitKind.PAGE and hit.url == KEEP_POSTED
    taken_back = any(one.why == TAKEN_BACK for one in hits)
    if asked and confidence is Confidence.HUMAN and not taken_back:
        return reengaged(runtime, message, word="click", at=hit.at)
    return nothing


def _set_aside(runtime: Runtime, message_id: int, error: Exception) -> None:
    """A bug of ours. The hits stay, unconfirmed: they move nobody, and are not tried for ever."""
    log.error("action=judge message=%d error=%s", message_id, type(error).__name__, exc_info=error)
    now: datetime = runtime.now()
    with writing():
        Hit.objects.filter(message=message_id, judge_at__lte=now).update(
            judge_at=None, why=f"judging failed: {type(error).__name__}"
        )
        open_incident(
            f"judge:{message_id}",
            f"who followed the links of a mail could not be judged: {type(error).__name__}",
            now=now,
            hint="the log has the details; the clicks are kept and move nobody",
        )
