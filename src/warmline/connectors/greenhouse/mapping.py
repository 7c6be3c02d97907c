"""Greenhouse's words and ours: one table each, and a reason for every word that has no event."""

from __future__ import annotations

import re
from collections.abc import Mapping

from warmline.core.events import ApplicationStatus, EventKind, InterviewStatus, StageKind

# Webhook action → event. `candidate_anonymized` is weaker where no identifying field was removed.
EVENTS: Mapping[str, EventKind] = {
    "new_candidate_application": EventKind.APPLICATION_SUBMITTED,
    "new_prospect_application": EventKind.CANDIDATE_UPDATED,
    "candidate_stage_change": EventKind.APPLICATION_STAGE_CHANGED,
    "unreject_candidate": EventKind.APPLICATION_STAGE_CHANGED,
    "unhire_candidate": EventKind.APPLICATION_STAGE_CHANGED,
    "reject_candidate": EventKind.APPLICATION_REJECTED,
    "hire_candidate": EventKind.APPLICATION_HIRED,
    "update_candidate": EventKind.CANDIDATE_UPDATED,
    "application_updated": EventKind.CANDIDATE_UPDATED,
    "delete_application": EventKind.CANDIDATE_UPDATED,
    "merge_candidate": EventKind.CANDIDATE_MERGED,
    "delete_candidate": EventKind.CANDIDATE_DELETED,
    "candidate_anonymized": EventKind.CANDIDATE_DELETED,
    "interview_deleted": EventKind.INTERVIEW_CANCELLED,
}

# Webhook action → why it has no event.
UNMAPPED: Mapping[str, str] = {
    "ping": "Greenhouse tries the address; nothing happened",
    "offer_created": "an offer is an internal step; the stage says what a candidate may know",
    "offer_approved": "an offer is an internal step; the stage says what a candidate may know",
    "offer_updated": "an offer is an internal step; the stage says what a candidate may know",
    "offer_deleted": "an offer is an internal step; the stage says what a candidate may know",
    "job_created": "about a job, not a candidate; applications carry their job",
    "job_updated": "about a job, not a candidate; applications carry their job",
    "job_approved": "about a job, not a candidate; applications carry their job",
    "job_deleted": "about a job, not a candidate; applications carry their job",
    "job_post_created": "about an advertisement, not a candidate",
    "job_post_updated": "about an advertisement, not a candidate",
    "job_post_deleted": "about an advertisement, not a candidate",
    "job_interview_stage_deleted": "about a job's plan; an application that moves says so itself",
    "scorecard_deleted": "feedback taken back undoes nothing that was sent because of it",
    "department_deleted": "about the company's structure, not a candidate",
    "office_deleted": "about the company's structure, not a candidate",
}

# Anonymising one of these leaves nobody to write to. (Older Harvest writes `emails`.)
IDENTIFYING_FIELDS = frozenset({"full_name", "email_addresses", "emails"})

# Webhooks say `active`; Harvest v3 answers `in_process` for the same. None: a prospect that was
# turned into a candidate, whose new application stands beside it.
APPLICATION_STATUSES: Mapping[str, ApplicationStatus | None] = {
    "active": ApplicationStatus.ACTIVE,
    "in_process": ApplicationStatus.ACTIVE,
    "rejected": ApplicationStatus.REJECTED,
    "hired": ApplicationStatus.HIRED,
    "converted": None,
}

INTERVIEW_STATUSES: Mapping[str, InterviewStatus] = {
    "scheduled": InterviewStatus.SCHEDULED,
    "awaiting_feedback": InterviewStatus.COMPLETE,
    "complete": InterviewStatus.COMPLETE,
    "skipped": InterviewStatus.CANCELLED,
    "canceled": InterviewStatus.CANCELLED,
    "cancelled": InterviewStatus.CANCELLED,
}

# Interview status → why it has no event.
UNMAPPED_INTERVIEW_STATUSES: Mapping[str, str] = {
    "to_be_scheduled": "no time is set yet",
    "collect_feedback": "feedback without an appointment",
    "to_be_sent": "a take-home test, not an appointment",
    "sent": "a take-home test, not an appointment",
    "received": "a take-home test, not an appointment",
}

SCORECARD_SUBMITTED = "complete"
UNMAPPED_SCORECARD_STATUSES: Mapping[str, str] = {"draft": "not handed in yet"}

# The first that fits wins, so that a "Final Interview" is final and a "Reference Call" an offer's.
_STAGE_KEYWORDS: tuple[tuple[StageKind, re.Pattern[str]], ...] = (
    (StageKind.OFFER, re.compile(r"\b(offers?|references?|background)\b")),
    (StageKind.FINAL, re.compile(r"\b(final|finals|finalists?|executive)\b")),
    (
        StageKind.SCREEN,
        re.compile(r"\b(screens?|screening|preliminary|assessments?|take[ -]?home)\b"),
    ),
    (
        StageKind.INTERVIEW,
        re.compile(r"\b(interviews?|on[ -]?sites?|face[ -]to[ -]face|hiring manager|panel)\b"),
    ),
    (StageKind.APPLIED, re.compile(r"\b(application|applied|(resume|cv) review)\b")),
)


class StageKinds:
    """What kind a stage is, by its name: the customer's own table first, then the keywords.

    Names compare without case and without regard to blanks. None: say it under `stages`."""

    def __init__(self, own: Mapping[str, StageKind]) -> None:
        self._own = {_plain(name): kind for name, kind in own.items()}
        self._known: dict[str, StageKind | None] = {}

    def kind(self, name: str) -> StageKind | None:
        if name in self._known:
            return self._known[name]
        if len(self._known) >= 10_000:  # a company has some hundreds; keep a bound all the same
            self._known.clear()
        found = self._known[name] = self._look_up(_plain(name))
        return found

    def _look_up(self, name: str) -> StageKind | None:
        if name in self._own:
            return self._own[name]
        return next((kind for kind, words in _STAGE_KEYWORDS if words.search(name)), None)


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
