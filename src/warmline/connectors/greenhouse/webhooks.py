"""Webhook bodies → events. Pure; every wrong shape is Malformed and says where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from warmline.connectors.greenhouse import facts, shapes
from warmline.connectors.greenhouse.mapping import (
    APPLICATION_STATUSES,
    EVENTS,
    IDENTIFYING_FIELDS,
    UNMAPPED,
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
    JobFacts,
)

WORD_LENGTH_MAX = 64
_PAYLOAD = "$.payload"

# What the action itself says, whatever stands in the payload (a hire's has no status at all).
_STATUS_OF_ACTION: Mapping[str, ApplicationStatus] = {
    "reject_candidate": ApplicationStatus.REJECTED,
    "hire_candidate": ApplicationStatus.HIRED,
    "unreject_candidate": ApplicationStatus.ACTIVE,
    "unhire_candidate": ApplicationStatus.ACTIVE,
}


@dataclass(frozen=True, slots=True)
class _Call:
    """One webhook call. `token` names this delivery: the vendor's id and a hash of the bytes, or
    the hash alone. It stands in keys where the payload has no time."""

    action: str
    payload: Mapping[str, Any]
    token: str
    kinds: StageKinds


def parse(body: bytes, *, token: str, kinds: StageKinds) -> list[Event]:
    found = shapes.load(body)
    action = found.get("action")
    if not isinstance(action, str) or not action:
        raise shapes.fault("$.action", action, "the name of an event")
    if action in UNMAPPED:
        return []
    if action not in EVENTS:
        word = shapes.clean(action)[:WORD_LENGTH_MAX]
        return [Event.unknown(word=word, key=facts.unknown_key(word, token))]
    payload = shapes.an_object(found, "payload", "$")
    return [_READERS[action](_Call(action, payload, token, kinds))]


def _application_event(call: _Call) -> Event:
    where = f"{_PAYLOAD}.application"
    found = shapes.an_object(call.payload, "application", _PAYLOAD)
    person = shapes.an_object(found, "candidate", where)
    at = f"{where}.candidate"
    owner = facts.person_or_none(person, "recruiter", at)
    candidate = facts.candidate_facts(person, at, owner=owner)
    last_activity_at = shapes.moment_or_none(found, "last_activity_at", where)
    # An update of which nobody knows when it happened must not say how the application stands: a
    # repeat hours late would take a rejection back.
    undated = call.action == "application_updated" and last_activity_at is None
    stage = None if undated else shapes.object_or_none(found, "current_stage", where)
    application = ApplicationFacts(
        external_id=shapes.identifier(found, "id", where),
        status=None if undated else _status(call, found, where),
        applied_at=shapes.moment_or_none(found, "applied_at", where),
        rejected_at=shapes.moment_or_none(found, "rejected_at", where),
        prospect=bool(shapes.flag_or_none(found, "prospect", where)),
        job=_job(found, where),
        stage=facts.stage_facts(stage, f"{where}.current_stage", call.kinds) if stage else None,
        url=shapes.text_or_none(found, "url", where) or "",
    )
    key, occurred_at = _key_and_time(call, candidate, application, last_activity_at)
    return Event(
        kind=EVENTS[call.action],
        key=key,
        word=call.action,
        occurred_at=occurred_at,
        candidate=candidate,
        application=application,
        fields=_rejection(found, where) if call.action == "reject_candidate" else {},
    )


def _key_and_time(
    call: _Call,
    candidate: CandidateFacts,
    application: ApplicationFacts,
    last_activity_at: datetime | None,
) -> tuple[str, datetime | None]:
    number = application.external_id
    match EVENTS[call.action]:
        case EventKind.APPLICATION_SUBMITTED:
            return facts.submitted_key(number), application.applied_at or last_activity_at
        case EventKind.APPLICATION_STAGE_CHANGED:
            when = facts.stamp(last_activity_at) or call.token
            return facts.stage_changed_key(number, application.stage, when), last_activity_at
        case EventKind.APPLICATION_REJECTED:
            at = application.rejected_at or last_activity_at
            return facts.rejected_key(number, facts.stamp(at) or call.token), at
        case EventKind.APPLICATION_HIRED:
            # The documented payload has no time; the offer's are those of the offer.
            when = facts.stamp(last_activity_at) or call.token
            return facts.hired_key(number, when), last_activity_at
        case _:
            begun = application.applied_at if call.action == "new_prospect_application" else None
            key = facts.updated_key(candidate.external_id, call.token)
            return key, begun or last_activity_at


def _status(call: _Call, found: Mapping[str, Any], where: str) -> ApplicationStatus | None:
    word = shapes.text_or_none(found, "status", where)
    return _STATUS_OF_ACTION.get(call.action) or APPLICATION_STATUSES.get(word or "")


def _job(found: Mapping[str, Any], where: str) -> JobFacts | None:
    """A candidate's one job. A prospect may have none or several; a hire also names it `job`."""
    for index, job in enumerate(shapes.objects(found, "jobs", where)):
        return facts.job_facts(job, f"{where}.jobs[{index}]")
    single = shapes.object_or_none(found, "job", where)
    return facts.job_facts(single, f"{where}.job") if single else None


def _rejection(found: Mapping[str, Any], where: str) -> dict[str, str]:
    reason = shapes.object_or_none(found, "rejection_reason", where)
    if reason is None:
        return {}
    at = f"{where}.rejection_reason"
    kind = shapes.object_or_none(reason, "type", at) or {}
    named = {
        "reason": shapes.name_or_none(reason, "name", at),
        "reason_type": shapes.name_or_none(kind, "name", f"{at}.type"),
    }
    return {name: value for name, value in named.items() if value}


