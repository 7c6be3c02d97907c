"""Records that a poll read, already joined by `sweeps`, → events with the keys of the webhooks.

A poll sees how things stand, not how they came to be so. It tells what that proves: that the
application was submitted, that it stands at this stage, that it was rejected. What the ledger
knows already changes nothing there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from warmline.connectors.greenhouse import facts, shapes
from warmline.connectors.greenhouse.mapping import (
    APPLICATION_STATUSES,
    INTERVIEW_STATUSES,
    SCORECARD_SUBMITTED,
    UNMAPPED_INTERVIEW_STATUSES,
    UNMAPPED_SCORECARD_STATUSES,
    StageKinds,
)
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

# The vendor puts an application into its first stage a moment after it arrives.
_FIRST_STAGE_WITHIN = timedelta(minutes=1)

_Record = Mapping[str, Any]


def parse(stream: str, body: bytes, *, kinds: StageKinds) -> list[Event]:
    reader = READERS.get(stream)
    if reader is None:
        expected = ", ".join(READERS)
        raise shapes.fault("the listing's name", stream, f"one of {expected}")
    return reader(shapes.load(body), kinds)


def _candidate(record: _Record, _: StageKinds) -> list[Event]:
    found = shapes.an_object(record, "candidate", "$")
    candidate = facts.candidate_facts(found, "$.candidate", owner=None)
    updated_at = shapes.moment_or_none(found, "updated_at", "$.candidate")
    return [
        Event(
            kind=EventKind.CANDIDATE_UPDATED,
            key=facts.updated_key(candidate.external_id, facts.stamp(updated_at)),
            word="candidates",
            occurred_at=updated_at,
            candidate=candidate,
        )
    ]


def _application(record: _Record, kinds: StageKinds) -> list[Event]:
    where = "$.application"
    found = shapes.an_object(record, "application", "$")
    word = shapes.name_or_none(found, "status", where) or ""
    candidate = _applicant(record, found)
    stage = shapes.object_or_none(record, "stage", "$")
    job = shapes.object_or_none(record, "job", "$")
    now = ApplicationFacts(
        external_id=shapes.identifier(found, "id", where),
        status=APPLICATION_STATUSES.get(word),
        applied_at=shapes.moment_or_none(found, "applied_at", where)
        or shapes.moment_or_none(found, "created_at", where),
        rejected_at=shapes.moment_or_none(found, "rejected_at", where),
        prospect=bool(shapes.flag_or_none(found, "prospect", where)),
        job=facts.job_facts(job, "$.job") if job else None,
        stage=facts.stage_facts(stage, "$.stage", kinds) if stage else None,
    )
    updated_at = shapes.moment_or_none(found, "updated_at", where)
    entered_at = shapes.moment_or_none(stage, "entered_at", "$.stage") if stage else None
    active_at = shapes.moment_or_none(found, "last_activity_at", where) or entered_at or updated_at

    def event(kind: EventKind, key: str, at: datetime | None, told: ApplicationFacts) -> Event:
        word_here = f"applications.{word}"
        return Event(kind, key, word_here, occurred_at=at, candidate=candidate, application=told)

    if now.prospect or word == "converted":
        which = f"application.{now.external_id}:{facts.stamp(updated_at)}"
        key = facts.updated_key(candidate.external_id, which)
        told = replace(now, prospect=True)
        return [event(EventKind.CANDIDATE_UPDATED, key, updated_at, told)]
    number = now.external_id
    kind = EventKind.APPLICATION_SUBMITTED
    events = [event(kind, facts.submitted_key(number), now.applied_at, _as_begun(now, entered_at))]
    match now.status:
        case ApplicationStatus.REJECTED:
            at = now.rejected_at or active_at
            key = facts.rejected_key(number, facts.stamp(at))
            events.append(event(EventKind.APPLICATION_REJECTED, key, at, now))
        case ApplicationStatus.HIRED:
            key = facts.hired_key(number, facts.stamp(active_at))
            events.append(event(EventKind.APPLICATION_HIRED, key, active_at, now))
        case ApplicationStatus.ACTIVE if now.stage:
            key = facts.stage_changed_key(number, now.stage, facts.stamp(active_at))
            events.append(event(EventKind.APPLICATION_STAGE_CHANGED, key, active_at, now))
        case None:
            seen = f"applications.{shapes.clean(word)[:32]}"
            which = f"{number}:{facts.stamp(updated_at)}"
            events.append(Event.unknown(word=seen, key=facts.unknown_key(seen, which)))
    return events


def _as_begun(now: ApplicationFacts, entered_at: datetime | None) -> ApplicationFacts:
    """The application as it was submitted: what came later is told by the event that follows, and
    would seem old news if it stood here too."""
    began_here = (
        entered_at is not None
        and now.applied_at is not None
        and entered_at <= now.applied_at + _FIRST_STAGE_WITHIN
    )
    return replace(
        now,
        status=ApplicationStatus.ACTIVE,
        rejected_at=None,
        stage=now.stage if began_here else None,
    )


def _applicant(record: _Record, application: _Record) -> CandidateFacts:
    """The joined candidate, or, where it could not be read (private), at least its id."""
    candidate_id = shapes.identifier(application, "candidate_id", "$.application")
    owner = facts.person_or_none(record, "recruiter", "$")
    found = shapes.object_or_none(record, "candidate", "$")
    if found is None:
        return CandidateFacts(external_id=candidate_id, owner=owner)
    return facts.candidate_facts(found, "$.candidate", owner=owner)


def _interview(record: _Record, _: StageKinds) -> list[Event]:
    where = "$.interview"
    found = shapes.an_object(record, "interview", "$")
    number = shapes.identifier(found, "id", where)
    application_id = shapes.identifier(found, "application_id", where)
    word = shapes.name_or_none(found, "status", where) or ""
    updated_at = shapes.moment_or_none(found, "updated_at", where)
    if word in UNMAPPED_INTERVIEW_STATUSES:
        return []
    if word not in INTERVIEW_STATUSES:
        return [_unknown_status("interviews", word, number, updated_at)]
    interview = InterviewFacts(
        external_id=number,
        application_id=application_id,
        starts_at=shapes.moment_or_none(found, "starts_at", where),
        ends_at=shapes.moment_or_none(found, "ends_at", where),
        status=INTERVIEW_STATUSES[word],
        interviewers=_interviewers(record),
        location=_location(found, where),
    )
    if interview.status is InterviewStatus.CANCELLED:
        kind = EventKind.INTERVIEW_CANCELLED
        key = facts.interview_cancelled_key(number, facts.stamp(updated_at))
    else:
        # An appointment for a whole day has a date and no hour, and none is made up for it.
        day = shapes.name_or_none(found, "all_day_start_on", where) or ""
        when = facts.stamp(interview.starts_at) or day[: shapes.ID_LENGTH_MAX]
        kind = EventKind.INTERVIEW_SCHEDULED
        what = f"{when}:{_particulars(interview)}"
        key = facts.interview_scheduled_key(number, what, facts.stamp(updated_at))
    return [
        Event(
            kind=kind,
            key=key,
            word=f"interviews.{word}",
            occurred_at=updated_at,
            candidate=_whose(record, found, where),
            application=ApplicationFacts(external_id=application_id),
            interview=interview,
        )
    ]


def _particulars(interview: InterviewFacts) -> str:
    """What else may change about an appointment, as part of its key: another panel or place at the
    same hour is news too."""
    said = (interview.ends_at, interview.status, interview.interviewers, interview.location)
    return hashlib.sha256(repr(said).encode()).hexdigest()[:8]


def _interviewers(record: _Record) -> tuple[Person, ...]:
    found = shapes.objects(record, "interviewers", "$")
    people = (facts.person(one, f"$.interviewers[{index}]") for index, one in enumerate(found))
    return tuple(one for one in people if one is not None)


def _location(found: _Record, where: str) -> str:
    parts = (
        shapes.name_or_none(found, key, where) for key in ("location", "video_conferencing_url")
    )
    return ", ".join(dict.fromkeys(part for part in parts if part))


def _scorecard(record: _Record, _: StageKinds) -> list[Event]:
    where = "$.scorecard"
    found = shapes.an_object(record, "scorecard", "$")
    number = shapes.identifier(found, "id", where)
    application_id = shapes.identifier(found, "application_id", where)
    word = shapes.name_or_none(found, "status", where) or ""
    if word in UNMAPPED_SCORECARD_STATUSES:
        return []
    updated_at = shapes.moment_or_none(found, "updated_at", where)
    if word != SCORECARD_SUBMITTED:
        return [_unknown_status("scorecards", word, number, updated_at)]
    submitter = facts.person_or_none(record, "submitter", "$")
    fields = {
        "scorecard_id": number,
        "interview_id": shapes.identifier_or_none(found, "interview_id", where),
        "rating": shapes.name_or_none(found, "candidate_rating", where),
        "interviewer_id": shapes.identifier_or_none(found, "interviewer_id", where),
        "submitter": submitter.name if submitter else None,
    }
    return [
        Event(
            kind=EventKind.SCORECARD_SUBMITTED,
            key=f"scorecard.submitted:{number}",
            word=f"scorecards.{word}",
            occurred_at=shapes.moment_or_none(found, "submitted_at", where) or updated_at,
            candidate=_whose(record, found, where),
            application=ApplicationFacts(external_id=application_id),
            fields={name: value for name, value in fields.items() if value},
        )
    ]


def _whose(record: _Record, found: _Record, where: str) -> CandidateFacts | None:
    """The candidate, by id alone: the listing says nothing else of the person."""
    application = shapes.object_or_none(record, "application", "$")
    candidate_id = shapes.identifier_or_none(found, "candidate_id", where)
    if candidate_id is None and application is not None:
        candidate_id = shapes.identifier_or_none(application, "candidate_id", "$.application")
    return CandidateFacts(external_id=candidate_id) if candidate_id else None


def _unknown_status(stream: str, word: str, number: str, updated_at: datetime | None) -> Event:
    seen = f"{stream}.{shapes.clean(word)[:32]}"
    return Event.unknown(
        word=seen,
        key=facts.unknown_key(seen, f"{number}:{facts.stamp(updated_at)}"),
        occurred_at=updated_at,
    )


READERS: Mapping[str, Callable[[_Record, StageKinds], list[Event]]] = {
    "candidates": _candidate,
    "applications": _application,
    "interviews": _interview,
    "scorecards": _scorecard,
}
