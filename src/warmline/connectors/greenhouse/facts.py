"""Facts and event keys, from what webhooks and the API have in common.

The keys are made here and nowhere else: they must be the same however the news arrives. What can
happen more than once to one thing (a hire taken back and made again) has its time in the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from warmline.connectors.greenhouse import shapes
from warmline.connectors.greenhouse.mapping import StageKinds
from warmline.core.events import CandidateFacts, JobFacts, Person, StageFacts


def candidate_facts(
    source: Mapping[str, Any], where: str, *, owner: Person | None
) -> CandidateFacts:
    """Strict in what decides something; links, employer and place are evidence, and a wrong shape
    of theirs is left out."""
    tags = source.get("tags")
    created_at = shapes.moment_or_none(source, "created_at", where)
    return CandidateFacts(
        external_id=shapes.identifier(source, "id", where),
        first_name=shapes.name_or_none(source, "first_name", where),
        last_name=shapes.name_or_none(source, "last_name", where),
        emails=_emails(source, where),
        phones=_phones(source),
        tags=None if tags is None else shapes.words(tags),
        can_email=shapes.flag_or_none(source, "can_email", where),
        owner=owner,
        links=_links(source),
        employer=_word(source.get("company")),
        place=_place(source),
        # To the second, so that a webhook and a poll say the same.
        created_at=created_at and created_at.replace(microsecond=0),
    )


def _emails(source: Mapping[str, Any], where: str) -> tuple[str, ...]:
    # Personal addresses come first: a work address belongs to the employer whom the candidate
    # is about to leave, who may read it and will take it away. Else the vendor's order stands.
    personal: list[str] = []
    others: list[str] = []
    for index, entry in enumerate(shapes.objects(source, "email_addresses", where)):
        value = shapes.text_or_none(entry, "value", f"{where}.email_addresses[{index}]")
        if value and value.strip():
            kind = entry.get("type")
            is_personal = isinstance(kind, str) and kind.strip().lower() == "personal"
            (personal if is_personal else others).append(value)
    return (*personal, *others)


def _phones(source: Mapping[str, Any]) -> tuple[str, ...]:
    return _values(source.get("phone_numbers"))


def _values(found: object) -> tuple[str, ...]:
    """The texts of a list of `{value, type}`."""
    if not isinstance(found, list):
        return ()
    return shapes.words([entry.get("value") for entry in found if isinstance(entry, dict)])


def _links(source: Mapping[str, Any]) -> tuple[str, ...]:
    """Profile pages first: they name one person, where a website may be a company's."""
    profiles = _values(source.get("social_media_addresses"))
    return tuple(dict.fromkeys((*profiles, *_values(source.get("website_addresses")))))


def _place(source: Mapping[str, Any]) -> str | None:
    """The home address where one is marked so, else the first."""
    found = source.get("addresses")
    if not isinstance(found, list):
        return None
    homes = [one for one in found if isinstance(one, dict) and one.get("type") == "home"]
    values = (*_values(homes), *_values(found))
    return _word(values[0]) if values else None


def _word(found: object) -> str | None:
    return next(iter(shapes.words([found])), "").strip() or None


def person_or_none(source: Mapping[str, Any], key: str, where: str) -> Person | None:
    """A user as a webhook tells of one, or as the API's `/users` does."""
    found = shapes.object_or_none(source, key, where)
    return None if found is None else person(found, f"{where}.{key}")


def person(found: Mapping[str, Any], where: str) -> Person | None:
    parts = (shapes.name_or_none(found, part, where) for part in ("first_name", "last_name"))
    name = shapes.name_or_none(found, "name", where) or " ".join(filter(None, parts))
    email = shapes.name_or_none(found, "email", where)
    email = email or shapes.name_or_none(found, "primary_email", where)
    external_id = shapes.identifier_or_none(found, "id", where)
    if not (name or email or external_id):
        return None
    return Person(name=name, email=email or "", external_id=external_id or "")


def job_facts(found: Mapping[str, Any], where: str) -> JobFacts:
    return JobFacts(
        external_id=shapes.identifier(found, "id", where),
        title=shapes.name_or_none(found, "name", where) or "",
        department=_names(found.get("departments")),
        office=_names(found.get("offices")),
    )


def _names(found: object) -> str:
    if not isinstance(found, list):
        return ""
    return ", ".join(shapes.words([one.get("name") for one in found if isinstance(one, dict)]))


def stage_facts(found: Mapping[str, Any], where: str, kinds: StageKinds) -> StageFacts:
    name = shapes.name_or_none(found, "name", where) or ""
    return StageFacts(
        external_id=shapes.identifier(found, "id", where), name=name, kind=kinds.kind(name)
    )


def stamp(moment: datetime | None) -> str:
    """A moment in a key: to the second, because webhooks leave out the rest and the API may not."""
    if moment is None:
        return ""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def submitted_key(application_id: str) -> str:
    return f"application.submitted:{application_id}"


def stage_changed_key(application_id: str, stage: StageFacts | None, when: str) -> str:
    return f"application.stage_changed:{application_id}:{stage.external_id if stage else ''}:{when}"


def rejected_key(application_id: str, when: str) -> str:
    return f"application.rejected:{application_id}:{when}"


def hired_key(application_id: str, when: str) -> str:
    return f"application.hired:{application_id}:{when}"


def updated_key(candidate_id: str, when: str) -> str:
    return f"candidate.updated:{candidate_id}:{when}"


def application_deleted_key(candidate_id: str, application_id: str) -> str:
    return updated_key(candidate_id, f"application.deleted:{application_id}")


def merged_key(candidate_id: str, into: str) -> str:
    return f"candidate.merged:{candidate_id}:{into}"


def deleted_key(candidate_id: str) -> str:
    return f"candidate.deleted:{candidate_id}"


def interview_scheduled_key(interview_id: str, what: str, when: str) -> str:
    return f"interview.scheduled:{interview_id}:{what}:{when}"


def interview_cancelled_key(interview_id: str, when: str) -> str:
    return f"interview.cancelled:{interview_id}:{when}"


def unknown_key(word: str, which: str) -> str:
    return f"unknown:{word}:{which}"
