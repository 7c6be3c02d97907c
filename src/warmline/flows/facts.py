"""Facts into the ledger: who is meant, what is new, what is stale. One instance a batch.

Everything the batch touches is read up front in a handful of queries, changed in memory in the
order of the events, and written back in a handful more. The caller holds the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import models

from warmline.core.candidates import normal_email
from warmline.core.events import (
    ApplicationFacts,
    CandidateFacts,
    Event,
    EventKind,
    InterviewFacts,
    InterviewStatus,
    JobFacts,
    StageFacts,
)
from warmline.flows import merge
from warmline.flows.opt_out import suppress_candidate
from warmline.store.models import (
    Application,
    Candidate,
    CandidateEmail,
    ExternalId,
    Interview,
    Job,
    Stage,
)
from warmline.store.statuses import EventEffect, SuppressionReason


@dataclass(slots=True)
class Heard:
    """An event, when it happened (the source's time, else the arrival), and when we heard."""

    event: Event
    at: datetime
    received_at: datetime


@dataclass(slots=True)
class Applied:
    effect: EventEffect
    kind: EventKind
    candidate: Candidate | None = None
    application: Application | None = None
    interview: Interview | None = None


def clean(text: str | None, size: int) -> str:
    """Fit for a text column: no NUL (PostgreSQL refuses it), no blanks around, not too long."""
    return (text or "").replace("\x00", "").strip()[:size]


class Facts:
    def __init__(self, connection: str, *, is_crm: bool, heard: Sequence[Heard]) -> None:
        self.connection, self.is_crm = connection, is_crm
        events = [h.event for h in heard]
        people = [e.candidate for e in events if e.candidate is not None]
        applications = [e.application for e in events if e.application is not None]
        interviews = [e.interview for e in events if e.interview is not None]
        record_ids = {p.external_id for p in people} | {p.merged_into or "" for p in people}
        self._ids: dict[str, ExternalId] = {
            row.external_id: row
            for row in ExternalId.objects.filter(
                connection=connection, external_id__in=record_ids - {""}
            ).select_related("candidate__merged_into")
        }
        normals = {n for p in people for e in p.emails if (n := normal_email(e))}
        self._emails: dict[str, CandidateEmail] = {
            row.normal: row
            for row in CandidateEmail.objects.filter(normal__in=normals).select_related("candidate")
        }
        self._applications: dict[str, Application] = self._known(
            Application.objects.select_related("candidate", "job", "stage"),
            {a.external_id for a in applications}
            | {i.application_id for i in interviews if i.application_id},
        )
        self._jobs: dict[str, Job] = self._known(
            Job.objects.all(), {a.job.external_id for a in applications if a.job}
        )
        self._stages: dict[str, Stage] = self._known(
            Stage.objects.all(), {a.stage.external_id for a in applications if a.stage}
        )
        self._interviews: dict[str, Interview] = self._known(
            Interview.objects.select_related("application__candidate"),
            {i.external_id for i in interviews},
        )
        self._new: dict[type[models.Model], list[Any]] = {}
        self._changed: dict[models.Model, set[str]] = {}
        # Candidates known before who got an address: what waited for one can go.
        self.addressed: list[Candidate] = []

    def _known(self, rows: models.QuerySet[Any], ids: set[str]) -> dict[str, Any]:
        if not ids:
            return {}
        found = rows.filter(connection=self.connection, external_id__in=ids)
        return {row.external_id: row for row in found}

    # -- what the batch remembers to write

    def _add(self, row: Any) -> Any:
        self._new.setdefault(type(row), []).append(row)
        return row

    def _set(self, row: Any, **values: Any) -> bool:
        """Set what differs; True where something did."""
        changed = {name for name, value in values.items() if getattr(row, name) != value}
        for name in changed:
            setattr(row, name, values[name])
        if changed and row.pk is not None:
            self._changed.setdefault(row, set()).update(changed)
        return bool(changed)

    def flush(self) -> None:
        """Write: parents before children, so that ids are there when they are needed."""
        for model in (Candidate, CandidateEmail, ExternalId, Job, Stage, Application, Interview):
            rows = self._new.pop(model, [])
            if rows:
                model._default_manager.bulk_create(rows)
        for row, fields in self._changed.items():
            row.save(update_fields=sorted(fields))
        self._changed = {}

    # -- one event

    def apply(self, heard: Heard) -> Applied:
        event = heard.event
        applied = Applied(EventEffect.NO_CHANGE, event.kind)
        if event.kind is EventKind.UNKNOWN:
            applied.effect = EventEffect.UNKNOWN
            return applied
        if event.candidate is not None:
            changed = self._candidate(heard, event.candidate, applied)
            if changed:
                applied.effect = EventEffect.APPLIED
        if event.application is not None:
            self._application(heard, event.application, applied)
        if event.interview is not None:
            self._interview(heard, event.interview, applied)
        if applied.candidate is None:
            applied.effect = EventEffect.UNKNOWN
        elif event.kind in _ALWAYS_APPLIED:
            applied.effect = EventEffect.APPLIED
        return applied

    # -- candidates

    def _candidate(self, heard: Heard, facts: CandidateFacts, applied: Applied) -> bool:
        candidate, changed = self._who(heard, facts)
        if candidate is None:
            return False
        applied.candidate = candidate
        if facts.merged_into:
            self._merged(heard, facts, applied)
            return True
        if facts.gone:
            return self._gone(heard, facts, candidate)
        newer = heard.at >= candidate.as_of
        owner = facts.owner
        said: dict[str, Any] = {
            "first_name": clean(facts.first_name, 200),
            "last_name": clean(facts.last_name, 200),
            "owner_name": clean(owner.name, 200) if owner else "",
            "owner_email": clean(owner.email, 254) if owner else "",
            "tags": list(facts.tags or ()),
            "phones": [clean(p, 64) for p in facts.phones],
        }
        # A newer word replaces; an older one only fills what nobody has said yet. What was not
        # said this time (empty) is never taken as "erase it".
        wanted = {k: v for k, v in said.items() if v and (newer or not getattr(candidate, k))}
        changed |= self._set(candidate, **wanted)
        if newer and (facts.first_name or facts.last_name or facts.emails):
            self._set(candidate, as_of=heard.at)
        changed |= self._addresses(candidate, facts.emails, newer=newer)
        if facts.can_email is False and not candidate.do_not_contact:
            changed |= self._set(candidate, do_not_contact=True)
            self.flush()
            suppress_candidate(
                candidate, SuppressionReason.DO_NOT_CONTACT, source=self.connection, now=heard.at
            )
        return changed

    def _who(self, heard: Heard, facts: CandidateFacts) -> tuple[Candidate | None, bool]:
        """The candidate meant: by record id, then by any address; made where there is none."""
        known = self._ids.get(facts.external_id)
        live = known is not None and known.gone_at is None
        candidate = known.candidate if known is not None and live else None
        owners = self._owners(facts.emails)
        if candidate is None and owners:
            candidate = owners[0]
        made = candidate is None
        if candidate is None:
            if (
                facts.gone
                or facts.merged_into
                or not (facts.emails or facts.first_name or facts.last_name)
            ):
                return (known.candidate if known else None), False
            candidate = self._add(
                Candidate(created_at=heard.received_at, as_of=heard.at, tags=[], phones=[])
            )
        candidate = self._standing(candidate)
        for other in owners:
            other = self._standing(other)
            if other is not candidate and other.pk != candidate.pk:
                candidate = self._fold(candidate, other, "they share an e-mail address", heard)
        if known is None:
            self._ids[facts.external_id] = self._add(
                ExternalId(
                    candidate=candidate,
                    connection=self.connection,
                    external_id=facts.external_id[:128],
                    contact=self.is_crm and not self._has_contact(candidate),
                )
            )
        elif known.gone_at is not None:
            self._set(known, gone_at=None, candidate=candidate)
        return candidate, made

    def _standing(self, candidate: Candidate) -> Candidate:
        return candidate.merged_into if candidate.merged_into is not None else candidate

    def _has_contact(self, candidate: Candidate) -> bool:
        return (
            candidate.pk is not None
            and ExternalId.objects.filter(
                candidate=candidate, connection=self.connection, contact=True, gone_at__isnull=True
            ).exists()
        )

    def _owners(self, emails: Iterable[str]) -> list[Candidate]:
        found: list[Candidate] = []
        for email in emails:
            normal = normal_email(email)
            row = self._emails.get(normal) if normal else None
            if row is not None and all(row.candidate is not c for c in found):
                found.append(row.candidate)
        return found

    def _fold(self, one: Candidate, other: Candidate, evidence: str, heard: Heard) -> Candidate:
        """Two candidates are one person. The ledger must be whole first; merges are rare."""
        self.flush()
        kept, folded = (one, other) if one.pk < other.pk else (other, one)
        merge.fold(kept, folded, evidence=evidence, now=heard.received_at)
        rows: list[Any] = [
            *self._ids.values(),
            *self._emails.values(),
            *self._applications.values(),
        ]
        for known in rows:
            if known.candidate_id == folded.pk:
                known.candidate = kept
        return kept

    def _merged(self, heard: Heard, facts: CandidateFacts, applied: Applied) -> None:
        """The vendor merged two of its records: the old id stands for the new one's person."""
        old = self._ids.get(facts.external_id)
        into = self._ids.get(facts.merged_into or "")
        candidate = applied.candidate
        if candidate is None:
            return
        if old is not None:
            self._set(old, gone_at=heard.received_at)
            self.flush()
        if into is None:
            self._ids[facts.merged_into or ""] = self._add(
                ExternalId(
                    candidate=candidate,
                    connection=self.connection,
                    external_id=(facts.merged_into or "")[:128],
                    contact=self.is_crm,
                )
            )
        elif self._standing(into.candidate).pk != candidate.pk:
            applied.candidate = self._fold(
                self._standing(into.candidate), candidate, f"merged in {self.connection}", heard
            )
        self.flush()

    def _gone(self, heard: Heard, facts: CandidateFacts, candidate: Candidate) -> bool:
        """A deleted record. Deleted in the ATS, or for privacy's sake anywhere, the person is gone
        for us too; deleted in the CRM otherwise, only the contact is."""
        row = self._ids.get(facts.external_id)
        if row is None or row.gone_at is not None:
            return False
        self._set(row, gone_at=heard.received_at)
        self.flush()
        if self.is_crm and not heard.event.fields.get("privacy"):
            return True  # somebody tidied up; the next change makes the contact anew
        left = ExternalId.objects.filter(
            candidate=candidate, connection=self.connection, gone_at__isnull=True
        )
        if not left.exists() and candidate.erased_at is None:
            self._set(candidate, erased_at=heard.received_at)
            self.flush()
            suppress_candidate(candidate, None, source=self.connection, now=heard.at)
        return True

    def _addresses(self, candidate: Candidate, emails: Sequence[str], *, newer: bool) -> bool:
        normals = [n for e in emails if (n := normal_email(e))]
        changed = False
        for rank, normal in enumerate(dict.fromkeys(normals)):
            row = self._emails.get(normal)
            if row is None:
                self._emails[normal] = self._add(
                    CandidateEmail(
                        candidate=candidate,
                        normal=normal,
                        address=normal,
                        rank=rank if newer else rank + 100,
                    )
                )
                changed = True
                if candidate.pk is not None:
                    self.addressed.append(candidate)
            elif newer:
                changed |= self._set(row, rank=rank)
        if changed and candidate.pk is not None and newer:
            # Addresses that the newest word leaves out are kept, behind those it names.
            CandidateEmail.objects.filter(candidate=candidate, rank__lt=100).exclude(
                normal__in=normals
            ).update(rank=models.F("rank") + 100)
        return changed

    # -- applications, jobs, stages, interviews

    def _application(self, heard: Heard, facts: ApplicationFacts, applied: Applied) -> None:
        row = self._applications.get(facts.external_id)
        if row is None:
            if applied.candidate is None:
                return
            row = self._applications[facts.external_id] = self._add(
                Application(
                    candidate=applied.candidate,
                    connection=self.connection,
                    external_id=facts.external_id[:128],
                    as_of=heard.at,
                )
            )
            newer, applied.effect = True, EventEffect.APPLIED
        else:
            newer = heard.at >= row.as_of
        applied.application = row
        applied.candidate = applied.candidate or self._standing(row.candidate)
        said: dict[str, Any] = {
            "job": self._job(facts.job) if facts.job else None,
            "applied_at": facts.applied_at,
            "url": clean(facts.url, 1000),
        }
        wanted = {k: v for k, v in said.items() if v and (newer or not getattr(row, k))}
        if newer and facts.status is not None:
            # Only what tells how it stands moves its clock: an interview's mere mention of it
            # must not make a rejection that is on its way look old.
            wanted |= {
                "status": facts.status.value,
                "rejected_at": facts.rejected_at,
                "prospect": facts.prospect,
                "as_of": heard.at,
            }
        as_of = wanted.pop("as_of", row.as_of)
        changed = self._set(row, **wanted)
        self._set(row, as_of=as_of)
        if changed:
            applied.effect = EventEffect.APPLIED
        elif not newer and applied.effect is EventEffect.NO_CHANGE:
            applied.effect = EventEffect.STALE
        if facts.stage is not None:
            self._stage_move(heard, facts.stage, row, applied)

    def _stage_move(
        self, heard: Heard, facts: StageFacts, row: Application, applied: Applied
    ) -> None:
        stage = self._stage(facts)
        if row.stage_as_of is not None and heard.at < row.stage_as_of:
            if applied.kind is EventKind.APPLICATION_STAGE_CHANGED:
                applied.effect = EventEffect.STALE
            return
        moved = row.stage is not stage and (row.stage_id is None or row.stage_id != stage.pk)
        self._set(row, stage=stage, stage_as_of=heard.at)
        if applied.kind is EventKind.APPLICATION_STAGE_CHANGED:
            applied.effect = EventEffect.APPLIED if moved else EventEffect.NO_CHANGE

    def _job(self, facts: JobFacts) -> Job:
        row = self._jobs.get(facts.external_id)
        said = {
            "title": clean(facts.title, 300),
            "department": clean(facts.department, 200),
            "office": clean(facts.office, 200),
        }
        if row is None:
            row = self._jobs[facts.external_id] = self._add(
                Job(connection=self.connection, external_id=facts.external_id[:128], **said)
            )
        else:
            self._set(row, **{k: v for k, v in said.items() if v})
        return row

    def _stage(self, facts: StageFacts) -> Stage:
        row = self._stages.get(facts.external_id)
        said = {"name": clean(facts.name, 200), "kind": facts.kind.value if facts.kind else None}
        if row is None:
            row = self._stages[facts.external_id] = self._add(
                Stage(connection=self.connection, external_id=facts.external_id[:128], **said)
            )
        else:
            self._set(row, **said)
        return row

    def _interview(self, heard: Heard, facts: InterviewFacts, applied: Applied) -> None:
        row = self._interviews.get(facts.external_id)
        application = self._applications.get(facts.application_id)
        made = row is None
        if row is None:
            if application is None:
                return  # an interview of an application that we never heard of
            row = self._interviews[facts.external_id] = self._add(
                Interview(
                    application=application,
                    connection=self.connection,
                    external_id=facts.external_id[:128],
                    interviewers=[],
                    as_of=heard.at,
                )
            )
        applied.interview = row
        applied.application = application or row.application
        if applied.application is not None and applied.candidate is None:
            applied.candidate = self._standing(applied.application.candidate)
        if heard.at < row.as_of:
            applied.effect = EventEffect.STALE
            return
        before = (row.starts_at, row.ends_at, row.location, row.interviewers)
        self._set(row, status=facts.status.value, as_of=heard.at)
        if facts.status is InterviewStatus.CANCELLED:
            applied.effect = EventEffect.APPLIED
            return
        self._set(
            row,
            starts_at=facts.starts_at,
            ends_at=facts.ends_at,
            location=clean(facts.location, 500),
            interviewers=[{"name": p.name, "email": p.email} for p in facts.interviewers],
        )
        if made:
            applied.effect = EventEffect.APPLIED
        elif before != (row.starts_at, row.ends_at, row.location, row.interviewers):
            # The vendor has one word for both: another hour, panel or place is a new appointment.
            applied.effect = EventEffect.APPLIED
            applied.kind = EventKind.INTERVIEW_RESCHEDULED


# These say that something happened, whether or not a column of ours changes by it.
_ALWAYS_APPLIED = frozenset(
    {
        EventKind.APPLICATION_SUBMITTED,
        EventKind.SCORECARD_SUBMITTED,
        EventKind.MESSAGE_BOUNCED,
        EventKind.MESSAGE_COMPLAINED,
        EventKind.MESSAGE_OPENED,
        EventKind.MESSAGE_CLICKED,
        EventKind.MESSAGE_REPLIED,
        EventKind.CANDIDATE_UNSUBSCRIBED,
        EventKind.CANDIDATE_REENGAGED,
    }
)
