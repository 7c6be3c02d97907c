"""Facts and event keys, from what Lever's records say. The keys are made here and nowhere else:
they must be the same whether a poll read the record or a webhook had it read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from warmline.connectors.lever import shapes
from warmline.connectors.lever.mapping import IN_PIPELINE, NOBODY_APPLIED, StageKinds
from warmline.core.events import (
    ApplicationStatus,
    CandidateFacts,
    JobFacts,
    Person,
    StageFacts,
    StageKind,
)

OPPORTUNITY = "$.opportunity"

_Record = Mapping[str, Any]


def candidate_facts(record: _Record) -> CandidateFacts:
    """The person: Lever's contact, as its opportunity carries it. Tags, owner and do-not-contact
    mark are those of this opportunity."""
    found, where = shapes.an_object(record, "opportunity", "$"), OPPORTUNITY
    first, _, last = (shapes.text_or_none(found, "name", where) or "").partition(" ")
    return CandidateFacts(
        external_id=shapes.identifier(found, "contact", where),
        first_name=first or None,
        last_name=last.strip() or None,
        emails=shapes.texts(found, "emails", where),
        phones=shapes.words([one.get("value") for one in _objects(found.get("phones"))]),
        tags=None if found.get("tags") is None else shapes.words(found["tags"]),
        can_email=can_email(found),
        owner=person(record.get("owner")),
        links=shapes.words(found.get("links")),
        place=next(iter(shapes.words([found.get("location")])), None),
        created_at=shapes.moment_or_none(found, "createdAt", where),
        gone=anonymized(found),
    )


def can_email(found: _Record) -> bool | None:
    """`dataProtection.contact.allowed`; None where the account does not use it. Lever lets nobody
    write it."""
    protection = shapes.object_or_none(found, "dataProtection", OPPORTUNITY) or {}
    where = f"{OPPORTUNITY}.dataProtection"
    contact = shapes.object_or_none(protection, "contact", where) or {}
    return shapes.flag_or_none(contact, "allowed", f"{where}.contact")


def anonymized(found: _Record) -> bool:
    return bool(shapes.flag_or_none(found, "isAnonymized", OPPORTUNITY))


def person(found: object) -> Person | None:
    """A user of Lever's, or an interviewer."""
    if not isinstance(found, dict):
        return None
    name, email, number = (
        next(iter(shapes.words([found.get(key)])), "").strip() for key in ("name", "email", "id")
    )
    return Person(name=name, email=email, external_id=number) if name or email else None


def job_facts(record: _Record) -> JobFacts | None:
    """The posting of the opportunity's application, where there is one and we may see it."""
    found = shapes.object_or_none(record, "posting", "$")
    if found is None:
        return None
    categories = found.get("categories")
    said = categories if isinstance(categories, dict) else {}
    department = shapes.words([said.get("department"), said.get("team")])
    return JobFacts(
        external_id=shapes.identifier(found, "id", "$.posting"),
        title=shapes.text_or_none(found, "text", "$.posting") or "",
        department=next(iter(department), ""),
        office=next(iter(shapes.words([said.get("location")])), ""),
    )


@dataclass(frozen=True, slots=True)
class Move:
    """Into this stage, then."""

    stage: StageFacts
    at: datetime


def moves(record: _Record, kinds: StageKinds) -> list[Move]:
    """Every stage that the opportunity stood at, the oldest first."""
    found, where = shapes.an_object(record, "opportunity", "$"), OPPORTUNITY
    made = []
    for index, change in enumerate(shapes.objects(found, "stageChanges", where)):
        at = shapes.moment_or_none(change, "updatedAt", f"{where}.stageChanges[{index}]")
        number = shapes.identifier_or_none(change, "toStageId", f"{where}.stageChanges[{index}]")
        if at is not None and number is not None:
            made.append(Move(stage_facts(record, number, kinds), at))
    return sorted(made, key=lambda move: move.at)


