"""Everything known of a candidate, and why: each line goes back to an event and its delivery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from warmline.core.candidates import normal_email
from warmline.core.engagement import CONFIDENCE, WHY
from warmline.core.segments import Placement
from warmline.flows.batch import clean
from warmline.flows.fields import Known, known
from warmline.flows.placing import placements
from warmline.flows.runtime import Runtime
from warmline.flows.versions import sequence_of
from warmline.store.models import (
    Action,
    Application,
    Candidate,
    CandidateEmail,
    Enrolment,
    Event,
    ExternalId,
    Incident,
    Merge,
    Message,
    Suppression,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing in the candidate's history. `why` names what caused it."""

    at: datetime
    what: str
    detail: str
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    candidate: Candidate
    known: Known
    placement: Placement | None
    external_ids: list[ExternalId]
    suppressions: list[Suppression]
    enrolments: list[Enrolment]
    incidents: list[Incident]
    history: list[Line]

    @property
    def seen(self) -> str:
        """What the segment rule saw, in words."""
        evidence = asdict(self.placement.evidence) if self.placement else {}
        told = [f"{name.replace('_', ' ')} {value}" for name, value in evidence.items() if value]
        return ", ".join(told) or "nothing but the record"


def find(query: str) -> list[Candidate]:
    """Candidates by number here, by address, or by an id of another system. A merged candidate
    gives the one that stands for it."""
    query = clean(query, 254)
    found: dict[int, Candidate] = {}
    if query.isascii() and query.isdecimal() and len(query) < 19:
        for row in Candidate.objects.filter(pk=int(query)):
            found[row.pk] = row
    normal = normal_email(query)
    if normal:
        for email in CandidateEmail.objects.filter(normal=normal).select_related("candidate"):
            found[email.candidate_id] = email.candidate
    if not found:
        rows = ExternalId.objects.filter(external_id=query[:128]).select_related("candidate")
        found.update({row.candidate_id: row.candidate for row in rows})
        applications = Application.objects.filter(external_id=query[:128])
        for application in applications.select_related("candidate"):
            found[application.candidate_id] = application.candidate
    standing = [c.merged_into or c for c in found.values()]
    return list({c.pk: c for c in standing}.values())


def explain(runtime: Runtime, candidate: Candidate) -> Explanation:
    """The candidate's state and history, oldest line first. What stayed with those who were
    folded into the candidate belongs to it."""
    one = known([candidate.pk])[candidate.pk]
    people = [candidate, *Candidate.objects.filter(merged_into=candidate)]
    history = [*_events(people), *_actions(people), *_messages(runtime, people)]
    for merge in Merge.objects.filter(kept__in=people):
        history.append(
            Line(
                merge.merged_at,
                "merged",
                f"candidate {merge.folded_id} became part of {merge.kept_id}",
                merge.evidence,
            )
        )
    suppressions = list(Suppression.objects.filter(address__in=one.emails))
    history += [
        Line(s.since, "suppressed", s.reason, s.detail or f"by {s.source}") for s in suppressions
    ]
    return Explanation(
        candidate=candidate,
        known=one,
        placement=placements(runtime, [candidate.pk], runtime.now()).get(candidate.pk),
        external_ids=list(ExternalId.objects.filter(candidate=candidate).order_by("connection")),
        suppressions=suppressions,
        enrolments=list(Enrolment.objects.filter(candidate__in=people).order_by("id")),
        incidents=list(Incident.objects.filter(candidate__in=people).order_by("opened_at")),
        history=sorted(history, key=lambda line: line.at),
    )


def _events(people: Sequence[Candidate]) -> list[Line]:
    rows = Event.objects.filter(candidate__in=people).select_related(
        "delivery", "application__job", "application__stage"
    )
    return [
        Line(
            row.recorded_at,
            row.kind,
            _about(row),
            f"{row.connection} said {row.word!r} for {row.occurred_at:%Y-%m-%d %H:%M:%S}Z by "
            f"{row.delivery.channel}, delivery {row.delivery_id}; effect: {row.effect}",
        )
        for row in rows
    ]


def _about(row: Event) -> str:
    application = row.application
    if application is None:
        who = (row.fields.get(name) for name in (CONFIDENCE, WHY))
        return ": ".join(filter(None, who))
    title = application.job.title if application.job else "(no job)"
    return f"application {application.external_id}: {title}"


def _actions(people: Sequence[Candidate]) -> list[Line]:
    rows = Action.objects.filter(candidate__in=people).select_related("event")
    return [
        Line(
            row.finished_at or row.planned_at,
            f"{row.kind} -> {row.status}",
            f"in {row.target}"
            + (f": {row.reason}" if row.reason else "")
            + (f"; tried {row.attempts + 1} times" if row.attempts else ""),
            f"trigger {row.trigger!r}, set off by delivery {row.event.delivery_id}",
        )
        for row in rows
    ]


def _messages(runtime: Runtime, people: Sequence[Candidate]) -> list[Line]:
    rows = Message.objects.filter(candidate__in=people).select_related("enrolment")
    lines: list[Line] = []
    for row in rows:
        loaded = sequence_of(runtime.project, row.enrolment)
        step = loaded.sequence.step(row.step) if loaded else None
        name = step.name if step else f"step {row.step}"
        detail = f"message {row.pk}, due {row.due_at:%Y-%m-%d %H:%M}Z"
        if row.reason:
            detail += f": {row.reason}"
        if row.settled_by:
            detail += f"; settled by {row.settled_by}"
        lines.append(
            Line(
                row.handed_off_at or row.sending_at or row.planned_at,
                f"mail {row.enrolment.sequence}/{name} -> {row.status}",
                detail,
                f"enrolment {row.enrolment_id}, version {row.enrolment.version}, "
                f"step {row.step} ({row.step_class})",
            )
        )
    return lines
