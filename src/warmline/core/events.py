"""What happened, in one closed vocabulary, with the vendor's own word kept beside it.

A connector's `parse` makes `Event`s; `flows.interpret` applies their facts to the ledger. Facts are
what the other system says about a thing at a time; they are not commands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """Past tense. `UNKNOWN` is a vendor word we do not know: kept, counted, never an error."""

    APPLICATION_SUBMITTED = "application.submitted"
    APPLICATION_STAGE_CHANGED = "application.stage_changed"
    APPLICATION_REJECTED = "application.rejected"
    APPLICATION_HIRED = "application.hired"
    INTERVIEW_SCHEDULED = "interview.scheduled"
    INTERVIEW_RESCHEDULED = "interview.rescheduled"
    INTERVIEW_CANCELLED = "interview.cancelled"
    SCORECARD_SUBMITTED = "scorecard.submitted"
    CANDIDATE_UPDATED = "candidate.updated"
    CANDIDATE_MERGED = "candidate.merged"
    CANDIDATE_DELETED = "candidate.deleted"
    MESSAGE_SENT = "message.sent"
    MESSAGE_DELIVERED = "message.delivered"
    MESSAGE_DEFERRED = "message.deferred"  # it did not arrive, and the address may live
    MESSAGE_BOUNCED = "message.bounced"
    MESSAGE_COMPLAINED = "message.complained"
    MESSAGE_OPENED = "message.opened"
    MESSAGE_CLICKED = "message.clicked"
    MESSAGE_REPLIED = "message.replied"
    CANDIDATE_SEGMENTED = "candidate.segmented"
    CANDIDATE_DRIFTED = "candidate.drifted"
    CANDIDATE_REENGAGED = "candidate.reengaged"
    CANDIDATE_UNSUBSCRIBED = "candidate.unsubscribed"
    CONSENT_GIVEN = "consent.given"
    CONSENT_WITHDRAWN = "consent.withdrawn"
    UNKNOWN = "unknown"


class StageKind(StrEnum):
    """Where an application stands, whatever the vendor or the customer calls the stage."""

    APPLIED = "applied"
    SCREEN = "screen"
    INTERVIEW = "interview"
    FINAL = "final"
    OFFER = "offer"
    HIRED = "hired"
    REJECTED = "rejected"


class ApplicationStatus(StrEnum):
    ACTIVE = "active"  # in the pipeline
    REJECTED = "rejected"  # the company said no, or the candidate withdrew
    HIRED = "hired"  # the candidate joins
    DELETED = "deleted"  # the record was removed in the ATS


class InterviewStatus(StrEnum):
    SCHEDULED = "scheduled"  # a time is set
    COMPLETE = "complete"  # it took place
    CANCELLED = "cancelled"  # it was removed before it took place


@dataclass(frozen=True, slots=True)
class Person:
    """A recruiter or an interviewer: somebody at the company."""

    name: str
    email: str = ""
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class CandidateFacts:
    """What one system says of one person. `None` means "not said", which is not "empty".

    `emails` are as the vendor wrote them, the preferred one first. `can_email=False` is the
    vendor's own do-not-contact mark. `links` are profile pages (LinkedIn, GitHub, …) as written;
    `created_at` is when the record came into being there. `gone` says that the record was deleted
    or anonymised.
    """

    external_id: str
    first_name: str | None = None
    last_name: str | None = None
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    tags: tuple[str, ...] | None = None
    can_email: bool | None = None
    owner: Person | None = None
    links: tuple[str, ...] = ()
    employer: str | None = None
    place: str | None = None
    created_at: datetime | None = None
    gone: bool = False
    merged_into: str | None = None


@dataclass(frozen=True, slots=True)
class JobFacts:
    external_id: str
    title: str
    department: str = ""
    office: str = ""


@dataclass(frozen=True, slots=True)
class StageFacts:
    """`external_id` is the job's stage, not the visit to it; `kind` is None where unmapped."""

    external_id: str
    name: str
    kind: StageKind | None = None


@dataclass(frozen=True, slots=True)
class ApplicationFacts:
    """One candidacy for one job. `as_of` orders two facts about it: an older one never wins."""

    external_id: str
    status: ApplicationStatus | None = None
    applied_at: datetime | None = None
    rejected_at: datetime | None = None
    prospect: bool = False
    job: JobFacts | None = None
    stage: StageFacts | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class InterviewFacts:
    external_id: str
    application_id: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    status: InterviewStatus = InterviewStatus.SCHEDULED
    interviewers: tuple[Person, ...] = ()
    location: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    `key` is unique per source connection and the same however the news arrives (webhook, repeat,
    poll), so that its effect happens once (I2). `occurred_at` is the source's own time, or None
    where the vendor gives none: then the time of arrival stands in. `word` is the vendor's word.
    `fields` carries what has no place in the facts (an engagement's link, a deletion's list).
    """

    kind: EventKind
    key: str
    word: str
    occurred_at: datetime | None = None
    candidate: CandidateFacts | None = None
    application: ApplicationFacts | None = None
    interview: InterviewFacts | None = None
    fields: dict[str, str] = field(default_factory=dict)

    @classmethod
    def unknown(cls, *, word: str, key: str, occurred_at: datetime | None = None) -> Event:
        """A vendor word we do not know: kept and counted."""
        return cls(kind=EventKind.UNKNOWN, key=key, word=word, occurred_at=occurred_at)
