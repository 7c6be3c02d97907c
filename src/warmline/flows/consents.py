"""Consents: those that were spoken stand in rows, those that were not follow from the ledger.

An application or an interview is a row already, with its time; what it lets stand is reckoned from
that row when a mail is about to leave. So a history that was read in counts like yesterday's news,
and a law that is set otherwise holds at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from warmline.config.project import Project
from warmline.core import consent
from warmline.core.consent import Consent, Law, implied, why_not
from warmline.core.engagement import ACTS, is_act
from warmline.core.events import ApplicationStatus, EventKind, InterviewStatus, StageKind
from warmline.core.triggers import OWN
from warmline.flows.fields import Known
from warmline.flows.whereabouts import where_is
from warmline.store.models import Application, Candidate, Event
from warmline.store.models import Consent as Row
from warmline.store.statuses import ConsentBasis, EventEffect

_MET = frozenset({StageKind.INTERVIEW, StageKind.FINAL, StageKind.OFFER, StageKind.HIRED})
TEXT_VERSION = "text_version"  # the event's field: which words they agreed to


def give(project: Project, candidate: Candidate, event: Event) -> Row:
    """Somebody said yes. The caller holds the transaction. On a page of ours, or with the words
    that they agreed to, it is their own; another system's word alone is only that."""
    text = str(event.fields.get(TEXT_VERSION, ""))[:64]
    spoken = event.connection == OWN or bool(text)
    where = where_is(project, candidate)
    law = project.file.policy.law(where.country)
    until = consent.months_after(event.occurred_at, law.application_months)
    row, _ = Row.objects.get_or_create(
        candidate=candidate,
        event=event,
        defaults={
            "basis": ConsentBasis.EXPRESS if spoken else ConsentBasis.IMPORTED,
            "jurisdiction": where.country,
            "source": event.connection[:64],
            "text_version": text,
            "since": event.occurred_at,
            "until": None if spoken else until,
        },
    )
    return row


def withdraw(candidate: Candidate, *, now: datetime) -> None:
    """Every consent of theirs ends here. The caller holds the transaction."""
    Row.objects.filter(candidate=candidate, withdrawn_at=None).update(withdrawn_at=now)


def consents_of(ids: Collection[int]) -> dict[int, list[Consent]]:
    """The spoken consents that were not withdrawn, by candidate."""
    found: dict[int, list[Consent]] = {}
    for row in Row.objects.filter(candidate__in=list(ids), withdrawn_at=None):
        found.setdefault(row.candidate_id, []).append(
            Consent(row.basis, row.since, row.until, f"{row.basis} ({row.source})")
        )
    return found


def why_no_consent(
    project: Project, country: str, one: Known, spoken: Collection[Consent], now: datetime
) -> str:
    """Why nobody may write to them about jobs; empty where somebody may."""
    law = project.file.policy.law(country)
    if one.candidate.opted_out:
        return "they withdrew their consent"
    found = [*spoken, *implied(law, applied=_applied(one), dealings=_dealings(one, now))]
    why = why_not(found, law, now=now)
    if not why:
        return ""
    asked = _inquiries(one.candidate, law)  # looked for only where nothing else stands
    return why_not([*found, *implied(law, applied=asked, dealings=())], law, now=now)


def standing_consent(
    project: Project, country: str, one: Known, spoken: Mapping[int, list[Consent]], now: datetime
) -> Consent | None:
    """What may be told of why somebody is written to."""
    law = project.file.policy.law(country)
    found = [
        *spoken.get(one.candidate.pk, ()),
        *implied(
            law,
            applied=[*_applied(one), *_inquiries(one.candidate, law)],
            dealings=_dealings(one, now),
        ),
    ]
    return None if one.candidate.opted_out else consent.basis_now(found, now=now)


def _real(one: Known) -> Iterator[Application]:
    """A prospect was entered by somebody else, and asked for nothing."""
    for row in one.applications:
        if not row.prospect and row.status != ApplicationStatus.DELETED:
            yield row


def _applied(one: Known) -> list[datetime]:
    return [row.applied_at for row in _real(one) if row.applied_at is not None]


def _dealings(one: Known, now: datetime) -> list[datetime]:
    """Interviews that took place, and moves into a stage at which people meet."""
    met = [row.moved_at for row in _real(one) if row.moved_at and row.reached in _MET]
    for appointments in one.interviews.values():
        met += [
            i.starts_at
            for i in appointments
            if i.starts_at is not None
            and i.starts_at <= now
            and i.status != InterviewStatus.CANCELLED
        ]
    return met


def _inquiries(candidate: Candidate, law: Law) -> list[datetime]:
    """What the person did of themselves, and a machine did not (I9)."""
    kinds = (
        set(ACTS)
        - {EventKind.CONSENT_GIVEN}
        - (set() if law.clicks else {EventKind.MESSAGE_CLICKED})
    )
    rows = Event.objects.filter(candidate=candidate, kind__in=kinds, effect=EventEffect.APPLIED)
    found = rows.values_list("kind", "occurred_at", "fields")
    return [at for kind, at, fields in found if is_act(EventKind(kind), fields)]