def _candidate_updated(call: _Call) -> Event:
    where = f"{_PAYLOAD}.candidate"
    found = shapes.an_object(call.payload, "candidate", _PAYLOAD)
    owner = facts.person_or_none(found, "recruiter", where)
    candidate = facts.candidate_facts(found, where, owner=owner)
    return Event(
        kind=EVENTS[call.action],
        key=facts.updated_key(candidate.external_id, call.token),
        word=call.action,
        occurred_at=_updated_at(found, where),
        candidate=candidate,
    )


def _updated_at(found: Mapping[str, Any], where: str) -> datetime | None:
    """When the candidate changed, where the payload says so. The documented one has no time but
    that of the candidate's creation, which says nothing of a change."""
    at = shapes.moment_or_none(found, "updated_at", where)
    at = at or shapes.moment_or_none(found, "last_activity_at", where)
    if at is not None:
        return at
    active = (
        shapes.moment_or_none(one, "last_activity_at", f"{where}.applications[{index}]")
        for index, one in enumerate(shapes.objects(found, "applications", where))
    )
    return max(filter(None, active), default=None)


def _application_deleted(call: _Call) -> Event:
    where = f"{_PAYLOAD}.application"
    found = shapes.an_object(call.payload, "application", _PAYLOAD)
    candidate_id = shapes.identifier(found, "candidate_id", where)
    number = shapes.identifier(found, "id", where)
    return Event(
        kind=EVENTS[call.action],
        key=facts.application_deleted_key(candidate_id, number),
        word=call.action,
        candidate=CandidateFacts(external_id=candidate_id),
        application=ApplicationFacts(
            external_id=number,
            status=ApplicationStatus.DELETED,
            prospect=bool(shapes.flag_or_none(found, "prospect", where)),
        ),
    )


def _candidate_merged(call: _Call) -> Event:
    where = f"{_PAYLOAD}.person"
    found = shapes.an_object(call.payload, "person", _PAYLOAD)
    number = shapes.identifier(found, "id", where)
    into = shapes.identifier(found, "new_candidate_id", where)
    # The mark goes along, so that the stricter of the two can win.
    can_email = shapes.flag_or_none(found, "can_email", where)
    return Event(
        kind=EVENTS[call.action],
        key=facts.merged_key(number, into),
        word=call.action,
        candidate=CandidateFacts(external_id=number, can_email=can_email, merged_into=into),
    )


def _candidate_deleted(call: _Call) -> Event:
    where = f"{_PAYLOAD}.person"
    found = shapes.an_object(call.payload, "person", _PAYLOAD)
    applications = found.get("deleted_application_ids")
    numbers = [str(n) for n in applications if type(n) is int] if type(applications) is list else []
    return _gone(
        call,
        shapes.identifier(found, "id", where),
        {"deleted_application_ids": ",".join(numbers)} if numbers else {},
    )


def _candidate_anonymized(call: _Call) -> Event:
    number = shapes.identifier(call.payload, "candidate_id", _PAYLOAD)
    removed = call.payload.get("anonymized_fields")
    if not isinstance(removed, list):
        raise shapes.fault(f"{_PAYLOAD}.anonymized_fields", removed, "a list of field names")
    fields = {"anonymized_fields": ",".join(shapes.words(removed))}
    if IDENTIFYING_FIELDS.intersection(shapes.words(removed)):
        return _gone(call, number, fields)
    return Event(
        kind=EventKind.CANDIDATE_UPDATED,
        key=facts.updated_key(number, call.token),
        word=call.action,
        candidate=CandidateFacts(external_id=number),
        fields=fields,
    )


def _gone(call: _Call, number: str, fields: dict[str, str]) -> Event:
    return Event(
        kind=EventKind.CANDIDATE_DELETED,
        key=facts.deleted_key(number),
        word=call.action,
        candidate=CandidateFacts(external_id=number, gone=True),
        fields=fields,
    )


def _interview_deleted(call: _Call) -> Event:
    found = shapes.an_object(call.payload, "interview", _PAYLOAD)
    where = f"{_PAYLOAD}.interview"
    number = shapes.identifier(found, "id", where)
    at = shapes.moment_or_none(found, "updated_at", where)
    return Event(
        kind=EVENTS[call.action],
        # Without a time the key is the id's own: what was deleted never comes back.
        key=facts.interview_cancelled_key(number, facts.stamp(at) or "deleted"),
        word=call.action,
        occurred_at=at,
        interview=InterviewFacts(external_id=number, status=InterviewStatus.CANCELLED),
    )


_READERS: Mapping[str, Callable[[_Call], Event]] = {
    "new_candidate_application": _application_event,
    "new_prospect_application": _application_event,
    "candidate_stage_change": _application_event,
    "unreject_candidate": _application_event,
    "unhire_candidate": _application_event,
    "reject_candidate": _application_event,
    "hire_candidate": _application_event,
    "application_updated": _application_event,
    "update_candidate": _candidate_updated,
    "delete_application": _application_deleted,
    "merge_candidate": _candidate_merged,
    "delete_candidate": _candidate_deleted,
    "candidate_anonymized": _candidate_anonymized,
    "interview_deleted": _interview_deleted,
}
