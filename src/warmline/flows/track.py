"""What candidates do by the links of their mails and on our public pages. Each is done when its
function returns, and once, however often it is asked."""

from __future__ import annotations

import hashlib
from datetime import datetime

from warmline.core.engagement import CONFIDENCE
from warmline.core.events import EventKind
from warmline.core.humans import Confidence
from warmline.flows.consents import give
from warmline.flows.links import PATHS, Purpose
from warmline.flows.opt_out import suppress, suppress_candidate
from warmline.flows.own_events import find, happened, standing
from warmline.flows.runtime import Lane, Runtime
from warmline.store.db import writing
from warmline.store.models import Consent, Event, Hit, Message
from warmline.store.statuses import HitKind, SuppressionReason

# What the pages ask, where a yes is a consent: the consent names the words by this hash.
CONSENT_WORDS = (
    "Yes, send me news about working at {company} by e-mail now and then. "
    "I can stop that at any time, by a link in each of them."
)
CONSENT_VERSION = hashlib.sha256(CONSENT_WORDS.encode()).hexdigest()[:12]
# How a page of ours is named in `Hit.url`.
KEEP_POSTED = PATHS[Purpose.KEEP_POSTED]
TAKEN_BACK = "taken back by the person"


def unsubscribe(runtime: Runtime, message_id: int, *, how: str) -> bool:
    """The person who got this message wants no more. False where there is no such message. `how`:
    `one-click` or `page`."""
    now = runtime.now()
    with writing():
        message = find(message_id)
        if message is None:
            return False
        candidate = standing(message)
        row, lanes = happened(
            runtime,
            EventKind.CANDIDATE_UNSUBSCRIBED,
            f"candidate.unsubscribed:{candidate.pk}:{message.pk}",
            message,
            word=how,
            at=now,
        )
        if row is None:
            return True
        suppress(
            [message.to_address] if message.to_address else [],
            SuppressionReason.UNSUBSCRIBED,
            source=how,
            now=now,
        )
        suppress_candidate(candidate, SuppressionReason.UNSUBSCRIBED, source=how, now=now)
    runtime.poke(lanes)
    return True


def keep_posted(runtime: Runtime, message_id: int, *, language: str) -> bool:
    """The person pressed the button: they are open to talk, and agree to be written to. False where
    there is no such message."""
    now = runtime.now()
    with writing():
        message = find(message_id)
        if message is None:
            return False
        row, lanes = reengaged(runtime, message, word="page", at=now)
        lanes |= _consent(runtime, message, now, language)
        waiting = Hit.objects.filter(message=message, kind=HitKind.PAGE, url=KEEP_POSTED)
        waiting.filter(judge_at__isnull=False).update(
            judge_at=None,
            confidence=Confidence.HUMAN,
            why="the page's button was pressed",
            event=row,
        )
    runtime.poke(lanes)
    return True


def opt_in(runtime: Runtime, message_id: int, *, language: str) -> bool:
    """The person agrees to be written to. False where there is no such message."""
    with writing():
        message = find(message_id)
        if message is None:
            return False
        lanes = _consent(runtime, message, runtime.now(), language)
    runtime.poke(lanes)
    return True


def take_back(runtime: Runtime, message_id: int) -> bool | None:
    """The yes of this message was none. True where it was told to nobody yet, False where it was,
    None where there is no such message."""
    now = runtime.now()
    with writing():
        message = find(message_id)
        if message is None:
            return None
        Hit.objects.filter(
            message=message, kind=HitKind.PAGE, url=KEEP_POSTED, judge_at__isnull=False
        ).update(judge_at=None, why=TAKEN_BACK)
        given = Consent.objects.filter(event__message=message, withdrawn_at__isnull=True)
        lanes: set[Lane] = set()
        if given.update(withdrawn_at=now):
            stamp = f"{now:%Y%m%dT%H%M%S}"
            key = f"consent.withdrawn:{message.pk}:{stamp}"
            _, lanes = happened(
                runtime, EventKind.CONSENT_WITHDRAWN, key, message, word=TAKEN_BACK, at=now
            )
        told = Event.objects.filter(message=message, kind=EventKind.CANDIDATE_REENGAGED).exists()
    runtime.poke(lanes)
    return not told


def reengaged(
    runtime: Runtime, message: Message, *, word: str, at: datetime
) -> tuple[Event | None, set[Lane]]:
    """The person said that they are open to talk: by the page's button, or by a click on the
    letter's link that was judged to be theirs. The caller holds the transaction."""
    return happened(
        runtime,
        EventKind.CANDIDATE_REENGAGED,
        f"candidate.reengaged:{standing(message).pk}:{message.pk}",
        message,
        word=word,
        at=at,
        fields={
            "email_subject": message.subject,
            # Without the token: who has that may act for the person.
            "link_url": f"{runtime.project.public_url}{KEEP_POSTED}",
        },
    )


def clicked(
    runtime: Runtime, message: Message, hit: Hit, confidence: Confidence
) -> tuple[Event | None, set[Lane]]:
    """A link of the letter was followed: heard once a link, and once more where a person is known
    to have followed what may have been a machine before. The caller holds the transaction."""
    key = f"message.clicked:{message.pk}:{hit.link}"
    return happened(
        runtime,
        EventKind.MESSAGE_CLICKED,
        key if confidence is Confidence.HUMAN else f"{key}:{confidence}",
        message,
        word="click",
        at=hit.at,
        fields={
            "email_subject": message.subject,
            "link_url": hit.url,
            CONFIDENCE: str(confidence),
        },
    )


def opened(runtime: Runtime, message: Message, hit: Hit) -> tuple[Event | None, set[Lane]]:
    """The letter's picture was fetched, by what may be a person's mail program: never an act. The
    caller holds the transaction."""
    return happened(
        runtime,
        EventKind.MESSAGE_OPENED,
        f"message.opened:{message.pk}",
        message,
        word="open",
        at=hit.at,
        fields={"email_subject": message.subject, CONFIDENCE: str(Confidence.UNCONFIRMED)},
    )


def _consent(runtime: Runtime, message: Message, now: datetime, language: str) -> set[Lane]:
    """An express consent, as it was given on the page of this message. The caller holds the
    transaction."""
    if Consent.objects.filter(event__message=message, withdrawn_at__isnull=True).exists():
        return set()
    stamp = f"{now:%Y%m%dT%H%M%S}"
    text = f"{CONSENT_VERSION}/{language}"
    row, lanes = happened(
        runtime,
        EventKind.CONSENT_GIVEN,
        f"consent.given:{message.pk}:{stamp}",
        message,
        word="page",
        at=now,
        fields={"text_version": text},
    )
    if row is not None:
        give(runtime.project, standing(message), row)
    return lanes