def stage_now(record: _Record, kinds: StageKinds) -> StageFacts | None:
    """Where it stands; `stage` is an id, or the stage itself where the caller expanded it."""
    found = shapes.an_object(record, "opportunity", "$").get("stage")
    if found is None:
        return None
    source = found if isinstance(found, dict) else {"id": found}
    return stage_facts(record, shapes.identifier(source, "id", f"{OPPORTUNITY}.stage"), kinds)


def stage_facts(record: _Record, number: str, kinds: StageKinds) -> StageFacts:
    names = shapes.object_or_none(record, "stages", "$") or {}
    name = next(iter(shapes.words([names.get(number)])), "")
    return StageFacts(external_id=number, name=name, kind=kinds.kind(name))


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended: archived, for a reason that means hired or one that does not."""

    status: ApplicationStatus
    at: datetime | None
    reason: str = ""


def ending(record: _Record) -> Ending | None:
    """None while it is in the pipeline."""
    found = shapes.object_or_none(
        shapes.an_object(record, "opportunity", "$"), "archived", OPPORTUNITY
    )
    if found is None:
        return None
    hired = shapes.flag_or_none(record, "hired", "$")
    return Ending(
        ApplicationStatus.HIRED if hired else ApplicationStatus.REJECTED,
        shapes.moment_or_none(found, "archivedAt", f"{OPPORTUNITY}.archived"),
        shapes.text_or_none(record, "reason", "$") or "",
    )


def application(record: _Record) -> dict[str, Any] | None:
    """The opportunity's application, the newest of them; None where nobody ever put the person on
    a posting. Where Lever gave its id alone, that is all there is."""
    found = shapes.an_object(record, "opportunity", "$").get("applications")
    if not isinstance(found, list) or not found:
        return None
    whole = [one for one in found if isinstance(one, dict)]
    return max(whole, key=lambda one: str(one.get("createdAt") or "")) if whole else {}


def has_applied(record: _Record) -> bool:
    """Whether the person asked for the job, or somebody referred them to it: who was sourced and
    put on a posting by a recruiter must get no thanks for an application."""
    made = application(record)
    origin = shapes.an_object(record, "opportunity", "$").get("origin")
    return made is not None and (origin, made.get("type")) != NOBODY_APPLIED


def in_pipeline(reached: list[StageKind | None], end: Ending | None) -> bool:
    """Whether a person who never applied is treated as a candidate for the job all the same."""
    hired = end is not None and end.status is ApplicationStatus.HIRED
    return hired or not IN_PIPELINE.isdisjoint(reached)


def _objects(found: object) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def digest(*said: object) -> str:
    return hashlib.sha256(repr(said).encode("utf-8", "replace")).hexdigest()[:16]


def ms(moment: datetime | None) -> str:
    return "" if moment is None else str(round(moment.timestamp() * 1000))


def submitted_key(opportunity: str) -> str:
    return f"application.submitted:{opportunity}"


def stage_changed_key(opportunity: str, move: Move) -> str:
    return f"application.stage_changed:{opportunity}:{move.stage.external_id}:{ms(move.at)}"


def rejected_key(opportunity: str, at: datetime | None) -> str:
    return f"application.rejected:{opportunity}:{ms(at)}"


def hired_key(opportunity: str, at: datetime | None) -> str:
    return f"application.hired:{opportunity}:{ms(at)}"


def updated_key(contact: str, which: str) -> str:
    return f"candidate.updated:{contact}:{which}"


def deleted_key(contact: str) -> str:
    return f"candidate.deleted:{contact}"


def merged_key(contact: str, into: str) -> str:
    return f"candidate.merged:{contact}:{into}"


def application_deleted_key(opportunity: str) -> str:
    return f"candidate.updated:application.deleted:{opportunity}"


def interview_scheduled_key(interview: str, what: str, which: str) -> str:
    return f"interview.scheduled:{interview}:{what}:{which}"


def interview_cancelled_key(interview: str, which: str) -> str:
    return f"interview.cancelled:{interview}:{which}"


def scorecard_key(feedback: str) -> str:
    return f"scorecard.submitted:{feedback}"
