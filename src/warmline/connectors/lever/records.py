"""Records that were read, joined by `reading`, → events.

A record says how things stand; an opportunity's `stageChanges` and `archived` also say when they
came to be so. Events of the opportunity have Lever's own times, so that what happened later there
is later here. What it says of the person and of interviews, for which Lever keeps no time, is as
new as the reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from warmline.connectors.lever import facts, shapes
from warmline.connectors.lever.mapping import StageKinds
from warmline.core.events import (
    ApplicationFacts,
    ApplicationStatus,
    CandidateFacts,
    Event,
    EventKind,
    InterviewFacts,
    InterviewStatus,
    Person,
)

# Lever puts an opportunity into its first stage as it makes it.
_FIRST_STAGE_WITHIN = timedelta(minutes=1)
MOVES_MAX = 50  # of one opportunity that are told, the newest: more is somebody's script

_Record = Mapping[str, Any]


def parse(stream: str, body: bytes, *, kinds: StageKinds) -> list[Event]:
    reader = READERS.get(stream)
    if reader is None:
        raise shapes.fault("the listing's name", stream, f"one of {', '.join(READERS)}")
    return reader(shapes.load(body), kinds)


def _opportunity(record: _Record, kinds: StageKinds) -> list[Event]:
    found = shapes.an_object(record, "opportunity", "$")
    candidate = facts.candidate_facts(record)
    if candidate.gone:
        return [_anonymized(candidate.external_id)]
    number = shapes.identifier(found, "id", facts.OPPORTUNITY)
    urls = shapes.object_or_none(found, "urls", facts.OPPORTUNITY) or {}
    end = facts.ending(record)
    moves = facts.moves(record, kinds)
    stage = facts.stage_now(record, kinds)
    reached = [move.stage.kind for move in moves] + [stage.kind if stage else None]
    applied = facts.has_applied(record)
    now = ApplicationFacts(
        external_id=number,
        status=end.status if end else ApplicationStatus.ACTIVE,
        applied_at=_applied_at(record, found),
        rejected_at=end.at if end and end.status is ApplicationStatus.REJECTED else None,
        prospect=not applied and not facts.in_pipeline(reached, end),
        job=facts.job_facts(record),
        stage=stage,
        url=shapes.text_or_none(urls, "show", f"{facts.OPPORTUNITY}.urls") or "",
    )

    def event(kind: EventKind, key: str, at: datetime | None, told: ApplicationFacts) -> Event:
        return Event(
            kind, key, "opportunities", occurred_at=at, candidate=candidate, application=told
        )

    events = []
    begun = moves[0] if moves and now.applied_at and _at_once(moves[0], now.applied_at) else None
    if applied:
        first = replace(
            now,
            status=ApplicationStatus.ACTIVE,
            rejected_at=None,
            stage=begun.stage if begun else None,
        )
        key = facts.submitted_key(number)
        events.append(event(EventKind.APPLICATION_SUBMITTED, key, now.applied_at, first))
    if not now.prospect:
        # A move says nothing of the status where the opportunity is archived now: Lever lets one
        # be moved without taking it out of the archive.
        status = None if end else ApplicationStatus.ACTIVE
        for move in moves[-MOVES_MAX:]:
            if move is not begun or not applied:
                told = replace(now, status=status, rejected_at=None, stage=move.stage)
                key = facts.stage_changed_key(number, move)
                events.append(event(EventKind.APPLICATION_STAGE_CHANGED, key, move.at, told))
        if end is not None:
            hired = end.status is ApplicationStatus.HIRED
            key = (facts.hired_key if hired else facts.rejected_key)(number, end.at)
            kind = EventKind.APPLICATION_HIRED if hired else EventKind.APPLICATION_REJECTED
            ended = event(kind, key, end.at or _changed_at(found), now)
            events.append(replace(ended, fields={"reason": end.reason} if end.reason else {}))
    return [*events, *_as_it_stands(record, candidate, now)]


def _as_it_stands(record: _Record, candidate: CandidateFacts, now: ApplicationFacts) -> list[Event]:
    """Last, after what led to it: the application at the time of its last change (one that was
    taken out of the archive has no time of its own), and the person as of the reading."""
    found = shapes.an_object(record, "opportunity", "$")
    changed_at = _changed_at(found)
    which = f"application.{now.external_id}:{facts.ms(changed_at)}"
    said = facts.digest(candidate)
    read = f"{now.external_id}:{facts.ms(_updated_at(found))}:{said}:{_hint(record)}"
    events = [
        Event(
            EventKind.CANDIDATE_UPDATED,
            facts.updated_key(candidate.external_id, read),
            "opportunities",
            occurred_at=shapes.moment_or_none(record, "read_at", "$"),
            candidate=candidate,
        )
    ]
    if now.status is ApplicationStatus.ACTIVE or now.prospect:
        key = facts.updated_key(candidate.external_id, which)
        told = Event(
            EventKind.CANDIDATE_UPDATED,
            key,
            "opportunities",
            occurred_at=changed_at,
            candidate=CandidateFacts(external_id=candidate.external_id),
            application=now,
        )
        events.append(told)
    return events


def _applied_at(record: _Record, found: _Record) -> datetime | None:
    made = facts.application(record) or {}
    at = shapes.moment_or_none(made, "createdAt", f"{facts.OPPORTUNITY}.applications[]")
    return at or shapes.moment_or_none(found, "createdAt", facts.OPPORTUNITY)


def _at_once(move: facts.Move, begun_at: datetime) -> bool:
    return move.at <= begun_at + _FIRST_STAGE_WITHIN


def _updated_at(found: _Record) -> datetime | None:
    """Lever leaves it out at times."""
    return shapes.moment_or_none(found, "updatedAt", facts.OPPORTUNITY)


def _changed_at(found: _Record) -> datetime | None:
    """When it last changed by Lever's own clock; ours may be ahead, and what comes next there must
    not look old."""
    at = _updated_at(found)
    if at is not None:
        return at
    keys = ("lastInteractionAt", "lastAdvancedAt", "createdAt")
    moments = (shapes.moment_or_none(found, key, facts.OPPORTUNITY) for key in keys)
    return max(filter(None, moments), default=None)


def _hint(record: _Record) -> str:
    """The webhook that had it read: it says that something changed, whatever `updatedAt` says."""
    return shapes.text_or_none(record, "hint", "$") or ""


def _anonymized(contact: str) -> Event:
    return Event(
        EventKind.CANDIDATE_DELETED,
        facts.deleted_key(contact),
        "opportunities.anonymized",
        candidate=CandidateFacts(external_id=contact, gone=True),
    )


def _interviews(record: _Record, _: StageKinds) -> list[Event]:
    whose = shapes.an_object(record, "opportunity", "$")
    application = ApplicationFacts(external_id=shapes.identifier(whose, "id", facts.OPPORTUNITY))
    contact = shapes.identifier_or_none(whose, "contact", facts.OPPORTUNITY)
    base = Event(
        EventKind.INTERVIEW_SCHEDULED,
        "",
        "interviews",
        occurred_at=shapes.moment_or_none(record, "read_at", "$"),
        candidate=CandidateFacts(external_id=contact) if contact else None,
        application=application,
    )
    which = f"{facts.ms(_updated_at(whose))}:{_hint(record)}"
    events = [
        _appointment(base, one, index, which)
        for index, one in enumerate(shapes.objects(record, "interviews", "$"))
    ]
    for number in shapes.texts(record, "removed", "$"):
        gone = InterviewFacts(
            number, application_id=application.external_id, status=InterviewStatus.CANCELLED
        )
        key = facts.interview_cancelled_key(number, "deleted")
        events.append(replace(base, kind=EventKind.INTERVIEW_CANCELLED, key=key, interview=gone))
    for index, one in enumerate(shapes.objects(record, "feedback", "$")):
        events += _feedback(base, record, one, f"$.feedback[{index}]")
    return events


def _appointment(base: Event, found: _Record, index: int, which: str) -> Event:
    where = f"$.interviews[{index}]"
    number = shapes.identifier(found, "id", where)
    starts_at = shapes.moment_or_none(found, "date", where)
    minutes = found.get("duration")
    lasts = timedelta(minutes=minutes) if type(minutes) is int and 0 < minutes < 10_000 else None
    cancelled_at = shapes.moment_or_none(found, "canceledAt", where)
    ends_at = starts_at + lasts if starts_at and lasts else None
    status = InterviewStatus.SCHEDULED
    if cancelled_at is not None:
        status = InterviewStatus.CANCELLED
    elif ends_at is not None and base.occurred_at is not None and ends_at <= base.occurred_at:
        status = InterviewStatus.COMPLETE
    interview = InterviewFacts(
        external_id=number,
        application_id=base.application.external_id if base.application else "",
        starts_at=starts_at,
        ends_at=ends_at,
        status=status,
        interviewers=_panel(found),
        location=_location(found),
    )
    if status is InterviewStatus.CANCELLED:
        key = facts.interview_cancelled_key(number, facts.ms(cancelled_at))
        return replace(base, kind=EventKind.INTERVIEW_CANCELLED, key=key, interview=interview)
    said = facts.digest(ends_at, status, interview.interviewers, interview.location)
    key = facts.interview_scheduled_key(number, f"{facts.ms(starts_at)}:{said}", which)
    return replace(base, key=key, interview=interview)


def _panel(found: _Record) -> tuple[Person, ...]:
    listed = found.get("interviewers")
    people = map(facts.person, listed if isinstance(listed, list) else ())
    return tuple(one for one in people if one is not None)


def _location(found: _Record) -> str:
    """The room, and the links of a video call."""
    calls = found.get("conferences")
    points = [
        point.get("uri")
        for call in (calls if isinstance(calls, list) else ())
        if isinstance(call, dict) and isinstance(call.get("entryPoints"), list)
        for point in call["entryPoints"]
        if isinstance(point, dict) and point.get("type") == "video"
    ]
    return ", ".join(dict.fromkeys(shapes.words([found.get("location"), *points])))


def _feedback(base: Event, record: _Record, found: _Record, where: str) -> list[Event]:
    """Handed in, and not taken back."""
    at = shapes.moment_or_none(found, "completedAt", where)
    if at is None or found.get("deletedAt") is not None:
        return []
    number = shapes.identifier(found, "id", where)
    users = shapes.object_or_none(record, "users", "$") or {}
    submitter = facts.person(users.get(str(found.get("user"))))
    fields = {
        "scorecard_id": number,
        "interview_id": shapes.identifier_or_none(found, "interview", where),
        "rating": next(iter(shapes.words([found.get("rating")])), None),
        "interviewer_id": shapes.identifier_or_none(found, "user", where),
        "submitter": submitter.name if submitter else None,
    }
    told = {name: value for name, value in fields.items() if value}
    return [
        replace(
            base,
            kind=EventKind.SCORECARD_SUBMITTED,
            key=facts.scorecard_key(number),
            word="feedback",
            occurred_at=at,
            fields=told,
        )
    ]


def _deleted(record: _Record, _: StageKinds) -> list[Event]:
    """An opportunity that is gone, and the person where no other is left. No time: it is never
    undone."""
    number = shapes.identifier_or_none(record, "opportunity", "$")
    contact = shapes.identifier_or_none(record, "contact", "$")
    events = []
    if number is not None:
        events.append(
            Event(
                EventKind.CANDIDATE_UPDATED,
                facts.application_deleted_key(number),
                "opportunities.deleted",
                application=ApplicationFacts(number, status=ApplicationStatus.DELETED),
            )
        )
    if contact is not None:
        gone = CandidateFacts(external_id=contact, gone=True)
        key = facts.deleted_key(contact)
        word = "opportunities.deleted"
        events.append(Event(EventKind.CANDIDATE_DELETED, key, word, candidate=gone))
    return events


READERS: Mapping[str, Callable[[_Record, StageKinds], list[Event]]] = {
    "opportunities": _opportunity,
    "interviews": _interviews,
    "deleted": _deleted,
}
